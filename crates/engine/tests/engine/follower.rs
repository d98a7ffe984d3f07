//! A follower whose log, bus or leases misbehave.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hotshelf_engine::Cache;
use hotshelf_model::{
    BoxFuture, Bus, BusEvent, ChangeLog, Channel, ClusterLeases, Error, ErrorKind, Feed, Hist, Id,
    LeaseToken, LogRead, Poll, Position, Published, Tier, TierName,
};
use hotshelf_testkit::{FakeHub, FakeOrigin};

use crate::shop::{Node, Shop, key, products, settled};

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

/// A bus that panics when it is asked for the first message.
#[derive(Debug)]
struct PanickingBus {
    bus: Arc<dyn Bus>,
    has_panicked: AtomicBool,
}

impl Bus for PanickingBus {
    fn name(&self) -> &'static str {
        self.bus.name()
    }

    fn publish(&self, channel: Channel, payload: Bytes) -> Published {
        self.bus.publish(channel, payload)
    }

    fn hear(&self, channel: Channel, wanted: bool) {
        self.bus.hear(channel, wanted);
    }

    fn next(&self, feed: Feed) -> BoxFuture<'_, BusEvent> {
        let is_first = !self.has_panicked.swap(true, Ordering::SeqCst);
        assert!(!is_first, "on purpose");
        self.bus.next(feed)
    }

    fn is_connected(&self) -> bool {
        self.bus.is_connected()
    }
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_panics_ends_neither_the_proofs_nor_the_listening() {
    let shop = Shop::with_lamp();
    let hub = FakeHub::new(1);
    let here = shop.node_on(&hub).await;
    let bus = Arc::new(PanickingBus {
        bus: hub.join(),
        has_panicked: AtomicBool::new(false),
    });
    let cache = Cache::builder(Arc::clone(&shop.origin) as _)
        .clock(Arc::clone(&shop.clock) as _)
        .bus(Arc::clone(&bus) as _)
        .namespace(shop.namespace.clone(), Arc::clone(&shop.origin) as _)
        .start();
    let there = shop.over(cache);
    there.catch_up().await;
    assert!(bus.has_panicked.load(Ordering::SeqCst));
    there.get("lamp").await.unwrap();
    shop.origin.leave_unsequenced();
    let version = shop.origin.put("lamp", "new");
    let lamp = Id::new("lamp").unwrap();
    here.cache.written(&products(), &lamp, version);
    there
        .until("the hint is heard", |node| {
            node.cache.try_get(&key("lamp")).is_none()
        })
        .await;
}

/// Leases that count, and refuse to renew when they are told to.
#[derive(Debug)]
struct Office {
    leases: Arc<FakeOrigin>,
    acquired: AtomicU32,
    renewals: AtomicU32,
    is_silent: AtomicBool,
}

impl Office {
    fn of(shop: &Shop) -> Arc<Self> {
        Arc::new(Office {
            leases: Arc::clone(&shop.origin),
            acquired: AtomicU32::new(0),
            renewals: AtomicU32::new(0),
            is_silent: AtomicBool::new(false),
        })
    }

    fn acquired(&self) -> u32 {
        self.acquired.load(Ordering::SeqCst)
    }

    fn renewals(&self) -> u32 {
        self.renewals.load(Ordering::SeqCst)
    }
}

impl ClusterLeases for Office {
    fn acquire<'a>(
        &'a self,
        name: &'a str,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Option<LeaseToken>, Error>> {
        Box::pin(async move {
            let token = self.leases.acquire(name, ttl).await?;
            self.acquired
                .fetch_add(u32::from(token.is_some()), Ordering::SeqCst);
            Ok(token)
        })
    }

    fn renew<'a>(
        &'a self,
        name: &'a str,
        token: LeaseToken,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<bool, Error>> {
        self.renewals.fetch_add(1, Ordering::SeqCst);
        if self.is_silent.load(Ordering::SeqCst) {
            let error = Error::new(ErrorKind::OriginTimeout, "as told by the test");
            return Box::pin(async { Err(error) });
        }
        self.leases.renew(name, token, ttl)
    }

    fn release<'a>(&'a self, name: &'a str, token: LeaseToken) -> BoxFuture<'a, Result<(), Error>> {
        self.leases.release(name, token)
    }
}

async fn leader(shop: &Shop, office: &Arc<Office>) -> Node {
    let cache = Cache::builder(Arc::clone(&shop.origin) as _)
        .clock(Arc::clone(&shop.clock) as _)
        .cluster_leases(Arc::clone(office) as _)
        .namespace(shop.namespace.clone(), Arc::clone(&shop.origin) as _)
        .start();
    let node = shop.over(cache);
    node.until("the node leads", |_| office.acquired() == 1)
        .await;
    node
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_is_not_answered_does_not_end_the_leadership_before_the_lease_does() {
    let shop = Shop::with_lamp();
    let office = Office::of(&shop);
    let node = leader(&shop, &office).await;
    office.is_silent.store(true, Ordering::SeqCst);
    shop.clock.advance(Duration::from_millis(1_500));
    node.until("renewals fail", |_| office.renewals() >= 3)
        .await;
    office.is_silent.store(false, Ordering::SeqCst);
    let failed = office.renewals();
    node.until("a renewal succeeds", |_| office.renewals() > failed)
        .await;
    shop.clock.advance(Duration::from_millis(1_500));
    node.until("the lease is renewed again", |_| {
        office.renewals() > failed + 1
    })
    .await;
    assert_eq!(office.acquired(), 1);

    office.is_silent.store(true, Ordering::SeqCst);
    shop.clock.advance(Duration::from_secs(4));
    office.is_silent.store(false, Ordering::SeqCst);
    node.until("the lease that ended is got anew", |_| {
        office.acquired() == 2
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_leaves_the_lead_to_the_next_at_once() {
    let shop = Shop::with_lamp();
    let office = Office::of(&shop);
    let node = leader(&shop, &office).await;
    node.cache.stop().await;
    let next = Office::of(&shop);
    // No time passes, so the first lease would not end.
    leader(&shop, &next).await;
    settled(Duration::from_secs(10)).await;
    assert_eq!(office.acquired(), 1, "who has resigned leads no more");
}
