//! Decisions are carried out once and in order, gaps are noticed, snapshots reconcile, and nothing that is missing demotes.

use hotshelf_hotkeys::DemotionReason;
use hotshelf_hotkeys::message::Told;

use super::steps::REMEMBERED_MAX;
use super::*;
use crate::testing::{HIST, key, told};

const START: Boot = Boot(3_600_000_000_000);

fn at(term: u64, number: u64) -> HotCursor {
    HotCursor { term, number }
}

fn promote(first: HotCursor, ids: &[&str]) -> HotMessage {
    let decisions = ids.iter().map(|id| Announced::Promoted(told(id)));
    HotMessage::Decided(Decided {
        first,
        decisions: decisions.collect(),
    })
}

fn demote(first: HotCursor, id: &str) -> HotMessage {
    let decisions = vec![Announced::Demoted(key(id), DemotionReason::Cooled)];
    HotMessage::Decided(Decided { first, decisions })
}

fn snapshots(cursor: HotCursor, ids: &[&str]) -> Vec<HotMessage> {
    let keys: Vec<Told> = ids.iter().map(|id| told(id)).collect();
    let parts = Snapshot::parts_of(cursor, &keys);
    parts.into_iter().map(HotMessage::Snapshot).collect()
}

fn leads(cursor: HotCursor, node: u32) -> HotMessage {
    HotMessage::State(State {
        from: Sender {
            node,
            incarnation: node.into(),
        },
        seat: 0,
        cursor: Some(cursor),
        health: Health::Live,
        lag: Duration::from_millis(90),
        nodes: 4,
    })
}

fn held(node: u32, cursor: HotCursor, missing: &[&str]) -> HotMessage {
    let mut missing: Vec<KeyHash> = missing.iter().map(|id| hash_of(&key(id), HIST)).collect();
    missing.sort_unstable();
    HotMessage::Held(Held {
        from: Sender {
            node,
            incarnation: node.into(),
        },
        cursor,
        missing,
    })
}

struct Node {
    board: Board,
    now: Boot,
}

impl Node {
    fn new() -> Self {
        let mut board = Board::new();
        assert!(board.set_hist(HIST).is_empty());
        Node { board, now: START }
    }

    /// One that has taken the snapshot at the beginning of term 1.
    fn begun(ids: &[&str]) -> Self {
        let mut node = Node::new();
        for part in snapshots(at(1, 0), ids) {
            node.take(&part);
        }
        assert_eq!(node.board.cursor(), Some(at(1, 0)));
        node
    }

    fn take(&mut self, message: &HotMessage) -> Changed {
        self.board.take(HIST, message, self.now)
    }

    fn pass(&mut self, ms: u64) {
        self.now = self.now.plus(Duration::from_millis(ms));
    }

    fn hot(&self) -> Vec<&str> {
        let mut ids: Vec<&str> = self.board.hot().map(|(_, hot)| hot.key.id()).collect();
        ids.sort_unstable();
        ids
    }
}

#[test]
fn decisions_are_carried_out_in_order_and_once() {
    let mut node = Node::begun(&[]);
    let changed = node.take(&promote(at(1, 1), &["lamp", "chair"]));
    assert_eq!(changed.promoted, [key("lamp"), key("chair")]);
    assert!(node.take(&promote(at(1, 1), &["lamp", "chair"])).is_empty());
    let changed = node.take(&demote(at(1, 3), "lamp"));
    assert_eq!(changed.demoted, [key("lamp")]);
    assert_eq!(
        (node.hot(), node.board.cursor()),
        (vec!["chair"], Some(at(1, 3)))
    );
    // The end of what was told is new, its beginning is not.
    let again = node.take(&HotMessage::Decided(Decided {
        first: at(1, 3),
        decisions: vec![
            Announced::Demoted(key("lamp"), DemotionReason::Cooled),
            Announced::Promoted(told("table")),
        ],
    }));
    assert_eq!(again.promoted, [key("table")]);
    assert!(!node.board.wants(node.now));
}

#[test]
fn a_gap_is_noticed_and_mended_by_a_snapshot() {
    let mut node = Node::begun(&["lamp"]);
    assert!(node.take(&promote(at(1, 3), &["chair"])).is_empty());
    assert!(!node.board.wants(node.now), "what is on its way may come");
    node.pass(30);
    assert!(node.board.wants(node.now));
    assert!(!node.board.wants(node.now), "once for a while");
    node.pass(500);
    assert!(node.board.wants(node.now), "and again");
    let parts = snapshots(at(1, 3), &["chair", "table"]);
    let changed = node.take(&parts[0]);
    assert_eq!(changed.promoted.len(), 2);
    assert_eq!(changed.demoted, [key("lamp")]);
    node.pass(5000);
    assert!(!node.board.wants(node.now));
}

#[test]
fn a_state_shows_a_gap_and_a_node_that_came_wants_the_hot_set() {
    let mut node = Node::new();
    node.pass(1000);
    assert!(!node.board.wants(node.now), "nobody leads");
    node.take(&leads(at(1, 0), 1));
    node.pass(30);
    assert!(node.board.wants(node.now));
    let mut node = Node::begun(&[]);
    node.take(&leads(at(1, 1), 1));
    node.pass(30);
    assert!(node.board.wants(node.now));
}

#[test]
fn a_later_leader_takes_over_and_the_earlier_one_is_passed_over() {
    let mut node = Node::begun(&["lamp", "chair"]);
    node.take(&leads(at(1, 0), 1));
    let changed = node.take(&snapshots(at(2, 0), &["lamp", "table"])[0]);
    assert_eq!(changed.promoted, [key("table")]);
    assert_eq!(changed.demoted, [key("chair")]);
    node.take(&leads(at(2, 0), 2));
    node.take(&leads(at(1, 9), 1));
    assert_eq!(node.board.leader().map(|leader| leader.node), Some(2));
    assert!(node.take(&demote(at(1, 1), "lamp")).is_empty());
    assert!(node.take(&snapshots(at(1, 9), &[])[0]).is_empty());
    assert_eq!(node.hot(), ["lamp", "table"]);
    node.pass(1000);
    assert!(
        !node.board.wants(node.now),
        "nothing is missing of the later one"
    );
}

#[test]
fn a_snapshot_counts_when_all_its_parts_have_come() {
    let ids: Vec<String> = (0..150).map(|number| format!("P{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut node = Node::begun(&["lamp"]);
    let parts = snapshots(at(1, 4), &ids);
    assert_eq!(parts.len(), 3);
    for part in [&parts[2], &parts[0], &parts[0], &parts[2]] {
        assert!(node.take(part).is_empty());
    }
    // A part of an older one does not disturb it.
    assert!(node.take(&snapshots(at(1, 2), &ids)[1]).is_empty());
    let changed = node.take(&parts[1]);
    assert_eq!((changed.promoted.len(), changed.demoted.len()), (150, 1));
    assert_eq!(node.board.cursor(), Some(at(1, 4)));
}

#[test]
fn another_history_begins_anew() {
    let mut node = Node::begun(&["lamp"]);
    let foreign = promote(at(1, 1), &["chair"]);
    assert!(node.board.take(Hist(8), &foreign, node.now).is_empty());
    assert!(node.board.set_hist(HIST).is_empty(), "the same one");
    let changed = node.board.set_hist(Hist(8));
    assert_eq!(changed.demoted, [key("lamp")]);
    assert_eq!((node.board.cursor(), node.board.len()), (None, 0));
}

#[test]
fn who_follows_is_told_each_decision_or_the_whole() {
    let mut node = Node::new();
    assert_eq!(node.board.after(None), None, "nothing is known");
    for part in snapshots(at(1, 0), &["lamp"]) {
        node.take(&part);
    }
    let Some(HotEvent::Reset(cursor, keys)) = node.board.after(None) else {
        panic!("the whole comes first");
    };
    assert_eq!((cursor, keys[0].key.id()), (at(1, 0), "lamp"));
    assert_eq!(node.board.after(Some(cursor)), None);
    node.take(&promote(at(1, 1), &["chair"]));
    node.take(&demote(at(1, 2), "lamp"));
    let next = node.board.after(Some(at(1, 0))).unwrap();
    assert!(
        matches!(&next, HotEvent::Promoted(cursor, hot) if *cursor == at(1, 1) && hot.key.id() == "chair")
    );
    let next = node.board.after(Some(next.cursor())).unwrap();
    assert_eq!(
        next,
        HotEvent::Demoted(at(1, 2), key("lamp"), DemotionReason::Cooled)
    );
    assert_eq!(node.board.after(Some(next.cursor())), None);
    for unknown in [at(0, 0), at(1, 3), at(2, 0)] {
        let whole = node.board.after(Some(unknown)).unwrap();
        assert!(
            matches!(whole, HotEvent::Reset(cursor, _) if cursor == at(1, 2)),
            "{unknown}"
        );
    }
}

#[test]
fn who_follows_goes_on_across_a_leader_that_begins_with_the_same_keys() {
    let mut node = Node::begun(&["lamp"]);
    node.take(&promote(at(1, 1), &["chair"]));
    assert!(
        node.take(&snapshots(at(2, 0), &["lamp", "chair"])[0])
            .is_empty()
    );
    assert!(
        node.take(&snapshots(at(5, 0), &["chair", "lamp"])[0])
            .is_empty()
    );
    for known in [at(1, 1), at(2, 0), at(5, 0)] {
        assert_eq!(node.board.after(Some(known)), None, "{known}");
    }
    node.take(&demote(at(5, 1), "lamp"));
    let next = node.board.after(Some(at(1, 0))).unwrap();
    assert_eq!(next.cursor(), at(1, 1));
    for known in [at(1, 1), at(2, 0), at(5, 0)] {
        let next = node.board.after(Some(known)).unwrap();
        assert_eq!(
            next,
            HotEvent::Demoted(at(5, 1), key("lamp"), DemotionReason::Cooled)
        );
    }
    // What the first leader has decided that this node never heard of.
    let whole = node.board.after(Some(at(1, 2))).unwrap();
    assert!(matches!(whole, HotEvent::Reset(..)));
    node.take(&snapshots(at(6, 0), &["lamp"])[0]);
    let whole = node.board.after(Some(at(5, 1))).unwrap();
    assert!(matches!(whole, HotEvent::Reset(cursor, _) if cursor == at(6, 0)));
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut node = Node::begun(&[]);
    let turns = REMEMBERED_MAX as u64;
    for turn in 0..turns {
        node.take(&promote(at(1, 2 * turn + 1), &["lamp"]));
        node.take(&demote(at(1, 2 * turn + 2), "lamp"));
    }
    let whole = node.board.after(Some(at(1, turns - 1))).unwrap();
    assert!(matches!(whole, HotEvent::Reset(..)));
    let next = node.board.after(Some(at(1, turns))).unwrap();
    assert_eq!(next.cursor(), at(1, turns + 1));
}

#[test]
fn a_silent_or_late_leader_leaves_the_node_alone() {
    let mut node = Node::begun(&[]);
    assert!(node.board.alone(node.now).is_silent);
    node.take(&leads(at(1, 0), 1));
    let alone = node.board.alone(node.now);
    assert_eq!((alone.nodes, alone.is_silent), (4, false));
    node.pass(501);
    assert!(node.board.alone(node.now).is_silent);
    let HotMessage::State(state) = leads(at(1, 0), 1) else {
        unreachable!()
    };
    node.take(&HotMessage::State(State {
        health: Health::Late,
        ..state
    }));
    assert!(node.board.alone(node.now).is_silent);
    assert_eq!(node.board.silence_of(0, node.now), Some(Duration::ZERO));
    assert_eq!(node.board.silence_of(1, node.now), None);
}

#[test]
fn nodes_say_what_they_hold() {
    let mut node = Node::begun(&["lamp"]);
    node.take(&promote(at(1, 1), &["chair"]));
    node.take(&held(1, at(1, 1), &[]));
    node.take(&held(2, at(1, 1), &["lamp"]));
    node.take(&held(3, at(1, 0), &[]));
    let view = node.board.view(node.now, Vec::new());
    let of = |id: &str| {
        let hot = view.keys.iter().find(|hot| hot.key.id() == id).unwrap();
        (hot.held_by, hot.nodes)
    };
    assert_eq!(of("lamp"), (2, 3));
    assert_eq!(of("chair"), (2, 3), "one has not heard of it yet");
    node.pass(6000);
    let view = node.board.view(node.now, Vec::new());
    assert_eq!(view.keys[0].nodes, 0, "they are silent");
    assert_eq!(view.keys.len(), 2, "and nothing is demoted");
}

#[test]
fn ages_become_moments_of_this_nodes_clock() {
    let mut node = Node::begun(&["lamp"]);
    node.pass(1000);
    let view = node.board.view(node.now, Vec::new());
    let lamp = &view.keys[0];
    assert_eq!(lamp.onset, Duration::from_millis(1300));
    assert_eq!(lamp.decided, Duration::from_millis(1002));
    assert_eq!(
        node.board.hot().next().unwrap().1.told(node.now).onset_ms,
        1300
    );
}
