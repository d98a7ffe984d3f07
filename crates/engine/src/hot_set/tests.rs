//! The hot set keeps its bounds, and a reason undoes no other.

use hotshelf_model::{Id, NamespaceName, Variant};

use super::*;

const NOW: Boot = Boot(1_000_000_000);

fn key(id: &str) -> Key {
    let namespace = NamespaceName::new("products").unwrap();
    Key::new(&namespace, &Id::new(id).unwrap(), &Variant::default())
}

/// Room for three keys and 1,000 bytes.
fn hot_set() -> HotSet {
    let settings = HotSettings {
        keys_max: 3,
        l1_share_percent: 50,
        ..HotSettings::default()
    };
    HotSet::new(settings, 2_000)
}

fn promote(hot: &HotSet, id: &str, reason: HotReason) -> PromotionOutcome {
    let outcome = hot.promote(&key(id), reason, NOW);
    hot.tried(&key(id), true);
    outcome
}

fn hot(hot: &HotSet) -> Vec<String> {
    let listed = hot.list().into_iter();
    listed.map(|listed| listed.key.id().to_owned()).collect()
}

#[test]
fn a_key_is_hot_until_its_last_reason_is_taken_back() {
    let set = hot_set();
    assert_eq!(
        promote(&set, "lamp", HotReason::Detected),
        PromotionOutcome::Promoted
    );
    assert_eq!(
        promote(&set, "lamp", HotReason::Pinned),
        PromotionOutcome::Known
    );
    set.demote(&key("lamp"), HotReason::Detected);
    set.demote(&key("lamp"), HotReason::Provisional);
    let reasons: Vec<_> = set.list()[0].reasons.iter().collect();
    assert_eq!(reasons, [HotReason::Pinned]);
    set.demote(&key("lamp"), HotReason::Pinned);
    assert!(hot(&set).is_empty());
    assert!(!set.contains(&key("lamp")));
}

#[test]
fn there_are_no_more_keys_than_there_may_be_and_a_pin_takes_the_place_of_the_last() {
    let set = hot_set();
    for id in ["a", "b", "c"] {
        promote(&set, id, HotReason::Detected);
    }
    assert_eq!(
        promote(&set, "d", HotReason::Detected),
        PromotionOutcome::Full
    );
    assert_eq!(
        promote(&set, "e", HotReason::Pinned),
        PromotionOutcome::Promoted
    );
    assert_eq!(hot(&set), ["a", "b", "e"]);
    for id in ["f", "g"] {
        assert_eq!(
            promote(&set, id, HotReason::Pinned),
            PromotionOutcome::Promoted
        );
    }
    assert_eq!(
        promote(&set, "h", HotReason::Pinned),
        PromotionOutcome::Full
    );
    assert_eq!(hot(&set), ["e", "f", "g"], "pins do not displace pins");
}

#[test]
fn what_is_banned_is_not_hot_for_any_reason() {
    let set = hot_set();
    promote(&set, "lamp", HotReason::Pinned);
    set.ban([key("lamp"), key("vase")]);
    assert!(hot(&set).is_empty());
    assert_eq!(
        promote(&set, "vase", HotReason::Pinned),
        PromotionOutcome::Banned
    );
    set.ban([key("vase")]);
    assert_eq!(
        promote(&set, "lamp", HotReason::Detected),
        PromotionOutcome::Promoted
    );
}

#[test]
fn no_more_bytes_stay_than_there_may_and_room_that_is_given_up_is_of_use_to_others() {
    let set = hot_set();
    for id in ["a", "b", "c"] {
        promote(&set, id, HotReason::Detected);
        assert!(!set.stays(&key(id)), "nobody knows what it weighs");
        set.weigh(&key(id), 400);
    }
    let stays = |ids: [&str; 3]| ids.map(|id| set.stays(&key(id)));
    assert_eq!(stays(["a", "b", "c"]), [true, true, false]);
    set.weigh(&key("a"), 700);
    assert_eq!(stays(["a", "b", "c"]), [false, true, false], "it has grown");
    set.weigh(&key("c"), 400);
    assert_eq!(stays(["a", "b", "c"]), [false, true, true]);
    set.demote(&key("b"), HotReason::Detected);
    set.weigh(&key("a"), 600);
    assert_eq!(stays(["a", "b", "c"]), [true, false, true]);
    assert!(!set.may_grow(&key("a"), 1));
}

#[test]
fn a_pin_takes_room_from_what_is_not_pinned() {
    let set = hot_set();
    for (id, reason) in [
        ("pinned", HotReason::Pinned),
        ("hot", HotReason::Detected),
        ("late", HotReason::Pinned),
    ] {
        promote(&set, id, reason);
    }
    set.weigh(&key("pinned"), 300);
    set.weigh(&key("hot"), 600);
    set.weigh(&key("late"), 500);
    let stays = ["pinned", "hot", "late"].map(|id| set.stays(&key(id)));
    assert_eq!(stays, [true, false, true]);
    set.weigh(&key("late"), 800);
    let stays = ["pinned", "hot", "late"].map(|id| set.stays(&key(id)));
    assert_eq!(stays, [true, false, false], "pins take no room from pins");
}

#[test]
fn a_key_is_tried_for_once_at_a_time_and_a_change_meanwhile_is_not_forgotten() {
    let set = hot_set();
    promote(&set, "lamp", HotReason::Detected);
    let lamp = key("lamp");
    let (now, later) = (NOW, NOW.plus(Duration::from_secs(1)));
    assert!(set.try_for(&lamp, now, later));
    assert!(!set.try_for(&lamp, later, later), "one attempt at a time");
    set.tried(&lamp, false);
    assert!(!set.try_for(&lamp, now, later), "it rests after a failure");
    set.changed(&lamp);
    set.changed(&lamp);
    assert_eq!(set.state.write().take_wanted(), [key("lamp")]);
    assert!(set.try_for(&lamp, now, later), "a change ends the rest");
    set.changed(&lamp);
    assert_eq!(set.state.write().take_wanted(), []);
    set.tried(&lamp, false);
    assert_eq!(set.state.write().take_wanted(), [lamp]);
}
