//! Which heads of requests are ordinary.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Empty;
use httparse::Status;

use crate::asked::Asked;

/// More lines than this are left to hyper.
const LINES_MAX: usize = 32;

/// What the bytes that have come begin with.
pub(super) enum Parsed<'a> {
    /// The beginning of a head.
    Partial,
    /// An ordinary head of this length.
    Ordinary(usize, Ordinary<'a>),
    /// Something else.
    Foreign,
}

/// A GET or HEAD over HTTP/1.1 that names one host, has no body and leaves the connection open.
#[derive(Debug)]
pub(crate) struct Ordinary<'a> {
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) asked: Asked<'a>,
}

/// Looks at what has come.
pub(super) fn look(came: &[u8]) -> Parsed<'_> {
    // The parser passes over empty lines before a request, and hyper may.
    if came.starts_with(b"\r") || came.starts_with(b"\n") {
        return Parsed::Foreign;
    }
    let mut lines = [const { MaybeUninit::uninit() }; LINES_MAX];
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(came, &mut lines) {
        Ok(Status::Complete(length)) if ends_lines_well(&came[..length]) => ordinary(&parsed)
            .map_or(Parsed::Foreign, |ordinary| {
                Parsed::Ordinary(length, ordinary)
            }),
        Ok(Status::Complete(_)) => Parsed::Foreign,
        Ok(Status::Partial) => Parsed::Partial,
        Err(_malformed) => Parsed::Foreign,
    }
}

/// Whether no line ends with a bare line feed, which the parser accepts and a proxy before us may take for part of the line.
fn ends_lines_well(head: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', head).all(|at| at > 0 && head[at - 1] == b'\r')
}

fn ordinary<'a>(parsed: &httparse::Request<'_, 'a>) -> Option<Ordinary<'a>> {
    if parsed.version != Some(1) {
        return None;
    }
    let is_head = match parsed.method? {
        "GET" => false,
        "HEAD" => true,
        _ => return None,
    };
    let mut asked = Asked::nothing(is_head);
    let mut hosts = 0;
    for line in &*parsed.headers {
        if !leaves_the_connection_alone(line.name, line.value) {
            return None;
        }
        hosts += usize::from(line.name.eq_ignore_ascii_case("host"));
        asked.note(line.name, line.value);
    }
    if hosts != 1 {
        return None;
    }
    let target = parsed.path?;
    if !target.starts_with('/') || !target.bytes().all(is_plain) {
        return None;
    }
    let (path, query) = match target.split_once('?') {
        None => (target, None),
        Some((path, query)) => (path, Some(query)),
    };
    Some(Ordinary { path, query, asked })
}

/// Whether a header says nothing about a body, about the connection, or about what comes next on it.
fn leaves_the_connection_alone(name: &str, value: &[u8]) -> bool {
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    match name.len() {
        2 => !is("te"),
        6 => !is("expect"),
        7 => !is("upgrade") && !is("trailer"),
        10 => (!is("connection") || value.eq_ignore_ascii_case(b"keep-alive")) && !is("keep-alive"),
        14 => !is("content-length") && !is("http2-settings"),
        16 => !is("proxy-connection"),
        17 => !is("transfer-encoding"),
        _ => true,
    }
}

/// Whether a byte of a target means the same to everybody. The others, `#` among them, are for hyper to refuse or to cut.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-_.~%?&=+,;:@!$'()*".contains(&byte)
}

/// An ordinary head as a request for the router.
pub(super) fn request(head: &[u8]) -> Option<Request<Empty<Bytes>>> {
    let mut lines = [httparse::EMPTY_HEADER; LINES_MAX];
    let mut parsed = httparse::Request::new(&mut lines);
    parsed.parse(head).ok()?;
    let mut request = Request::new(Empty::new());
    *request.method_mut() = Method::from_bytes(parsed.method?.as_bytes()).ok()?;
    *request.uri_mut() = Uri::try_from(parsed.path?).ok()?;
    for line in &*parsed.headers {
        let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
        let value = HeaderValue::from_bytes(line.value).ok()?;
        request.headers_mut().append(name, value);
    }
    Some(request)
}

#[cfg(test)]
mod tests;
