//! Exit codes that say more than that a command failed.

/// `get`: there is no such document.
pub(crate) const NOT_FOUND: u8 = 4;
/// A limit that the command line gives was not kept.
pub(crate) const LIMIT: u8 = 5;
/// The command did what it could, and some node is missing or did not answer.
pub(crate) const INCOMPLETE: u8 = 6;
/// A copy that a node would serve as fresh is not what the database has.
pub(crate) const OUTDATED: u8 = 7;
