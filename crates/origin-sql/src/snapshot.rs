//! What one statement says, in the terms of both databases, and how it becomes what the engine asked for.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use hotshelf_model::{
    DbTime, Error, ErrorKind, Fetch, FetchedDocument, Head, Hist, Id, NamespaceName, Parent,
    Parents, Position, Timeline, Version,
};
use serde_json::value::RawValue;
use xxhash_rust::xxh3::xxh3_64;

/// What every statement reads beside its purpose.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) hist: Hist,
    pub(crate) timeline: Timeline,
    pub(crate) position: Position,
    /// The database's clock in microseconds since 1970.
    pub(crate) now_us: u64,
    pub(crate) primary: bool,
    pub(crate) parent: Version,
}

impl State {
    pub(crate) fn head(&self) -> Head {
        Head {
            hist: self.hist,
            timeline: self.timeline,
            position: self.position,
            now: DbTime(self.now_us / 1000),
            primary: self.primary,
        }
    }

    pub(crate) fn parents(&self, namespace: &NamespaceName) -> Parents {
        Parents::new(&[Parent::namespace(namespace, self.parent)]).unwrap_or_default()
    }
}

/// The history that a database's uuid and, in PostgreSQL, its cluster's identifier name.
pub(crate) fn hist(uuid: &str, system: i64) -> Hist {
    let mut bytes = system.to_be_bytes().to_vec();
    bytes.extend_from_slice(uuid.as_bytes());
    Hist(xxh3_64(&bytes))
}

/// One row of a fetch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    /// The place of the id in the request, from 0; `None` when no id was asked for.
    pub(crate) index: Option<usize>,
    pub(crate) version: Option<u64>,
    /// The size of the document; `None` when there is none.
    pub(crate) bytes: Option<usize>,
    /// The document, unless it is too large.
    pub(crate) document: Option<Vec<u8>>,
    pub(crate) valid_until: Option<u64>,
}

/// How a namespace's rows are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) namespace: &'a NamespaceName,
    pub(crate) bytes_max: usize,
    /// The version of every document of an untracked namespace.
    pub(crate) untracked: Option<Version>,
}

/// Puts rows into the order of the request.
pub(crate) fn assemble(
    state: &State,
    ids: &[Id],
    rows: impl IntoIterator<Item = Row>,
    reading: Reading<'_>,
) -> Fetch {
    let mut documents: Vec<Option<Result<FetchedDocument, Error>>> = vec![None; ids.len()];
    for row in rows {
        let Some(index) = row.index else { continue };
        let (Some(slot), Some(id)) = (documents.get_mut(index), ids.get(index)) else {
            continue;
        };
        *slot = Some(match slot {
            None => document(id, row, reading),
            Some(_) => Err(refuse(id, reading, "gave more than one row for")),
        });
    }
    let documents = documents
        .into_iter()
        .zip(ids)
        .map(|(slot, id)| {
            slot.unwrap_or_else(|| Err(refuse(id, reading, "answered nothing about")))
        })
        .collect();
    Fetch {
        head: Some(state.head()),
        parents: state.parents(reading.namespace),
        documents,
    }
}

fn document(id: &Id, row: Row, reading: Reading<'_>) -> Result<FetchedDocument, Error> {
    if let Some(bytes) = row.bytes.filter(|bytes| *bytes > reading.bytes_max) {
        let context = format!(
            "the document of `{}/{id}` has {bytes} bytes, more than the {} allowed by document_bytes_max",
            reading.namespace, reading.bytes_max
        );
        return Err(Error::new(ErrorKind::TooLarge, context));
    }
    if let Some(body) = &row.document {
        serde_json::from_slice::<&RawValue>(body).map_err(|error| {
            refuse(id, reading, "gave something that is not JSON for").with_source(error)
        })?;
    }
    let version = reading
        .untracked
        .unwrap_or(Version(row.version.unwrap_or_default()));
    Ok(FetchedDocument {
        version,
        valid_until: row
            .valid_until
            .filter(|_| row.document.is_some())
            .map(DbTime),
        body: row.document.map(Bytes::from),
    })
}

fn refuse(id: &Id, reading: Reading<'_>, what: &str) -> Error {
    let context = format!("the query of `{}` {what} `{id}`", reading.namespace);
    Error::new(ErrorKind::OriginFailed, context)
}

/// Gives versions to documents whose changes nobody records: the database's clock in microseconds, each greater than the one before.
#[derive(Debug, Default)]
pub(crate) struct UntrackedVersions(AtomicU64);

impl UntrackedVersions {
    pub(crate) fn next(&self, now_us: u64) -> Version {
        // Relaxed: the number orders fetches of this process and publishes nothing else.
        let before = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
                Some(now_us.max(last + 1))
            })
            .unwrap_or_default();
        Version(now_us.max(before + 1))
    }
}

/// A number that the database holds as signed and that is never negative.
pub(crate) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

/// A time span for the database, in milliseconds.
pub(crate) fn millis(span: std::time::Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// A row's random number, which is any number at all.
pub(crate) fn nonce(value: i64) -> u64 {
    value.cast_unsigned()
}

/// A number of ours for the database, which has no unsigned ones; beyond its range it is the greatest.
pub(crate) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_untracked_documents_grow_even_when_the_clock_does_not() {
        let versions = UntrackedVersions::default();
        let given = [5, 5, 3, 9].map(|now| versions.next(now).0);
        assert_eq!(given, [5, 6, 7, 9]);
    }

    #[test]
    fn a_uuid_on_another_cluster_is_another_history() {
        assert_ne!(hist("a", 1), hist("a", 2));
        assert_ne!(hist("a", 1), hist("b", 1));
        assert_eq!(hist("a", 1), hist("a", 1));
    }

    #[test]
    fn two_rows_for_one_id_are_its_error_and_nobody_elses() {
        let state = State {
            hist: Hist(1),
            timeline: Timeline(1),
            position: Position(4),
            now_us: 1000,
            primary: true,
            parent: Version(7),
        };
        let namespace = NamespaceName::new("products").unwrap();
        let ids = ["a", "b"].map(|id| Id::new(id).unwrap());
        let row = |index| Row {
            index: Some(index),
            ..Row::default()
        };
        let reading = Reading {
            namespace: &namespace,
            bytes_max: 10,
            untracked: None,
        };
        let fetch = assemble(&state, &ids, [row(0), row(1), row(1)], reading);
        assert!(fetch.documents[0].is_ok());
        let error = fetch.documents[1].clone().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OriginFailed);
    }
}
