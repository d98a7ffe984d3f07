//! The two databases.

pub(crate) mod postgres;
pub(crate) mod sqlite;

use crate::placeholders::Translated;

/// A namespace's statement in the form that is sent.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub(crate) sql: std::sync::Arc<str>,
    /// The names of the dimensions bound after the fixed parameters, in their order.
    pub(crate) dimensions: Vec<String>,
}

impl Statement {
    /// Puts a namespace's query and the reading of the state into the dialect's frame.
    fn framed(frame: &str, state: &str, query: Translated) -> Self {
        let (before, after) = frame.split_once("{query}").unwrap_or((frame, ""));
        let place = |part: &str| part.replace("{state}", state);
        Statement {
            sql: [&*place(before), &query.sql, &*place(after)]
                .concat()
                .into(),
            dimensions: query.dimensions,
        }
    }
}

/// What a fetch sends to the database.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FetchParameters<'a> {
    pub(crate) ids: &'a [&'a str],
    pub(crate) as_of: Option<i64>,
    pub(crate) namespace: &'a str,
    pub(crate) bytes_max: i64,
    /// The variant's values of the statement's dimensions.
    pub(crate) dimensions: &'a [&'a str],
}
