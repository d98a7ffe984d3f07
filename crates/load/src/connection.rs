//! One keep-alive connection over HTTP/1.1, with one request under way at a time.

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_STATUS, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::tally::Answer;
use crate::target::Base;

const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("hotshelf-load/", env!("CARGO_PKG_VERSION")));
const HOTSHELF_STALE: HeaderName = HeaderName::from_static("hotshelf-stale");

type Sender = SendRequest<Empty<Bytes>>;

/// Why there is no whole answer.
#[derive(Debug)]
pub(crate) enum Fault {
    /// No connection could be made.
    Refused(io::Error),
    /// The connection ended before the answer was whole, or spoke no HTTP.
    Broken(hyper::Error),
}

/// A server, and what every request to it says.
pub(crate) struct Server {
    pub(crate) base: Base,
    headers: HeaderMap,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Server {
    pub(crate) fn new(base: &Base, headers: &HeaderMap) -> io::Result<Self> {
        let mut all = HeaderMap::new();
        all.insert(HOST, base.authority.clone());
        all.insert(USER_AGENT, AGENT);
        // What is said takes the place of what is said by default.
        for name in headers.keys() {
            all.remove(name);
        }
        for (name, value) in headers {
            all.append(name, value.clone());
        }
        Ok(Server {
            base: base.clone(),
            headers: all,
            tls: base.is_https.then(|| tls(&base.host)).transpose()?,
        })
    }

    async fn connect(&self) -> io::Result<Sender> {
        let stream = TcpStream::connect((self.base.host.as_str(), self.base.port)).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => speak(stream).await,
            Some((connector, name)) => speak(connector.connect(name.clone(), stream).await?).await,
        }
    }
}

/// TLS as the machine's own certificates have it.
fn tls(host: &str) -> io::Result<(TlsConnector, ServerName<'static>)> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(BuilderVerifierExt::with_platform_verifier)
        .map_err(io::Error::other)?
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}

async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin + 'static) -> io::Result<Sender> {
    let (sender, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    // What goes wrong with it is told to who waits for an answer.
    tokio::task::spawn_local(async move { connection.await.ok() });
    Ok(sender)
}

/// A connection that is opened again when it has ended.
pub(crate) struct Line {
    server: Rc<Server>,
    sender: Option<Sender>,
}

impl Line {
    pub(crate) async fn open(server: Rc<Server>) -> io::Result<Self> {
        let sender = Some(server.connect().await?);
        Ok(Line { server, sender })
    }

    pub(crate) fn base(&self) -> &Base {
        &self.server.base
    }

    /// Sends a request and waits for the whole answer. When dropped before that, the connection is closed.
    pub(crate) async fn exchange(&mut self, path: Uri) -> Result<Answer, Fault> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = path;
        *request.headers_mut() = self.server.headers.clone();
        if let Some(mut sender) = self.sender.take()
            && sender.ready().await.is_ok()
        {
            match sender.try_send_request(request).await {
                Ok(response) => return self.receive(sender, response).await,
                // A server may close a connection that is idle; what was not sent at all goes over a new one.
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(Fault::Broken(error.into_error())),
                },
            }
        }
        let mut sender = self.server.connect().await.map_err(Fault::Refused)?;
        let response = sender.send_request(request).await.map_err(Fault::Broken)?;
        self.receive(sender, response).await
    }

    async fn receive(
        &mut self,
        sender: Sender,
        response: Response<Incoming>,
    ) -> Result<Answer, Fault> {
        let (head, mut body) = response.into_parts();
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(Fault::Broken)?;
            bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        self.sender = Some(sender);
        Ok(Answer {
            status: head.status.as_u16(),
            tier: tier(&head.headers),
            is_stale: head.headers.contains_key(HOTSHELF_STALE),
            bytes,
        })
    }
}

/// The `detail` of the cache nearest to us that tells one (RFC 9211 lists the nearest last).
fn tier(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(CACHE_STATUS).into_iter();
    let members = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let details = members.flat_map(|member| member.split(';').skip(1));
    let details = details.filter_map(|part| part.trim().strip_prefix("detail="));
    details
        .last()
        .map(|detail| detail.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_detail_is_the_tier() {
        for (values, expected) in [
            (vec!["hotshelf; hit; ttl=3297; detail=l1"], Some("l1")),
            (
                vec!["hotshelf; fwd=miss; detail=origin", "edge; hit"],
                Some("origin"),
            ),
            (
                vec!["hotshelf; hit; detail=l2, edge; hit; detail=\"MEM\""],
                Some("MEM"),
            ),
            (vec!["edge; hit"], None),
            (vec![], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in &values {
                headers.append(CACHE_STATUS, HeaderValue::from_static(value));
            }
            assert_eq!(tier(&headers).as_deref(), expected, "{values:?}");
        }
    }
}
