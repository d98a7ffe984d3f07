//! What goes in comes out, however long its texts are.

use std::time::Duration;

use hotshelf_model::{Asker, Key};
use proptest::prelude::*;

use super::*;
use crate::TEXT_BYTES_MAX;

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

#[test]
fn a_usual_read_is_held_in_place_and_a_long_one_is_held_too() {
    let asker = Asker {
        request_id: "0123456789abcdef",
        caller: "product-page",
    };
    for (id, is_in_place) in [("SKU-1", true), (&*"x".repeat(128), false)] {
        let key = key(id);
        let held = HeldRead::of(&read(&key, asker));
        assert_eq!(held.long.is_none(), is_in_place);
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
        assert_eq!(
            (record.request_id, record.caller),
            (asker.request_id, asker.caller)
        );
    }
}

#[test]
fn what_was_not_measured_stays_so() {
    let key = key("a");
    let read = Read {
        latency: None,
        is_interactive: false,
        ..read(&key, Asker::default())
    };
    let held = HeldRead::of(&read);
    assert_eq!(held.record(0).latency_ns, None);
    assert!(!held.is_interactive());
}

proptest! {
    #[test]
    fn texts_of_any_length_come_back(id in "[a-z]{1,128}", request_id in "\\PC{0,100}", caller in "\\PC{0,100}") {
        let key = key(&id);
        let asker = Asker { request_id: &request_id, caller: &caller };
        let held = HeldRead::of(&read(&key, asker));
        let record = held.record(0);
        prop_assert_eq!(record.key, KeyRef::from(&key));
        for (text, kept) in [(&request_id, record.request_id), (&caller, record.caller)] {
            prop_assert!(text.starts_with(kept) && kept.len() <= TEXT_BYTES_MAX);
            prop_assert!(kept.len() == text.len() || text.len() > TEXT_BYTES_MAX);
        }
    }
}
