//! Settings of the whole cluster: what operators decide while it runs, kept in the database with who decided it, when and why.

use std::fmt::Debug;

use crate::clock::DbTime;
use crate::error::Error;
use crate::seams::BoxFuture;

/// A setting as the database holds it. The default is that of one that nobody ever set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterSetting {
    /// Grows by one with each change, a removal included; 0 when there never was one.
    pub version: u64,
    /// What it says; `None` when it was removed, or never set.
    pub text: Option<String>,
    /// When that was decided.
    pub at: DbTime,
    /// Who decided it.
    pub who: String,
    /// Why, in their words.
    pub why: String,
}

/// A change of a setting.
#[derive(Clone, Copy, Debug)]
pub struct SettingChange<'a> {
    /// Which setting: a word of ours, such as `hot_rules`.
    pub name: &'a str,
    /// What it is to say; `None` removes it.
    pub text: Option<&'a str>,
    /// Change it only if this is its version.
    pub if_version: Option<u64>,
    /// Who decides it.
    pub who: &'a str,
    /// Why.
    pub why: &'a str,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingOutcome {
    /// It is durable.
    Written {
        /// The setting's version now.
        version: u64,
    },
    /// The setting has another version than the one asked for; nothing was written.
    VersionMismatch {
        /// Its version.
        current: u64,
    },
}

/// Settings of the whole cluster. Every change is kept, so that it can be said later who made it and why.
pub trait ClusterSettings: Send + Sync + Debug {
    /// Reads a setting, from the primary; `None` when its version is still `known`, which costs next to nothing.
    ///
    /// # Errors
    /// `OriginFailed` or `OriginTimeout` when the database cannot say.
    fn read<'a>(
        &'a self,
        name: &'a str,
        known: Option<u64>,
    ) -> BoxFuture<'a, Result<Option<ClusterSetting>, Error>>;

    /// Reads several at once, each with the version that is known of it, by one statement; in their order, and `None` for each whose
    /// version is still that one.
    ///
    /// # Errors
    /// As [`ClusterSettings::read`].
    fn read_changed<'a>(
        &'a self,
        known: &'a [(&'a str, u64)],
    ) -> BoxFuture<'a, Result<Vec<Option<ClusterSetting>>, Error>>;

    /// The last changes of a setting, the newest first: `changes_max` at most.
    ///
    /// # Errors
    /// As [`ClusterSettings::read`].
    fn history<'a>(
        &'a self,
        name: &'a str,
        changes_max: usize,
    ) -> BoxFuture<'a, Result<Vec<ClusterSetting>, Error>>;

    /// Changes a setting, durably. Of changes at the same time each gets a version of its own.
    ///
    /// # Errors
    /// `OriginFailed` and `OriginTimeout` when nothing was written; `WriteUnknown` when the connection was lost at a moment at which
    /// nobody can say.
    ///
    /// # Cancel safety
    /// Dropping the future leaves open whether it was written.
    fn change<'a>(
        &'a self,
        change: &'a SettingChange<'a>,
    ) -> BoxFuture<'a, Result<SettingOutcome, Error>>;
}
