//! What this node knows of the change log, and the floors that follow from it.
//!
//! A copy comes into L1 only under a [`Sight`] of its key: the lock of the key's shard. A record of the key is applied under the same
//! lock. So whichever comes first, no copy that is older than an applied record stays in L1:
//!
//! - *apply, then admit*: admission finds the floor that the record has raised, and refuses the older copy;
//! - *admit, then apply*: the record finds the older copy in L1, and removes it.
//!
//! Locks are taken in the order shards, parents, knowledge; whoever holds one may go on to L1 and to the flights, which take none of
//! them. What must not be seen apart changes under all of them at once:
//!
//! - a floor that is given up raises the low mark before the shard's lock is released, so the next admission there sees it;
//! - a resync, and a new history, put the new knowledge in force and clear the floors as one step.
//!
//! Copies in L1 are not searched when a parent is bumped. They are checked against the parents' floors when they are touched and the
//! parents' generation has moved since the last check, once for all copies that were read with the same parents.

mod copies;

use std::collections::VecDeque;

use hotshelf_coherence::{
    Checkpoint, Cursor, Floor, FloorKey, Floors, Generation, HitContext, Knowledge, PollStep,
    ResyncReason, parents_live,
};
use hotshelf_model::{Boot, Hist, Id, NamespaceName, Parents, Poll, Position, Record, Version};
use hotshelf_telemetry::{Counter, metric};

use crate::slot::Slot;
use crate::sync::{AtomicU32, AtomicU64, Mutex, MutexGuard, Ordering, RwLock};

pub(crate) use copies::Copies;

const SHARDS: usize = 64;
/// Bumps of namespaces are few; a floor is given up after as many bumps of others.
const PARENT_FLOORS_MAX: usize = 4096;
/// Proofs of so many former generations are remembered, for honest labels on copies from before.
const GENERATIONS_MAX: usize = 64;

/// A version that somebody has written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewVersion<'a> {
    pub(crate) namespace: &'a NamespaceName,
    pub(crate) id: &'a Id,
    pub(crate) version: Version,
}

/// What became of a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HintOutcome {
    /// It was the first word of its change.
    News,
    /// The node knew that version, or a newer one.
    Known,
    /// It is of another history or of an older timeline.
    Foreign,
}

/// The last proof of a generation that has ended, and how far its copies had been checked against bumps.
#[derive(Clone, Copy, Debug)]
struct FormerProof {
    generation: Generation,
    parent_generation: u32,
    proof: Boot,
}

/// The floors of a checkpoint: of keys, and of parents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SavedFloors {
    pub(crate) keys: Vec<(FloorKey, Floor)>,
    pub(crate) parents: Vec<(FloorKey, Floor)>,
}

/// What this node knows of the change log, and the floors that follow from it.
#[derive(Debug)]
pub(crate) struct Ledger {
    shards: Box<[Mutex<Floors>]>,
    parents: Mutex<Floors>,
    knowledge: RwLock<Option<Knowledge>>,
    /// Beside `knowledge`, for the hot path.
    generation: AtomicU32,
    /// Counts applied bumps. It is raised after the parent's floor, so who reads it before the floors checks against that bump.
    parent_generation: AtomicU32,
    proof: AtomicU64,
    /// Copies of earlier generations belong to another history: they are neither served nor revalidated.
    dead_before: AtomicU32,
    former_proofs: RwLock<VecDeque<FormerProof>>,
    copies: Copies,
    hints_given_up: Counter,
}

fn shard_of(key: FloorKey) -> usize {
    usize::try_from(key.0 % SHARDS as u128).unwrap_or_default()
}

impl Ledger {
    /// An empty one. `floors_max` bounds the floors of keys.
    pub(crate) fn new(copies: Copies, floors_max: usize) -> Self {
        let shard_floors_max = floors_max.div_ceil(SHARDS);
        let shards = (0..SHARDS).map(|_| Mutex::new(Floors::new(shard_floors_max)));
        Ledger {
            shards: shards.collect(),
            parents: Mutex::new(Floors::new(PARENT_FLOORS_MAX)),
            knowledge: RwLock::new(None),
            generation: AtomicU32::new(0),
            parent_generation: AtomicU32::new(1),
            proof: AtomicU64::new(0),
            dead_before: AtomicU32::new(0),
            former_proofs: RwLock::new(VecDeque::new()),
            copies,
            hints_given_up: metric::HINTS.counter(&[("outcome", "given_up")]),
        }
    }

    /// What the node knows; `None` before the first poll.
    pub(crate) fn knowledge(&self) -> Option<Knowledge> {
        *self.knowledge.read()
    }

    /// The current generation.
    #[inline]
    pub(crate) fn generation(&self) -> Generation {
        Generation(self.generation.load(Ordering::Acquire))
    }

    /// The parents' generation: it counts applied bumps.
    pub(crate) fn parent_generation(&self) -> u32 {
        self.parent_generation.load(Ordering::Acquire)
    }

    /// The moment of the last proof that this node knew every change; zero before the first.
    #[inline]
    pub(crate) fn proof(&self) -> Boot {
        Boot(self.proof.load(Ordering::Acquire))
    }

    /// The version of the last bump of a parent, as far as the node knows.
    pub(crate) fn parent_floor(&self, parent: FloorKey) -> Version {
        self.parents.lock().of(parent)
    }

    /// Looks at a key, and keeps its records from being applied meanwhile.
    pub(crate) fn sight(&self, key: FloorKey) -> Sight<'_> {
        let floors = self.shards[shard_of(key)].lock();
        // Inside the lock, so that a low mark which rose with this shard is seen.
        let knowledge = self.knowledge();
        Sight {
            ledger: self,
            floors,
            key,
            known: knowledge.map(|knowledge| (knowledge, self.proof())),
        }
    }

    /// Whether a copy that was held, or on its way, is older than what the node has learnt meanwhile.
    pub(crate) fn is_superseded(&self, key: FloorKey, slot: &Slot) -> bool {
        let sight = self.sight(key);
        slot.version() < sight.floor() || !sight.parents_live(slot.parents())
    }

    /// Applies a record of the row at `position`. Again, or in another order, it changes nothing.
    pub(crate) fn apply(&self, record: &Record, position: Position) {
        match record {
            Record::Key {
                namespace,
                id,
                version,
            } => self.apply_key(namespace, id, *version, position),
            Record::Parent { namespace, version } => {
                self.apply_parent(FloorKey::namespace(namespace), *version, position);
            }
        }
    }

    fn apply_key(&self, namespace: &NamespaceName, id: &Id, version: Version, position: Position) {
        let key = FloorKey::of(namespace.as_str(), id.as_str());
        let mut floors = self.shards[shard_of(key)].lock();
        let is_news = floors.of(key) < version;
        if let Some(low) = floors.raise(key, version, position) {
            self.raise_low(low);
        }
        if is_news {
            self.copies.remove_older(namespace, id, version);
        }
    }

    fn apply_parent(&self, parent: FloorKey, version: Version, position: Position) {
        let mut parents = self.parents.lock();
        let is_news = parents.of(parent) < version;
        if let Some(low) = parents.raise(parent, version, position) {
            self.suspect_all(low);
        }
        if is_news {
            // Release: who sees the new number also sees the floor.
            self.parent_generation.fetch_add(1, Ordering::Release);
        }
    }

    fn raise_low(&self, low: Position) {
        let mut knowledge = self.knowledge.write();
        *knowledge = knowledge.map(|knowledge| knowledge.raised(low));
    }

    /// A parent's floor was given up, and copies in L1 may not have been checked against it yet.
    fn suspect_all(&self, low: Position) {
        let mut knowledge = self.knowledge.write();
        let Some(before) = *knowledge else {
            return;
        };
        self.remember_proof();
        let after = before.raised(low).suspected();
        *knowledge = Some(after);
        self.generation.store(after.generation.0, Ordering::Release);
    }

    /// Raises a key's floor to what a hint says, until `until`; without it until the log confirms the version. `hist` is the history
    /// that the hint names; a write of this node is of the present one.
    pub(crate) fn hint(
        &self,
        hint: &NewVersion<'_>,
        hist: Option<Hist>,
        until: Option<Boot>,
    ) -> HintOutcome {
        let (namespace, id, version) = (hint.namespace, hint.id, hint.version);
        let key = FloorKey::of(namespace.as_str(), id.as_str());
        let mut floors = self.shards[shard_of(key)].lock();
        // Inside the lock: after a resync nothing may be left of what was lost before it.
        let knowledge = self.knowledge();
        let is_of_the_past = |known: Knowledge| {
            hist.is_some_and(|hist| hist != known.hist)
                || version.timeline() < u64::from(known.timeline.0)
        };
        if knowledge.is_some_and(is_of_the_past) {
            return HintOutcome::Foreign;
        }
        let hinted = floors.hint(key, version, until);
        self.hints_given_up.increment(hinted.given_up as u64);
        if !hinted.is_news {
            return HintOutcome::Known;
        }
        self.copies.remove_older(namespace, id, version);
        HintOutcome::News
    }

    /// Drops hints that the log has not confirmed in time, and floors that the low mark has made useless; returns how many hints.
    pub(crate) fn tidy(&self, now: Boot) -> usize {
        let low = self.knowledge().map(|knowledge| knowledge.low);
        let mut dropped = 0;
        for shard in &self.shards {
            let mut floors = shard.lock();
            dropped += floors.expire_hints(now);
            if let Some(low) = low {
                floors.forget_below(low);
            }
        }
        dropped
    }

    /// How many floors of keys the log has left.
    pub(crate) fn floors(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Takes in the first poll; goes on from a checkpoint if the poll, which was asked with its cursor, allows that.
    pub(crate) fn start(&self, saved: Option<(Checkpoint, SavedFloors)>, poll: &Poll) -> PollStep {
        let (checkpoint, floors) = saved.unzip();
        let (mut knowledge, step) = Knowledge::start(checkpoint, poll);
        if let Some(floors) = floors.filter(|_| !matches!(step, PollStep::Resync(_)))
            && let Some(low) = self.restore(floors)
        {
            knowledge = knowledge.raised(low);
        }
        *self.knowledge.write() = Some(knowledge);
        self.generation
            .store(knowledge.generation.0, Ordering::Release);
        step
    }

    /// Raises the floors of a checkpoint, the oldest first, because those are given up first. Returns the low mark that they leave, if
    /// there was no room for all.
    fn restore(&self, mut saved: SavedFloors) -> Option<Position> {
        saved.keys.sort_unstable_by_key(|(_, floor)| floor.position);
        saved
            .parents
            .sort_unstable_by_key(|(_, floor)| floor.position);
        let keys = saved.keys.into_iter().filter_map(|(key, floor)| {
            let mut floors = self.shards[shard_of(key)].lock();
            floors.raise(key, floor.version, floor.position)
        });
        let low = keys.max();
        let mut parents = self.parents.lock();
        let parents = saved
            .parents
            .into_iter()
            .filter_map(|(key, floor)| parents.raise(key, floor.version, floor.position));
        low.max(parents.max())
    }

    /// Takes in a later poll, which was asked about the cursor `asked`. `is_lost` says that rows after the cursor cannot be had.
    pub(crate) fn learn(&self, asked: Cursor, poll: &Poll, is_lost: bool) -> PollStep {
        let Some(before) = self.knowledge() else {
            return PollStep::Ignored;
        };
        let step = match before.judge_poll(asked, poll) {
            PollStep::Behind | PollStep::UpToDate if is_lost => {
                PollStep::Resync(ResyncReason::Pruned)
            }
            step => step,
        };
        if matches!(step, PollStep::Resync(_) | PollStep::OtherHistory) {
            self.resync(before.resynced(poll), step == PollStep::OtherHistory);
        }
        step
    }

    /// Puts new knowledge in force and forgets the floors that led to the old, as one step.
    fn resync(&self, after: Knowledge, is_other_history: bool) {
        let mut shards: Vec<MutexGuard<'_, Floors>> =
            self.shards.iter().map(|shard| shard.lock()).collect();
        let mut parents = self.parents.lock();
        let mut knowledge = self.knowledge.write();
        self.remember_proof();
        for floors in shards
            .iter_mut()
            .map(|shard| &mut **shard)
            .chain([&mut *parents])
        {
            if is_other_history {
                floors.clear();
            } else {
                floors.resync(after.timeline);
            }
        }
        if is_other_history {
            // What was proved of one history says nothing of the next.
            self.dead_before
                .store(after.generation.unproved().0, Ordering::Release);
            self.proof.store(0, Ordering::Release);
        }
        *knowledge = Some(after);
        // Release, and before any proof of it: who sees the new proof also sees the new generation.
        self.generation.store(after.generation.0, Ordering::Release);
    }

    fn remember_proof(&self) {
        let mut former = self.former_proofs.write();
        if former.len() == GENERATIONS_MAX {
            former.pop_front();
        }
        former.push_back(FormerProof {
            generation: self.generation(),
            parent_generation: self.parent_generation.load(Ordering::Acquire),
            proof: self.proof(),
        });
    }

    /// Moves the cursor over the next row, whose records have been applied. Only the follower's task does.
    pub(crate) fn advance(&self, cursor: Cursor) -> Option<Knowledge> {
        let mut knowledge = self.knowledge.write();
        *knowledge = knowledge.map(|knowledge| knowledge.advanced(cursor));
        *knowledge
    }

    /// Notes that every change committed before `moment` has been applied.
    pub(crate) fn prove(&self, moment: Boot) {
        // Release: who sees the proof sees what applying the records has done to L1.
        self.proof.fetch_max(moment.0, Ordering::Release);
    }

    /// Whether a generation belongs to a history that has ended.
    pub(crate) fn is_over(&self, generation: Generation) -> bool {
        generation.0 < self.dead_before.load(Ordering::Acquire)
    }

    /// Whether a copy of L1 belongs to the present history, and its parents have not been bumped as far as this node knows.
    ///
    /// `context` was taken before the copy was.
    #[inline]
    pub(crate) fn is_living(&self, slot: &Slot, context: &HitContext) -> bool {
        // Acquire, and before the floors: a bump that is applied in between is found by the next check.
        let parent_generation = self.parent_generation.load(Ordering::Acquire);
        let is_checked = slot.parents_checked() == parent_generation
            || self.check_parents(slot, context, parent_generation);
        is_checked && (slot.generation() == context.generation || !self.is_over(slot.generation()))
    }

    #[cold]
    fn check_parents(&self, slot: &Slot, context: &HitContext, parent_generation: u32) -> bool {
        let parents = self.parents.lock();
        if !parents_live(slot.parents(), &parents) {
            return false;
        }
        if slot.generation() == self.generation() {
            slot.set_parents_checked(parent_generation);
            return true;
        }
        // A copy of a former generation is checked by its version before it counts as fresh. But one that was current when the caller
        // began has lost in this moment the floors that may speak against it.
        slot.generation() != context.generation
    }

    /// The last moment at which a copy that L1 holds was proved current: by itself, or by the proofs of its generation.
    pub(crate) fn proved_at(&self, slot: &Slot, context: &HitContext) -> Boot {
        let held = slot.held();
        if !held.tracked {
            return held.as_of;
        }
        if held.generation == context.generation {
            return held.as_of.max(context.proof);
        }
        let former = self.former_proofs.read();
        // In order, because generations are remembered as they end.
        let found = former.binary_search_by_key(&held.generation, |proof| proof.generation);
        let proof = found.map_or(Boot::default(), |at| {
            // Of bumps after its last check nothing is known.
            let is_checked = former[at].parent_generation == slot.parents_checked();
            if is_checked {
                former[at].proof
            } else {
                Boot::default()
            }
        });
        held.as_of.max(proof)
    }

    /// What a restart has to remember. A record at or below the cursor and above the low mark is in the floors.
    pub(crate) fn save(&self) -> Option<(Checkpoint, SavedFloors)> {
        // The cursor before the floors, and the low mark after them: rows may be applied, and floors given up, in between.
        let before = self.knowledge()?;
        let mut floors = SavedFloors::default();
        for shard in &self.shards {
            floors.keys.extend(shard.lock().iter());
        }
        floors.parents.extend(self.parents.lock().iter());
        let after = self.knowledge()?;
        let checkpoint = Checkpoint {
            low: after.low,
            ..before.checkpoint()
        };
        (before.generation == after.generation).then_some((checkpoint, floors))
    }
}

/// A look at one key, under its shard's lock: nothing is applied to it until this is dropped.
#[derive(Debug)]
pub(crate) struct Sight<'a> {
    ledger: &'a Ledger,
    floors: MutexGuard<'a, Floors>,
    key: FloorKey,
    known: Option<(Knowledge, Boot)>,
}

impl Sight<'_> {
    /// What the node knows, with the moment of the last proof of it.
    pub(crate) fn known(&self) -> Option<(Knowledge, Boot)> {
        self.known
    }

    /// The least version of a copy of the key.
    pub(crate) fn floor(&self) -> Version {
        self.floors.of(self.key)
    }

    /// The parents' generation, to be read before the check whose result is noted with it.
    pub(crate) fn parent_generation(&self) -> u32 {
        self.ledger.parent_generation.load(Ordering::Acquire)
    }

    /// Whether no parent was bumped since a copy was read, as far as the node knows.
    pub(crate) fn parents_live(&self, parents: &Parents) -> bool {
        let floors = self.ledger.parents.lock();
        // A parent's floor that is given up in this moment speaks no more, but has changed the generation before.
        let is_silent = self
            .known
            .is_some_and(|(known, _)| known.generation != self.ledger.generation());
        !is_silent && parents_live(parents, &floors)
    }
}

#[cfg(test)]
#[cfg(not(feature = "interleavings"))]
mod tests;
