//! What the tier does with RocksDB. All of it may block and belongs on the tier's own threads, but for what says that it reads
//! memory alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hotshelf_model::envelope::{self, EncodeOptions};
use hotshelf_model::{
    Boot, Clock, Entry, Lookup, MissReason, PutOutcome, Stamp, TierKey, UnavailableReason,
};
use parking_lot::Mutex;
use rocksdb::properties::{
    BACKGROUND_ERRORS, CUR_SIZE_ALL_MEM_TABLES, ESTIMATE_NUM_KEYS, LIVE_SST_FILES_SIZE,
    NUM_ENTRIES_ACTIVE_MEM_TABLE, PropName,
};
use rocksdb::{DB, DBPinnableSlice, FlushOptions, ReadOptions, ReadTier, WriteOptions};

use crate::settings::RocksSettings;

/// More than there are writing threads, so that two keys seldom share one. A power of two.
const STRIPES: usize = 256;
/// A damaged block can be asked for many times a second; the log needs to hear of it now and then.
const WARNING_EVERY: Duration = Duration::from_secs(10);
/// Larger documents are decoded on a thread of the tier, because decompressing one takes as long as several reads.
const DECODED_AT_ONCE_BYTES_MAX: usize = 32 << 10;

type Found<'a> = Result<Option<DBPinnableSlice<'a>>, rocksdb::Error>;

pub(crate) struct Disk {
    db: DB,
    read: ReadOptions,
    read_memory: ReadOptions,
    write: WriteOptions,
    /// A put reads what is there and then writes; both under the key's stripe.
    stripes: Box<[Mutex<()>]>,
    encode: EncodeOptions,
    document_bytes_max: usize,
    clock: Arc<dyn Clock>,
    warned_at: AtomicU64,
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disk")
            .field("db", &self.db)
            .finish_non_exhaustive()
    }
}

/// What RocksDB says about itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sizes {
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
    pub(crate) memtable_entries: u64,
    pub(crate) background_errors: u64,
}

impl Disk {
    pub(crate) fn new(db: DB, settings: &RocksSettings, clock: Arc<dyn Clock>) -> Self {
        let mut write = WriteOptions::default();
        write.disable_wal(true);
        // A put that would have to wait for a flush is given up instead; it is only hit rate.
        write.set_no_slowdown(true);
        let mut read_memory = ReadOptions::default();
        read_memory.set_read_tier(ReadTier::BlockCache);
        Disk {
            db,
            read: ReadOptions::default(),
            read_memory,
            write,
            stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(),
            encode: EncodeOptions {
                compress_bytes_min: settings.compress_bytes_min,
                zstd_level: settings.zstd_level,
            },
            document_bytes_max: settings.document_bytes_max,
            clock,
            warned_at: AtomicU64::new(0),
        }
    }

    /// The answer, if memtables, filters and cached blocks have it: memory alone. Damage is left to be found by a proper read.
    pub(crate) fn get_from_memory(&self, key: &TierKey) -> Option<Lookup> {
        match self.db.get_pinned_opt(key.to_string(), &self.read_memory) {
            Ok(Some(pinned)) if pinned.len() <= DECODED_AT_ONCE_BYTES_MAX => {
                let document_bytes_max = self.document_bytes_max.min(DECODED_AT_ONCE_BYTES_MAX);
                let bytes = Bytes::copy_from_slice(&pinned);
                let entry = envelope::decode(&bytes, &key.key, document_bytes_max);
                entry.ok().map(Lookup::found)
            }
            Ok(None) => Some(Lookup::Miss(MissReason::NotFound)),
            // `Incomplete`, as a rule: the block has to be read.
            Ok(Some(_)) | Err(_) => None,
        }
    }

    pub(crate) fn get(&self, key: &TierKey) -> Lookup {
        self.lookup(key, self.db.get_pinned_opt(key.to_string(), &self.read))
    }

    pub(crate) fn get_many(&self, keys: &[TierKey]) -> Vec<Lookup> {
        let batch = self.db.cf_handle("default").filter(|_| keys.len() > 1);
        let Some(family) = batch else {
            return keys.iter().map(|key| self.get(key)).collect();
        };
        let texts: Vec<String> = keys.iter().map(TierKey::to_string).collect();
        let found = self
            .db
            .batched_multi_get_cf_opt(family, &texts, false, &self.read);
        keys.iter()
            .zip(found)
            .map(|(key, found)| self.lookup(key, found))
            .collect()
    }

    fn lookup(&self, key: &TierKey, found: Found<'_>) -> Lookup {
        let bytes = match found {
            Ok(Some(pinned)) => Bytes::copy_from_slice(&pinned),
            Ok(None) => return Lookup::Miss(MissReason::NotFound),
            Err(error) => return self.failed_lookup(&error),
        };
        match envelope::decode(&bytes, &key.key, self.document_bytes_max) {
            Ok(entry) => Lookup::found(entry),
            Err(reason) => Lookup::Miss(reason),
        }
    }

    /// A damaged block is no failure of the disk: it costs the entries in it, and the next puts replace them.
    fn failed_lookup(&self, error: &rocksdb::Error) -> Lookup {
        self.warn("reading from l3", error);
        if is_corruption(error) {
            Lookup::Miss(MissReason::Damaged)
        } else {
            Lookup::Unavailable(UnavailableReason::Failed)
        }
    }

    /// An equal stamp is written, because it may carry a newer proof.
    pub(crate) fn put(&self, key: &TierKey, entry: &Entry) -> PutOutcome {
        let text = key.to_string();
        let _stripe = self.stripe(key).lock();
        match self.stamp(&text) {
            Ok(Some(held)) if held > entry.stamp => return PutOutcome::Fenced,
            Ok(_) => {}
            Err(error) => return self.failed_put(&error),
        }
        let bytes = envelope::encode(&key.key, entry, self.encode);
        match self.db.put_opt(&text, &bytes, &self.write) {
            Ok(()) => PutOutcome::Stored,
            Err(error) => self.failed_put(&error),
        }
    }

    /// Bytes of an entry as it is encoded, with its key.
    pub(crate) fn weigh(&self, key: &TierKey, entry: &Entry) -> u64 {
        let bytes = envelope::encode(&key.key, entry, self.encode).len() + key.to_string().len();
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// The stamp of the copy that is held; damage is as good as nothing, because the put replaces it.
    fn stamp(&self, text: &str) -> Result<Option<Stamp>, rocksdb::Error> {
        match self.db.get_pinned_opt(text, &self.read) {
            Ok(Some(pinned)) => Ok(envelope::stamp(&pinned).ok()),
            Ok(None) => Ok(None),
            Err(error) if is_corruption(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn failed_put(&self, error: &rocksdb::Error) -> PutOutcome {
        // What `no_slowdown` answers instead of waiting.
        if error.kind() == rocksdb::ErrorKind::Incomplete {
            return PutOutcome::Unavailable(UnavailableReason::Busy);
        }
        self.warn("writing to l3", error);
        PutOutcome::Unavailable(UnavailableReason::Failed)
    }

    /// Whether a copy may be held, from what is in memory alone: the answer no is certain.
    pub(crate) fn may_hold(&self, key: &TierKey) -> bool {
        self.db.key_may_exist_opt(key.to_string(), &self.read)
    }

    /// Says whether the removal was noted.
    pub(crate) fn remove(&self, key: &TierKey) -> bool {
        let _stripe = self.stripe(key).lock();
        let removed = self.db.delete_opt(key.to_string(), &self.write);
        removed
            .inspect_err(|error| self.warn("removing from l3", error))
            .is_ok()
    }

    fn stripe(&self, key: &TierKey) -> &Mutex<()> {
        let index = usize::try_from(key.key.hash_u64()).unwrap_or_default() & (STRIPES - 1);
        &self.stripes[index]
    }

    /// Starts writing the memtables out, or waits until they are written.
    pub(crate) fn flush(&self, wait: bool) -> Result<(), rocksdb::Error> {
        let mut options = FlushOptions::default();
        options.set_wait(wait);
        self.db.flush_opt(&options)
    }

    pub(crate) fn sizes(&self) -> Sizes {
        let number = |name: &PropName| self.db.property_int_value(name).ok().flatten().unwrap_or(0);
        Sizes {
            bytes: number(LIVE_SST_FILES_SIZE) + number(CUR_SIZE_ALL_MEM_TABLES),
            entries: number(ESTIMATE_NUM_KEYS),
            memtable_entries: number(NUM_ENTRIES_ACTIVE_MEM_TABLE),
            background_errors: number(BACKGROUND_ERRORS),
        }
    }

    fn warn(&self, attempt: &str, error: &rocksdb::Error) {
        let now = self.clock.now();
        let warned_at = self.warned_at.load(Ordering::Relaxed);
        if warned_at != 0 && now.since(Boot(warned_at)) < WARNING_EVERY {
            return;
        }
        // Relaxed: two threads that race here write one line too many.
        self.warned_at.store(now.0, Ordering::Relaxed);
        tracing::warn!(%error, "{attempt} failed");
    }
}

fn is_corruption(error: &rocksdb::Error) -> bool {
    error.kind() == rocksdb::ErrorKind::Corruption
}
