//! What stands in lists: a token, an attached table, a dimension, a rule for hot keys.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawToken {
    /// Who bears it.
    pub name: String,
    /// `viewer`, `writer` or `operator`.
    pub role: String,
    /// The SHA-256 hash of the token, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// A file that holds the token itself; blanks and line ends around it do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
}

/// One table that feeds a namespace's documents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawAttachment {
    /// Its name, `schema.table`.
    pub table: String,
    /// SQL from a row to ids.
    pub keys: String,
    /// The columns whose changes matter; those of the primary key always do.
    #[serde(default)]
    pub columns: Vec<String>,
}

/// One dimension of a namespace's documents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawDimension {
    /// Its name, as it stands in a URL's parameters.
    pub name: String,
    /// The allowed values; the first is the default.
    pub values: Vec<String>,
}

/// One rule for hot keys. The first that matches a key speaks of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawHotRule {
    /// What messages call it.
    pub name: String,
    /// The namespace whose keys it is about; all, when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// A regular expression that the whole id matches; all do, when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `threshold`, `never` or `always`.
    pub action: String,
    /// For `threshold`: from how many reads per second over all nodes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u32>,
}
