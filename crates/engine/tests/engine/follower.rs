//! A follower whose log misbehaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hotshelf_engine::Cache;
use hotshelf_model::{
    BoxFuture, ChangeLog, Error, ErrorKind, Hist, LogRead, Poll, Position, Tier, TierName,
};
use hotshelf_testkit::FakeOrigin;

use crate::shop::{Node, Shop, key};

/// A log that counts how often it is to be renewed, and refuses the first times.
#[derive(Debug)]
struct StubbornLog {
    log: Arc<FakeOrigin>,
    renewals: AtomicU32,
    refused: u32,
}

impl ChangeLog for StubbornLog {
    fn poll(&self, known: Position) -> BoxFuture<'_, Result<Poll, Error>> {
        self.log.poll(known)
    }

    fn read(&self, position: Position, rows_max: usize) -> BoxFuture<'_, Result<LogRead, Error>> {
        self.log.read(position, rows_max)
    }

    fn renew_hist(&self, known: Hist) -> BoxFuture<'_, Result<(), Error>> {
        if self.renewals.fetch_add(1, Ordering::SeqCst) < self.refused {
            let error = Error::new(ErrorKind::OriginFailed, "as told by the test");
            return Box::pin(async { Err(error) });
        }
        ChangeLog::renew_hist(&*self.log, known)
    }
}

/// A node over a log of its own.
fn node(shop: &Shop, log: Arc<dyn ChangeLog>) -> Node {
    let cache = Cache::builder(log)
        .settings(shop.settings)
        .clock(Arc::clone(&shop.clock) as _)
        .l2(Arc::clone(&shop.l2) as Arc<dyn Tier>)
        .namespace(shop.namespace.clone(), Arc::clone(&shop.origin) as _)
        .start();
    shop.over(cache)
}

#[tokio::test(start_paused = true)]
async fn a_restore_is_not_forgotten_when_the_history_cannot_be_renewed_at_once() {
    let shop = Shop::with_lamp();
    let log = Arc::new(StubbornLog {
        log: Arc::clone(&shop.origin),
        renewals: AtomicU32::new(0),
        refused: 3,
    });
    let node = node(&shop, Arc::clone(&log) as _);
    node.catch_up().await;
    shop.origin.put("lamp", "after the backup");
    node.catch_up().await;
    node.get("lamp").await.unwrap();
    node.until("the copy is in L2", |_| shop.l2.len() == 1)
        .await;
    let before = shop.origin.head().hist;
    shop.origin.restore(1);
    node.until("the history is another", |_| {
        shop.origin.head().hist != before
    })
    .await;
    assert_eq!(log.renewals.load(Ordering::SeqCst), 4);
    node.catch_up().await;
    node.cache.remove_from_l1(&key("lamp"));
    assert_eq!(node.read("lamp").await.1, TierName::Origin);
}

#[tokio::test(start_paused = true)]
async fn rows_of_the_other_branch_do_not_hide_that_a_backup_was_restored() {
    let shop = Shop::with_lamp();
    let log = Arc::new(StubbornLog {
        log: Arc::clone(&shop.origin),
        renewals: AtomicU32::new(0),
        refused: 0,
    });
    let node = node(&shop, Arc::clone(&log) as _);
    shop.origin.put("lamp", "after the backup");
    node.catch_up().await;
    let before = shop.origin.head().hist;
    // Commits wait for their positions, so that nothing is proved yet.
    shop.origin.leave_unsettled(true);
    shop.origin.restore(1);
    let polls = shop.origin.polls();
    node.until("some polls were not settled", |_| {
        shop.origin.polls() > polls + 3
    })
    .await;
    shop.origin.leave_unsettled(false);
    node.until("the history is another", |_| {
        shop.origin.head().hist != before
    })
    .await;
}
