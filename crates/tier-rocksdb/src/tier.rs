//! The tier: breakers, queues and deadlines around the disk.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hotshelf_model::{
    Boot, BoxFuture, Breaker, Clock, Entry, Error, ErrorKind, Lookup, Pass, PutOutcome, Tier,
    TierKey, TierName, TierRoom, TierStatus, UnavailableReason,
};
use hotshelf_telemetry::metric::L3_RECREATED;
use parking_lot::RwLock;
use tokio::sync::oneshot;

use crate::admission::SeenKeys;
use crate::deadline::{Answer, Deadlines, Reply};
use crate::disk::Disk;
use crate::folder;
use crate::pool::{Pool, Refused};
use crate::settings::{PutAdmission, RocksSettings};
use crate::upkeep::{Health, Upkeep, Work};

/// RocksDB reads a batch in groups of this size; larger batches are shared between threads.
const JOB_KEYS_MAX: usize = 32;
/// Memory is asked on the caller's thread for no more keys than this, so that others wait for microseconds at most.
const MEMORY_KEYS_MAX: usize = 8;

/// L3 on this machine's disk.
///
/// Lookups and writes have threads, queues and breakers of their own: when the disk is full or flushes stall, writes fail and
/// lookups go on. A future that is dropped leaves its job to end unheard, or to be skipped when it has not begun.
///
/// What memory knows is answered on the caller's thread: entries in memtables and cached blocks, keys that the filters exclude, puts
/// that admission declines. Only what needs the disk, and what writes, is handed to a thread.
#[derive(Debug)]
pub struct RocksTier {
    folder: PathBuf,
    /// For what memory alone answers, on the caller's thread; nothing once closed. First to be dropped, so that the disk is
    /// closed on a thread of the tier.
    memory: RwLock<Option<Arc<Disk>>>,
    lookups: Pool<Disk>,
    lookup_breaker: Breaker,
    deadlines: Deadlines,
    writes: Pool<Disk>,
    write_breaker: Breaker,
    write_deadline: Duration,
    seen: Option<SeenKeys>,
    document_bytes_max: usize,
    bytes_max: u64,
    health: Arc<Health>,
    upkeep: Upkeep,
    clock: Arc<dyn Clock>,
    close_deadline: Duration,
}

impl RocksTier {
    /// Opens the folder, blocking. What it holds is found again; if it is damaged, it is removed and the tier starts cold.
    ///
    /// # Errors
    /// `Invalid` when a setting is wrong or the folder is somebody else's; `Unavailable` when it can't be opened or another
    /// process has it open.
    pub fn open(settings: &RocksSettings, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        if let Some(problem) = settings.problems().into_iter().next() {
            let context = format!("opening l3 in {}", settings.folder.display());
            return Err(Error::new(ErrorKind::Invalid, context).with_source(problem));
        }
        let opened = folder::open(settings)?;
        L3_RECREATED
            .counter(&[])
            .increment(u64::from(opened.recreated));
        let disk = Arc::new(Disk::new(opened.db, settings, Arc::clone(&clock)));
        let health = Arc::new(Health::default());
        let mut work = Work::new(&disk, &health, settings, &clock);
        work.tick();
        let seen = match settings.admission {
            PutAdmission::SecondHit => {
                let (keys_max, window) = (settings.admission_keys_max, settings.admission_window);
                Some(SeenKeys::new(keys_max, window, clock.now()))
            }
            PutAdmission::Always => None,
        };
        Ok(RocksTier {
            folder: settings.folder.clone(),
            lookups: Pool::new("l3-lookup", settings.threads, settings.queue_max, &disk)?,
            lookup_breaker: Breaker::new(settings.breaker),
            deadlines: Deadlines::start(
                settings.deadline,
                settings.queue_max + settings.threads,
                Arc::clone(&clock),
            )?,
            writes: Pool::new("l3-write", settings.put_threads, settings.queue_max, &disk)?,
            write_breaker: Breaker::new(settings.breaker),
            write_deadline: settings.put_deadline,
            seen,
            document_bytes_max: settings.document_bytes_max,
            bytes_max: settings.bytes_max,
            health,
            upkeep: Upkeep::start(work)?,
            memory: RwLock::new(Some(disk)),
            clock,
            close_deadline: settings.close_deadline,
        })
    }

    /// Writes what is in memory to the disk and closes, blocking, so that the next process finds every entry. Calls made
    /// afterwards are answered `Unavailable`. A tier that is dropped instead closes on its own threads a little later.
    ///
    /// # Errors
    /// `Unavailable` when it took longer than `close_deadline`; some entries may be lost then.
    pub fn close(&self) -> Result<(), Error> {
        let started = self.clock.now();
        let left = || {
            self.close_deadline
                .saturating_sub(self.clock.now().since(started))
        };
        self.memory.write().take();
        self.lookups.stop();
        self.writes.stop();
        let ended = self.writes.ended_within(left()) & self.lookups.ended_within(left());
        if self.upkeep.flush_and_end(left()) && ended {
            return Ok(());
        }
        let context = format!(
            "closing l3 in {}: not everything was written within {:?}",
            self.folder.display(),
            self.close_deadline
        );
        Err(Error::new(ErrorKind::Unavailable, context))
    }

    async fn lookup(&self, keys: &[TierKey]) -> Vec<Lookup> {
        let Some(pass) = self.lookup_breaker.try_pass(self.clock.now()) else {
            return unavailable(keys.len(), UnavailableReason::Open);
        };
        let mut lookups = if pass.is_probe() || keys.len() > MEMORY_KEYS_MAX {
            // The breaker learns from the disk alone.
            vec![None; keys.len()]
        } else {
            self.lookup_in_memory(keys)
        };
        let unknown = lookups.iter().zip(keys);
        let unknown: Vec<TierKey> = unknown
            .filter(|(lookup, _)| lookup.is_none())
            .map(|(_, key)| key.clone())
            .collect();
        if !unknown.is_empty() {
            let read = self.lookup_on_disk(&unknown).await;
            self.record_lookups(pass, &read);
            let gaps = lookups.iter_mut().filter(|lookup| lookup.is_none());
            for (gap, lookup) in gaps.zip(read) {
                *gap = Some(lookup);
            }
        }
        lookups.into_iter().flatten().collect()
    }

    /// What memory answers, with a gap for each key that needs the disk.
    fn lookup_in_memory(&self, keys: &[TierKey]) -> Vec<Option<Lookup>> {
        match &*self.memory.read() {
            Some(disk) => keys.iter().map(|key| disk.get_from_memory(key)).collect(),
            None => vec![None; keys.len()],
        }
    }

    async fn lookup_on_disk(&self, keys: &[TierKey]) -> Vec<Lookup> {
        let answers: Vec<_> = keys
            .chunks(JOB_KEYS_MAX)
            .map(|keys| self.submit_lookup(keys))
            .collect();
        let mut lookups = Vec::with_capacity(keys.len());
        for (answer, keys) in answers.into_iter().zip(keys.chunks(JOB_KEYS_MAX)) {
            let answered = match answer {
                Ok(answer) => answer.await.unwrap_or(Err(UnavailableReason::Failed)),
                Err(reason) => Err(reason),
            };
            match answered {
                Ok(answered) => lookups.extend(answered),
                Err(reason) => lookups.extend(unavailable(keys.len(), reason)),
            }
        }
        lookups
    }

    /// Hands a lookup to a thread. One whose caller has gone, or was told that it took too long, is not begun.
    fn submit_lookup(
        &self,
        keys: &[TierKey],
    ) -> Result<oneshot::Receiver<Answer>, UnavailableReason> {
        let (reply, answer) = Reply::new();
        let watched = Arc::downgrade(&reply);
        let keys = keys.to_vec();
        let job = move |disk: &Disk| {
            if reply.is_wanted() {
                reply.give(Ok(disk.get_many(&keys)));
            }
        };
        self.lookups.submit(job).map_err(Refused::reason)?;
        self.deadlines.watch(watched);
        Ok(answer)
    }

    fn record_lookups(&self, pass: Pass<'_>, lookups: &[Lookup]) {
        let verdict = verdict(lookups.iter().filter_map(|lookup| match lookup {
            Lookup::Unavailable(reason) => Some(*reason),
            Lookup::Hit(_) | Lookup::Absent(_) | Lookup::Miss(_) => None,
        }));
        if let Some(ok) = verdict {
            record(&self.lookup_breaker, pass, ok, &*self.clock, "lookups");
        }
    }

    async fn put(&self, entries: &[(TierKey, Entry)], is_wanted: bool) -> Vec<PutOutcome> {
        if self.health.puts_stopped() {
            return vec![PutOutcome::Declined; entries.len()];
        }
        let now = self.clock.now();
        let Some(pass) = self.write_breaker.try_pass(now) else {
            return vec![PutOutcome::Unavailable(UnavailableReason::Open); entries.len()];
        };
        let mut outcomes = vec![PutOutcome::Declined; entries.len()];
        let admitted: Vec<usize> = (0..entries.len())
            .filter(|&index| self.admits(&entries[index], is_wanted, now))
            .collect();
        if admitted.is_empty() {
            return outcomes;
        }
        let job = {
            let entries: Vec<_> = admitted
                .iter()
                .map(|&index| entries[index].clone())
                .collect();
            move |disk: &Disk| -> Vec<PutOutcome> {
                let put = |(key, entry): &(TierKey, Entry)| disk.put(key, entry);
                entries.iter().map(put).collect()
            }
        };
        let written = match self.written(submit(&self.writes, job)).await {
            Ok(outcomes) => outcomes,
            Err(reason) => vec![PutOutcome::Unavailable(reason); admitted.len()],
        };
        self.record_puts(pass, &written);
        for (index, outcome) in admitted.into_iter().zip(written) {
            outcomes[index] = outcome;
        }
        outcomes
    }

    /// Whether a put is worth its write, from memory alone: most are declined, and those cost no thread its time.
    fn admits(&self, (key, entry): &(TierKey, Entry), is_wanted: bool, now: Boot) -> bool {
        let may_be_held = || {
            let disk = self.memory.read();
            disk.as_ref().is_none_or(|disk| disk.may_hold(key))
        };
        entry.body().identity.len() <= self.document_bytes_max
            && self
                .seen
                .as_ref()
                .is_none_or(|seen| seen.note(key.key.hash_u64(), now) || is_wanted || may_be_held())
    }

    fn record_puts(&self, pass: Pass<'_>, outcomes: &[PutOutcome]) {
        let verdict = verdict(outcomes.iter().filter_map(|outcome| match outcome {
            PutOutcome::Unavailable(reason) => Some(*reason),
            PutOutcome::Stored | PutOutcome::Fenced | PutOutcome::Declined => None,
        }));
        if let Some(ok) = verdict {
            record(&self.write_breaker, pass, ok, &*self.clock, "puts");
        }
    }

    async fn remove(&self, keys: &[TierKey]) {
        let Some(pass) = self.write_breaker.try_pass(self.clock.now()) else {
            return;
        };
        let removed = {
            let keys = keys.to_vec();
            submit(&self.writes, move |disk| {
                keys.iter().all(|key| disk.remove(key))
            })
        };
        match self.written(removed).await {
            Err(UnavailableReason::Busy | UnavailableReason::Open) => {}
            Err(UnavailableReason::Deadline | UnavailableReason::Failed) => {
                record(&self.write_breaker, pass, false, &*self.clock, "removals");
            }
            Ok(removed) => record(&self.write_breaker, pass, removed, &*self.clock, "removals"),
        }
    }

    async fn written<T>(
        &self,
        answer: Result<oneshot::Receiver<T>, UnavailableReason>,
    ) -> Result<T, UnavailableReason> {
        match tokio::time::timeout(self.write_deadline, answer?).await {
            Ok(Ok(written)) => Ok(written),
            Ok(Err(_)) => Err(UnavailableReason::Failed),
            Err(_) => Err(UnavailableReason::Deadline),
        }
    }
}

impl Tier for RocksTier {
    fn name(&self) -> TierName {
        TierName::L3
    }

    fn get_many<'a>(&'a self, keys: &'a [TierKey]) -> BoxFuture<'a, Vec<Lookup>> {
        Box::pin(self.lookup(keys))
    }

    fn put_many<'a>(&'a self, entries: &'a [(TierKey, Entry)]) -> BoxFuture<'a, Vec<PutOutcome>> {
        Box::pin(self.put(entries, false))
    }

    fn warm_many<'a>(&'a self, entries: &'a [(TierKey, Entry)]) -> BoxFuture<'a, Vec<PutOutcome>> {
        Box::pin(self.put(entries, true))
    }

    fn room(&self) -> BoxFuture<'_, TierRoom> {
        let room = TierRoom {
            bytes_max: Some(self.bytes_max),
            bytes: Some(self.health.bytes()),
        };
        Box::pin(async move { room })
    }

    /// As it is encoded; what RocksDB compresses further, and what it keeps twice until it compacts, about make up for each other.
    fn weigh(&self, key: &TierKey, entry: &Entry) -> u64 {
        let disk = self.memory.read();
        disk.as_ref().map_or(0, |disk| disk.weigh(key, entry))
    }

    fn remove_many<'a>(&'a self, keys: &'a [TierKey]) -> BoxFuture<'a, ()> {
        Box::pin(self.remove(keys))
    }

    fn status(&self) -> TierStatus {
        TierStatus {
            breaker: self.lookup_breaker.state().max(self.write_breaker.state()),
            bytes: Some(self.health.bytes()),
            entries: Some(self.health.entries()),
        }
    }
}

/// Hands a job to a pool. One whose caller has gone when its turn comes is not begun.
fn submit<T: Send + 'static>(
    pool: &Pool<Disk>,
    job: impl FnOnce(&Disk) -> T + Send + 'static,
) -> Result<oneshot::Receiver<T>, UnavailableReason> {
    let (reply, answer) = oneshot::channel();
    let job = move |disk: &Disk| {
        if !reply.is_closed() {
            // The caller may have gone meanwhile; then nobody wants to know.
            drop(reply.send(job(disk)));
        }
    };
    pool.submit(job).map_err(Refused::reason)?;
    Ok(answer)
}

impl Refused {
    fn reason(self) -> UnavailableReason {
        match self {
            Refused::Full => UnavailableReason::Busy,
            Refused::Stopped => UnavailableReason::Failed,
        }
    }
}

fn unavailable(count: usize, reason: UnavailableReason) -> Vec<Lookup> {
    vec![Lookup::Unavailable(reason); count]
}

/// What a call says about the disk: a failure if anything failed or took too long, nothing if it only met a full queue.
fn verdict(reasons: impl Iterator<Item = UnavailableReason>) -> Option<bool> {
    let mut verdict = Some(true);
    for reason in reasons {
        match reason {
            UnavailableReason::Deadline | UnavailableReason::Failed => return Some(false),
            UnavailableReason::Busy | UnavailableReason::Open => verdict = None,
        }
    }
    verdict
}

fn record(breaker: &Breaker, pass: Pass<'_>, ok: bool, clock: &dyn Clock, what: &str) {
    if let Some(state) = breaker.record(pass, ok, clock.now()) {
        tracing::warn!(state = state.as_str(), "l3's breaker for {what} changed");
    }
}

#[cfg(test)]
mod tests;
