//! What the engine relies on in every tier.

mod entries;
mod fencing;

use std::sync::Arc;

use bytes::Bytes;
use hotshelf_model::{
    Body, BreakerState, DbTime, Entry, FillFacts, Kind, Lookup, MissReason, Parent, Parents,
    Position, PutOutcome, Stamp, Tier, TierKey, TierName, Timeline, Version,
};

use crate::names::namespace;

/// L3 declines a key's first put and takes the second.
const PUTS_MAX: usize = 3;
const NOT_FOUND: Lookup = Lookup::Miss(MissReason::NotFound);

/// Runs the suite. `make` gives a tier that works, with room for a few hundred small documents and two of 1 MiB, and with
/// deadlines that a busy machine keeps; it may give the same one each time. Every case uses keys of its own. The entries' times lie
/// in the past, because freshness is not the tier's to judge.
///
/// # Panics
/// When the tier does not keep the contract of [`Tier`].
pub async fn tier(make: impl AsyncFn() -> Arc<dyn Tier>) {
    entries::entries_come_back_as_they_were_put(&*make().await).await;
    entries::documents_of_any_size_come_back(&*make().await).await;
    entries::other_histories_shapes_and_variants_are_not_found(&*make().await).await;
    entries::a_batch_is_answered_in_its_order(&*make().await).await;
    fencing::the_greatest_stamp_wins(&*make().await).await;
    fencing::the_greatest_stamp_wins_within_one_call(&*make().await).await;
    fencing::the_same_entry_can_be_put_again(&*make().await).await;
    entries::what_is_removed_is_not_found(&*make().await).await;
    entries::nothing_gives_nothing(&*make().await).await;
    entries::odd_keys_are_told_apart(&*make().await).await;
    fencing::concurrent_puts_end_with_the_greatest(make().await).await;
    a_working_tier_says_so(&*make().await).await;
}

async fn a_working_tier_says_so(tier: &dyn Tier) {
    assert!(
        matches!(tier.name(), TierName::L2 | TierName::L3),
        "a tier outside the process is L2 or L3"
    );
    assert_eq!(
        tier.status().breaker,
        BreakerState::Closed,
        "the breaker of a tier that works is closed"
    );
}

fn stamp(timeline: u32, version: u64, position: u64) -> Stamp {
    Stamp {
        timeline: Timeline(timeline),
        version: Version(version),
        position: Position(position),
    }
}

fn present(document: impl Into<Bytes>, stamp: Stamp) -> Entry {
    let body = Body {
        identity: document.into(),
        zstd: None,
    };
    Entry::present(body, stamp, DbTime(1_700_000_000_123))
}

/// A document that says which stamp it belongs to.
fn stamped(stamp: Stamp) -> Entry {
    present(format!("{stamp:?}"), stamp)
}

/// With everything that an entry can carry.
fn full(mut entry: Entry) -> Entry {
    let parent = |number: u64| {
        let name = namespace(&format!("parent{number}"));
        Parent::namespace(&name, Version(1 << 40 | number))
    };
    let parents: Vec<Parent> = (0..8).map(parent).collect();
    entry.parents = Parents::new(&parents).unwrap_or_default();
    entry.valid_until = Some(DbTime(1_700_000_060_000));
    entry.facts = FillFacts {
        node: 4,
        fetch_us: 350,
    };
    entry
}

/// A tier may compress a document and hand both forms out.
fn plain(entry: Entry) -> Entry {
    let mut same = match entry.kind() {
        Kind::Present => present(entry.body().identity.clone(), entry.stamp),
        Kind::Absent => Entry::absent(entry.stamp, entry.fetched_at),
    };
    same.fetched_at = entry.fetched_at;
    same.valid_until = entry.valid_until;
    same.facts = entry.facts;
    same.parents = entry.parents;
    same
}

async fn get(tier: &dyn Tier, key: &TierKey) -> Lookup {
    let mut answers = get_many(tier, std::slice::from_ref(key)).await;
    answers.remove(0)
}

async fn get_many(tier: &dyn Tier, keys: &[TierKey]) -> Vec<Lookup> {
    let answers = tier.get_many(keys).await;
    assert_eq!(answers.len(), keys.len(), "each key has one answer");
    let plain = |lookup| match lookup {
        Lookup::Hit(entry) => Lookup::Hit(plain(entry)),
        Lookup::Absent(entry) => Lookup::Absent(plain(entry)),
        other @ (Lookup::Miss(_) | Lookup::Unavailable(_)) => other,
    };
    answers.into_iter().map(plain).collect()
}

/// Puts entries; those that admission declines are put again.
async fn put_many(tier: &dyn Tier, entries: &[(TierKey, Entry)]) -> Vec<PutOutcome> {
    let mut outcomes = tier.put_many(entries).await;
    assert_eq!(outcomes.len(), entries.len(), "each entry has one outcome");
    for _ in 1..PUTS_MAX {
        for (outcome, entry) in outcomes.iter_mut().zip(entries) {
            if *outcome == PutOutcome::Declined {
                *outcome = tier.put_many(std::slice::from_ref(entry)).await.remove(0);
            }
        }
    }
    let taken = |outcome: &PutOutcome| matches!(outcome, PutOutcome::Stored | PutOutcome::Fenced);
    assert!(
        outcomes.iter().all(taken),
        "a put is stored or fenced within {PUTS_MAX} attempts: {outcomes:?}"
    );
    outcomes
}

async fn put(tier: &dyn Tier, key: &TierKey, entry: &Entry) -> PutOutcome {
    put_many(tier, &[(key.clone(), entry.clone())])
        .await
        .remove(0)
}

#[cfg(test)]
mod tests;
