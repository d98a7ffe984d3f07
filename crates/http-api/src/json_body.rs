//! Bodies of JSON: requests that are read field by field, with everything that is wrong found at its path, and answers.

use std::time::Duration;

use bytes::Bytes;
use hotshelf_model::FieldProblem;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};

/// Problems that are reported of one body: of ten thousand items with one mistake each, the first ones tell enough.
pub(crate) const PROBLEMS_MAX: usize = 32;

/// An answer that nobody is to keep. `body` is of strings, numbers and lists of them, which always serialise.
pub(crate) fn answer(status: StatusCode, body: &impl Serialize) -> http::Response<Bytes> {
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut response = http::Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A time as answers give it.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The object that a body is.
pub(crate) fn object(body: &[u8], example: &str) -> Result<Map<String, Value>, Vec<FieldProblem>> {
    let refused = |reason: String| vec![FieldProblem::new("body", reason)];
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(refused(format!("must be an object such as {example}"))),
        Err(error) => Err(refused(format!("is not JSON: {error}"))),
    }
}

/// What is wrong with a body so far.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<FieldProblem>);

impl Problems {
    pub(crate) fn refuse(&mut self, path: &str, reason: impl Into<String>) {
        if self.0.len() < PROBLEMS_MAX {
            self.0.push(FieldProblem::new(path, reason));
        }
    }

    /// Refuses what is left of an object whose fields were taken out of it; `path` is empty, or ends with a dot.
    pub(crate) fn refuse_rest(&mut self, path: &str, rest: &Map<String, Value>, known: &str) {
        for name in rest.keys() {
            let reason = format!("is not a field here; there are {known}");
            self.refuse(&format!("{path}{name}"), reason);
        }
    }

    /// The items of a list; `null` is an empty one.
    pub(crate) fn items(
        &mut self,
        path: &str,
        value: Value,
        items_max: usize,
    ) -> Option<Vec<Value>> {
        match value {
            Value::Null => return Some(Vec::new()),
            Value::Array(items) if items.len() > items_max => {
                let reason = format!("has {} items; at most {items_max} are allowed", items.len());
                self.refuse(path, reason);
            }
            Value::Array(items) => return Some(items),
            _ => self.refuse(path, "must be a list"),
        }
        None
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What was read, if nothing is wrong with it.
    pub(crate) fn none_or<T>(self, read: T) -> Result<T, Vec<FieldProblem>> {
        if self.0.is_empty() {
            Ok(read)
        } else {
            Err(self.0)
        }
    }
}
