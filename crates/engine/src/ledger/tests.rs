//! What the ledger knows after single records; the orders of threads are in `interleavings`.

use std::collections::HashMap;
use std::sync::Arc;

use hotshelf_coherence::Verdict;
use hotshelf_model::{
    Body, DbTime, Entry, FreshnessPolicy, Head, Hist, Namespace, Parent, Shape, Stamp, Timeline,
    VariantSchema,
};

use super::*;
use crate::flight::Flights;
use crate::l1::L1;
use crate::settings::EngineSettings;
use crate::slot::{Commons, Lifetime};

const HEAD: u64 = 10;

fn name(name: &str) -> NamespaceName {
    NamespaceName::new(name).unwrap()
}

fn id(id: &str) -> Id {
    Id::new(id).unwrap()
}

fn ledger(floors_max: usize) -> Ledger {
    let copies = Copies {
        l1: Arc::new(L1::new(&EngineSettings::default())),
        flights: Flights::new(8),
        variants: HashMap::new(),
    };
    Ledger::new(copies, floors_max)
}

fn poll(timeline: u32, position: u64) -> Poll {
    Poll {
        head: Head {
            hist: Hist(1),
            timeline: Timeline(timeline),
            position: Position(position),
            now: DbTime(1_000),
            primary: true,
        },
        head_nonce: 7,
        known_nonce: Some(7),
        oldest: Position(1),
        version_max: Version(0),
        settled: true,
        sequenced: None,
    }
}

fn started(floors_max: usize) -> Ledger {
    let ledger = ledger(floors_max);
    ledger.start(None, &poll(1, HEAD));
    ledger
}

fn key(product: &str, version: u64) -> Record {
    Record::Key {
        namespace: name("products"),
        id: id(product),
        version: Version(version),
    }
}

fn bump(namespace: &str, version: u64) -> Record {
    Record::Parent {
        namespace: name(namespace),
        version: Version(version),
    }
}

fn context(ledger: &Ledger) -> HitContext {
    HitContext {
        generation: ledger.generation(),
        proof: ledger.proof(),
        now: Boot(9_000_000_000),
        db_now: DbTime(1_000),
        staleness_bound: std::time::Duration::from_secs(2),
    }
}

/// A copy that was admitted at the head, with its namespace not bumped yet.
fn copy(ledger: &Ledger) -> Slot {
    let namespace = Namespace {
        name: name("products"),
        variants: VariantSchema::default(),
        shape: Shape(7),
        policy: FreshnessPolicy::default(),
        tracked: true,
        document_bytes_max: 1 << 20,
    };
    let stamp = Stamp {
        timeline: Timeline(1),
        version: Version(1),
        position: Position(HEAD),
    };
    let mut entry = Entry::present(Body::default(), stamp, DbTime(1_000));
    entry.parents = Parents::new(&[Parent::namespace(&namespace.name, Version(1))]).unwrap();
    let lifetime = Lifetime {
        as_of: Boot(1_000_000_000),
        soft_at: Boot(60_000_000_000),
        hard_at: Boot(90_000_000_000),
    };
    Slot::new(
        &entry,
        &Commons::new(&namespace),
        ledger.generation(),
        lifetime,
    )
}

fn floor(ledger: &Ledger, product: &str) -> Version {
    ledger.sight(FloorKey::of("products", product)).floor()
}

fn hint(ledger: &Ledger, version: u64, hist: Option<Hist>) -> HintOutcome {
    let new = NewVersion {
        namespace: &name("products"),
        id: &id("lamp"),
        version: Version(version),
    };
    ledger.hint(&new, hist, None)
}

#[test]
fn a_record_raises_its_floor_in_whatever_order_records_come() {
    let ledger = started(1_024);
    for (version, position) in [(5, 13), (3, 11), (5, 13), (4, 12)] {
        ledger.apply(&key("lamp", version), Position(position));
    }
    assert_eq!(floor(&ledger, "lamp"), Version(5));
    assert_eq!(floor(&ledger, "vase"), Version::NONE);
}

#[test]
fn a_copy_is_checked_once_for_each_bump_and_dies_of_its_own() {
    let ledger = started(1_024);
    let slot = copy(&ledger);
    assert!(ledger.is_living(&slot, &context(&ledger)));
    ledger.apply(&bump("cards", 2), Position(11));
    assert_ne!(slot.parents_checked(), ledger.parent_generation());
    assert!(ledger.is_living(&slot, &context(&ledger)));
    assert_eq!(slot.parents_checked(), ledger.parent_generation());
    ledger.apply(&bump("products", 2), Position(12));
    assert!(!ledger.is_living(&slot, &context(&ledger)));
}

#[test]
fn a_bump_whose_floor_is_given_up_makes_every_copy_suspect() {
    let ledger = started(1_024);
    let slot = copy(&ledger);
    ledger.apply(&bump("products", 2), Position(11));
    let before = context(&ledger);
    for number in 0..PARENT_FLOORS_MAX as u64 {
        let other = format!("cards_{number}");
        ledger.apply(&bump(&other, 3 + number), Position(12 + number));
    }
    let products = FloorKey::namespace(&name("products"));
    assert_eq!(
        ledger.parents.lock().of(products),
        Version::NONE,
        "given up"
    );
    assert!(!ledger.is_living(&slot, &before), "whoever began before");
    let verdict = hotshelf_coherence::judge(&slot.held(), &context(&ledger));
    assert_eq!(verdict, Verdict::Suspect);
    assert!(ledger.knowledge().unwrap().low >= Position(11));
}

#[test]
fn what_is_hinted_outlives_lost_rows_and_not_a_failover() {
    let ledger = started(1_024);
    let asked = Cursor {
        position: Position(HEAD),
        nonce: 7,
    };
    assert_eq!(hint(&ledger, 1 << 40 | 9, Some(Hist(1))), HintOutcome::News);
    assert_eq!(hint(&ledger, 1 << 40 | 9, None), HintOutcome::Known);
    assert_eq!(
        hint(&ledger, 1 << 40 | 99, Some(Hist(2))),
        HintOutcome::Foreign
    );
    ledger.apply(&key("vase", 1 << 40 | 8), Position(11));
    ledger.learn(asked, &poll(1, 20), true);
    assert_eq!(floor(&ledger, "lamp"), Version(1 << 40 | 9));
    assert_eq!(
        floor(&ledger, "vase"),
        Version::NONE,
        "the low mark says it"
    );
    ledger.learn(asked, &poll(2, 21), false);
    assert_eq!(floor(&ledger, "lamp"), Version::NONE, "it may be lost");
    assert_eq!(hint(&ledger, 1 << 40 | 10, None), HintOutcome::Foreign);
}

#[test]
fn a_label_does_not_count_from_a_proof_that_knew_of_an_unchecked_bump() {
    let ledger = started(1_024);
    let (checked, unchecked) = (copy(&ledger), copy(&ledger));
    assert!(ledger.is_living(&checked, &context(&ledger)));
    ledger.apply(&bump("cards", 2), Position(11));
    assert!(ledger.is_living(&checked, &context(&ledger)));
    ledger.prove(Boot(5_000_000_000));
    let asked = Cursor {
        position: Position(HEAD),
        nonce: 7,
    };
    ledger.learn(asked, &poll(2, 20), false);
    let context = context(&ledger);
    assert_eq!(ledger.proved_at(&checked, &context), Boot(5_000_000_000));
    assert_eq!(ledger.proved_at(&unchecked, &context), Boot(1_000_000_000));
}

#[test]
fn a_checkpoint_with_more_floors_than_there_is_room_for_raises_the_low_mark() {
    let before = started(65_536);
    for number in 0..4_000 {
        before.apply(&key(&format!("p{number}"), 2), Position(HEAD + 1 + number));
    }
    let (checkpoint, floors) = before.save().unwrap();
    assert_eq!((floors.keys.len(), checkpoint.low), (4_000, Position(HEAD)));
    let after = ledger(256);
    let asked = poll(1, 5_000);
    let step = after.start(
        Some((checkpoint, floors)),
        &Poll {
            known_nonce: Some(7),
            ..asked
        },
    );
    assert_eq!(step, PollStep::Behind);
    let low = after.knowledge().unwrap().low.0;
    for number in 0..4_000 {
        let is_covered =
            HEAD + 1 + number <= low || floor(&after, &format!("p{number}")) == Version(2);
        assert!(is_covered, "the change of p{number} is forgotten");
    }
    assert!(low < HEAD + 4_000, "what there is room for is kept");
}
