//! A read on its way from the thread that reads to the drainer.

use hotshelf_model::key::KeyParts;
use hotshelf_model::{Boot, KeyRef, Read, ReadObserver, ReadOutcome, TierName, Version};

use crate::record::{AccessRecord, kept};
use crate::recorder::{Access, Recorder};

/// Texts of a read that are held in place: the key, the request's id and the caller, together. With these a read takes two cache lines.
pub const ROOM_BYTES: usize = 72;

/// What is told of a read, by value.
///
/// Nothing of it is shared with the thread that reads. A counted reference to the key would take fewer bytes, but its count lies beside
/// what every reader of a hot key touches, and the drainer would take that cache line from them once for each record.
#[derive(Debug)]
pub struct HeldRead {
    at: Boot,
    version: Version,
    latency_ns: u64,
    parts: KeyParts,
    bytes: u32,
    key_len: u16,
    request_id_len: u8,
    caller_len: u8,
    tier: TierName,
    outcome: ReadOutcome,
    is_interactive: bool,
    room: Room,
    /// What does not fit there: the one case in which a record allocates.
    long: Option<Box<[u8]>>,
}

/// Aligned, because the record is moved soon after its texts were copied, and a processor has to wait for stores that it cannot forward.
#[derive(Debug)]
#[repr(align(8))]
struct Room([u8; ROOM_BYTES]);

const _: () = assert!(size_of::<HeldRead>() == 128);

/// Stands for a latency that was not measured.
const UNMEASURED: u64 = u64::MAX;

impl HeldRead {
    /// Takes what a record needs. Allocates only when the texts take more than [`ROOM_BYTES`].
    #[inline]
    fn of(read: &Read<'_>) -> Self {
        let (request_id, caller) = (kept(read.asker.request_id), kept(read.asker.caller));
        let key = read.key.as_str();
        let parts = [key, request_id, caller];
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let (mut room, mut long) = (Room([0; ROOM_BYTES]), None);
        if len > ROOM_BYTES {
            long = Some(parts.concat().into_bytes().into());
        } else {
            let mut at = 0;
            // Most have a key alone.
            for part in parts.into_iter().filter(|part| !part.is_empty()) {
                room.0[at..at + part.len()].copy_from_slice(part.as_bytes());
                at += part.len();
            }
        }
        let nanos = |latency: std::time::Duration| u64::try_from(latency.as_nanos());
        HeldRead {
            at: read.at,
            version: read.version,
            latency_ns: read
                .latency
                .map_or(UNMEASURED, |latency| nanos(latency).unwrap_or(UNMEASURED)),
            parts: read.key.parts(),
            bytes: u32::try_from(read.bytes).unwrap_or(u32::MAX),
            // A key has some 700 bytes at most, and what is kept of the others less than 256.
            key_len: u16::try_from(key.len()).unwrap_or_default(),
            request_id_len: u8::try_from(request_id.len()).unwrap_or_default(),
            caller_len: u8::try_from(caller.len()).unwrap_or_default(),
            tier: read.tier,
            outcome: read.outcome,
            is_interactive: read.is_interactive,
            room,
            long,
        }
    }

    fn text(&self, start: usize, len: usize) -> &str {
        let bytes = self.long.as_deref().unwrap_or(&self.room.0);
        // They were texts when they came.
        str::from_utf8(&bytes[start..start + len]).unwrap_or_default()
    }

    /// The whole key as text: what is counted.
    pub fn key_text(&self) -> &str {
        self.text(0, usize::from(self.key_len))
    }

    /// What was read.
    pub fn key(&self) -> KeyRef<'_> {
        KeyRef::of_parts(self.parts, self.key_text())
    }

    /// Whether it counts for hot keys.
    pub fn is_interactive(&self) -> bool {
        self.is_interactive
    }
}

impl Access for HeldRead {
    fn at(&self) -> Boot {
        self.at
    }

    fn record(&self, at_ms: u64) -> AccessRecord<'_> {
        let request_id_at = usize::from(self.key_len);
        let request_id_len = usize::from(self.request_id_len);
        AccessRecord {
            at_ms,
            reads: 1,
            key: self.key(),
            tier: self.tier,
            outcome: self.outcome,
            version: self.version,
            latency_ns: Some(self.latency_ns).filter(|latency| *latency != UNMEASURED),
            bytes: u64::from(self.bytes),
            request_id: self.text(request_id_at, request_id_len),
            caller: self.text(request_id_at + request_id_len, usize::from(self.caller_len)),
        }
    }
}

/// Records every read that it is told of.
#[derive(Clone, Debug)]
pub struct ReadRecorder {
    recorder: Recorder<HeldRead>,
}

impl ReadRecorder {
    /// Records into `recorder`.
    pub fn new(recorder: Recorder<HeldRead>) -> Self {
        ReadRecorder { recorder }
    }
}

impl ReadObserver for ReadRecorder {
    #[inline]
    fn read(&self, read: &Read<'_>) {
        self.recorder.record(HeldRead::of(read));
    }
}

#[cfg(test)]
mod tests;
