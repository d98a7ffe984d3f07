//! Warm-ups: what they fill and from where, what they leave alone, when they give way, and what coverage says.

use std::time::Duration;

use hotshelf_engine::{Sample, TierCoverage, WarmBatch};
use hotshelf_model::{
    ErrorKind, Id, TierName, TierRoom, UnavailableReason, Variant, WarmCounts, WarmTiers,
};

use crate::shop::{Node, Shop, key, products};

const PATIENCE: Duration = Duration::from_secs(5);
const L2: WarmTiers = WarmTiers {
    l1: false,
    l2: true,
    l3: false,
};
const L3: WarmTiers = WarmTiers {
    l1: false,
    l2: false,
    l3: true,
};

fn ids(ids: &[&str]) -> Vec<Id> {
    ids.iter().map(|id| Id::new(id).unwrap()).collect()
}

fn shop() -> Shop {
    let shop = Shop::new();
    for id in ["a", "b", "c"] {
        shop.origin.put(id, format!(r#"{{"id":"{id}"}}"#));
    }
    shop
}

impl Node {
    async fn warm(&self, of: &[&str], tiers: WarmTiers) -> WarmBatch {
        let (namespace, variant, ids) = (products(), Variant::default(), ids(of));
        let warm = self.cache.warm(&namespace, &variant, &ids, tiers, PATIENCE);
        warm.await.unwrap()
    }

    async fn warm_l1(&self, of: &[&str]) -> WarmBatch {
        let (namespace, variant, ids) = (products(), Variant::default(), ids(of));
        let warm = self.cache.warm_l1(&namespace, &variant, &ids);
        warm.await.unwrap()
    }

    /// Current, outdated and missing copies of each tier.
    async fn coverage(&self, of: &[&str]) -> Vec<(u64, u64, u64)> {
        let (namespace, variant, ids) = (products(), Variant::default(), ids(of));
        let coverage = self.cache.coverage(&namespace, &variant, &ids, PATIENCE);
        let coverage = coverage.await.unwrap();
        let tiers: Vec<_> = coverage.iter().map(|one| one.tier).collect();
        assert_eq!(tiers, [TierName::L1, TierName::L2, TierName::L3]);
        let counts = |one: TierCoverage| (one.current, one.outdated, one.missing);
        coverage.into_iter().map(counts).collect()
    }
}

fn counts(filled: u64, held: u64, absent: u64, fetched: u64) -> WarmCounts {
    WarmCounts {
        filled,
        held,
        absent,
        failed: 0,
        fetched,
    }
}

#[tokio::test(start_paused = true)]
async fn l2_is_filled_with_one_statement_and_l1_stays_empty() {
    let shop = shop();
    let node = shop.node().await;
    let batch = node.warm(&["a", "b", "nobody", "c"], L2).await;
    assert_eq!(batch.counts, counts(3, 0, 1, 4));
    assert_eq!((batch.later.len(), batch.trouble), (0, None));
    assert_eq!(shop.origin.fetches(), 1);
    assert!(node.cache.try_get(&key("a")).is_none());
    assert!(node.l3.is_empty());
    assert_eq!(
        node.coverage(&["a", "b", "c"]).await,
        [(0, 0, 3), (3, 0, 0), (0, 0, 3)]
    );
    let again = node.warm(&["a", "b", "c"], L2).await;
    assert_eq!(again.counts, counts(0, 3, 0, 0));
    let (_, tier, fresh) = node.read("a").await;
    assert_eq!((tier, fresh), (TierName::L2, true));
    assert_eq!(shop.origin.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_another_tier_holds_is_not_fetched() {
    let shop = shop();
    let node = shop.node().await;
    node.warm(&["a", "b"], L2).await;
    let batch = node.warm(&["a", "b", "c"], L3).await;
    assert_eq!(batch.counts, counts(3, 0, 0, 1));
    let batch = node.warm_l1(&["a", "b", "c"]).await;
    assert_eq!(batch.counts, counts(3, 0, 0, 0));
    assert_eq!(node.warm_l1(&["a"]).await.counts, counts(0, 1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn l3_takes_at_once_what_is_worth_a_second_sight_to_others() {
    let shop = shop();
    let node = shop.node().await;
    node.l3.admit_on_second_put();
    let batch = node.warm(&["a", "nobody"], L3).await;
    assert_eq!(batch.counts, counts(1, 0, 1, 2));
    assert_eq!(node.l3.len(), 1, "what is absent is not worth a disk");
}

#[tokio::test(start_paused = true)]
async fn an_outdated_copy_is_replaced_and_a_newer_one_stays() {
    let shop = shop();
    let node = shop.node().await;
    node.warm(&["a"], L2).await;
    let old = shop.l2.copies();
    shop.origin.put("a", r#"{"id":"a","price":2}"#);
    node.catch_up().await;
    assert_eq!(node.coverage(&["a"]).await[1], (0, 1, 0));
    let batch = node.warm(&["a"], L2).await;
    assert_eq!(batch.counts, counts(1, 0, 0, 1));
    assert_eq!(node.coverage(&["a"]).await[1], (1, 0, 0));
    let new = shop.l2.entry(&shop.tier_key("a")).unwrap();

    // The warm-up has fetched what was current; before it puts, another node puts what is newer.
    let other = shop.node().await;
    shop.l2.put_back(old);
    shop.l2.puts.hold();
    let late = tokio::spawn(async move { node.warm(&["a"], L2).await });
    shop.l2.puts.arrived(1).await;
    shop.origin.put("a", r#"{"id":"a","price":3}"#);
    other.catch_up().await;
    let newer = tokio::spawn(async move {
        other.warm(&["a"], L2).await;
        other
    });
    shop.l2.puts.arrived(2).await;
    shop.l2.puts.release();
    late.await.unwrap();
    let other = newer.await.unwrap();
    let held = shop.l2.entry(&shop.tier_key("a")).unwrap();
    assert!(held.stamp > new.stamp);
    assert_eq!(other.read("a").await.0, r#"{"id":"a","price":3}"#);
}

#[tokio::test(start_paused = true)]
async fn who_is_down_is_tried_later_and_nothing_is_lost() {
    let shop = shop();
    let node = shop.node().await;
    shop.l2.fail(UnavailableReason::Open);
    let batch = node.warm(&["a", "b"], L2).await;
    assert_eq!(batch.later, ids(&["a", "b"]));
    assert_eq!(batch.trouble.as_deref(), Some("l2: open"));
    shop.l2.recover();
    shop.origin.fail(ErrorKind::OriginFailed);
    let batch = node.warm(&["a", "b"], L2).await;
    assert_eq!(batch.later, ids(&["a", "b"]), "{:?}", batch.trouble);
    assert_eq!(batch.counts, WarmCounts::default());
    let batch = node.warm_l1(&["a"]).await;
    assert_eq!(batch.later, ids(&["a"]), "{:?}", batch.trouble);
}

#[tokio::test(start_paused = true)]
async fn a_sample_says_what_the_tiers_would_need() {
    let shop = shop();
    let node = shop.node().await;
    shop.l2.bound(1_000);
    let of = ids(&["a", "b", "nobody"]);
    let (namespace, variant) = (products(), Variant::default());
    let sample = node.cache.sample(&namespace, &variant, &of, PATIENCE);
    let Sample {
        documents,
        absent,
        failed,
        tiers,
        ..
    } = sample.await.unwrap();
    assert_eq!((documents, absent, failed), (2, 1, 0));
    assert!(shop.l2.is_empty() && node.cache.try_get(&key("a")).is_none());
    assert_eq!(tiers.len(), 3);
    assert!(tiers.iter().all(|tier| tier.bytes >= 20), "{tiers:?}");
    let room = TierRoom {
        bytes_max: Some(1_000),
        bytes: Some(0),
    };
    assert_eq!(tiers[1].room, room);
    node.warm(&["a", "b"], L2).await;
    let held: u64 = shop.l2.copies().values().map(|one| one.len() as u64).sum();
    assert_eq!(held, tiers[1].bytes, "the estimate is what it came to");
}
