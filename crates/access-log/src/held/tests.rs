//! What goes in comes out, however long its texts are.

use std::time::Duration;

use hotshelf_model::{Asker, Key};
use proptest::prelude::*;

use super::*;
use crate::TEXT_BYTES_MAX;
use crate::recorder::ring::ring;

fn read<'a>(key: &'a Key, asker: Asker<'a>) -> Read<'a> {
    Read {
        key: KeyRef::from(key),
        at: Boot(7),
        latency: Some(Duration::from_nanos(300)),
        tier: TierName::L3,
        outcome: ReadOutcome::Stale,
        version: Version(9),
        bytes: 11,
        is_interactive: true,
        asker,
    }
}

fn key(id: &str) -> Key {
    Key::parse(&format!("products/locale=de/{id}")).unwrap()
}

/// What comes out of a ring, and the words that it took there.
fn held(read: &Read<'_>) -> (HeldRead, usize) {
    let (mut producer, mut consumer) = ring(64);
    assert!(push(&mut producer, read));
    let (mut held, mut words) = (HeldRead::new(), 0);
    let end = consumer.end();
    assert!(consumer.take(end, |slots| {
        words = held.take(slots);
        words
    }));
    assert!(!consumer.take(end, |_| 0), "that was all");
    (held, words)
}

const LINE_WORDS: usize = 8;

#[test]
fn what_is_told_of_a_read_comes_out_again() {
    let asker = Asker {
        request_id: "0123456789abcdef",
        caller: "product-page",
    };
    for id in ["SKU-1", &*"x".repeat(128)] {
        let key = key(id);
        let (held, _) = held(&read(&key, asker));
        assert_eq!(held.key_text(), key.as_str());
        let record = held.record(5);
        assert_eq!(
            (record.key.as_str(), record.key),
            (key.as_str(), held.key())
        );
        assert_eq!((record.at_ms, record.reads, held.at()), (5, 1, Boot(7)));
        assert_eq!(
            (record.tier, record.outcome),
            (TierName::L3, ReadOutcome::Stale)
        );
        assert_eq!((record.version, record.bytes), (Version(9), 11));
        assert_eq!(record.latency_ns, Some(300));
        assert!(held.is_interactive());
        assert_eq!(
            (record.request_id, record.caller),
            (asker.request_id, asker.caller)
        );
    }
}

#[test]
fn a_hit_takes_one_cache_line_and_a_request_two() {
    let key = key("0123456789abcdefghijk");
    assert_eq!(key.as_str().len(), 40);
    let hit = Read {
        latency: None,
        ..read(&key, Asker::default())
    };
    assert_eq!(held(&hit).1, LINE_WORDS);
    let asker = Asker {
        request_id: "0123456789abcdef0123456789abcdef",
        caller: "checkout",
    };
    assert!(held(&read(&key, asker)).1 <= 2 * LINE_WORDS);
}

#[test]
fn what_was_not_measured_stays_so_and_what_is_too_great_is_cut() {
    let key = key("a");
    let read = Read {
        latency: None,
        is_interactive: false,
        ..read(&key, Asker::default())
    };
    let (plain, _) = held(&read);
    assert_eq!(plain.record(0).latency_ns, None);
    assert!(!plain.is_interactive());
    let (asked, _) = held(&Read {
        asker: Asker {
            request_id: "r",
            caller: "",
        },
        ..read
    });
    assert_eq!(asked.record(0).latency_ns, None);
    let (long, _) = held(&Read {
        latency: Some(Duration::MAX),
        bytes: u64::MAX,
        ..read
    });
    assert_eq!(long.record(0).latency_ns, Some((1 << 48) - 2));
    assert_eq!(long.record(0).bytes, u64::from(u32::MAX));
}

#[test]
fn memory_of_one_record_does_not_show_in_the_next() {
    let (mut producer, mut consumer) = ring(8);
    let (long, short) = (key(&"x".repeat(100)), key("b"));
    let asker = Asker {
        request_id: "r-1",
        caller: "checkout",
    };
    let plain = Read {
        latency: None,
        ..read(&short, Asker::default())
    };
    assert!(push(&mut producer, &read(&long, asker)) && push(&mut producer, &plain));
    let mut held = HeldRead::new();
    let end = consumer.end();
    while consumer.take(end, |words| held.take(words)) {}
    let record = held.record(0);
    assert_eq!(record.key, KeyRef::from(&short));
    assert_eq!(
        (record.request_id, record.caller, record.latency_ns),
        ("", "", None)
    );
}

proptest! {
    #[test]
    fn texts_of_any_length_come_back(id in "[a-zäß€]{1,40}", request_id in "\\PC{0,100}", caller in "\\PC{0,100}") {
        let key = key(&id);
        let asker = Asker { request_id: &request_id, caller: &caller };
        let (held, _) = held(&read(&key, asker));
        let record = held.record(0);
        prop_assert_eq!(record.key, KeyRef::from(&key));
        for (text, kept) in [(&request_id, record.request_id), (&caller, record.caller)] {
            prop_assert!(text.starts_with(kept) && kept.len() <= TEXT_BYTES_MAX);
            prop_assert!(kept.len() == text.len() || text.len() > TEXT_BYTES_MAX);
        }
    }
}
