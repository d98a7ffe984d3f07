//! What the engine relies on in every tier.

use std::sync::Arc;

use bytes::Bytes;
use hotshelf_model::{
    Body, BreakerState, DbTime, Entry, FillFacts, Hist, Key, Kind, Lookup, MissReason, Parent,
    Parents, Position, PutOutcome, Shape, Stamp, Tier, TierKey, TierName, Timeline, Version,
};

use crate::names::{fresh_hist, id, key, namespace, products, random, tier_key, variant};

/// L3 declines a key's first put and takes the second.
const PUTS_MAX: usize = 3;
const BATCH: usize = 200;
const DOCUMENT_BYTES: usize = 1 << 20;

/// Runs the suite. `make` gives a tier that works, with room for a few hundred small documents and two of 1 MiB, and with
/// deadlines that a busy machine keeps; it may give the same one each time. Every case uses keys of its own.
///
/// # Panics
/// When the tier does not keep the contract of [`Tier`].
pub async fn tier(make: impl AsyncFn() -> Arc<dyn Tier>) {
    entries_come_back_as_they_were_put(&*make().await).await;
    documents_of_any_size_come_back(&*make().await).await;
    other_histories_shapes_and_variants_are_not_found(&*make().await).await;
    a_batch_is_answered_in_its_order(&*make().await).await;
    the_greatest_stamp_wins(&*make().await).await;
    the_greatest_stamp_wins_within_one_call(&*make().await).await;
    the_same_entry_can_be_put_again(&*make().await).await;
    what_is_removed_is_not_found(&*make().await).await;
    nothing_gives_nothing(&*make().await).await;
    odd_keys_are_told_apart(&*make().await).await;
    concurrent_puts_end_with_the_greatest(make().await).await;
    a_working_tier_says_so(&*make().await).await;
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

const NOT_FOUND: Lookup = Lookup::Miss(MissReason::NotFound);

async fn entries_come_back_as_they_were_put(tier: &dyn Tier) {
    let hist = fresh_hist();
    let stamp = stamp(3, 3 << 40 | 18_447, 901);
    let entries = [
        ("present", present("{\"id\":\"A-1\"}", stamp)),
        (
            "present, with everything",
            full(present("{\"id\":\"A-1\"}", stamp)),
        ),
        (
            "present, compressible",
            full(present("again and again ".repeat(600), stamp)),
        ),
        ("absent", Entry::absent(stamp, DbTime(1_700_000_000_000))),
        (
            "absent, with everything",
            full(Entry::absent(stamp, DbTime(0))),
        ),
        (
            "absent, never existed",
            Entry::absent(Stamp::default(), DbTime(9)),
        ),
    ];
    for (what, entry) in entries {
        let key = tier_key(hist, what);
        assert_eq!(
            get(tier, &key).await,
            NOT_FOUND,
            "{what}: not found before it is put"
        );
        assert_eq!(
            put(tier, &key, &entry).await,
            PutOutcome::Stored,
            "{what}: stored"
        );
        assert_eq!(
            get(tier, &key).await,
            Lookup::found(entry),
            "{what}: comes back as it was put"
        );
    }
}

async fn documents_of_any_size_come_back(tier: &dyn Tier) {
    let hist = fresh_hist();
    let noise = || {
        (0..DOCUMENT_BYTES / 8)
            .flat_map(|_| random().to_be_bytes())
            .collect::<Vec<u8>>()
    };
    let documents = [
        ("1 byte", vec![b'1']),
        ("1 MiB that compresses", vec![b'x'; DOCUMENT_BYTES]),
        ("1 MiB that does not compress", noise()),
    ];
    for (what, document) in documents {
        let (key, entry) = (tier_key(hist, what), present(document, stamp(1, 1, 1)));
        put(tier, &key, &entry).await;
        assert!(
            get(tier, &key).await == Lookup::found(entry),
            "a document of {what} comes back"
        );
    }
}

async fn other_histories_shapes_and_variants_are_not_found(tier: &dyn Tier) {
    let own = tier_key(fresh_hist(), "A-1");
    put(tier, &own, &present("{}", stamp(1, 5, 5))).await;
    let other_key = |key: Key| TierKey { key, ..own.clone() };
    let others = [
        (
            "history",
            TierKey {
                hist: Hist(own.hist.0 ^ 1),
                ..own.clone()
            },
        ),
        (
            "shape",
            TierKey {
                shape: Shape(own.shape.0 ^ 1),
                ..own.clone()
            },
        ),
        (
            "variant",
            other_key(Key::new(&products(), &id("A-1"), &variant("locale=de"))),
        ),
        (
            "namespace",
            other_key(Key::new(&namespace("cards"), &id("A-1"), &variant(""))),
        ),
        ("id", other_key(key("A-2"))),
    ];
    for (what, other) in others {
        assert_eq!(
            get(tier, &other).await,
            NOT_FOUND,
            "the key of another {what} is not found"
        );
        tier.remove_many(&[other]).await;
    }
    assert!(
        get(tier, &own).await.into_entry().is_some(),
        "removing other keys leaves this one"
    );
}

async fn a_batch_is_answered_in_its_order(tier: &dyn Tier) {
    let hist = fresh_hist();
    let entry = |number: usize| match number % 3 {
        0 => Some(present(
            format!("{{\"n\":{number}}}"),
            stamp(1, number as u64, 1),
        )),
        1 => Some(Entry::absent(stamp(1, number as u64, 1), DbTime(7))),
        _ => None,
    };
    let name = |number: usize| tier_key(hist, &format!("B-{number}"));
    let entries: Vec<(TierKey, Entry)> = (0..BATCH)
        .filter_map(|number| Some((name(number), entry(number)?)))
        .collect();
    put_many(tier, &entries).await;

    // 67 and 200 have no common factor, so this meets every key once, in no order that a tier would choose by itself.
    let mut asked: Vec<usize> = (0..BATCH).map(|number| number * 67 % BATCH).collect();
    for place in (0..BATCH).step_by(10) {
        asked[place] = asked[BATCH - 1 - place];
    }
    let keys: Vec<TierKey> = asked.iter().map(|&number| name(number)).collect();
    let answers = get_many(tier, &keys).await;
    for (number, answer) in asked.into_iter().zip(answers) {
        let expected = entry(number).map_or(NOT_FOUND, Lookup::found);
        assert_eq!(
            answer, expected,
            "a batch is answered in its order, duplicates and misses included"
        );
    }
}

/// In ascending order, with neighbours that differ in one part, and with parts that a floating-point number cannot hold.
fn ascending_stamps() -> Vec<Stamp> {
    vec![
        stamp(0, 0, 0),
        stamp(0, 0, 1),
        stamp(0, 1, 0),
        stamp(0, 1 << 32, 0),
        stamp(1, 0, u64::from(u32::MAX)),
        stamp(1, 0, 1 << 32),
        stamp(1, 1 << 40 | 9, 1 << 53),
        stamp(1, 1 << 40 | 9, (1 << 53) + 1),
        stamp(1, 1 << 63, 7),
        stamp(1, (1 << 63) + 1, 0),
        stamp(2, 1, 1),
        stamp(u32::MAX, u64::MAX, u64::MAX - 1),
        stamp(u32::MAX, u64::MAX, u64::MAX),
    ]
}

/// Every pair of stamps, each under a key of its own.
fn stamp_pairs(hist: Hist) -> Vec<(TierKey, Stamp, Stamp)> {
    let stamps = ascending_stamps();
    let count = stamps.len();
    let pair = |place: usize| (place / count, place % count);
    (0..count * count)
        .map(pair)
        .filter(|(first, second)| first != second)
        .map(|(first, second)| {
            let key = tier_key(hist, &format!("{first} then {second}"));
            (key, stamps[first], stamps[second])
        })
        .collect()
}

async fn the_greatest_stamp_wins(tier: &dyn Tier) {
    let pairs = stamp_pairs(fresh_hist());
    let firsts: Vec<_> = pairs
        .iter()
        .map(|(key, first, _)| (key.clone(), stamped(*first)))
        .collect();
    let seconds: Vec<_> = pairs
        .iter()
        .map(|(key, _, second)| (key.clone(), stamped(*second)))
        .collect();
    put_many(tier, &firsts).await;
    let outcomes = put_many(tier, &seconds).await;
    let keys: Vec<TierKey> = pairs.iter().map(|(key, ..)| key.clone()).collect();
    let answers = get_many(tier, &keys).await;
    for (((_, first, second), outcome), answer) in pairs.iter().zip(outcomes).zip(answers) {
        let newer = second > first;
        let expected = if newer {
            PutOutcome::Stored
        } else {
            PutOutcome::Fenced
        };
        assert_eq!(outcome, expected, "{second:?} put over {first:?}");
        let winner = stamped(*first.max(second));
        assert_eq!(
            answer,
            Lookup::found(winner),
            "{second:?} put over {first:?}: the greatest stays"
        );
    }
}

async fn the_greatest_stamp_wins_within_one_call(tier: &dyn Tier) {
    let key = tier_key(fresh_hist(), "A-1");
    let stamps = [stamp(1, 2, 1), stamp(1, 9, 1), stamp(1, 4, 1)];
    let entries = stamps.map(|stamp| (key.clone(), stamped(stamp)));
    put_many(tier, &entries).await;
    let greatest = Lookup::found(stamped(stamps[1]));
    assert_eq!(
        get(tier, &key).await,
        greatest,
        "one key three times in one call ends with the greatest"
    );
}

async fn the_same_entry_can_be_put_again(tier: &dyn Tier) {
    let key = tier_key(fresh_hist(), "A-1");
    let entry = full(present("{}", stamp(1, 5, 5)));
    put(tier, &key, &entry).await;
    put(tier, &key, &entry).await;
    assert_eq!(
        get(tier, &key).await,
        Lookup::found(entry),
        "an entry put twice stays as it is"
    );
}

async fn what_is_removed_is_not_found(tier: &dyn Tier) {
    let hist = fresh_hist();
    let keys = ["A-1", "A-2", "A-3"].map(|id| tier_key(hist, id));
    let entries = [5, 6, 7].map(|version| stamped(stamp(1, version, 5)));
    for (key, entry) in keys.iter().zip(&entries) {
        put(tier, key, entry).await;
    }
    let gone = [keys[0].clone(), tier_key(hist, "never"), keys[2].clone()];
    tier.remove_many(&gone).await;
    tier.remove_many(&gone).await;
    let answers = get_many(tier, &keys).await;
    let left = [NOT_FOUND, Lookup::found(entries[1].clone()), NOT_FOUND];
    assert_eq!(answers, left, "what is removed is not found, the rest is");
    let older = stamped(stamp(1, 1, 1));
    put(tier, &keys[0], &older).await;
    assert_eq!(
        get(tier, &keys[0]).await,
        Lookup::found(older),
        "a removed key takes any entry again"
    );
}

async fn nothing_gives_nothing(tier: &dyn Tier) {
    assert!(tier.get_many(&[]).await.is_empty(), "no keys, no answers");
    assert!(
        tier.put_many(&[]).await.is_empty(),
        "no entries, no outcomes"
    );
    tier.remove_many(&[]).await;
}

async fn odd_keys_are_told_apart(tier: &dyn Tier) {
    let hist = fresh_hist();
    let keys: Vec<TierKey> = odd_ids().iter().map(|id| tier_key(hist, id)).collect();
    let entries: Vec<Entry> = (1..)
        .map(|version| stamped(stamp(1, version, 1)))
        .take(keys.len())
        .collect();
    let pairs: Vec<_> = keys.iter().cloned().zip(entries.iter().cloned()).collect();
    put_many(tier, &pairs).await;
    let answers = get_many(tier, &keys).await;
    for ((key, entry), answer) in pairs.into_iter().zip(answers) {
        assert_eq!(
            answer,
            Lookup::found(entry),
            "the odd key {key} keeps its entry"
        );
    }
}

/// Ids that break what does not quote, escape, compare or measure them rightly; no two are the same id.
pub(super) fn odd_ids() -> Vec<String> {
    let odd = [
        "a/b",
        "a//b",
        "a/b/c",
        "{tag}",
        "{a}{b}",
        "a{",
        "}a",
        "a b",
        "a  b",
        "100%",
        "a%2Fb",
        "a_b",
        "it's",
        "\"quoted\"",
        "back\\slash",
        "a,b",
        "a;b",
        "a:b",
        "a?b=c&d",
        "a#b",
        "*",
        "[a-z]",
        "a\u{a0}b",
        "abc",
        "ABC",
        "e\u{301}",
        "\u{e9}",
        "блок 7",
        "日本語",
        "🛒",
        "$1",
        "--",
        "NULL",
        "0",
        "00",
    ];
    let long = [
        "x".repeat(128),
        "é".repeat(64),
        "日".repeat(42),
        "🛒".repeat(32),
    ];
    odd.iter().map(|&id| id.to_owned()).chain(long).collect()
}

async fn concurrent_puts_end_with_the_greatest(tier: Arc<dyn Tier>) {
    let hist = fresh_hist();
    let keys: Arc<[TierKey]> = (0..4)
        .map(|number| tier_key(hist, &format!("C-{number}")))
        .collect();
    for key in keys.iter() {
        put(&*tier, key, &stamped(Stamp::default())).await;
    }
    let writers: Vec<_> = (0..8)
        .map(|_| tokio::spawn(put_at_random(tier.clone(), keys.clone())))
        .collect();
    let mut greatest = vec![Stamp::default(); keys.len()];
    for writer in writers {
        let Ok(stamps) = writer.await else {
            assert!(
                std::thread::panicking(),
                "a concurrent put or lookup failed, as said above"
            );
            return;
        };
        for (greatest, stamp) in greatest.iter_mut().zip(stamps) {
            *greatest = stamp.max(*greatest);
        }
    }
    let answers = get_many(&*tier, &keys).await;
    let expected: Vec<Lookup> = greatest
        .into_iter()
        .map(|stamp| Lookup::found(stamped(stamp)))
        .collect();
    assert_eq!(
        answers, expected,
        "concurrent puts end with the greatest stamp"
    );
}

/// Puts random stamps on every key and checks that no key goes back meanwhile; answers the greatest stamp put on each.
async fn put_at_random(tier: Arc<dyn Tier>, keys: Arc<[TierKey]>) -> Vec<Stamp> {
    let mut greatest = vec![Stamp::default(); keys.len()];
    for _ in 0..25 {
        let stamps: Vec<Stamp> = keys
            .iter()
            .map(|_| stamp(1, random() % 1000, random() % 10))
            .collect();
        let entries: Vec<_> = keys
            .iter()
            .cloned()
            .zip(stamps.iter().copied().map(stamped))
            .collect();
        put_many(&*tier, &entries).await;
        for (greatest, stamp) in greatest.iter_mut().zip(stamps) {
            *greatest = stamp.max(*greatest);
        }
        for (answer, &own) in get_many(&*tier, &keys).await.into_iter().zip(&greatest) {
            let held = answer.into_entry();
            assert!(
                held.as_ref().is_some_and(|held| held.stamp >= own),
                "a key holds {held:?} after {own:?} was put"
            );
            assert_eq!(
                held.clone(),
                held.map(|held| stamped(held.stamp)),
                "stamp and document belong together"
            );
        }
    }
    greatest
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

#[cfg(test)]
mod tests;
