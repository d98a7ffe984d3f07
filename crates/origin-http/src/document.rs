//! What an answer says: documents with their versions, from headers and from places in the JSON.

use std::collections::HashMap;

use bytes::Bytes;
use hotshelf_model::{DbTime, FetchedDocument, FieldProblem, Version};
use jsonptr::{Pointer, PointerBuf};
use reqwest::header::{HeaderMap, HeaderName};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::settings::HttpNamespace;

/// Where versions and times stand.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) version: Place,
    valid_until: Place,
    absent: Option<PointerBuf>,
}

/// One number in an answer: in a header, in the document, or in the first of both that has it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    header: Option<HeaderName>,
    pub(crate) pointer: Option<PointerBuf>,
}

impl Places {
    pub(crate) fn new(settings: &HttpNamespace) -> Result<Self, FieldProblem> {
        let version = Place {
            header: header("version_header", settings.version_header.as_deref())?,
            pointer: pointer("version_pointer", settings.version_pointer.as_deref())?,
        };
        if version.header.is_none() && version.pointer.is_none() {
            let reason = "give this or `version_pointer`: a document without a version cannot be kept current";
            return Err(FieldProblem::new("version_header", reason));
        }
        let valid_until = Place {
            header: header("valid_until_header", settings.valid_until_header.as_deref())?,
            pointer: pointer(
                "valid_until_pointer",
                settings.valid_until_pointer.as_deref(),
            )?,
        };
        Ok(Places {
            version,
            valid_until,
            absent: pointer("absent_pointer", settings.absent_pointer.as_deref())?,
        })
    }

    /// A document that came alone, with its headers.
    pub(crate) fn document(
        &self,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<FetchedDocument, String> {
        let value = self.parsed(&body)?;
        self.fetched(Some(headers), value.as_ref(), body)
    }

    /// A document of a batch; `null` is absent.
    fn document_of_batch(&self, document: &RawValue) -> Result<FetchedDocument, String> {
        let text = document.get();
        if text == "null" {
            return Ok(absent(Version::NONE));
        }
        let value = self.parsed(text.as_bytes())?;
        // Copied, because a slice would keep the whole batch in memory for as long as one document is cached.
        self.fetched(
            None,
            value.as_ref(),
            Bytes::copy_from_slice(text.as_bytes()),
        )
    }

    /// What a 404 says: perhaps the version of the deletion.
    pub(crate) fn absent(&self, headers: &HeaderMap) -> Result<FetchedDocument, String> {
        let version = self.version.in_headers(Some(headers), "version")?;
        Ok(absent(version.map_or(Version::NONE, Version)))
    }

    /// Reads a document as far as needed; that it is JSON is checked in any case.
    fn parsed(&self, body: &[u8]) -> Result<Option<Value>, String> {
        let pointers = [
            &self.version.pointer,
            &self.valid_until.pointer,
            &self.absent,
        ];
        let parsed = if pointers.into_iter().any(Option::is_some) {
            serde_json::from_slice(body).map(Some)
        } else {
            serde_json::from_slice::<&RawValue>(body).map(|_| None)
        };
        parsed.map_err(|error| format!("is not JSON: {error}"))
    }

    fn fetched(
        &self,
        headers: Option<&HeaderMap>,
        value: Option<&Value>,
        body: Bytes,
    ) -> Result<FetchedDocument, String> {
        let version = self.version.find(headers, value, "version")?;
        let version = version.ok_or_else(|| format!("has no version in {}", self.version))?;
        let resolved = self.absent.as_ref().zip(value);
        if resolved.is_some_and(|(pointer, value)| pointer.resolve(value) == Ok(&Value::Bool(true)))
        {
            return Ok(absent(Version(version)));
        }
        Ok(FetchedDocument {
            version: Version(version),
            body: Some(body),
            valid_until: self
                .valid_until
                .find(headers, value, "valid_until")?
                .map(DbTime),
        })
    }
}

fn absent(version: Version) -> FetchedDocument {
    FetchedDocument {
        version,
        body: None,
        valid_until: None,
    }
}

impl Place {
    fn find(
        &self,
        headers: Option<&HeaderMap>,
        value: Option<&Value>,
        what: &str,
    ) -> Result<Option<u64>, String> {
        if let Some(number) = self.in_headers(headers, what)? {
            return Ok(Some(number));
        }
        let (Some(pointer), Some(value)) = (&self.pointer, value) else {
            return Ok(None);
        };
        match pointer.resolve(value) {
            Ok(Value::Null) | Err(_) => Ok(None),
            Ok(found) => number(found)
                .map(Some)
                .ok_or_else(|| format!("has a {what} at `{pointer}` that is not a number above 0")),
        }
    }

    fn in_headers(&self, headers: Option<&HeaderMap>, what: &str) -> Result<Option<u64>, String> {
        let (Some(name), Some(headers)) = (&self.header, headers) else {
            return Ok(None);
        };
        let Some(value) = headers.get(name) else {
            return Ok(None);
        };
        let number = value.to_str().ok().and_then(|text| digits(text.trim()));
        number.map(Some).ok_or_else(|| {
            format!("has a {what} in the header `{name}` that is not a number above 0")
        })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.header, &self.pointer) {
            (Some(header), Some(pointer)) => write!(f, "the header `{header}` or at `{pointer}`"),
            (Some(header), None) => write!(f, "the header `{header}`"),
            (None, Some(pointer)) => write!(f, "the document at `{pointer}`"),
            (None, None) => f.write_str("any place"),
        }
    }
}

fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().filter(|&number| number > 0),
        Value::String(text) => digits(text),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn digits(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&number| plain && number > 0)
}

pub(crate) fn header(field: &str, name: Option<&str>) -> Result<Option<HeaderName>, FieldProblem> {
    let read = |name: &str| {
        HeaderName::try_from(name)
            .map_err(|_| FieldProblem::new(field, "is not the name of a header"))
    };
    name.map(read).transpose()
}

pub(crate) fn pointer(field: &str, text: Option<&str>) -> Result<Option<PointerBuf>, FieldProblem> {
    let read = |text: &str| {
        PointerBuf::parse(text)
            .map_err(|_| FieldProblem::new(field, "is not a JSON pointer such as `/meta/version`"))
    };
    text.map(read).transpose()
}

/// The answer to a batch, by id; a document that can't be used is there with the reason.
#[derive(Debug)]
pub(crate) struct BatchAnswer<'a> {
    places: &'a Places,
    document_bytes_max: usize,
    documents: HashMap<String, &'a RawValue>,
}

/// Why a document of a batch can't be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    TooLarge,
    Malformed(String),
}

impl<'a> BatchAnswer<'a> {
    pub(crate) fn read(
        body: &'a [u8],
        id_pointer: Option<&Pointer>,
        places: &'a Places,
        document_bytes_max: usize,
    ) -> Result<Self, serde_json::Error> {
        let documents = match id_pointer {
            None => serde_json::from_slice(body)?,
            Some(pointer) => {
                let documents: Vec<&RawValue> = serde_json::from_slice(body)?;
                let with_id = documents
                    .into_iter()
                    .map(|document| Ok((id_of(document, pointer)?, document)));
                with_id.collect::<Result<_, serde_json::Error>>()?
            }
        };
        Ok(BatchAnswer {
            places,
            document_bytes_max,
            documents,
        })
    }

    pub(crate) fn document(&self, id: &str) -> Result<FetchedDocument, Unusable> {
        let Some(document) = self.documents.get(id) else {
            return Ok(absent(Version::NONE));
        };
        if document.get().len() > self.document_bytes_max {
            return Err(Unusable::TooLarge);
        }
        self.places
            .document_of_batch(document)
            .map_err(Unusable::Malformed)
    }
}

fn id_of(document: &RawValue, pointer: &Pointer) -> Result<String, serde_json::Error> {
    let value: Value = serde_json::from_str(document.get())?;
    match pointer.resolve(&value) {
        Ok(Value::String(id)) => Ok(id.clone()),
        Ok(Value::Number(id)) => Ok(id.to_string()),
        Ok(_) | Err(_) => Err(serde::de::Error::custom(format!(
            "a document has no id at `{pointer}`"
        ))),
    }
}
