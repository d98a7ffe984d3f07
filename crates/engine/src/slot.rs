//! What L1 holds for a key: an admitted entry in a compact form, with its deadlines on this machine's clock.

use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hotshelf_coherence::{Generation, Held};
use hotshelf_model::{
    Boot, DbTime, Encoding, Entry, Kind, Namespace, Parents, Position, Shape, Stamp, Timeline,
    Version,
};
use xxhash_rust::xxh3::xxh3_64;

/// Deadlines are kept in tenths of a second since boot: 32 bits last 13 years and save room in every entry.
const TICK_NANOS: u64 = 100_000_000;
/// Shorter documents are not worth compressing.
const ENCODE_BYTES_MIN: usize = 512;
const ZSTD_LEVEL: i32 = 3;
const GZIP_LEVEL: u32 = 5;

fn tick(at: Boot) -> u32 {
    u32::try_from(at.0 / TICK_NANOS).unwrap_or(u32::MAX)
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

/// An admitted copy of one document, immutable but for two marks.
#[derive(Debug)]
pub(crate) struct Slot {
    version: Version,
    position: Position,
    as_of: Boot,
    /// Milliseconds on the database's clock, 0 for never.
    valid_until: u64,
    parents: Parents,
    body: Bytes,
    encoded: OnceLock<Box<Encoded>>,
    timeline: Timeline,
    generation: Generation,
    shape: Shape,
    document_hash: u32,
    soft_tick: u32,
    hard_tick: u32,
    /// Until then no read asks the origin for this key again, because it failed a moment ago.
    quiet_until_tick: AtomicU32,
    /// Until then nobody starts another refresh of this copy.
    refresh_after_tick: AtomicU32,
    kind: Kind,
    tracked: bool,
}

/// The document's other encodings, each made once, when it is first asked for; `None` where it would not be smaller.
#[derive(Debug, Default)]
struct Encoded {
    zstd: OnceLock<Option<Bytes>>,
    gzip: OnceLock<Option<Bytes>>,
}

impl Slot {
    pub(crate) fn new(
        entry: &Entry,
        namespace: &Namespace,
        generation: Generation,
        lifetime: Lifetime,
    ) -> Self {
        let encoded = OnceLock::new();
        if let Some(zstd) = &entry.body().zstd {
            let made = Encoded {
                zstd: OnceLock::from(Some(zstd.clone())),
                gzip: OnceLock::new(),
            };
            encoded.set(Box::new(made)).ok();
        }
        Slot {
            version: entry.stamp.version,
            position: entry.stamp.position,
            as_of: lifetime.as_of,
            valid_until: entry.valid_until.map_or(0, |until| until.0),
            parents: entry.parents.clone(),
            body: entry.body().identity.clone(),
            encoded,
            timeline: entry.stamp.timeline,
            generation,
            shape: namespace.shape,
            document_hash: hash(&entry.body().identity),
            soft_tick: tick(lifetime.soft_at),
            hard_tick: tick(lifetime.hard_at),
            quiet_until_tick: AtomicU32::new(0),
            refresh_after_tick: AtomicU32::new(0),
            kind: entry.kind(),
            tracked: namespace.tracked,
        }
    }

    /// The same copy, proved again by its version.
    pub(crate) fn revalidated(&self, stamp: Stamp, generation: Generation, as_of: Boot) -> Self {
        Slot {
            version: stamp.version,
            position: stamp.position,
            as_of,
            valid_until: self.valid_until,
            parents: self.parents.clone(),
            body: self.body.clone(),
            encoded: self.encoded_clone(),
            timeline: stamp.timeline,
            generation,
            shape: self.shape,
            document_hash: self.document_hash,
            soft_tick: self.soft_tick,
            hard_tick: self.hard_tick,
            quiet_until_tick: AtomicU32::new(0),
            refresh_after_tick: AtomicU32::new(0),
            kind: self.kind,
            tracked: self.tracked,
        }
    }

    fn encoded_clone(&self) -> OnceLock<Box<Encoded>> {
        let Some(encoded) = self.encoded.get() else {
            return OnceLock::new();
        };
        let copy = |made: &OnceLock<Option<Bytes>>| {
            made.get()
                .cloned()
                .map_or_else(OnceLock::new, OnceLock::from)
        };
        OnceLock::from(Box::new(Encoded {
            zstd: copy(&encoded.zstd),
            gzip: copy(&encoded.gzip),
        }))
    }

    pub(crate) fn held(&self) -> Held {
        Held {
            generation: self.generation,
            as_of: self.as_of,
            soft_at: boot(self.soft_tick),
            hard_at: boot(self.hard_tick),
            valid_until: (self.valid_until != 0).then_some(DbTime(self.valid_until)),
            tracked: self.tracked,
        }
    }

    pub(crate) fn stamp(&self) -> Stamp {
        Stamp {
            timeline: self.timeline,
            version: self.version,
            position: self.position,
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    pub(crate) fn document_hash(&self) -> u32 {
        self.document_hash
    }

    pub(crate) fn parents(&self) -> &Parents {
        &self.parents
    }

    pub(crate) fn document(&self) -> &Bytes {
        &self.body
    }

    pub(crate) fn encoded(&self, encoding: Encoding) -> Option<Bytes> {
        if encoding == Encoding::Identity {
            return Some(self.body.clone());
        }
        if self.body.len() < ENCODE_BYTES_MIN {
            return None;
        }
        let encoded = self.encoded.get_or_init(Box::default);
        let made = match encoding {
            Encoding::Zstd => encoded
                .zstd
                .get_or_init(|| smaller(zstd::bulk::compress(&self.body, ZSTD_LEVEL), &self.body)),
            Encoding::Gzip | Encoding::Identity => encoded
                .gzip
                .get_or_init(|| smaller(gzip(&self.body), &self.body)),
        };
        made.clone()
    }

    /// Whether this caller may start a refresh; the next one may after `pause`.
    pub(crate) fn claim_refresh(&self, now: Boot, pause: Duration) -> bool {
        let after = self.refresh_after_tick.load(Ordering::Relaxed);
        // Relaxed: the mark guards no other memory, it only thins out attempts.
        tick(now) >= after
            && self
                .refresh_after_tick
                .compare_exchange(
                    after,
                    tick(now.plus(pause)),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok()
    }

    /// Notes that the origin had no answer: until `until` the copy is served as it is.
    pub(crate) fn keep_quiet(&self, until: Boot) {
        self.quiet_until_tick.store(tick(until), Ordering::Relaxed);
    }

    /// Whether the origin failed for this key a moment ago.
    pub(crate) fn is_quiet(&self, now: Boot) -> bool {
        tick(now) < self.quiet_until_tick.load(Ordering::Relaxed)
    }

    /// Bytes that the slot accounts for: itself and its document, and half as much again for the encodings that may be made.
    pub(crate) fn bytes(&self) -> usize {
        let encodings = if self.body.len() < ENCODE_BYTES_MIN {
            0
        } else {
            self.body.len() / 2
        };
        size_of::<Self>() + self.body.len() + encodings
    }
}

fn hash(document: &[u8]) -> u32 {
    u32::try_from(xxh3_64(document) >> 32).unwrap_or_default()
}

fn smaller(encoded: std::io::Result<Vec<u8>>, document: &[u8]) -> Option<Bytes> {
    encoded
        .ok()
        .filter(|encoded| encoded.len() < document.len())
        .map(Bytes::from)
}

fn gzip(document: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(
        Vec::with_capacity(document.len() / 2),
        Compression::new(GZIP_LEVEL),
    );
    encoder.write_all(document)?;
    encoder.finish()
}
