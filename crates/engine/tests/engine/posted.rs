//! A service without a change log, whose changes are posted: what was posted is obeyed, and what was not is bounded by the TTL.

use std::sync::Arc;

use hotshelf_engine::Cache;
use hotshelf_model::{
    BoxFuture, Error, Fetch, FetchRequest, Id, NamespaceName, Origin, Tier, TierName, Version,
    Versions,
};
use hotshelf_testkit::{FakeOrigin, FakeTier};

use crate::shop::{Node, Shop, key, products};

/// Documents of a service, and the versions that were posted to the shop's database.
#[derive(Debug)]
struct Service {
    documents: FakeOrigin,
    posted: Arc<FakeOrigin>,
}

impl Origin for Service {
    fn fetch_many<'a>(&'a self, request: FetchRequest<'a>) -> BoxFuture<'a, Result<Fetch, Error>> {
        self.documents.fetch_many(request)
    }

    fn versions<'a>(
        &'a self,
        namespace: &'a NamespaceName,
        ids: &'a [Id],
    ) -> BoxFuture<'a, Result<Option<Versions>, Error>> {
        self.posted.versions(namespace, ids)
    }
}

/// A shop whose service has a lamp that was never posted.
fn shop() -> (Shop, Arc<Service>) {
    let mut shop = Shop::new();
    shop.namespace.tracked = false;
    let documents = FakeOrigin::with_clock(Arc::clone(&shop.clock) as _).without_log();
    documents.put("lamp", "old");
    // So that the database's next version is the service's.
    shop.origin.put("something else", "");
    let service = Service {
        documents,
        posted: Arc::clone(&shop.origin),
    };
    (shop, Arc::new(service))
}

async fn node(shop: &Shop, service: &Arc<Service>, disk: &Arc<FakeTier>) -> Node {
    let cache = Cache::builder(Arc::clone(&shop.origin) as _)
        .settings(shop.settings)
        .clock(Arc::clone(&shop.clock) as _)
        .l2(Arc::clone(&shop.l2) as _)
        .l3(Arc::clone(disk) as Arc<dyn Tier>)
        .namespace(shop.namespace.clone(), Arc::clone(service) as _)
        .start();
    let node = shop.over(cache);
    node.catch_up().await;
    node
}

fn disk() -> Arc<FakeTier> {
    Arc::new(FakeTier::new(TierName::L3))
}

/// Changes the lamp, and tells of it.
fn change(shop: &Shop, service: &Service) -> Version {
    let version = service.documents.put("lamp", "new");
    let posted = shop.origin.put("lamp", "posted");
    assert_eq!(version, posted);
    version
}

async fn node_that_filled_l2(shop: &Shop, service: &Arc<Service>) -> Node {
    let node = node(shop, service, &disk()).await;
    node.get("lamp").await.unwrap();
    node.until("the copy is in L2", |_| shop.l2.len() == 1)
        .await;
    node
}

#[tokio::test(start_paused = true)]
async fn a_change_that_nobody_posts_is_bounded_by_the_ttl() {
    let (shop, service) = shop();
    let node = node(&shop, &service, &disk()).await;
    node.get("lamp").await.unwrap();
    service.documents.put("lamp", "new");
    node.catch_up().await;
    assert_eq!(node.read("lamp").await, ("old".into(), TierName::L1, true));
    node.pass(shop.namespace.policy.ttl_hard).await;
    assert_eq!(
        node.read("lamp").await,
        ("new".into(), TierName::Origin, true)
    );
}

#[tokio::test(start_paused = true)]
async fn a_posted_change_is_read_from_no_tier_that_holds_the_old_document() {
    let (shop, service) = shop();
    let disk = disk();
    let node = node(&shop, &service, &disk).await;
    node.get("lamp").await.unwrap();
    node.until("the copy is in L2 and L3", |_| {
        shop.l2.len() == 1 && disk.len() == 1
    })
    .await;
    change(&shop, &service);
    node.catch_up().await;
    assert_eq!(
        node.read("lamp").await,
        ("new".into(), TierName::Origin, true)
    );
    assert_eq!(node.read("lamp").await, ("new".into(), TierName::L1, true));
    assert_eq!(service.documents.fetches_of("lamp"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_never_saw_the_post_serves_nothing_older_from_l2() {
    let (shop, service) = shop();
    node_that_filled_l2(&shop, &service).await;
    change(&shop, &service);
    let second = node(&shop, &service, &disk()).await;
    assert_eq!(second.read("lamp").await.0, "new");
}

#[tokio::test(start_paused = true)]
async fn a_copy_from_before_other_posts_is_checked_and_not_fetched() {
    let (shop, service) = shop();
    let first = node_that_filled_l2(&shop, &service).await;
    shop.origin.put("vase", "posted");
    let second = node(&shop, &service, &disk()).await;
    assert_eq!(
        second.read("lamp").await,
        ("old".into(), TierName::L2, true)
    );
    shop.lose_rows();
    first.catch_up().await;
    assert_eq!(first.read("lamp").await, ("old".into(), TierName::L1, true));
    assert_eq!(service.documents.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_bump_ends_every_copy_although_the_service_knows_nothing_of_it() {
    let (shop, service) = shop();
    let node = node(&shop, &service, &disk()).await;
    for fetches in 1..=3 {
        node.get("lamp").await.unwrap();
        node.cache.remove_from_l1(&key("lamp"));
        node.get("lamp").await.unwrap();
        assert_eq!(service.documents.fetches(), fetches);
        shop.origin.bump(&products());
        node.catch_up().await;
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_database_is_down_nothing_is_labelled_that_could_not_be_before() {
    let (shop, service) = shop();
    let node = node(&shop, &service, &disk()).await;
    node.get("lamp").await.unwrap();
    shop.origin.fail(hotshelf_model::ErrorKind::OriginFailed);
    shop.clock.advance(shop.settings.staleness_bound * 3);
    assert_eq!(node.read("lamp").await, ("old".into(), TierName::L1, true));
}
