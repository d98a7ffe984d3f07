//! One namespace's way to its documents: the requests, their limits, and the reading of the answers.

use bytes::{Bytes, BytesMut};
use hotshelf_model::{
    Error, ErrorKind, FetchRequest, FetchedDocument, FieldProblem, Id, Parent, Parents, Version,
};
use jsonptr::PointerBuf;
use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, StatusCode};

use crate::document::{BatchAnswer, Places, Unusable, pointer};
use crate::settings::{HttpBatch, HttpNamespace};
use crate::template::{Template, encoded};

/// A namespace's settings, checked.
#[derive(Debug)]
pub(crate) struct Route {
    settings: HttpNamespace,
    template: Template,
    batch: Option<Batch>,
    places: Places,
    headers: HeaderMap,
    parents: Parents,
}

#[derive(Debug)]
struct Batch {
    settings: HttpBatch,
    template: Template,
    id_pointer: Option<PointerBuf>,
}

/// One request to make: the ids that it asks for, and where they stand in the fetch.
#[derive(Debug, Default)]
pub(crate) struct Ask {
    pub(crate) indexes: Vec<usize>,
    pub(crate) ids: Vec<Id>,
}

/// What a request got for each of its ids, or why it got nothing.
type Answer = Result<Vec<Result<FetchedDocument, Error>>, Error>;

impl Route {
    pub(crate) fn new(settings: &HttpNamespace) -> Result<Self, FieldProblem> {
        check_bounds(settings)?;
        let places = Places::new(settings)?;
        let batch = settings
            .batch
            .as_ref()
            .map(|batch| Batch::new(batch, settings, &places))
            .transpose()?;
        let parent = Parent::namespace(&settings.namespace, Version::NONE);
        Ok(Route {
            template: Template::parse("url", &settings.url, "id", &settings.dimensions)?,
            batch,
            places,
            headers: headers(&settings.headers)?,
            parents: Parents::new(&[parent]).unwrap_or_default(),
            settings: settings.clone(),
        })
    }

    pub(crate) fn requests_max(&self) -> usize {
        self.settings.requests_max
    }

    pub(crate) fn parents(&self) -> Parents {
        self.parents.clone()
    }

    /// Shares the ids of a fetch out to requests; every id is in exactly one.
    pub(crate) fn plan(&self, request: FetchRequest<'_>) -> Vec<Ask> {
        let mut asks = Vec::new();
        let mut batch = Ask::default();
        let mut bytes = 0;
        for (index, id) in request.ids.iter().enumerate() {
            let limits = self.batch.as_ref().filter(|_| !id.as_str().contains(','));
            let Some(limits) = limits else {
                asks.push(Ask {
                    indexes: vec![index],
                    ids: vec![id.clone()],
                });
                continue;
            };
            let (id_bytes, bytes_max) = (
                encoded(id.as_str()).len() + 1,
                limits.ids_bytes_max(request),
            );
            let full = batch.ids.len() >= limits.settings.ids_max || bytes + id_bytes > bytes_max;
            if full && !batch.ids.is_empty() {
                asks.push(std::mem::take(&mut batch));
                bytes = 0;
            }
            batch.indexes.push(index);
            batch.ids.push(id.clone());
            bytes += id_bytes;
        }
        if !batch.ids.is_empty() {
            asks.push(batch);
        }
        asks
    }

    /// Makes one request, within the namespace's time.
    pub(crate) async fn ask(
        &self,
        client: &Client,
        request: FetchRequest<'_>,
        ids: &[Id],
    ) -> Answer {
        let asked = async {
            match (&self.batch, ids) {
                (_, [id]) => self
                    .ask_for_one(client, request, id)
                    .await
                    .map(|document| vec![document]),
                (Some(batch), ids) => self.ask_for_many(client, batch, request, ids).await,
                (None, ids) => Err(Error::new(
                    ErrorKind::Internal,
                    format!("fetching {} ids at once without a URL for it", ids.len()),
                )),
            }
        };
        let timeout = self.settings.timeout;
        tokio::time::timeout(timeout, asked)
            .await
            .unwrap_or_else(|_| {
                let context = format!("{}, which took longer than {timeout:?}", self.attempt(ids));
                Err(Error::new(ErrorKind::OriginTimeout, context))
            })
    }

    async fn ask_for_one(
        &self,
        client: &Client,
        request: FetchRequest<'_>,
        id: &Id,
    ) -> Result<Result<FetchedDocument, Error>, Error> {
        let ids = std::slice::from_ref(id);
        let response = self.send(client, &self.template, request, ids).await?;
        let headers = response.headers().clone();
        let document = match response.status() {
            StatusCode::OK => {
                let bytes_max = self.settings.document_bytes_max;
                match self.body(response, bytes_max, ids).await? {
                    Some(body) => self.places.document(&headers, body),
                    None => return Ok(Err(self.too_large(ids, bytes_max))),
                }
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => self.places.absent(&headers),
            status => return Err(self.refused(ids, status)),
        };
        Ok(document.map_err(|reason| self.malformed(ids, &reason)))
    }

    async fn ask_for_many(
        &self,
        client: &Client,
        batch: &Batch,
        request: FetchRequest<'_>,
        ids: &[Id],
    ) -> Answer {
        let response = self.send(client, &batch.template, request, ids).await?;
        let status = response.status();
        if status != StatusCode::OK {
            return Err(self.refused(ids, status));
        }
        let bytes_max = batch.settings.answer_bytes_max;
        let Some(body) = self.body(response, bytes_max, ids).await? else {
            let error = self.too_large(ids, bytes_max);
            return Ok(vec![Err(error); ids.len()]);
        };
        let document_bytes_max = self.settings.document_bytes_max;
        let answer = BatchAnswer::read(
            &body,
            batch.id_pointer.as_deref(),
            &self.places,
            document_bytes_max,
        )
        .map_err(|error| {
            self.malformed(ids, "is no batch of documents")
                .with_source(error)
        })?;
        let document = |id: &Id| {
            let ids = std::slice::from_ref(id);
            answer
                .document(id.as_str())
                .map_err(|unusable| match unusable {
                    Unusable::TooLarge => self.too_large(ids, document_bytes_max),
                    Unusable::Malformed(reason) => self.malformed(ids, &reason),
                })
        };
        Ok(ids.iter().map(document).collect())
    }

    async fn send(
        &self,
        client: &Client,
        template: &Template,
        request: FetchRequest<'_>,
        ids: &[Id],
    ) -> Result<Response, Error> {
        let joined: Vec<String> = ids.iter().map(|id| encoded(id.as_str())).collect();
        let url = template
            .fill(&joined.join(","), request.variant, request.as_of)
            .ok_or_else(|| {
                let context = format!(
                    "{} with the variant `{}`, which does not fit the URL",
                    self.attempt(ids),
                    request.variant
                );
                Error::new(ErrorKind::Invalid, context)
            })?;
        let sent = client.get(url).headers(self.headers.clone()).send().await;
        sent.map_err(|error| self.broken(ids, error))
    }

    /// Reads a body as far as it may go; `None` when it is longer.
    async fn body(
        &self,
        mut response: Response,
        bytes_max: usize,
        ids: &[Id],
    ) -> Result<Option<Bytes>, Error> {
        let announced = response
            .content_length()
            .and_then(|len| usize::try_from(len).ok());
        if announced.is_some_and(|len| len > bytes_max) {
            return Ok(None);
        }
        let mut body = BytesMut::with_capacity(announced.unwrap_or_default());
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.broken(ids, error))?
        {
            if body.len() + chunk.len() > bytes_max {
                return Ok(None);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Some(body.freeze()))
    }

    /// What was attempted, for errors. The URL stays out: it may hold a secret, and callers need not know where the origin lives.
    fn attempt(&self, ids: &[Id]) -> String {
        let namespace = &self.settings.namespace;
        match ids {
            [id] => format!("fetching {namespace} `{id}`"),
            ids => format!("fetching {} {namespace}", ids.len()),
        }
    }

    fn refused(&self, ids: &[Id], status: StatusCode) -> Error {
        let context = format!("{}, which answered {status}", self.attempt(ids));
        Error::new(ErrorKind::OriginFailed, context)
    }

    fn broken(&self, ids: &[Id], error: reqwest::Error) -> Error {
        let kind = if error.is_timeout() {
            ErrorKind::OriginTimeout
        } else {
            ErrorKind::OriginFailed
        };
        Error::new(kind, self.attempt(ids)).with_source(error.without_url())
    }

    fn too_large(&self, ids: &[Id], bytes_max: usize) -> Error {
        let context = format!(
            "{}, whose answer has more than {bytes_max} bytes",
            self.attempt(ids)
        );
        Error::new(ErrorKind::TooLarge, context)
    }

    fn malformed(&self, ids: &[Id], reason: &str) -> Error {
        let context = format!("{}, whose answer {reason}", self.attempt(ids));
        Error::new(ErrorKind::OriginFailed, context)
    }
}

impl Batch {
    fn new(
        settings: &HttpBatch,
        namespace: &HttpNamespace,
        places: &Places,
    ) -> Result<Self, FieldProblem> {
        if places.version.pointer.is_none() {
            let reason =
                "is needed for batches: a header can't hold the versions of many documents";
            return Err(FieldProblem::new("version_pointer", reason));
        }
        Ok(Batch {
            template: Template::parse("batch.url", &settings.url, "ids", &namespace.dimensions)?,
            id_pointer: pointer("batch.id_pointer", settings.id_pointer.as_deref())?,
            settings: settings.clone(),
        })
    }

    /// How many bytes of a URL the ids may take.
    fn ids_bytes_max(&self, request: FetchRequest<'_>) -> usize {
        let others = self.template.bytes_without_ids(request.variant);
        self.settings.url_bytes_max.saturating_sub(others)
    }
}

fn check_bounds(settings: &HttpNamespace) -> Result<(), FieldProblem> {
    let batch = settings.batch.as_ref();
    let checks = [
        (
            settings.timeout.as_millis() == 0,
            "timeout",
            "must be at least 1 ms",
        ),
        (
            settings.document_bytes_max == 0,
            "document_bytes_max",
            "must be at least 1",
        ),
        (
            !(1..=256).contains(&settings.requests_max),
            "requests_max",
            "must be 1 to 256",
        ),
        (
            batch.is_some_and(|batch| !(1..=1000).contains(&batch.ids_max)),
            "batch.ids_max",
            "must be 1 to 1000",
        ),
        (
            batch.is_some_and(|batch| !(256..=65536).contains(&batch.url_bytes_max)),
            "batch.url_bytes_max",
            "must be 256 to 65536",
        ),
        (
            batch.is_some_and(|batch| batch.answer_bytes_max == 0),
            "batch.answer_bytes_max",
            "must be at least 1",
        ),
    ];
    match checks.into_iter().find(|(wrong, ..)| *wrong) {
        Some((_, field, reason)) => Err(FieldProblem::new(field, reason)),
        None => Ok(()),
    }
}

fn headers(pairs: &[(String, String)]) -> Result<HeaderMap, FieldProblem> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    for (name, value) in pairs {
        let wrong = |what: &str| FieldProblem::new(format!("headers.{name}"), what);
        let header =
            HeaderName::try_from(name).map_err(|_| wrong("is not the name of a header"))?;
        let mut value = HeaderValue::try_from(value)
            .map_err(|_| wrong("has a value that a header can't hold"))?;
        value.set_sensitive(true);
        headers.insert(header, value);
    }
    Ok(headers)
}
