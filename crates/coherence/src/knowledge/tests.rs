//! Knowledge: what each poll and each row may do to it.

use hotshelf_model::{DbTime, Head, Version};

use super::*;

const ASKED: Cursor = Cursor {
    position: Position(7),
    nonce: 70,
};

/// A settled poll of a primary, asked about position 7.
fn poll(hist: u64, timeline: u32, position: u64) -> Poll {
    let head = Head {
        hist: Hist(hist),
        timeline: Timeline(timeline),
        position: Position(position),
        now: DbTime(0),
        primary: true,
    };
    Poll {
        head,
        head_nonce: 10 * position,
        known_nonce: Some(ASKED.nonce),
        oldest: Position(1),
        version_max: Version::NONE,
        settled: true,
        sequenced: None,
    }
}

fn known() -> Knowledge {
    Knowledge::start(None, &poll(1, 2, 7)).0
}

#[test]
fn a_head_that_stays_is_up_to_date_and_proves() {
    let poll = poll(1, 2, 7);
    assert_eq!(known().judge_poll(ASKED, &poll), PollStep::UpToDate);
    assert!(known().claim(ASKED, &poll).unwrap().is_reached(&known()));
}

#[test]
fn a_head_that_moves_proves_once_the_cursor_is_there() {
    let poll = poll(1, 2, 9);
    assert_eq!(known().judge_poll(ASKED, &poll), PollStep::Behind);
    let claim = known().claim(ASKED, &poll).unwrap();
    let row = |position| Cursor {
        position: Position(position),
        nonce: 10 * position,
    };
    let one = known().advanced(row(8));
    assert!(!claim.is_reached(&known()) && !claim.is_reached(&one));
    assert!(claim.is_reached(&one.advanced(row(9))));
    assert!(
        !claim.is_reached(&known().resynced(&self::poll(1, 3, 20))),
        "what was claimed on one timeline proves nothing on the next"
    );
}

#[test]
fn a_replaced_primary_and_a_standby_are_not_listened_to() {
    let old = poll(1, 1, 90);
    assert_eq!(known().judge_poll(ASKED, &old), PollStep::Ignored);
    assert_eq!(known().claim(ASKED, &old), None);
    for (hist, timeline, position) in [(1, 2, 3), (1, 2, 9), (1, 3, 9), (2, 2, 7)] {
        let mut standby = poll(hist, timeline, position);
        standby.head.primary = false;
        assert_eq!(known().judge_poll(ASKED, &standby), PollStep::Ignored);
        assert_eq!(known().claim(ASKED, &standby), None);
    }
}

#[test]
fn an_unsettled_poll_proves_nothing() {
    let unsettled = Poll {
        settled: false,
        ..poll(1, 2, 7)
    };
    assert_eq!(known().claim(ASKED, &unsettled), None);
}

#[test]
fn a_new_timeline_is_a_resync_wherever_its_head_lies() {
    for position in [3, 7, 90] {
        let poll = poll(1, 3, position);
        let step = known().judge_poll(ASKED, &poll);
        assert_eq!(step, PollStep::Resync(ResyncReason::Timeline));
        let after = known().resynced(&poll);
        assert_eq!(after.low, Position(position));
        assert_eq!(after.cursor.nonce, 10 * position);
        assert!(after.generation > known().generation);
    }
}

#[test]
fn another_history_starts_over() {
    let other = poll(9, 1, 3);
    assert_eq!(known().judge_poll(ASKED, &other), PollStep::OtherHistory);
    let after = known().resynced(&other);
    assert_eq!((after.hist, after.timeline), (Hist(9), Timeline(1)));
    assert_ne!(after.generation, known().generation);
}

#[test]
fn a_cursor_that_was_pruned_is_a_resync_and_one_that_is_another_row_a_lost_history() {
    let pruned = Poll {
        oldest: Position(8),
        known_nonce: None,
        ..poll(1, 2, 30)
    };
    assert_eq!(
        known().judge_poll(ASKED, &pruned),
        PollStep::Resync(ResyncReason::Pruned)
    );
    let other_row = Poll {
        known_nonce: Some(71),
        ..poll(1, 2, 30)
    };
    let below = Poll {
        known_nonce: None,
        ..poll(1, 2, 5)
    };
    for lost in [other_row, below] {
        assert_eq!(known().judge_poll(ASKED, &lost), PollStep::LostHistory);
        assert_eq!(known().claim(ASKED, &lost), None);
        let in_the_window = Poll {
            settled: false,
            ..lost
        };
        assert_eq!(
            known().judge_poll(ASKED, &in_the_window),
            PollStep::Ignored,
            "a promoted standby that has not opened its timeline yet looks the same"
        );
    }
}

#[test]
fn a_restart_goes_on_from_its_checkpoint_only_if_the_log_has_that_very_row() {
    let checkpoint = Some(known().checkpoint());
    let (after, step) = Knowledge::start(checkpoint, &poll(1, 2, 9));
    assert_eq!(
        (after.cursor.position, step),
        (Position(7), PollStep::Behind)
    );
    let resyncs = [
        (poll(1, 3, 9), ResyncReason::Timeline),
        (poll(2, 2, 9), ResyncReason::Start),
        (poll(1, 1, 9), ResyncReason::Start),
    ];
    for (poll, reason) in resyncs {
        let (after, step) = Knowledge::start(checkpoint, &poll);
        assert_eq!(step, PollStep::Resync(reason));
        assert_eq!(after.low, Position(9), "nothing from before is trusted");
    }
}

#[test]
fn rows_are_taken_in_turn_and_only_of_this_timeline() {
    let place = |hist, timeline, position| {
        known().place(Hist(hist), Timeline(timeline), Position(position))
    };
    assert_eq!(place(1, 2, 7), Place::Behind);
    assert_eq!(place(1, 2, 8), Place::Next);
    assert_eq!(place(1, 2, 9), Place::Ahead);
    assert_eq!(place(1, 1, 8), Place::Foreign);
    assert_eq!(place(2, 2, 8), Place::Foreign);
    assert_eq!(place(1, 3, 2), Place::NewTimeline);
}

#[test]
fn the_low_mark_never_falls() {
    let raised = known().raised(Position(5));
    assert_eq!(raised.low, Position(7));
    assert_eq!(raised.raised(Position(12)).low, Position(12));
}

#[test]
fn an_unproved_generation_lies_between_the_proved_ones() {
    let after = known().resynced(&poll(1, 3, 8));
    assert!(known().generation < after.generation.unproved());
    assert!(after.generation.unproved() < after.generation);
}

#[test]
fn a_cursor_is_one_text_and_no_other_text_is_a_cursor() {
    let greatest = Cursor {
        position: Position(u64::MAX),
        nonce: u64::MAX,
    };
    let usual = Cursor {
        position: Position(7),
        nonce: 0x46,
    };
    assert_eq!(usual.to_string(), "7-46");
    for cursor in [Cursor::default(), usual, greatest] {
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }
    for text in [
        "",
        "7",
        "7-",
        "-46",
        "+7-46",
        "7-+46",
        "07-46",
        "7-046",
        "7-4G",
        "7-AB",
        "7-46-1",
        "18446744073709551616-0",
    ] {
        assert_eq!(text.parse::<Cursor>(), Err(NotACursor), "{text}");
    }
}
