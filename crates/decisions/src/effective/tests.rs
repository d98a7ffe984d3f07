//! What is in force follows from documents, node and time alone: expiry, overlap, and whom a switch is for.

use std::time::Duration;

use hotshelf_engine::Part;

use super::*;
use crate::document::{Act, Document};
use crate::pins::Room;
use crate::switches::SwitchEntry;

fn until(until_ms: impl Into<Option<u64>>) -> Act {
    Act {
        until_ms: until_ms.into(),
        at_ms: 1,
        who: "ops".to_owned(),
        why: "the sale".to_owned(),
    }
}

fn entry(switch: Switch, text: &str, node: Option<&str>, act: Act) -> SwitchEntry {
    SwitchEntry {
        switch,
        text: text.to_owned(),
        value: SwitchValue::parse(switch, text).unwrap(),
        node: node.map(str::to_owned),
        act,
    }
}

fn key(id: &str) -> Key {
    Key::parse(&format!("products//{id}")).unwrap()
}

fn pinned(ids: &[&str], act: &Act) -> Pins {
    let room = Room {
        keys: 9,
        bytes: 999,
    };
    let keys = ids.iter().map(|id| (key(id), 10));
    Pins::default().with(keys, act, room).unwrap()
}

fn switched(entries: Vec<SwitchEntry>) -> SwitchEntries {
    let entries = entries.into_iter();
    entries.fold(SwitchEntries::default(), SwitchEntries::with)
}

fn at(switches: &SwitchEntries, node: &str, now: u64) -> Effective {
    effective(&Pins::default(), switches, node, DbTime(now))
}

#[test]
fn a_pin_ends_at_its_moment_and_the_next_moment_is_known() {
    let room = Room {
        keys: 9,
        bytes: 999,
    };
    let pins = pinned(&["a"], &until(100));
    let pins = pins.with([(key("b"), 1)], &until(200), room).unwrap();
    let pins = pins.with([(key("c"), 1)], &until(None), room).unwrap();
    let look = |now| {
        let none = SwitchEntries::default();
        let effective = effective(&pins, &none, "one", DbTime(now));
        (effective.pins.len(), effective.changes_at)
    };
    assert_eq!(look(99), (3, Some(DbTime(100))));
    assert_eq!(look(100), (2, Some(DbTime(200))));
    assert_eq!(look(200), (1, None));
    assert_eq!(look(0), (3, Some(DbTime(100))), "a clock that was set back");
    assert_eq!(pins.current(DbTime(150)).len(), 2);
}

#[test]
fn the_nodes_own_decision_holds_before_that_of_the_cluster_until_it_ends() {
    let switches = switched(vec![
        entry(Switch::L2, "off", None, until(300)),
        entry(Switch::L2, "on", Some("one"), until(100)),
        entry(Switch::Origin, "off", Some("two"), until(None)),
    ]);
    let is_off = |node, now, part| at(&switches, node, now).switches.is_off(part);
    assert!(!is_off("one", 99, Part::L2));
    assert!(is_off("one", 100, Part::L2), "the cluster's again");
    assert!(is_off("two", 99, Part::L2) && !is_off("two", 300, Part::L2));
    assert!(is_off("two", 999, Part::Origin) && !is_off("one", 999, Part::Origin));
    assert_eq!(at(&switches, "two", 99).switched, 2);
    assert_eq!(at(&switches, "one", 99).switched, 0);
    assert_eq!(at(&switches, "one", 100).changes_at, Some(DbTime(300)));
}

#[test]
fn every_switch_is_carried_out_and_ends_as_if_it_had_never_been() {
    let minutes = Duration::from_secs(600);
    let switches = switched(vec![
        entry(Switch::L3, "off", None, until(100)),
        entry(Switch::Refresh, "off", None, until(100)),
        entry(Switch::Promotion, "frozen", None, until(100)),
        entry(Switch::StaleCap, "10m", None, until(100)),
        entry(Switch::Log, "debug", None, until(100)),
    ]);
    let now = at(&switches, "one", 99);
    assert!(now.switches.is_off(Part::L3) && now.switches.is_off(Part::Refresh));
    assert_eq!(now.switches.stale_cap(), Some(minutes));
    assert!(now.promotion_frozen);
    assert_eq!(now.log_filter.as_deref(), Some("debug"));
    assert_eq!(at(&switches, "one", 100), Effective::default());
}

#[test]
fn a_later_decision_takes_the_place_of_an_earlier_one_for_the_same() {
    let switches = switched(vec![
        entry(Switch::L2, "off", None, until(100)),
        entry(Switch::L2, "on", None, until(50)),
    ]);
    assert_eq!(
        at(&switches, "one", 10),
        Effective {
            changes_at: Some(DbTime(50)),
            ..Effective::default()
        }
    );
    assert_eq!(at(&switches, "one", 60), Effective::default());
    let none = switches.without(Switch::L2, None);
    assert_eq!(none, SwitchEntries::default());
}

#[test]
fn documents_are_read_as_they_were_written_and_others_are_refused() {
    let pins = pinned(&["a", "b"], &until(100));
    assert_eq!(Pins::from_json(&pins.to_json()).unwrap(), pins);
    let switches = switched(vec![
        entry(Switch::StaleCap, "24h", None, until(None)),
        entry(Switch::L2, "off", Some("one"), until(7)),
    ]);
    assert_eq!(
        SwitchEntries::from_json(&switches.to_json()).unwrap(),
        switches
    );
    let newer = pins.to_json().replace("\"format\":1", "\"format\":2");
    assert!(Pins::from_json(&newer).unwrap_err().contains("format 2"));
    let unknown = switches.to_json().replace("\"l2\"", "\"l4\"");
    let error = SwitchEntries::from_json(&unknown).unwrap_err();
    assert!(error.contains("`l4` is no switch"), "{error}");
    assert!(Pins::from_json("{").is_err());
}

#[test]
fn pins_beyond_the_room_are_refused_with_what_is_short() {
    let room = Room { keys: 2, bytes: 15 };
    let add = |ids: &[&str]| {
        let keys = ids.iter().map(|id| (key(id), 10));
        let outcome = Pins::default().with(keys, &until(None), room);
        outcome.map(|pins| pins.len()).map_err(|no| no.to_string())
    };
    assert_eq!(add(&["a"]), Ok(1));
    let short = add(&["a", "b"]).unwrap_err();
    assert!(short.ends_with(": 5 bytes short"), "{short}");
    let short = add(&["a", "b", "c"]).unwrap_err();
    assert!(short.ends_with(": 1 keys and 15 bytes short"), "{short}");
}

#[test]
fn what_a_switch_does_not_take_is_no_value() {
    let parse = SwitchValue::parse;
    for (switch, text) in [
        (Switch::L2, "frozen"),
        (Switch::Promotion, "off"),
        (Switch::StaleCap, "8d"),
        (Switch::StaleCap, "ten"),
        (Switch::StaleCap, "18446744073709551615d"),
        (Switch::Log, "hotshelf=loud"),
    ] {
        assert_eq!(parse(switch, text), None, "{switch} {text}");
    }
    assert_eq!(parse(Switch::Promotion, "frozen"), Some(SwitchValue::Off));
}
