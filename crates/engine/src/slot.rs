//! What L1 holds for a key: an admitted entry in a compact form, with its deadlines on this machine's clock.
//!
//! There is one for each of millions of keys, so its size is held down: what the copies of a namespace have in common is shared,
//! what few copies have is apart, and deadlines are counted in ticks.

use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hotshelf_coherence::{Generation, Held};
use hotshelf_model::{
    Boot, DbTime, Encoding, Entry, Kind, Namespace, Parents, Shape, Stamp, Timeline, Version,
    VersionToken,
};
use once_cell::race::OnceBox;
use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64;

/// Deadlines are kept in tenths of a second since boot: 31 bits last six years.
pub(crate) const TICK: Duration = Duration::from_millis(100);
const TICK_NANOS: u64 = 100_000_000;
const TICK_MAX: u32 = u32::MAX >> 1;
/// Beside the tick of `Slot::pause`.
const QUIET: u32 = 1 << 31;
/// Shorter documents are not worth compressing.
const ENCODE_BYTES_MIN: usize = 512;
const ZSTD_LEVEL: i32 = 3;
const GZIP_LEVEL: u32 = 5;

fn tick(at: Boot) -> u32 {
    u32::try_from(at.0 / TICK_NANOS).map_or(TICK_MAX, |tick| tick.min(TICK_MAX))
}

fn boot(tick: u32) -> Boot {
    Boot(u64::from(tick) * TICK_NANOS)
}

/// When a copy was read and how long it lives, on this machine's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetime {
    /// The last moment at which the copy itself was proved current.
    pub(crate) as_of: Boot,
    pub(crate) soft_at: Boot,
    pub(crate) hard_at: Boot,
}

/// What copies of one namespace have in common while neither its parents nor the timeline change.
#[derive(Debug)]
pub(crate) struct Common {
    parents: Parents,
    timeline: Timeline,
    shape: Shape,
    kind: Kind,
    tracked: bool,
    /// The parents' generation as of which none of `parents` was bumped.
    parents_checked: AtomicU32,
}

/// The last `Common` of each kind, so that nearly all copies share one.
#[derive(Debug)]
pub(crate) struct Commons {
    shape: Shape,
    tracked: bool,
    last: [Mutex<Option<Arc<Common>>>; 2],
}

impl Commons {
    pub(crate) fn new(namespace: &Namespace) -> Self {
        Commons {
            shape: namespace.shape,
            tracked: namespace.tracked,
            last: Default::default(),
        }
    }

    fn of(&self, kind: Kind, timeline: Timeline, parents: &Parents) -> Arc<Common> {
        let mut last = self.last[usize::from(kind == Kind::Absent)].lock();
        let same = last
            .as_ref()
            .filter(|last| last.timeline == timeline && last.parents == *parents);
        if let Some(same) = same {
            return Arc::clone(same);
        }
        let common = Arc::new(Common {
            parents: parents.clone(),
            timeline,
            shape: self.shape,
            kind,
            tracked: self.tracked,
            parents_checked: AtomicU32::new(0),
        });
        *last = Some(Arc::clone(&common));
        common
    }
}

/// An admitted copy of one document, immutable but for the pause and the encodings.
#[derive(Debug)]
pub(crate) struct Slot {
    body: Bytes,
    version: Version,
    common: Arc<Common>,
    extras: OnceBox<Extras>,
    generation: Generation,
    document_hash: u32,
    as_of_tick: u32,
    soft_tick: u32,
    hard_tick: u32,
    /// Until then nobody starts another refresh of this copy; and with `QUIET` no read asks the origin, because it failed a moment ago.
    pause: AtomicU32,
}

/// What few copies have: a moment at which the document changes by time alone, the document from then on, and other encodings, each made once, when it is first
/// asked for; `None` where it would take more room than there is for it.
#[derive(Clone, Debug, Default)]
struct Extras {
    valid_until: Option<DbTime>,
    /// The document as of `valid_until`, of the same version: whatever becomes of this copy becomes of both.
    next: Option<Arc<Slot>>,
    zstd: OnceLock<Option<Bytes>>,
    gzip: OnceLock<Option<Bytes>>,
}

impl Extras {
    fn boxed(self) -> OnceBox<Self> {
        let is_plain = self.valid_until.is_none() && self.next.is_none();
        if is_plain && self.zstd.get().is_none() && self.gzip.get().is_none() {
            return OnceBox::new();
        }
        OnceBox::with_value(Box::new(self))
    }
}

impl Slot {
    pub(crate) fn new(
        entry: &Entry,
        commons: &Commons,
        generation: Generation,
        lifetime: Lifetime,
    ) -> Self {
        let extras = Extras {
            valid_until: entry.valid_until,
            next: None,
            zstd: match &entry.body().zstd {
                Some(zstd) if zstd.len() <= encodings_bytes(&entry.body().identity) => {
                    OnceLock::from(Some(zstd.clone()))
                }
                _ => OnceLock::new(),
            },
            gzip: OnceLock::new(),
        };
        Slot {
            body: entry.body().identity.clone(),
            version: entry.stamp.version,
            common: commons.of(entry.kind(), entry.stamp.timeline, &entry.parents),
            extras: extras.boxed(),
            generation,
            document_hash: hash(&entry.body().identity),
            as_of_tick: tick(lifetime.as_of),
            soft_tick: tick(lifetime.soft_at),
            hard_tick: tick(lifetime.hard_at),
            pause: AtomicU32::new(0),
        }
    }

    /// The same copy, proved again by its version.
    pub(crate) fn revalidated(
        &self,
        commons: &Commons,
        timeline: Timeline,
        generation: Generation,
        as_of: Boot,
    ) -> Self {
        let revalidated = |next: &Arc<Slot>| {
            let next = next.revalidated(commons, timeline, generation, as_of);
            Arc::new(next)
        };
        Slot {
            common: commons.of(self.common.kind, timeline, &self.common.parents),
            generation,
            as_of_tick: tick(as_of),
            pause: AtomicU32::new(0),
            ..self.with_next(self.next().map(revalidated))
        }
    }

    /// The same copy with another document for the moment at which it changes by time alone.
    pub(crate) fn with_next(&self, next: Option<Arc<Slot>>) -> Self {
        let extras = self.extras.get().cloned().unwrap_or_default();
        Slot {
            body: self.body.clone(),
            version: self.version,
            common: Arc::clone(&self.common),
            extras: Extras { next, ..extras }.boxed(),
            generation: self.generation,
            document_hash: self.document_hash,
            as_of_tick: self.as_of_tick,
            soft_tick: self.soft_tick,
            hard_tick: self.hard_tick,
            // Relaxed: the mark guards no other memory.
            pause: AtomicU32::new(self.pause.load(Ordering::Relaxed)),
        }
    }

    /// The document from the moment on at which this one changes by time alone, if it was fetched ahead.
    pub(crate) fn next(&self) -> Option<&Arc<Slot>> {
        self.extras.get().and_then(|extras| extras.next.as_ref())
    }

    #[inline]
    pub(crate) fn held(&self) -> Held {
        Held {
            generation: self.generation,
            as_of: boot(self.as_of_tick),
            soft_at: boot(self.soft_tick),
            hard_at: boot(self.hard_tick),
            valid_until: self.extras.get().and_then(|extras| extras.valid_until),
            tracked: self.common.tracked,
        }
    }

    /// Whether this copy is to be kept when `other` comes. What is proved now beats what was proved before, because the log may have
    /// lost records; among equals the newer version stays. Without a change log the later read does: nothing else orders reads
    /// of an origin whose versions have started again.
    pub(crate) fn outranks(&self, other: &Slot) -> bool {
        if !self.common.tracked {
            return self.version > other.version && self.as_of_tick >= other.as_of_tick;
        }
        self.generation >= other.generation
            && (self.rank(), self.generation) > (other.rank(), other.generation)
    }

    /// The order of versions of one key.
    pub(crate) fn rank(&self) -> (Timeline, Version) {
        (self.common.timeline, self.version)
    }

    #[inline]
    pub(crate) fn generation(&self) -> Generation {
        self.generation
    }

    /// The parents' generation as of which no parent of this copy was bumped; zero when that was never asked.
    #[inline]
    pub(crate) fn parents_checked(&self) -> u32 {
        // Relaxed: the number guards no other memory.
        self.common.parents_checked.load(Ordering::Relaxed)
    }

    /// Notes that no parent was bumped as of `generation`; for all copies that were read with the same parents.
    pub(crate) fn set_parents_checked(&self, generation: u32) {
        self.common
            .parents_checked
            .store(generation, Ordering::Relaxed);
    }

    pub(crate) fn version(&self) -> Version {
        self.version
    }

    pub(crate) fn timeline(&self) -> Timeline {
        self.common.timeline
    }

    #[inline]
    pub(crate) fn is_tracked(&self) -> bool {
        self.common.tracked
    }

    /// Whether the client that saw `token` may get it: it is that version or a newer one, or a proved answer of a newer timeline, on
    /// which the version may never have existed. Versions of an origin without a change log have no timeline.
    pub(crate) fn satisfies(&self, stale: bool, token: VersionToken) -> bool {
        let newer_timeline =
            self.is_tracked() && u64::from(self.timeline().0) > token.version().timeline();
        self.version() >= token.version() || (newer_timeline && !stale)
    }

    /// What admission looks at, with a new stamp. The body stays away.
    pub(crate) fn header(&self, stamp: Stamp) -> Entry {
        let mut header = Entry::absent(stamp, DbTime::default());
        header.valid_until = self.held().valid_until;
        header.parents = self.common.parents.clone();
        header
    }

    pub(crate) fn kind(&self) -> Kind {
        self.common.kind
    }

    pub(crate) fn shape(&self) -> Shape {
        self.common.shape
    }

    pub(crate) fn document_hash(&self) -> u32 {
        self.document_hash
    }

    pub(crate) fn parents(&self) -> &Parents {
        &self.common.parents
    }

    pub(crate) fn document(&self) -> &Bytes {
        &self.body
    }

    pub(crate) fn encoded(&self, encoding: Encoding) -> Option<&Bytes> {
        if encoding == Encoding::Identity {
            return Some(&self.body);
        }
        if self.body.len() < ENCODE_BYTES_MIN {
            return None;
        }
        let extras = self.extras.get_or_init(Box::default);
        let made = match encoding {
            Encoding::Zstd => extras.zstd.get_or_init(|| {
                let encoded = zstd::bulk::compress(&self.body, ZSTD_LEVEL);
                self.fitting(encoded, &extras.gzip)
            }),
            Encoding::Gzip | Encoding::Identity => extras
                .gzip
                .get_or_init(|| self.fitting(gzip(&self.body), &extras.zstd)),
        };
        made.as_ref()
    }

    /// An encoding, if it fits into the room that the slot accounts for beside the other one.
    fn fitting(
        &self,
        encoded: std::io::Result<Vec<u8>>,
        other: &OnceLock<Option<Bytes>>,
    ) -> Option<Bytes> {
        let taken = other.get().and_then(Option::as_ref).map_or(0, Bytes::len);
        let encoded = encoded.ok()?;
        // A copy, because the compressor leaves room behind its result that nobody accounts for.
        (taken + encoded.len() <= encodings_bytes(&self.body))
            .then(|| Bytes::copy_from_slice(&encoded))
    }

    /// Whether nothing is left to compress for this encoding.
    pub(crate) fn is_encoded(&self, encoding: Encoding) -> bool {
        let made = |extras: &Extras| match encoding {
            Encoding::Zstd => extras.zstd.get().is_some(),
            Encoding::Gzip => extras.gzip.get().is_some(),
            Encoding::Identity => true,
        };
        encoding == Encoding::Identity
            || self.body.len() < ENCODE_BYTES_MIN
            || self.extras.get().is_some_and(made)
    }

    /// The encodings that are there already.
    pub(crate) fn encodings(&self) -> impl Iterator<Item = Encoding> {
        let made = |made: fn(&Extras) -> &OnceLock<Option<Bytes>>| {
            let extras = self.extras.get()?;
            made(extras).get()?.as_ref().map(drop)
        };
        let zstd = made(|extras| &extras.zstd).map(|()| Encoding::Zstd);
        let gzip = made(|extras| &extras.gzip).map(|()| Encoding::Gzip);
        [Encoding::Identity].into_iter().chain(zstd).chain(gzip)
    }

    /// Whether this caller may start a refresh; the next one may after `pause`.
    pub(crate) fn claim_refresh(&self, now: Boot, pause: Duration) -> bool {
        let before = self.pause.load(Ordering::Relaxed);
        // Relaxed: the mark guards no other memory, it only thins out attempts.
        tick(now) >= before & TICK_MAX
            && self
                .pause
                .compare_exchange(
                    before,
                    tick(now.plus(pause)),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok()
    }

    /// Notes that the origin had no answer: until `until` the copy is served as it is.
    pub(crate) fn keep_quiet(&self, until: Boot) {
        self.pause.store(QUIET | tick(until), Ordering::Relaxed);
    }

    /// Whether the origin failed for this key a moment ago.
    pub(crate) fn is_quiet(&self, now: Boot) -> bool {
        let pause = self.pause.load(Ordering::Relaxed);
        pause & QUIET != 0 && tick(now) < pause & TICK_MAX
    }

    /// Bytes that the slot accounts for: itself, its document, room for the encodings that may be made, and the document to come.
    pub(crate) fn bytes(&self) -> usize {
        let next = self.next().map_or(0, |next| next.bytes());
        document_bytes(&self.body) + next
    }
}

/// Bytes of a slot with this document.
pub(crate) fn document_bytes(document: &[u8]) -> usize {
    size_of::<Slot>() + document.len() + encodings_bytes(document)
}

/// Room for encodings: half of the document, nothing beside one that is too short for them.
fn encodings_bytes(document: &[u8]) -> usize {
    if document.len() < ENCODE_BYTES_MIN {
        0
    } else {
        document.len() / 2
    }
}

fn hash(document: &[u8]) -> u32 {
    u32::try_from(xxh3_64(document) >> 32).unwrap_or_default()
}

fn gzip(document: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(
        Vec::with_capacity(document.len() / 2),
        Compression::new(GZIP_LEVEL),
    );
    encoder.write_all(document)?;
    encoder.finish()
}

#[cfg(test)]
mod tests;
