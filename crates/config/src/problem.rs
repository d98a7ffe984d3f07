//! What is wrong with a configuration: every problem at once, each with its key, where the value came from, and the way out.

use std::fmt;

use crate::provenance::Source;

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` ({from}): {reason}")]
pub struct Problem {
    /// The key, such as `l2.deadline_ms` or `namespace.products.sql`.
    pub path: String,
    /// Where its value came from.
    pub from: Source,
    /// What is wrong, and what would be right. Holds no secret.
    pub reason: String,
}

impl Problem {
    pub(crate) fn new(path: impl Into<String>, from: Source, reason: impl Into<String>) -> Self {
        Problem {
            path: path.into(),
            from,
            reason: reason.into(),
        }
    }
}

/// All problems of a configuration. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigProblems(pub(crate) Vec<Problem>);

impl ConfigProblems {
    /// The problems, in the order of the sources and then of the checks.
    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }
}

impl fmt::Display for ConfigProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(f, "the configuration has a problem:")?,
            count => write!(f, "the configuration has {count} problems:")?,
        }
        for problem in &self.0 {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}
