//! The part of a warm-up that fills L2 and L3: many keys of one namespace and variant, without a reader and without L1.
//!
//! What any of the tiers holds as a copy that a reader would be given is taken from there; the rest is fetched in the warm class. What is
//! put carries its stamp like every entry, so a tier keeps what it holds if that is newer.

use std::sync::Arc;

use futures_util::future::join_all;
use hotshelf_coherence::{FloorKey, Knowledge, Verdict, judge};
use hotshelf_model::{
    Entry, Error, ErrorKind, Id, Key, Kind, PutOutcome, Tier, TierKey, TierName, WarmTiers,
};

use super::{Fill, Found};
use crate::explain::Standing;
use crate::fetch::{FetchOutcome, Fetched, Fetcher};
use crate::settings::Class;
use crate::switches::Part;
use crate::warm::WarmBatch;

/// A document that contradicts what the node knows is fetched again; the log then has moved on.
const ATTEMPTS: u32 = 3;

/// A key on its way.
struct Wanted {
    key: TierKey,
    id: Id,
    floor_key: FloorKey,
    /// The tiers to fill that hold no current copy.
    lacking: Vec<TierName>,
    /// A current copy.
    entry: Option<Entry>,
    failed: bool,
    later: bool,
}

/// What became of a fetch.
enum Answered {
    Entry(Box<Entry>),
    /// The node or the origin is behind.
    Again,
    Failed(Error),
}

impl Fill {
    /// What is switched off that a warm-up of these tiers needs.
    fn warms_nothing(&self, tiers: WarmTiers) -> Option<&'static str> {
        let switches = &self.engine.switches;
        let needs = [
            (Part::Origin, true, "the origin is switched off"),
            (Part::L2, tiers.has(TierName::L2), "L2 is switched off"),
            (Part::L3, tiers.has(TierName::L3), "L3 is switched off"),
        ];
        let mut off = needs.into_iter();
        off.find_map(|(part, is_needed, off)| (is_needed && switches.is_off(part)).then_some(off))
    }

    /// Fills tiers with the documents of these ids.
    pub(crate) async fn warm(&self, ids: &[Id], tiers: WarmTiers) -> WarmBatch {
        let Some(knowledge) = self.engine.follower.knowledge() else {
            return WarmBatch::later(ids, "the node has not read the change log yet");
        };
        if let Some(off) = self.warms_nothing(tiers) {
            return WarmBatch::later(ids, off);
        }
        let mut batch = WarmBatch::default();
        let mut wanted: Vec<Wanted> = ids.iter().map(|id| self.wanted(&knowledge, id)).collect();
        let outside = [self.engine.l2_in_use(), self.engine.l3_in_use()];
        let (filled, others): (Vec<_>, Vec<_>) = outside
            .into_iter()
            .flatten()
            .partition(|tier| tiers.has(tier.name()));
        for tier in &filled {
            let all: Vec<&mut Wanted> = wanted.iter_mut().collect();
            self.look_into(tier, &knowledge, all, true).await;
        }
        for tier in &others {
            let open = wanted.iter_mut().filter(|wanted| wanted.entry.is_none());
            self.look_into(tier, &knowledge, open.collect(), false)
                .await;
        }
        self.fetch_wanted(&mut wanted, &mut batch).await;
        for tier in &filled {
            put(tier, &mut wanted, &mut batch).await;
        }
        for wanted in wanted {
            batch.take(wanted);
        }
        batch
    }

    /// A fetched document as an entry.
    pub(crate) fn fetched_entry(&self, key: &Key, fetched: &Fetched) -> Result<Entry, Error> {
        let found = self.found(key, fetched, &self.asked())?;
        Ok(found.entry)
    }

    fn wanted(&self, knowledge: &Knowledge, id: &Id) -> Wanted {
        let namespace = &self.source.namespace;
        let key = Key::new(&namespace.name, id, &self.variant);
        Wanted {
            floor_key: FloorKey::of(key.namespace(), key.id()),
            key: namespace.tier_key(knowledge.hist, &key),
            id: id.clone(),
            lacking: Vec::new(),
            entry: None,
            failed: false,
            later: false,
        }
    }

    /// Looks for current copies in a tier; what a tier that is to be filled does not hold, it lacks.
    async fn look_into(
        &self,
        tier: &Arc<dyn Tier>,
        knowledge: &Knowledge,
        wanted: Vec<&mut Wanted>,
        fills: bool,
    ) {
        if wanted.is_empty() {
            return;
        }
        let keys: Vec<TierKey> = wanted.iter().map(|wanted| wanted.key.clone()).collect();
        let lookups = self.ask(tier, &keys).await;
        for (wanted, lookup) in wanted.into_iter().zip(lookups) {
            let current = lookup
                .into_entry()
                .filter(|entry| self.is_current(wanted.floor_key, entry, tier.name(), knowledge));
            match current {
                Some(entry) if wanted.entry.is_none() => wanted.entry = Some(entry),
                Some(_) => {}
                None if fills => wanted.lacking.push(tier.name()),
                None => {}
            }
        }
    }

    /// Whether a reader would be given this copy, and no refresh of it would be due.
    fn is_current(
        &self,
        floor_key: FloorKey,
        entry: &Entry,
        tier: TierName,
        knowledge: &Knowledge,
    ) -> bool {
        let context = self.context();
        let found = self.found_in_tier(entry.clone(), tier, knowledge);
        let (standing, held) = self.standing(floor_key, &found, &context);
        standing == Standing::Current && judge(&held, &context) == Verdict::Fresh
    }

    async fn fetch_wanted(&self, wanted: &mut [Wanted], batch: &mut WarmBatch) {
        for attempt in 1..=ATTEMPTS {
            let mut open: Vec<&mut Wanted> = wanted
                .iter_mut()
                .filter(|wanted| wanted.entry.is_none() && !wanted.failed && !wanted.later)
                .collect();
            if open.is_empty() {
                return;
            }
            let answers = self.fetch_answers(&open).await;
            let alone = open.len() == 1;
            let all_failed = answers
                .iter()
                .all(|answer| matches!(answer, Answered::Failed(_)));
            let mut again = false;
            for (wanted, answer) in open.iter_mut().zip(answers) {
                match answer {
                    Answered::Entry(entry) => {
                        batch.counts.fetched += 1;
                        wanted.entry = Some(*entry);
                    }
                    Answered::Again if attempt == ATTEMPTS => {
                        wanted.later = true;
                        batch.tell("the node does not know yet what the database says");
                    }
                    Answered::Again => again = true,
                    Answered::Failed(error) => {
                        wanted.later = is_passing(&error, all_failed && !alone);
                        wanted.failed = !wanted.later;
                        batch.tell(&error.to_string());
                    }
                }
            }
            if again {
                self.engine.follower.poll_now(self.left() / 2).await;
            }
        }
    }

    async fn fetch_answers(&self, open: &[&mut Wanted]) -> Vec<Answered> {
        let group = Fetcher::group(&self.source.namespace, &self.variant, Class::Warm, None);
        let ids: Vec<Id> = open.iter().map(|wanted| wanted.id.clone()).collect();
        let (asked, as_of) = (self.asked(), self.engine.follower.db_now());
        let receivers = self.source.fetcher.fetch(&group, &ids, as_of, self.left());
        let outcomes = join_all(receivers).await;
        let panicked = |_| Err(Error::new(ErrorKind::OriginFailed, "the origin panicked"));
        let answers = open.iter().zip(outcomes).map(|(wanted, outcome)| {
            let outcome: FetchOutcome = outcome.unwrap_or_else(panicked);
            let found = outcome.and_then(|fetched| self.found(&wanted.key.key, &fetched, &asked));
            match found {
                Ok(found) => self.checked(wanted, found),
                Err(error) => Answered::Failed(error),
            }
        });
        answers.collect()
    }

    /// A fetched document, unless it contradicts what the node knows of changes.
    fn checked(&self, wanted: &Wanted, found: Found) -> Answered {
        let context = self.context();
        let (standing, _) = self.standing(wanted.floor_key, &found, &context);
        match standing {
            Standing::Refused | Standing::OtherHistory => Answered::Again,
            Standing::Current | Standing::Suspect | Standing::Stale => {
                Answered::Entry(Box::new(found.entry))
            }
        }
    }
}

/// Whether to try again later helps: it is not the document's own fault.
fn is_passing(error: &Error, all_failed: bool) -> bool {
    match error.kind() {
        ErrorKind::Shed | ErrorKind::OriginTimeout | ErrorKind::Unavailable => true,
        ErrorKind::OriginFailed => all_failed,
        _ => false,
    }
}

/// Puts what a tier lacks. Absent entries are not worth a disk's endurance.
async fn put(tier: &Arc<dyn Tier>, wanted: &mut [Wanted], batch: &mut WarmBatch) {
    let name = tier.name();
    let lacks = |wanted: &&mut Wanted| {
        wanted.lacking.contains(&name)
            && wanted
                .entry
                .as_ref()
                .is_some_and(|entry| name != TierName::L3 || entry.kind() == Kind::Present)
    };
    let mut lacking: Vec<&mut Wanted> = wanted.iter_mut().filter(lacks).collect();
    let entries = lacking
        .iter()
        .filter_map(|wanted| Some((wanted.key.clone(), wanted.entry.clone()?)));
    let entries: Vec<(TierKey, Entry)> = entries.collect();
    if entries.is_empty() {
        return;
    }
    let outcomes = tier.warm_many(&entries).await;
    for (wanted, outcome) in lacking.iter_mut().zip(outcomes) {
        match outcome {
            PutOutcome::Stored | PutOutcome::Fenced => {}
            PutOutcome::Declined => {
                wanted.failed = true;
                batch.tell(&format!("{} declines", name.as_str()));
            }
            PutOutcome::Unavailable(reason) => {
                wanted.later = true;
                batch.tell(&format!("{}: {}", name.as_str(), reason.as_str()));
            }
        }
    }
}

impl WarmBatch {
    fn take(&mut self, wanted: Wanted) {
        let is_absent = wanted
            .entry
            .as_ref()
            .is_some_and(|entry| entry.kind() == Kind::Absent);
        let counts = &mut self.counts;
        match wanted {
            Wanted { later: true, .. } => self.later.push(wanted.id),
            Wanted { failed: true, .. } => counts.failed += 1,
            _ if is_absent => counts.absent += 1,
            Wanted { lacking, .. } if lacking.is_empty() => counts.held += 1,
            Wanted { .. } => counts.filled += 1,
        }
    }
}
