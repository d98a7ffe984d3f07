//! A leader begins with what was hot, says each change once, and a standby says that it is there.

use hotshelf_hotkeys::{
    Action, Demotion, DemotionReason, Entry, Promotion, PromotionReason, RuleText,
};

use super::*;
use crate::testing::{HIST, key, told};

const START: Boot = Boot(3_600_000_000_000);
const OWN: Sender = Sender {
    node: 1,
    incarnation: 2,
};

fn detecting(rules: Rules, seat: usize) -> Detecting {
    Detecting::new(Arc::new(rules), Limits::default(), OWN, HIST, seat, START)
}

/// A board that has carried these messages out.
fn board(messages: &[HotMessage]) -> Board {
    let mut board = Board::new();
    board.set_hist(HIST);
    for message in messages {
        board.take(HIST, message, START);
    }
    board
}

fn knowing(ids: &[&str]) -> Board {
    let keys: Vec<Told> = ids.iter().map(|id| told(id)).collect();
    let parts = Snapshot::parts_of(HotCursor { term: 5, number: 3 }, &keys);
    let parts: Vec<HotMessage> = parts.into_iter().map(HotMessage::Snapshot).collect();
    board(&parts)
}

/// What a snapshot at the beginning of term 9 has.
fn ids(message: &HotMessage) -> Vec<&str> {
    let HotMessage::Snapshot(base) = message else {
        panic!("{message:?}");
    };
    assert_eq!(base.cursor, HotCursor { term: 9, number: 0 });
    let mut ids: Vec<&str> = base.keys.iter().map(|told| told.key.id()).collect();
    ids.sort_unstable();
    ids
}

/// What the first decision of term 9 and those after it say.
fn words(message: &HotMessage) -> Vec<String> {
    let HotMessage::Decided(decided) = message else {
        panic!("{message:?}");
    };
    assert_eq!(decided.first, HotCursor { term: 9, number: 1 });
    decided.decisions.iter().map(word).collect()
}

fn word(announced: &Announced) -> String {
    match announced {
        Announced::Promoted(told) => format!("+{}", told.key.id()),
        Announced::Demoted(key, why) => format!("-{} {}", key.id(), why.as_str()),
    }
}

/// A second of a key's reads, 2,000 of them, and its name.
fn surge(detecting: &mut Detecting, id: &str) {
    for slice in 0..10 {
        let now = START.plus(Duration::from_millis(100 * slice));
        let entry = Entry {
            key: hash_of(&key(id), HIST),
            count: 200,
            unit: 0,
        };
        let frame = Frame {
            sender: OWN,
            opened_ms: now.0 / 1_000_000,
            length_ms: 100,
            tau: 1,
            reads: 200,
            dropped: 0,
            entries: vec![entry],
        };
        detecting
            .frame(&frame, now.plus(Duration::from_millis(100)))
            .unwrap();
        detecting.name(&key(id), 100, now);
    }
}

#[test]
fn a_leader_begins_with_what_was_hot_and_then_tells_what_it_found_itself() {
    let mut standby = detecting(Rules::default(), 1);
    surge(&mut standby, "table");
    let now = START.plus(Duration::from_secs(1));
    let known = knowing(&["lamp", "chair"]);
    assert_eq!(standby.tell(&known, now), [], "a standby says nothing");
    let saved = [told("vase")];
    let base = standby.lead(&known, &saved, 9, now);
    assert_eq!(ids(&base[0]), ["chair", "lamp"]);
    assert_eq!(words(&base[1]), ["+table"]);
    let HotMessage::Snapshot(snapshot) = &base[0] else {
        unreachable!()
    };
    let lamp = snapshot.keys.iter().find(|told| told.key.id() == "lamp");
    assert_eq!(lamp.unwrap().why, PromotionReason::Rule, "as it was told");
}

#[test]
fn what_was_saved_counts_where_nobody_knows_better() {
    let now = START.plus(Duration::from_secs(1));
    let saved = [told("vase")];
    let base = detecting(Rules::default(), 0).lead(&board(&[]), &saved, 9, now);
    assert_eq!((ids(&base[0]), base.len()), (vec!["vase"], 1));
}

#[test]
fn what_a_rule_forbids_is_let_go_at_once() {
    let never = RuleText {
        name: "lamps".to_owned(),
        namespace: None,
        id: Some("lamp".to_owned()),
        action: Action::Never,
    };
    let rules = Rules::new(500, &[never]).unwrap();
    let base = detecting(rules, 0).lead(&knowing(&["lamp", "chair"]), &[], 9, START);
    assert_eq!(words(&base[1]), ["-lamp rule"]);
}

#[test]
fn what_a_leader_with_less_room_cannot_hold_is_let_go_and_said() {
    let limits = Limits {
        keys_max: 2,
        ..Limits::default()
    };
    let mut small = Detecting::new(Arc::default(), limits, OWN, HIST, 0, START);
    let mut known = knowing(&["lamp", "chair", "vase"]);
    let messages = small.lead(&known, &[], 9, START);
    let let_go = words(&messages[1]);
    assert!(
        matches!(&let_go[..], [one] if one.ends_with(" room")),
        "{let_go:?}"
    );
    for message in &messages {
        known.take(HIST, message, START);
    }
    assert_eq!(known.len(), 2);
}

#[test]
fn a_find_is_told_once_and_the_state_names_it() {
    let mut leader = detecting(Rules::default(), 0);
    let base = leader.lead(&board(&[]), &[], 9, START);
    let mut known = board(&base);
    surge(&mut leader, "lamp");
    let now = START.plus(Duration::from_millis(1100));
    let messages = leader.tick(&known, now);
    let HotMessage::Decided(decided) = &messages[0] else {
        panic!("{messages:?}");
    };
    let state = messages.iter().find_map(|message| match message {
        HotMessage::State(state) => Some(state),
        _ => None,
    });
    let state = state.unwrap();
    assert_eq!(decided.first, HotCursor { term: 9, number: 1 });
    assert_eq!((state.cursor, state.seat), (Some(decided.first), 0));
    known.take(HIST, &messages[0], now);
    assert_eq!(leader.tell(&known, now), []);
    leader.want();
    let later = now.plus(Duration::from_millis(200));
    let messages = leader.tick(&known, later);
    let snapshot = messages.iter().find_map(|message| match message {
        HotMessage::Snapshot(snapshot) => Some(snapshot),
        _ => None,
    });
    assert_eq!(snapshot.unwrap().cursor, decided.first);
}

#[test]
fn a_standby_says_twice_a_second_that_it_is_there() {
    let mut standby = detecting(Rules::default(), 2);
    let mut said = 0;
    for tick in 1..=20 {
        let now = START.plus(Duration::from_millis(100 * tick));
        let messages = standby.tick(&knowing(&["lamp"]), now);
        let is_state =
            |message: &HotMessage| matches!(message, HotMessage::State(state) if state.seat == 2);
        assert!(messages.iter().all(is_state));
        said += messages.len();
    }
    assert_eq!(said, 4);
}

#[test]
fn what_goes_back_and_forth_in_one_turn_is_told_as_it_was() {
    let promote = |id: &str| {
        Decision::Promote(Promotion {
            hash: hash_of(&key(id), HIST),
            key: key(id),
            bytes: 100,
            rate: 700.0,
            share: 0.1,
            onset: START,
            why: PromotionReason::Rule,
        })
    };
    let demote = |id: &str| {
        Decision::Demote(Demotion {
            hash: hash_of(&key(id), HIST),
            key: key(id),
            rate: 0.0,
            why: DemotionReason::Room,
        })
    };
    let decisions = vec![
        promote("lamp"),
        demote("chair"),
        promote("table"),
        demote("table"),
        demote("vase"),
    ];
    let announced = announced(decisions, &knowing(&["lamp", "chair"]), START);
    let words: Vec<String> = announced.iter().map(word).collect();
    assert_eq!(words, ["-chair room", "+table", "-table room"]);
}
