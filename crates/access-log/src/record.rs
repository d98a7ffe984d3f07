//! One read, as the access log tells it.

use hotshelf_model::{KeyRef, ReadOutcome, TierName, Version};

/// The longest request id and the longest caller that are kept, in bytes; what is longer is cut.
pub const TEXT_BYTES_MAX: usize = 128;

/// What is known of one read when it has been answered. Its texts are borrowed from whoever holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessRecord<'a> {
    /// When it was answered: milliseconds since 1970 on this machine's wall clock. Nothing is decided by it.
    pub at_ms: u64,
    /// How many reads this record stands for: 1, or N in a log of which every Nth read was taken at random.
    pub reads: u32,
    /// What was read.
    pub key: KeyRef<'a>,
    /// The tier that answered.
    pub tier: TierName,
    /// What it answered.
    pub outcome: ReadOutcome,
    /// The version that was answered; [`Version::NONE`] when there is none.
    pub version: Version,
    /// Nanoseconds from the call to the answer, where they were measured.
    pub latency_ns: Option<u64>,
    /// Bytes of the document.
    pub bytes: u64,
    /// The id of the request, empty when it had none.
    pub request_id: &'a str,
    /// Who asked, empty when that is not known.
    pub caller: &'a str,
}

/// As much of a text as is kept, whole characters only.
pub(crate) fn kept(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}
