//! The look itself: at L1, at the tiers outside the process, and at the database.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{OptionFuture, join3};
use hotshelf_coherence::{FloorKey, Held, HitContext, Knowledge, has_flipped, judge};
use hotshelf_model::{
    Boot, Encoding, Entry, Error, ErrorKind, Id, Key, Lookup, MissReason, Parents, Tier, TierName,
    UnavailableReason, Variant, Version,
};

use super::{CopyExplanation, Explanation, HotExplanation, NextCopy, Recorded, Standing, TierCopy};
use crate::cache::{Engine, Source};
use crate::fill::Fill;
use crate::revalidate::Checked;
use crate::settings::Class;
use crate::slot::Slot;

impl Engine {
    pub(super) async fn explain(
        self: &Arc<Self>,
        key: &Key,
        patience: Duration,
    ) -> Result<Explanation, Error> {
        let source = self.source(key)?;
        let malformed = || Error::new(ErrorKind::Invalid, format!("the key {key} is malformed"));
        let id = Id::new(key.id()).map_err(|_problem| malformed())?;
        let known = self.follower.knowledge();
        let look = Look {
            fill: Fill {
                engine: Arc::clone(self),
                source: Arc::clone(source),
                variant: Variant::parse(key.variant()).ok_or_else(malformed)?,
                class: Class::Background,
                until: self.clock.now().plus(patience),
            },
            key,
            floor_key: FloorKey::of(key.namespace(), key.id()),
        };
        let ask = |tier| OptionFuture::from(Option::as_ref(tier).map(|tier| look.ask(tier, known)));
        let checked = check(source, &id, patience);
        let (l2, l3, checked) = join3(ask(&self.l2), ask(&self.l3), checked).await;
        let mut tiers = vec![(TierName::L1, look.l1(checked.as_ref()))];
        // Judged after all answers have come, so that what is said of the copies is of one moment.
        for answer in l2.into_iter().chain(l3) {
            tiers.push((answer.0, look.outside(answer, known, checked.as_ref())));
        }
        Ok(look.explanation(tiers, checked.as_ref()))
    }
}

/// What the database has recorded, if it says so in time.
async fn check(source: &Source, id: &Id, patience: Duration) -> Option<Checked> {
    let check = source.revalidator.check(std::iter::once(id)).pop()?;
    let outcome = tokio::time::timeout(patience, check).await.ok()?.ok()?;
    outcome.ok().flatten()
}

/// A look at one key.
struct Look<'a> {
    /// What a read would fill with; it is never run.
    fill: Fill,
    key: &'a Key,
    floor_key: FloorKey,
}

impl Look<'_> {
    fn engine(&self) -> &Engine {
        &self.fill.engine
    }

    /// The tier's answer; `None` without knowing of which history a copy would have to be.
    async fn ask(
        &self,
        tier: &Arc<dyn Tier>,
        known: Option<Knowledge>,
    ) -> (TierName, Option<Lookup>) {
        let Some(known) = known else {
            return (tier.name(), None);
        };
        let key = [self.fill.source.namespace.tier_key(known.hist, self.key)];
        let lookup = tier.get_many(&key).await.pop();
        let failed = Lookup::Unavailable(UnavailableReason::Failed);
        (tier.name(), Some(lookup.unwrap_or(failed)))
    }

    /// What L1 holds; of a document whose moment has come, what a read would put in its place.
    fn l1(&self, checked: Option<&Checked>) -> TierCopy {
        let engine = self.engine();
        // Before the copy is taken.
        let context = engine.follower.context();
        let Some(mut slot) = engine.l1.peek(self.key) else {
            return TierCopy::Missed(MissReason::NotFound);
        };
        if let Some(next) = slot.next().filter(|_| has_flipped(&slot.held(), &context)) {
            slot = Arc::clone(next);
        }
        let proved_at = engine.follower.proved_at(&slot, &context);
        let lasting = Lasting::new(&slot.held(), proved_at, &context);
        let next = |next: &Arc<Slot>| NextCopy {
            version: next.version(),
            document_bytes: count(next.document().len()),
            valid_until: next.held().valid_until,
        };
        TierCopy::Held(Box::new(CopyExplanation {
            standing: self.standing_in_l1(&slot, &context),
            kind: slot.kind(),
            version: slot.version(),
            timeline: slot.timeline(),
            position: None,
            age: None,
            proof_age: lasting.proof_age,
            soft_ttl: lasting.soft_ttl,
            hard_ttl: lasting.hard_ttl,
            valid_until: slot.held().valid_until,
            document_bytes: count(slot.document().len()),
            bytes: count(slot.bytes()),
            encodings: slot.encodings().collect(),
            facts: None,
            next: slot.next().map(next),
            unchanged: self.unchanged(checked, slot.version(), slot.parents()),
        }))
    }

    fn standing_in_l1(&self, slot: &Slot, context: &HitContext) -> Standing {
        let ledger = &self.engine().follower.ledger;
        if ledger.is_over(slot.generation()) {
            return Standing::OtherHistory;
        }
        if ledger.is_superseded(self.floor_key, slot) {
            return Standing::Refused;
        }
        Standing::of(judge(&slot.held(), context))
    }

    /// What L2 or L3 holds.
    fn outside(
        &self,
        (tier, lookup): (TierName, Option<Lookup>),
        known: Option<Knowledge>,
        checked: Option<&Checked>,
    ) -> TierCopy {
        match (lookup, known) {
            (Some(Lookup::Hit(entry) | Lookup::Absent(entry)), Some(known)) => {
                TierCopy::Held(Box::new(self.found(entry, tier, &known, checked)))
            }
            (Some(Lookup::Miss(reason)), _) => TierCopy::Missed(reason),
            (Some(Lookup::Unavailable(reason)), _) => TierCopy::Unavailable(reason),
            (Some(_) | None, _) => TierCopy::Unasked,
        }
    }

    fn found(
        &self,
        entry: Entry,
        tier: TierName,
        known: &Knowledge,
        checked: Option<&Checked>,
    ) -> CopyExplanation {
        let follower = &self.engine().follower;
        let context = follower.context();
        let found = self.fill.found_in_tier(entry, tier, known);
        let (standing, held) = self.fill.standing(self.floor_key, &found, &context);
        let is_proved = matches!(standing, Standing::Current | Standing::Stale);
        let proved_at = if is_proved {
            held.as_of
        } else {
            Boot::default()
        };
        let lasting = Lasting::new(&held, proved_at, &context);
        let entry = found.entry;
        let (stamp, body) = (entry.stamp, entry.body());
        let zstd = body.zstd.as_ref();
        CopyExplanation {
            standing,
            kind: entry.kind(),
            version: stamp.version,
            timeline: stamp.timeline,
            position: Some(stamp.position),
            age: follower.db_now().map(|now| now.since(entry.fetched_at)),
            proof_age: lasting.proof_age,
            soft_ttl: lasting.soft_ttl,
            hard_ttl: lasting.hard_ttl,
            valid_until: entry.valid_until,
            document_bytes: count(body.identity.len()),
            bytes: count(zstd.unwrap_or(&body.identity).len()),
            encodings: vec![zstd.map_or(Encoding::Identity, |_| Encoding::Zstd)],
            facts: Some(entry.facts),
            next: None,
            unchanged: self.unchanged(checked, stamp.version, &entry.parents),
        }
    }

    fn unchanged(
        &self,
        checked: Option<&Checked>,
        version: Version,
        parents: &Parents,
    ) -> Option<bool> {
        let tracked = self.fill.source.namespace.tracked;
        checked.map(|checked| checked.restamp(tracked, version, parents).is_some())
    }

    fn explanation(
        &self,
        tiers: Vec<(TierName, TierCopy)>,
        checked: Option<&Checked>,
    ) -> Explanation {
        let engine = self.engine();
        let follower = &engine.follower;
        let (context, knowledge) = (follower.context(), follower.knowledge());
        let namespace = FloorKey::namespace(&self.fill.source.namespace.name);
        let hot = &engine.l1.hot;
        Explanation {
            node: engine.settings.node,
            position: knowledge.map(|known| known.cursor.position),
            timeline: knowledge.map(|known| known.timeline),
            low: knowledge.map(|known| known.low),
            proof_age: age(context.proof, &context),
            floor: follower.ledger.sight(self.floor_key).floor(),
            bump: follower.ledger.parent_floor(namespace),
            hot: hot.find(self.key).map(|listed| HotExplanation {
                reasons: listed.reasons,
                age: context.now.since(listed.since),
                has_room: listed.has_room,
            }),
            banned: hot.is_banned(self.key),
            flight: engine.flights.class_of(self.key),
            tiers,
            recorded: checked.map(Recorded::of),
        }
    }
}

/// How long a copy lasts yet.
struct Lasting {
    proof_age: Option<Duration>,
    soft_ttl: Duration,
    hard_ttl: Duration,
}

impl Lasting {
    fn new(held: &Held, proved_at: Boot, context: &HitContext) -> Self {
        Lasting {
            proof_age: age(proved_at, context),
            soft_ttl: held.soft_at.since(context.now),
            hard_ttl: held.hard_at.since(context.now),
        }
    }
}

/// Time since a moment that may never have been.
fn age(moment: Boot, context: &HitContext) -> Option<Duration> {
    (moment != Boot::default()).then(|| context.now.since(moment))
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
