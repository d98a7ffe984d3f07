//! The fake origin does what its knobs say.

use super::*;
use crate::fakes::ManualClock;
use crate::names::variant;
use hotshelf_model::Variant;

async fn fetch(
    origin: &FakeOrigin,
    product: &str,
    as_of: Option<DbTime>,
) -> (Option<Bytes>, Option<DbTime>) {
    let (namespace, variant) = (products(), variant("locale=de"));
    let request = FetchRequest {
        namespace: &namespace,
        variant: &variant,
        ids: &[id(product)],
        as_of,
    };
    let document = origin
        .fetch_many(request)
        .await
        .unwrap()
        .documents
        .remove(0)
        .unwrap();
    (document.body, document.valid_until)
}

#[tokio::test]
async fn a_scheduled_product_changes_by_time_alone_and_can_be_asked_for_later() {
    let clock = Arc::new(ManualClock::new());
    let origin = FakeOrigin::with_clock(clock.clone());
    let midnight = origin.now().plus(Duration::from_secs(60));
    origin.schedule("A-1", &[(midnight, "cheap {variant}"), (DbTime(0), "dear")]);
    let head = origin.head();
    assert_eq!(
        fetch(&origin, "A-1", None).await,
        (Some("dear".into()), Some(midnight))
    );
    let cheap = (Some("cheap locale=de".into()), None);
    assert_eq!(fetch(&origin, "A-1", Some(midnight)).await, cheap);
    clock.advance(Duration::from_secs(60));
    assert_eq!(fetch(&origin, "A-1", Some(DbTime(5))).await, cheap);
    assert_eq!(origin.head().position, head.position);
    assert_eq!((origin.fetches(), origin.fetches_of("A-1")), (3, 3));
}

#[tokio::test]
async fn a_held_answer_shows_the_state_before_a_later_write() {
    let origin = Arc::new(FakeOrigin::new());
    origin.put("A-1", "old");
    origin.answers.hold();
    let fetching = tokio::spawn({
        let origin = origin.clone();
        async move { fetch(&origin, "A-1", None).await }
    });
    origin.answers.arrived(1).await;
    origin.put("A-1", "new");
    origin.answers.release();
    assert_eq!(fetching.await.unwrap().0, Some("old".into()));
    assert_eq!(fetch(&origin, "A-1", None).await.0, Some("new".into()));
    assert_eq!(origin.fetching_max(), 1);
}

#[tokio::test]
async fn failures_are_told_apart_and_end() {
    let origin = Arc::new(FakeOrigin::new());
    origin.put("A-1", "{}");
    origin.fail_fetches(ErrorKind::OriginTimeout);
    let (namespace, variant) = (products(), Variant::default());
    let ids = [id("A-1"), id("A-2")];
    let request = FetchRequest {
        namespace: &namespace,
        variant: &variant,
        ids: &ids,
        as_of: None,
    };
    let error = origin.fetch_many(request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OriginTimeout);
    assert!(origin.poll(Position(0)).await.unwrap().settled);
    origin.fail_polls(ErrorKind::OriginFailed);
    assert!(origin.poll(Position(0)).await.is_err());
    origin.recover();

    origin.fail_id("A-1", ErrorKind::TooLarge);
    let documents = origin.fetch_many(request).await.unwrap().documents;
    assert_eq!(
        documents[0].as_ref().unwrap_err().kind(),
        ErrorKind::TooLarge
    );
    assert_eq!(documents[1].as_ref().unwrap().version, Version::NONE);
    origin.recover();

    origin.panic_once();
    let panicking = tokio::spawn({
        let origin = origin.clone();
        async move { fetch(&origin, "A-1", None).await }
    });
    assert!(panicking.await.unwrap_err().is_panic());
    assert_eq!(fetch(&origin, "A-1", None).await.0, Some("{}".into()));
    assert_eq!((origin.polls(), origin.versions_calls()), (2, 0));
}

#[tokio::test]
async fn a_failover_and_a_bump_make_greater_versions() {
    let origin = FakeOrigin::new();
    let first = origin.put("A-1", "{}");
    assert_eq!(origin.put("A-1", "{}"), first);
    let bump = origin.bump(&products());
    origin.fail_over();
    let second = origin.put("A-1", "{1}");
    assert!(first < bump && bump < second);
    assert_eq!(second.timeline(), 2);
    assert_eq!(origin.remove("never"), Version::NONE);
}

fn rows(read: LogRead) -> Vec<hotshelf_model::LogRow> {
    match read {
        LogRead::Rows(rows) => rows,
        LogRead::Pruned => Vec::new(),
    }
}

#[tokio::test]
async fn the_log_is_read_pruned_and_loses_its_tail() {
    let origin = FakeOrigin::new();
    origin.put("A-1", "{}");
    let kept = origin.put("A-2", "{1}");
    origin.put("A-2", "{2}");
    origin.bump(&products());
    let before = rows(origin.read(Position(1), 10).await.unwrap());
    let positions: Vec<u64> = before.iter().map(|row| row.position.0).collect();
    assert_eq!(positions, [2, 3, 4]);
    assert_eq!(
        rows(origin.read(Position(1), 2).await.unwrap()),
        before[..2]
    );

    origin.fail_over_losing(2);
    let poll = origin.poll(Position(3)).await.unwrap();
    assert_eq!((poll.head.position, poll.head.timeline.0), (Position(3), 2));
    assert!(
        poll.known_nonce
            .is_some_and(|nonce| nonce != before[1].nonce)
    );
    assert_eq!(fetch(&origin, "A-2", None).await.0, Some("{1}".into()));
    assert!(origin.put("A-2", "{3}") > kept);

    origin.prune(Position(3));
    assert_eq!(origin.poll(Position(2)).await.unwrap().known_nonce, None);
    assert_eq!(origin.read(Position(1), 9).await.unwrap(), LogRead::Pruned);
    assert_eq!(rows(origin.read(Position(2), 9).await.unwrap()).len(), 2);
    origin.prune(Position(9));
    assert_eq!(origin.head().position, Position(4));
}

#[tokio::test]
async fn changes_wait_for_positions_as_the_test_says() {
    let origin = FakeOrigin::new();
    origin.leave_unsequenced();
    origin.put("A-1", "{}");
    let poll = origin.poll(Position(0)).await.unwrap();
    assert_eq!((poll.settled, poll.sequenced), (false, None));
    origin.sequence_by_polls();
    origin.put("A-2", "{}");
    let poll = origin.poll(Position(0)).await.unwrap();
    assert_eq!(poll.sequenced, Some((Position(1), Position(2))));
    assert!(poll.settled);
    origin.put("A-3", "{}");
    origin.sequence_at_once();
    assert_eq!(origin.head().position, Position(3));
}
