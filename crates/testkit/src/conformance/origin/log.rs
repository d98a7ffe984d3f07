//! What an origin's change log has to do.

use hotshelf_model::{ChangeLog, LogRead, LogRow, Poll, Position, Record};

use super::{Reader, SETTLE_LIMIT, fresh_id};
use crate::wait::wait_until_async;

#[expect(clippy::panic, reason = "a suite fails by panicking")]
pub(super) async fn a_change_gets_a_position(reader: &Reader<'_>) {
    let Some(log) = reader.subject.log else {
        return;
    };
    let poll = async || match log.poll(Position(0)).await {
        Ok(poll) => poll,
        Err(error) => panic!("polling the change log: {error:?}"),
    };
    let settle = async || {
        wait_until_async("the change log settles", SETTLE_LIMIT, async || {
            poll().await.settled
        })
        .await;
        let poll = poll().await;
        assert!(poll.head.primary, "a poll is answered by a primary");
        reader.check_head(poll.head);
        poll
    };
    let before = settle().await;
    let id = fresh_id();
    reader.put(&id, "logged-text").await;
    let after = settle().await;
    assert!(
        after.head.position > before.head.position,
        "a change gets a position"
    );
    let version = reader.fetch_one(&id).await.version;
    assert!(
        after.version_max >= version,
        "no version lies above the greatest"
    );
    let rows = read_rows(log, before.head.position, after).await;
    let record = Record::Key {
        namespace: reader.subject.namespace.clone(),
        id: id.clone(),
        version,
    };
    assert!(
        rows.iter().any(|row| row.records.contains(&record)),
        "the change is in the log: {rows:?}"
    );
    reader.put(&id, "logged-text").await;
    let quiet = settle().await;
    assert_eq!(
        quiet.head.position, after.head.position,
        "what changes nothing gets no position"
    );
    polls_for_many_are_polls_for_each(log, quiet).await;
}

#[expect(clippy::panic, reason = "a suite fails by panicking")]
async fn polls_for_many_are_polls_for_each(log: &dyn ChangeLog, head: Poll) {
    let unknown = Position(head.head.position.0 + 1_000_000);
    let known = [unknown, head.head.position, Position(0), unknown];
    let polls = match log.poll_many(&known).await {
        Ok(polls) => polls,
        Err(error) => panic!("polling for many: {error:?}"),
    };
    assert_eq!(polls.len(), known.len());
    for (&known, poll) in known.iter().zip(polls) {
        let alone = match log.poll(known).await {
            Ok(poll) => poll,
            Err(error) => panic!("polling for one: {error:?}"),
        };
        assert_eq!(poll.known_nonce, alone.known_nonce, "{known:?}");
        assert_eq!(poll.head.position, head.head.position);
        assert!(poll.settled);
    }
}

/// The rows after a position up to a poll's head, read in steps.
#[expect(clippy::panic, reason = "a suite fails by panicking")]
async fn read_rows(log: &dyn ChangeLog, after: Position, poll: Poll) -> Vec<LogRow> {
    let mut rows: Vec<LogRow> = Vec::new();
    loop {
        let from = rows.last().map_or(after, |row| row.position);
        let more = match log.read(from, 2).await {
            Ok(LogRead::Rows(more)) => more,
            other => panic!("reading the change log after {from:?}: {other:?}"),
        };
        assert!(more.len() <= 2, "no more rows than were asked for");
        if more.is_empty() {
            break;
        }
        rows.extend(more);
    }
    let positions = rows.iter().map(|row| row.position.0);
    assert!(
        positions.eq(after.0 + 1..=poll.head.position.0),
        "positions are dense and end at the head"
    );
    for row in &rows {
        assert_eq!(row.hist, poll.head.hist, "rows are of the history");
    }
    let last = rows.last().map(|row| row.nonce);
    assert_eq!(last, Some(poll.head_nonce), "a row keeps its nonce");
    rows
}
