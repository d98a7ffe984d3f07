//! What an observer is told of each read: the seam between the engine and the access log.

use std::fmt::Debug;
use std::time::Duration;

use crate::clock::Boot;
use crate::key::KeyRef;
use crate::lookup::{ReadOutcome, TierName};
use crate::version::Version;

/// Who asked for a document, as far as that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asker<'a> {
    /// The id of the request, empty when it has none.
    pub request_id: &'a str,
    /// Who sent it, empty when that is not known.
    pub caller: &'a str,
}

/// A read that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read<'a> {
    /// What was read.
    pub key: KeyRef<'a>,
    /// When it ended, give or take the time of a hit in L1.
    pub at: Boot,
    /// From the call to the answer, where that was measured: of hits in L1 it is of one in so many.
    pub latency: Option<Duration>,
    /// The tier that answered; the origin when none did.
    pub tier: TierName,
    /// What it answered.
    pub outcome: ReadOutcome,
    /// The version that was answered; [`Version::NONE`] when there is none.
    pub version: Version,
    /// Bytes of the document.
    pub bytes: u64,
    /// Whether somebody waited for it: not a warm-up and not a caller in the background, which make no key hot.
    pub is_interactive: bool,
    /// Who asked.
    pub asker: Asker<'a>,
}

/// Is told of every read. It is called on the thread that reads, hits in L1 included, so it waits for nothing.
pub trait ReadObserver: Debug + Send + Sync {
    /// Takes what it needs of a read.
    fn read(&self, read: &Read<'_>);
}
