//! A copy gives way to a greater stamp only.

use std::sync::Arc;

use hotshelf_model::{Hist, Lookup, PutOutcome, Stamp, Tier, TierKey};

use super::{full, get, get_many, present, put, put_many, stamp, stamped};
use crate::names::{fresh_hist, random, tier_key};

pub(super) async fn the_greatest_stamp_wins(tier: &dyn Tier) {
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

pub(super) async fn the_greatest_stamp_wins_within_one_call(tier: &dyn Tier) {
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

pub(super) async fn the_same_entry_can_be_put_again(tier: &dyn Tier) {
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

pub(super) async fn concurrent_puts_end_with_the_greatest(tier: Arc<dyn Tier>) {
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
