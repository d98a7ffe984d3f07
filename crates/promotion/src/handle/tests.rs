//! Who asks the handle is told what the board knows.

use std::time::Duration;

use hotshelf_hotkeys::message::{Announced, Decided, Snapshot};
use hotshelf_testkit::ManualClock;

use super::*;
use crate::testing::{HIST, told};

#[tokio::test]
async fn who_waits_is_woken_by_each_decision() {
    let hot_keys = HotKeys::new(Arc::new(ManualClock::new()), Rules::default());
    let mut decisions = hot_keys.decisions(None);
    let next = tokio::spawn(async move { (decisions.next().await, decisions) });
    hot_keys.set_hist(HIST);
    let first = HotCursor { term: 1, number: 0 };
    for part in Snapshot::parts_of(first, &[told("lamp")]) {
        hot_keys.take(HIST, &HotMessage::Snapshot(part));
    }
    let (event, mut decisions) = next.await.unwrap();
    assert!(matches!(event, HotEvent::Reset(at, keys) if at == first && keys.len() == 1));
    assert_eq!(decisions.try_next(), None);
    let next = tokio::spawn(async move { decisions.next().await });
    hot_keys.take(
        HIST,
        &HotMessage::Decided(Decided {
            first: first.next(),
            decisions: vec![Announced::Promoted(told("chair"))],
        }),
    );
    let event = tokio::time::timeout(Duration::from_secs(30), next).await;
    let event = event.unwrap().unwrap();
    assert!(
        matches!(event, HotEvent::Promoted(at, hot) if at == first.next() && hot.key.id() == "chair")
    );
    assert_eq!(hot_keys.view().keys.len(), 2);
}
