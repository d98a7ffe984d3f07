//! Entries come back whole, in order, and under their own keys only.

use hotshelf_model::{DbTime, Entry, Hist, Key, Lookup, PutOutcome, Shape, Stamp, Tier, TierKey};

use super::{NOT_FOUND, full, get, get_many, present, put, put_many, stamp, stamped};
use crate::conformance::odd_ids::odd_ids;
use crate::names::{fresh_hist, id, key, namespace, products, random, tier_key, variant};

const BATCH: usize = 200;
const DOCUMENT_BYTES: usize = 1 << 20;

pub(super) async fn entries_come_back_as_they_were_put(tier: &dyn Tier) {
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

pub(super) async fn documents_of_any_size_come_back(tier: &dyn Tier) {
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

pub(super) async fn other_histories_shapes_and_variants_are_not_found(tier: &dyn Tier) {
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

pub(super) async fn a_batch_is_answered_in_its_order(tier: &dyn Tier) {
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

pub(super) async fn what_is_removed_is_not_found(tier: &dyn Tier) {
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

pub(super) async fn nothing_gives_nothing(tier: &dyn Tier) {
    assert!(tier.get_many(&[]).await.is_empty(), "no keys, no answers");
    assert!(
        tier.put_many(&[]).await.is_empty(),
        "no entries, no outcomes"
    );
    tier.remove_many(&[]).await;
}

pub(super) async fn odd_keys_are_told_apart(tier: &dyn Tier) {
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
