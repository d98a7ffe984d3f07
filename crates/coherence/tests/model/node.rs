//! A node of the model: what it knows, what it holds, and the steps that call the production functions.

use std::hash::{Hash, Hasher};
use std::sync::LazyLock;
use std::time::Duration;

use hotshelf_coherence::{
    Admission, Claim, Cursor, Floor, FloorKey, Floors, Generation, Held, HitContext, Knowledge,
    Place, PollStep, Refusal, Verdict, judge,
};
use hotshelf_model::{
    Body, Boot, DbTime, Entry, Hist, Parent, Parents, Poll, Position, Timeline, Version,
};

use crate::database::{Change, ChangeId, Document, Row};
use crate::rules::{Mutant, Rules};
use crate::scope::{Feature, KEYS_MAX, Scope, Subject};

/// A copy in L1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) document: Document,
    pub(crate) generation: Generation,
    /// When it was itself proved current; 0 if it never was.
    pub(crate) as_of: u8,
    /// A parent was bumped since: it takes the check of its parents.
    pub(crate) is_doubted: bool,
}

/// What a reader must see: what the node knew when it joined the flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    pub(crate) hist: Hist,
    pub(crate) timeline: Timeline,
    pub(crate) cursor: Cursor,
    pub(crate) proof: u8,
}

/// A fetch, or a check, that was answered and has not landed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flight {
    pub(crate) document: Document,
    pub(crate) as_of: u8,
    pub(crate) is_revalidation: bool,
    /// A record came meanwhile: later readers begin a flight of their own.
    pub(crate) is_detached: bool,
    generation: Generation,
    /// What the last reader that joined must see.
    pub(crate) asked: Option<Asked>,
}

/// A poll under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnderWay {
    pub(crate) sent: u8,
    pub(crate) asked: Cursor,
    pub(crate) answer: Option<Poll>,
}

/// What a node remembers across a restart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Remembered {
    pub(crate) checkpoint: hotshelf_coherence::Checkpoint,
    floors: Vec<(FloorKey, Floor)>,
    parents: Vec<(FloorKey, Floor)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) knowledge: Knowledge,
    pub(crate) floors: Floors,
    pub(crate) parents: Floors,
    pub(crate) slots: [Option<Slot>; KEYS_MAX],
    pub(crate) flights: [Option<Flight>; KEYS_MAX],
    /// What is about to be put to L2.
    pub(crate) puts: [Option<Document>; KEYS_MAX],
    pub(crate) l3: [Option<Document>; KEYS_MAX],
    /// What a crash may bring back.
    pub(crate) l3_before: [Option<Document>; KEYS_MAX],
    pub(crate) poll: Option<UnderWay>,
    pub(crate) claim: Option<(u8, Claim)>,
    /// The last proof; 0 if there is none.
    pub(crate) proof: u8,
    /// Rows on the bus that have not come: bits of their numbers.
    pub(crate) mail: u16,
    pub(crate) remembered: Option<Remembered>,
    /// The last change of each key that this node made and answered for.
    pub(crate) own: [ChangeId; KEYS_MAX],
}

/// What learning from a poll asks of the rest of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Learnt {
    pub(crate) step: PollStep,
    /// Whether the poll was good for a proof, and this node did not get one although it goes on as before.
    pub(crate) is_stuck: bool,
}

static KEYS: LazyLock<[FloorKey; KEYS_MAX]> =
    LazyLock::new(|| ["a", "b"].map(|id| FloorKey::of("products", id)));

pub(crate) fn floor_key(subject: Subject) -> FloorKey {
    match subject {
        Subject::Key(key) => KEYS[key],
        Subject::Parent(parent) => FloorKey::parent(parent as u64),
    }
}

pub(crate) fn parents_of(floor_key: u128, version: Version) -> Parents {
    let parent = Parent {
        name_hash: u64::try_from(floor_key).unwrap(),
        version,
    };
    Parents::new(&[parent]).unwrap()
}

pub(crate) fn entry_of(document: &Document) -> Entry {
    Entry::present(Body::default(), document.stamp, DbTime(0))
}

impl Node {
    /// A node that has just made its first poll.
    pub(crate) fn new(scope: &Scope, knowledge: Knowledge) -> Self {
        Node {
            knowledge,
            floors: Floors::new(scope.floors_max),
            parents: Floors::new(scope.floors_max),
            slots: [None; KEYS_MAX],
            flights: [None; KEYS_MAX],
            puts: [None; KEYS_MAX],
            l3: [None; KEYS_MAX],
            l3_before: [None; KEYS_MAX],
            poll: None,
            claim: None,
            proof: 0,
            mail: 0,
            remembered: None,
            own: [0; KEYS_MAX],
        }
    }

    /// What a read of L1 serves, with the moment of its own proof.
    pub(crate) fn hit(&self, rules: &Rules, key: usize) -> Option<&Slot> {
        let slot = self.slots[key].as_ref()?;
        let held = Held {
            generation: slot.generation,
            as_of: Boot(u64::from(slot.as_of)),
            soft_at: Boot(u64::MAX),
            hard_at: Boot(u64::MAX),
            valid_until: None,
            tracked: true,
        };
        let context = HitContext {
            generation: self.knowledge.generation,
            proof: Boot(u64::from(self.proof)),
            now: Boot(0),
            db_now: DbTime(0),
            staleness_bound: Duration::ZERO,
        };
        let is_live = !slot.is_doubted || rules.are(Mutant::BumpNotNoticedByL1);
        (is_live && judge(&held, &context) != Verdict::Suspect).then_some(slot)
    }

    /// Takes a row that the bus or the log brought.
    pub(crate) fn take_row(&mut self, rules: &Rules, scope: &Scope, row: &Row) -> Place {
        let place = rules.place(&self.knowledge, row);
        if let Place::Next | Place::Ahead = place {
            if let Some(change) = &row.change {
                self.apply(rules, scope, change, row.cursor.position);
                if scope.has(Feature::WideRows) {
                    let (unread, position) = (Subject::Key(KEYS_MAX - 1), row.cursor.position);
                    let floors = &mut self.floors;
                    self.knowledge =
                        rules.raise(self.knowledge, floors, unread, change.version, position);
                }
            }
            if place == Place::Next {
                self.knowledge = rules.advanced(self.knowledge, row.cursor);
                self.settle(rules);
            }
        }
        place
    }

    fn apply(&mut self, rules: &Rules, scope: &Scope, change: &Change, position: Position) {
        let (subject, version) = (change.subject, change.version);
        let floors = match subject {
            Subject::Key(_) => &mut self.floors,
            Subject::Parent(_) => &mut self.parents,
        };
        self.knowledge = rules.raise(self.knowledge, floors, subject, version, position);
        match subject {
            Subject::Key(key) => self.invalidate(rules, key, version),
            Subject::Parent(parent) => self.doubt(scope, parent, version),
        }
    }

    /// Drops what is older than a version, and lets no later reader join a flight that is.
    fn invalidate(&mut self, rules: &Rules, key: usize, version: Version) {
        let is_older = |document: &Document| document.stamp.version < version;
        if self.slots[key].is_some_and(|slot| is_older(&slot.document))
            && !rules.are(Mutant::HeldCopyNotDropped)
        {
            self.slots[key] = None;
        }
        if let Some(flight) = &mut self.flights[key] {
            flight.is_detached |= is_older(&flight.document);
        }
    }

    fn doubt(&mut self, scope: &Scope, parent: usize, version: Version) {
        for key in (0..scope.read).filter(|&key| scope.parent_of(key) == parent) {
            if let Some(slot) = &mut self.slots[key] {
                slot.is_doubted = true;
            }
            if let Some(flight) = &mut self.flights[key] {
                flight.is_detached |= flight.document.parent < version;
            }
        }
    }

    /// A hint, from another node or about a write of this one.
    pub(crate) fn hint(&mut self, rules: &Rules, change: &Change) -> bool {
        let Subject::Key(key) = change.subject else {
            return false;
        };
        let knowledge = self.knowledge;
        let is_news = rules.hint(&knowledge, &mut self.floors, change.subject, change.version);
        if is_news {
            self.invalidate(rules, key, change.version);
        }
        is_news
    }

    pub(crate) fn write(&mut self, rules: &Rules, change: &Change) {
        if let Subject::Key(key) = change.subject {
            rules.own_write(&mut self.floors, change.subject, change.version);
            self.invalidate(rules, key, change.version);
            self.own[key] = change.id;
        }
    }

    /// Learns from a poll that was asked about `asked` at `sent`.
    pub(crate) fn learn(&mut self, rules: &Rules, sent: u8, asked: Cursor, poll: &Poll) -> Learnt {
        let step = rules.judge_poll(&self.knowledge, asked, poll);
        if let PollStep::Resync(_) | PollStep::OtherHistory = step {
            self.resync(rules, step, poll);
        }
        let claim = rules.claim(&self.knowledge, asked, poll);
        if let Some(claim) = claim {
            self.claim = Some((sent, claim));
        }
        self.settle(rules);
        let goes_on = matches!(step, PollStep::UpToDate | PollStep::Behind);
        Learnt {
            step,
            is_stuck: goes_on && poll.settled && claim.is_none(),
        }
    }

    fn resync(&mut self, rules: &Rules, step: PollStep, poll: &Poll) {
        self.knowledge = rules.resynced(self.knowledge, poll);
        for floors in [&mut self.floors, &mut self.parents] {
            rules.clear(&self.knowledge, floors, step);
        }
        if step == PollStep::OtherHistory && !rules.are(Mutant::HistIgnored) {
            self.slots = [None; KEYS_MAX];
        }
    }

    /// Turns a claim into a proof once it is reached.
    fn settle(&mut self, rules: &Rules) {
        if let Some((sent, claim)) = self.claim
            && rules.is_reached(&claim, &self.knowledge)
        {
            self.proof = self.proof.max(sent);
            self.claim = None;
        }
    }

    /// What admission says of a copy.
    pub(crate) fn would_admit(
        &self,
        rules: &Rules,
        scope: &Scope,
        key: usize,
        document: &Document,
    ) -> Admission {
        let floor = rules.floor(&self.floors, Subject::Key(key));
        let live = rules.parents_live(document, scope.parent_of(key), &self.parents);
        rules.admit(&self.knowledge, document, floor, live)
    }

    /// Admits a copy to L1.
    pub(crate) fn admit(
        &mut self,
        rules: &Rules,
        scope: &Scope,
        key: usize,
        document: Document,
        as_of: u8,
    ) -> Admission {
        let admission = self.would_admit(rules, scope, key, &document);
        if admission == Admission::Fresh {
            self.slots[key] = Some(Slot {
                document,
                generation: self.knowledge.generation,
                as_of,
                is_doubted: false,
            });
        }
        admission
    }

    /// The check of a copy whose parent may have been bumped. That of its parents alone would not do: their floors may have been
    /// given up meanwhile, and then only the low mark tells.
    pub(crate) fn recheck(
        &mut self,
        rules: &Rules,
        scope: &Scope,
        key: usize,
    ) -> Option<Admission> {
        let document = self.slots[key]?.document;
        let admission = if rules.are(Mutant::DoubtEndedByParentsAlone) {
            let live = rules.parents_live(&document, scope.parent_of(key), &self.parents);
            let dead = Admission::Refused(Refusal::Dead);
            if live { Admission::Fresh } else { dead }
        } else {
            self.would_admit(rules, scope, key, &document)
        };
        match admission {
            Admission::Fresh => self.slots[key].as_mut()?.is_doubted = false,
            Admission::Suspect => {}
            Admission::Refused(_) => self.slots[key] = None,
        }
        Some(admission)
    }

    /// What a reader that comes now must see.
    pub(crate) fn asks(&self) -> Asked {
        Asked {
            hist: self.knowledge.hist,
            timeline: self.knowledge.timeline,
            cursor: self.knowledge.cursor,
            proof: self.proof,
        }
    }

    pub(crate) fn begin(&mut self, key: usize, document: Document, as_of: u8, joins: bool) {
        self.flights[key] = Some(Flight {
            document,
            as_of,
            is_revalidation: false,
            is_detached: false,
            generation: self.knowledge.generation,
            asked: joins.then(|| self.asks()),
        });
    }

    /// Whether a reader may wait for the flight of a key.
    pub(crate) fn may_join(&self, rules: &Rules, key: usize) -> bool {
        let Some(flight) = &self.flights[key] else {
            return false;
        };
        let floor = rules.floor(&self.floors, Subject::Key(key));
        if rules.are(Mutant::JoinedByFloor) {
            return flight.document.stamp.version >= floor;
        }
        let joins_late = rules.are(Mutant::JoinedAfterInvalidation)
            || rules.are(Mutant::JoinedAndLandedUnchecked);
        let is_detached = flight.is_detached && !joins_late;
        let same_generation =
            flight.generation == self.knowledge.generation || rules.are(Mutant::JoinedAcrossResync);
        !is_detached && same_generation
    }

    pub(crate) fn checkpoint(&mut self, rules: &Rules) -> Remembered {
        rules.forget(&self.knowledge, &mut self.floors);
        rules.forget(&self.knowledge, &mut self.parents);
        let sorted = |floors: &Floors| {
            let mut rows: Vec<_> = floors.iter().collect();
            rows.sort_unstable();
            rows
        };
        Remembered {
            checkpoint: self.knowledge.checkpoint(),
            floors: sorted(&self.floors),
            parents: sorted(&self.parents),
        }
    }

    /// Starts with what is remembered, after a poll that was asked about it.
    pub(crate) fn restart(&mut self, rules: &Rules, scope: &Scope, poll: &Poll) -> PollStep {
        let remembered = self.remembered.take();
        let checkpoint = remembered.as_ref().map(|it| it.checkpoint);
        let (knowledge, step) = rules.start(checkpoint, poll);
        let after = Node {
            l3: self.l3,
            l3_before: self.l3_before,
            mail: self.mail,
            ..Node::new(scope, knowledge)
        };
        *self = after;
        if let PollStep::Resync(_) = step {
            return step;
        }
        if let Some(remembered) = remembered {
            self.restore(rules, &remembered);
            self.remembered = Some(remembered);
        }
        step
    }

    fn restore(&mut self, rules: &Rules, remembered: &Remembered) {
        if rules.are(Mutant::CheckpointWithoutFloors) {
            return;
        }
        let tables = [
            (&mut self.floors, &remembered.floors),
            (&mut self.parents, &remembered.parents),
        ];
        for (floors, rows) in tables {
            for (key, floor) in rows {
                if let Some(low) = floors.raise(*key, floor.version, floor.position) {
                    self.knowledge = self.knowledge.raised(low);
                }
            }
        }
    }

    /// What was proved before a failover or a restore is only good for the staleness bound, which the model has not.
    pub(crate) fn lose_proofs(&mut self, survivors: Option<u8>) {
        self.proof = 0;
        if let Some((sent, _)) = &mut self.claim {
            *sent = 0;
        }
        if let Some(poll) = &mut self.poll {
            let survivors = survivors.filter(|_| poll.answer.is_none());
            poll.sent = survivors.map_or(0, |survivors| poll.sent.min(survivors + 1));
        }
        for slot in self.slots.iter_mut().flatten() {
            slot.as_of = 0;
        }
        for flight in self.flights.iter_mut().flatten() {
            flight.as_of = 0;
            flight.asked = None;
        }
    }
}

/// Generations count resyncs without an end; what matters is only whether a copy is of the current one.
impl Hash for Node {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Knowledge {
            hist,
            timeline,
            cursor,
            low,
            generation,
        } = self.knowledge;
        (hist, timeline, cursor, low).hash(state);
        self.floors.hash(state);
        self.parents.hash(state);
        for slot in &self.slots {
            let slot = slot.map(|it| {
                (
                    it.document,
                    it.generation == generation,
                    it.as_of,
                    it.is_doubted,
                )
            });
            slot.hash(state);
        }
        for flight in &self.flights {
            let flight = flight.map(|it| {
                let same = it.generation == generation;
                (
                    it.document,
                    it.as_of,
                    it.is_revalidation,
                    it.is_detached,
                    same,
                    it.asked,
                )
            });
            flight.hash(state);
        }
        (self.puts, self.l3, self.l3_before).hash(state);
        let poll = self
            .poll
            .map(|it| (it.sent, it.asked, it.answer.map(|poll| answer_of(&poll))));
        (
            poll,
            self.claim,
            self.proof,
            self.mail,
            &self.remembered,
            self.own,
        )
            .hash(state);
    }
}

type Answer = (
    Hist,
    Timeline,
    Position,
    bool,
    u64,
    Option<u64>,
    Position,
    bool,
);

fn answer_of(poll: &Poll) -> Answer {
    let head = poll.head;
    (
        head.hist,
        head.timeline,
        head.position,
        head.primary,
        poll.head_nonce,
        poll.known_nonce,
        poll.oldest,
        poll.settled,
    )
}
