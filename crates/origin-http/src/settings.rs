//! What an operator can set about an HTTP origin.

use std::fmt;
use std::time::Duration;

use hotshelf_model::NamespaceName;

/// An HTTP origin with the namespaces that it serves.
#[derive(Clone, Debug)]
pub struct HttpOriginSettings {
    /// Each namespace once.
    pub namespaces: Vec<HttpNamespace>,
    /// The time to connect, TLS included, at least 1 ms. It is part of a namespace's `timeout` too.
    pub connect_timeout: Duration,
}

impl Default for HttpOriginSettings {
    fn default() -> Self {
        HttpOriginSettings {
            namespaces: Vec::new(),
            connect_timeout: Duration::from_secs(1),
        }
    }
}

/// How the documents of one namespace are asked for.
#[derive(Clone)]
pub struct HttpNamespace {
    /// Its name.
    pub namespace: NamespaceName,
    /// The names of the dimensions of its variants; each must be a placeholder of every URL.
    pub dimensions: Vec<String>,
    /// The URL of one document, `https://host/products/{id}?locale={locale}`: `http` or `https`, without user and password.
    /// Placeholders stand in the path or the query: `{id}`, `{as_of}` (milliseconds since 1970, 0 for now) and every dimension.
    /// What they stand for is percent-encoded.
    pub url: String,
    /// How many documents are asked for at once; without it, each is asked for alone.
    pub batch: Option<HttpBatch>,
    /// The response header that holds the version, a number from 1 to 2^64 - 1.
    pub version_header: Option<String>,
    /// Where the version stands in the document (RFC 6901), a number or a string of digits; looked at when there is no header.
    pub version_pointer: Option<String>,
    /// The response header that says when the document changes by time alone, in milliseconds since 1970.
    pub valid_until_header: Option<String>,
    /// Where the document says the same; absent or `null` is never. Looked at when there is no header.
    pub valid_until_pointer: Option<String>,
    /// Where a document says `true` when its product is absent, so that the absence has the document's version too. A 404 or 410
    /// says the same without it, but a batch has no other way to tell the version of a deletion.
    pub absent_pointer: Option<String>,
    /// Headers of every request, such as `authorization`. Their values are never printed.
    pub headers: Vec<(String, String)>,
    /// The time for one request with its answer, at least 1 ms.
    pub timeout: Duration,
    /// Larger documents are refused, at least 1.
    pub document_bytes_max: usize,
    /// Requests of one fetch that are under way at once, 1 to 256.
    pub requests_max: usize,
}

/// How many documents are asked for at once.
#[derive(Clone)]
pub struct HttpBatch {
    /// The URL, with `{ids}` in place of `{id}`: the ids percent-encoded and joined with commas. The answer is a JSON object from
    /// id to document, or an array of documents; an id that is missing or `null` is absent. An id with a comma is asked for alone.
    pub url: String,
    /// Where the id stands in a document of an array, a string or a number. Without it the answer must be an object.
    pub id_pointer: Option<String>,
    /// Ids in one request, 1 to 1000.
    pub ids_max: usize,
    /// The longest URL, in bytes, 256 to 65536; fewer ids are asked for at once to stay within it.
    pub url_bytes_max: usize,
    /// The largest answer, in bytes, at least 1.
    pub answer_bytes_max: usize,
}

impl HttpNamespace {
    /// A namespace without variants, batches and headers, whose documents hold their version at `/version`.
    pub fn new(namespace: NamespaceName, url: impl Into<String>) -> Self {
        HttpNamespace {
            namespace,
            dimensions: Vec::new(),
            url: url.into(),
            batch: None,
            version_header: None,
            version_pointer: Some("/version".to_owned()),
            valid_until_header: None,
            valid_until_pointer: None,
            absent_pointer: None,
            headers: Vec::new(),
            timeout: Duration::from_secs(2),
            document_bytes_max: 1 << 20,
            requests_max: 8,
        }
    }
}

impl HttpBatch {
    /// Batches whose answers are objects from id to document.
    pub fn new(url: impl Into<String>) -> Self {
        HttpBatch {
            url: url.into(),
            id_pointer: None,
            ids_max: 100,
            url_bytes_max: 8192,
            answer_bytes_max: 16 << 20,
        }
    }
}

/// Without the URL, whose query may hold a secret.
impl fmt::Debug for HttpBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpBatch")
            .field("id_pointer", &self.id_pointer)
            .field("ids_max", &self.ids_max)
            .finish_non_exhaustive()
    }
}

/// Without the URL and the values of headers, because they may hold secrets.
impl fmt::Debug for HttpNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("HttpNamespace")
            .field("namespace", &self.namespace)
            .field("headers", &headers)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
