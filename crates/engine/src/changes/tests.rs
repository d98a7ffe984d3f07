//! Who follows the changes misses none without being told.

use hotshelf_model::{Hist, Position, Timeline};

use super::*;

fn row(position: u64) -> LogRow {
    LogRow {
        hist: Hist(1),
        timeline: Timeline(1),
        position: Position(position),
        nonce: position * 10,
        records: Vec::new(),
    }
}

fn at(position: u64) -> Cursor {
    Cursor::of(&row(position))
}

fn changes(records_max: usize) -> Arc<RecentChanges> {
    let changes = RecentChanges::new(records_max);
    changes.restart(at(4));
    for position in 5..8 {
        changes.push(row(position));
    }
    Arc::new(changes)
}

async fn positions(changes: &mut Changes, count: usize) -> Vec<u64> {
    let mut positions = Vec::new();
    for _ in 0..count {
        match changes.next().await {
            Change::Row(row) => positions.push(row.position.0),
            Change::Reset(cursor) => panic!("reset at {cursor:?}"),
        }
    }
    positions
}

#[tokio::test]
async fn rows_come_in_order_from_any_place_that_is_remembered() {
    let changes = changes(8);
    for since in 4..8 {
        let mut following = Changes::new(Arc::clone(&changes), Some(at(since)));
        let left = usize::try_from(7 - since).unwrap();
        assert_eq!(
            positions(&mut following, left).await,
            (since + 1..8).collect::<Vec<_>>()
        );
        assert!(following.try_next().is_none());
    }
}

#[tokio::test]
async fn who_waits_is_woken_by_the_next_row() {
    let changes = changes(8);
    let mut following = Changes::new(Arc::clone(&changes), Some(at(7)));
    let next = tokio::spawn(async move { following.next().await });
    tokio::task::yield_now().await;
    changes.push(row(8));
    assert_eq!(next.await.unwrap(), Change::Row(Arc::new(row(8))));
}

#[tokio::test]
async fn what_is_forgotten_unknown_or_of_another_branch_is_a_reset() {
    let changes = changes(2);
    let elsewhere = Cursor {
        position: Position(7),
        nonce: 1,
    };
    for since in [None, Some(at(4)), Some(at(9)), Some(elsewhere)] {
        let mut following = Changes::new(Arc::clone(&changes), since);
        assert_eq!(following.next().await, Change::Reset(at(7)), "{since:?}");
        changes.push(row(8));
        assert_eq!(positions(&mut following, 1).await, [8]);
        changes.restart(at(7));
    }
}

#[tokio::test]
async fn who_is_too_slow_and_who_follows_a_log_that_begins_anew_is_told() {
    let changes = changes(2);
    let mut following = Changes::new(Arc::clone(&changes), Some(at(7)));
    for position in 8..12 {
        changes.push(row(position));
    }
    assert_eq!(following.next().await, Change::Reset(at(11)));
    changes.restart(at(20));
    assert_eq!(following.next().await, Change::Reset(at(20)));
}
