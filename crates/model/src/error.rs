//! The one error of hotshelf's libraries, and problems with single fields of what somebody gave us.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// What kind of failure it is: small, countable, and all that HTTP needs to choose a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What was asked for is malformed; asking again will not help.
    Invalid,
    /// There is no such namespace.
    UnknownNamespace,
    /// A document or a frame is larger than its limit.
    TooLarge,
    /// The origin answered with a failure, or could not be reached.
    OriginFailed,
    /// Operators have switched the origin off, and nothing that could be served is held.
    OriginOff,
    /// The origin did not answer in time.
    OriginTimeout,
    /// A write was sent and its outcome never came: it may have been written or not.
    WriteUnknown,
    /// The origin budget is full and nothing that could be served is held.
    Shed,
    /// A version token lies above everything that the database has given out.
    VersionUnknown,
    /// The version asked for did not arrive in time.
    VersionTimeout,
    /// Stored bytes are damaged or of an unknown format.
    Damaged,
    /// A tier, a file or a socket failed.
    Unavailable,
    /// A fault of hotshelf itself.
    Internal,
}

impl ErrorKind {
    /// The word used in logs, metrics and problem bodies.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorKind::Invalid => "invalid",
            ErrorKind::UnknownNamespace => "unknown_namespace",
            ErrorKind::TooLarge => "too_large",
            ErrorKind::OriginFailed => "origin_failed",
            ErrorKind::OriginOff => "origin_off",
            ErrorKind::OriginTimeout => "origin_timeout",
            ErrorKind::WriteUnknown => "write_unknown",
            ErrorKind::Shed => "shed",
            ErrorKind::VersionUnknown => "version_unknown",
            ErrorKind::VersionTimeout => "version_timeout",
            ErrorKind::Damaged => "damaged",
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::Internal => "internal",
        }
    }

    /// Whether the same request may succeed a moment later.
    pub fn is_retryable(self) -> bool {
        match self {
            ErrorKind::OriginFailed
            | ErrorKind::OriginOff
            | ErrorKind::OriginTimeout
            | ErrorKind::Shed
            | ErrorKind::VersionTimeout
            | ErrorKind::Unavailable => true,
            ErrorKind::Invalid
            | ErrorKind::UnknownNamespace
            | ErrorKind::TooLarge
            | ErrorKind::WriteUnknown
            | ErrorKind::VersionUnknown
            | ErrorKind::Damaged
            | ErrorKind::Internal => false,
        }
    }
}

/// A failure: its kind, what was attempted on what, and the cause.
///
/// Cheap to clone, because one failed fill answers many waiters.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    context: std::sync::Arc<str>,
    source: Option<std::sync::Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A failure without a further cause. The context is lower-case, without a full stop.
    pub fn new(kind: ErrorKind, context: impl Into<String>) -> Self {
        Error {
            kind,
            context: context.into().into(),
            source: None,
        }
    }

    /// The same with the error that caused it; the context does not repeat the cause's text.
    #[must_use]
    pub fn with_source(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Error {
            source: Some(source.into().into()),
            ..self
        }
    }

    /// The kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

/// What is wrong with one field of a request, a row or a configuration, and the way out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct FieldProblem {
    /// The field's name or path.
    pub field: String,
    /// What is wrong with it and what would be right.
    pub reason: String,
}

impl FieldProblem {
    /// A problem with `field`.
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        FieldProblem {
            field: field.into(),
            reason: reason.into(),
        }
    }

    /// The problem with a number that lies outside of `min` to `max`.
    pub fn of_number(field: &str, value: u64, min: u64, max: u64) -> Option<Self> {
        let reason = || format!("is {value}; use {min} to {max}");
        (!(min..=max).contains(&value)).then(|| Self::new(field, reason()))
    }

    /// The problem with a duration that lies outside of `min` to `max` milliseconds.
    pub fn of_duration(field: &str, value: Duration, min: u64, max: u64) -> Option<Self> {
        let range = Duration::from_millis(min)..=Duration::from_millis(max);
        let reason = || format!("is {value:?}; use {min} to {max} ms");
        (!range.contains(&value)).then(|| Self::new(field, reason()))
    }
}
