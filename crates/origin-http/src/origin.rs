//! The origin: which requests a fetch needs, and what becomes of their answers.

use std::collections::HashMap;

use futures_util::stream::{self, StreamExt};
use hotshelf_model::{
    BoxFuture, Error, ErrorKind, Fetch, FetchRequest, FetchedDocument, FieldProblem, Id,
    NamespaceName, Origin, Versions,
};
use reqwest::{Client, redirect};

use crate::route::Route;
use crate::settings::HttpOriginSettings;

/// Documents from a service over HTTP.
///
/// A document that is malformed or too large fails alone. A fetch fails as a whole when none of its requests got a usable answer.
#[derive(Debug)]
pub struct HttpOrigin {
    client: Client,
    routes: HashMap<NamespaceName, Route>,
}

impl HttpOrigin {
    /// Checks the settings; nothing is sent yet. The process must have installed its TLS provider.
    ///
    /// # Errors
    /// `Invalid` with the setting that is wrong; `Internal` when there is no TLS provider.
    pub fn new(settings: &HttpOriginSettings) -> Result<Self, Error> {
        // Without one the client would panic.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            let context = "building the HTTP client without a TLS provider: the process must install ring's when it starts";
            return Err(Error::new(ErrorKind::Internal, context));
        }
        let client = Client::builder()
            .user_agent(concat!("hotshelf/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(settings.connect_timeout)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .build()
            .map_err(|error| {
                Error::new(ErrorKind::Internal, "building the HTTP client").with_source(error)
            })?;
        let mut routes = HashMap::new();
        for namespace in &settings.namespaces {
            let name = &namespace.namespace;
            let route = Route::new(namespace).map_err(|problem| invalid(name, problem))?;
            if routes.insert(name.clone(), route).is_some() {
                let reason = "is there twice; give each namespace once";
                return Err(invalid(name, FieldProblem::new("namespace", reason)));
            }
        }
        Ok(HttpOrigin { client, routes })
    }

    fn route(&self, namespace: &NamespaceName) -> Result<&Route, Error> {
        self.routes.get(namespace).ok_or_else(|| {
            let context = format!(
                "fetching from the namespace {namespace}, which this origin does not serve"
            );
            Error::new(ErrorKind::UnknownNamespace, context)
        })
    }

    async fn fetch(&self, request: FetchRequest<'_>) -> Result<Fetch, Error> {
        let route = self.route(request.namespace)?;
        let asks = route.plan(request);
        let mut answers = stream::iter(asks.into_iter().map(|ask| async move {
            let answer = route.ask(&self.client, request, &ask.ids).await;
            (ask, answer)
        }))
        .buffer_unordered(route.requests_max());
        let mut documents = vec![None; request.ids.len()];
        let mut failure = None;
        let mut answered = request.ids.is_empty();
        while let Some((ask, answer)) = answers.next().await {
            match answer {
                Ok(found) => {
                    answered = true;
                    for (index, document) in ask.indexes.into_iter().zip(found) {
                        documents[index] = Some(document);
                    }
                }
                Err(error) => {
                    for index in ask.indexes {
                        documents[index] = Some(Err(error.clone()));
                    }
                    failure.get_or_insert(error);
                }
            }
        }
        match failure {
            Some(error) if !answered => Err(error),
            Some(_) | None => Ok(Fetch {
                head: None,
                parents: route.parents(),
                documents: documents
                    .into_iter()
                    .map(|document| document.unwrap_or_else(unasked))
                    .collect(),
            }),
        }
    }
}

/// Unreachable, because a plan asks for every id.
fn unasked() -> Result<FetchedDocument, Error> {
    Err(Error::new(
        ErrorKind::Internal,
        "fetching an id that no request asked for",
    ))
}

fn invalid(namespace: &NamespaceName, problem: FieldProblem) -> Error {
    let context = format!("reading the HTTP origin's settings for the namespace {namespace}");
    Error::new(ErrorKind::Invalid, context).with_source(problem)
}

impl Origin for HttpOrigin {
    fn fetch_many<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Fetch, Error>> {
        Box::pin(self.fetch(request))
    }

    fn versions<'a>(
        &'a self,
        namespace: &'a NamespaceName,
        _ids: &'a [Id],
    ) -> BoxFuture<'a, Result<Option<Versions>, Error>> {
        Box::pin(async { self.route(namespace).map(|_| None) })
    }
}

#[cfg(test)]
mod tests;
