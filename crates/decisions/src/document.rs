//! The documents in which decisions are kept: JSON with a format number, so that an older node refuses what it would misread.

use std::fmt::Debug;

use hotshelf_model::DbTime;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The format that this version reads and writes.
const FORMAT: u32 = 1;

/// Who decided something, when, why, and until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// When it ends, in milliseconds since 1970 on the database's clock; `None` when somebody has to end it.
    pub until_ms: Option<u64>,
    /// When it was decided, on the same clock.
    pub at_ms: u64,
    /// Who: the name of a token.
    pub who: String,
    /// Why, in their words.
    pub why: String,
}

impl Act {
    /// Whether it has not ended.
    pub fn is_in_force(&self, now: DbTime) -> bool {
        self.until_ms.is_none_or(|until| now.0 < until)
    }

    /// The moment at which it ends, if that is yet to come.
    pub fn ends(&self, now: DbTime) -> Option<DbTime> {
        self.until_ms.map(DbTime).filter(|_| self.is_in_force(now))
    }
}

/// A document of decisions; the default has none.
pub trait Document: Clone + Debug + Default + Send + Sync + 'static {
    /// What the setting is called.
    const SETTING: &'static str;

    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with it, for the log.
    fn from_json(text: &str) -> Result<Self, String>;

    /// As it is kept.
    fn to_json(&self) -> String;
}

#[derive(Serialize, Deserialize)]
struct Kept<T> {
    format: u32,
    entries: Vec<T>,
}

pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, String> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let of = |error: serde_json::Error| error.to_string();
    let Format { format } = serde_json::from_str(text).map_err(of)?;
    if format != FORMAT {
        return Err(format!(
            "it has the format {format}, this node reads {FORMAT}"
        ));
    }
    let kept: Kept<T> = serde_json::from_str(text).map_err(of)?;
    Ok(kept.entries)
}

pub(crate) fn write<T: Serialize>(entries: Vec<T>) -> String {
    let kept = Kept {
        format: FORMAT,
        entries,
    };
    // Strings and numbers always serialise.
    serde_json::to_string(&kept).unwrap_or_default()
}
