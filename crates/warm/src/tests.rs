//! Jobs over fakes: who runs them, where they go on, what stops them, and what plans and coverage say.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hotshelf_engine::{BudgetSettings, Cache, EngineSettings, ReadOptions};
use hotshelf_model::{
    BoxFuture, Clock, ClusterNodes, Error, ErrorKind, FreshnessPolicy, Id, Key, KnownNode,
    Namespace, NamespaceName, NewWarmJob, NodeFacts, Shape, Tier, TierName, UnavailableReason,
    Variant, VariantSchema, WarmChange, WarmJob, WarmJobId, WarmJobs, WarmPart, WarmState,
    WarmTiers,
};
use hotshelf_testkit::{FakeOrigin, FakeTier, ManualClock};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::{CoverageAsked, WarmParts, WarmSettings, WarmSource, WarmWish, Warmer};

const L1: WarmTiers = WarmTiers {
    l1: true,
    l2: false,
    l3: false,
};
const L2: WarmTiers = WarmTiers {
    l1: false,
    l2: true,
    l3: false,
};

fn products() -> NamespaceName {
    NamespaceName::new("products").unwrap()
}

/// Jobs in memory.
#[derive(Debug, Default)]
struct MemoryJobs {
    jobs: Mutex<Vec<(WarmJob, Vec<Id>)>>,
    down: Mutex<bool>,
}

impl MemoryJobs {
    fn is_down(&self) -> Result<(), Error> {
        match *self.down.lock() {
            true => Err(Error::new(ErrorKind::OriginFailed, "asking for jobs")),
            false => Ok(()),
        }
    }

    fn job(&self, id: WarmJobId) -> WarmJob {
        let jobs = self.jobs.lock();
        jobs.iter().find(|(job, _)| job.id == id).unwrap().0.clone()
    }
}

impl WarmJobs for MemoryJobs {
    fn create<'a>(&'a self, new: &'a NewWarmJob) -> BoxFuture<'a, Result<WarmJobId, Error>> {
        let mut jobs = self.jobs.lock();
        let id = jobs.len() as u64 + 1;
        let new = new.clone();
        let job = WarmJob {
            id,
            namespace: new.namespace,
            variants: new.variants,
            tiers: new.tiers,
            nodes: new.nodes,
            ids: new.ids.len() as u64,
            source: new.source,
            state: WarmState::Running,
            who: new.who.clone(),
            created: Default::default(),
            changed: Default::default(),
            changed_by: new.who,
            parts: Vec::new(),
        };
        jobs.push((job, new.ids));
        Box::pin(async move { Ok(id) })
    }

    fn jobs(&self, open: bool) -> BoxFuture<'_, Result<Vec<WarmJob>, Error>> {
        let jobs = self.jobs.lock().clone().into_iter().rev();
        let jobs = jobs.map(|(job, _)| job);
        let jobs = jobs.filter(|job| !open || job.state.is_open()).collect();
        Box::pin(async move { self.is_down().map(|()| jobs) })
    }

    fn ids(&self, job: WarmJobId, cursor: u64) -> BoxFuture<'_, Result<Vec<Id>, Error>> {
        let jobs = self.jobs.lock();
        let (_, ids) = jobs.iter().find(|(one, _)| one.id == job).unwrap();
        let at = usize::try_from(cursor).unwrap();
        let ids: Vec<Id> = ids.iter().skip(at).take(100 - at % 100).cloned().collect();
        Box::pin(async move { Ok(ids) })
    }

    fn change<'a>(
        &'a self,
        job: WarmJobId,
        state: WarmState,
        who: &'a str,
    ) -> BoxFuture<'a, Result<WarmChange, Error>> {
        let mut jobs = self.jobs.lock();
        let (job, _) = jobs.iter_mut().find(|(one, _)| one.id == job).unwrap();
        let changed = match job.state.is_open() {
            true => WarmChange::Changed,
            false => WarmChange::Over(job.state),
        };
        if job.state.is_open() {
            (job.state, job.changed_by) = (state, who.to_owned());
        }
        Box::pin(async move { Ok(changed) })
    }

    fn advance<'a>(
        &'a self,
        job: WarmJobId,
        part: &'a WarmPart,
    ) -> BoxFuture<'a, Result<Option<WarmState>, Error>> {
        if let Err(error) = self.is_down() {
            return Box::pin(async move { Err(error) });
        }
        let mut jobs = self.jobs.lock();
        let (job, _) = jobs.iter_mut().find(|(one, _)| one.id == job).unwrap();
        match job.parts.iter_mut().find(|one| one.node == part.node) {
            Some(written)
                if written.cursor <= part.cursor
                    || !part.node.is_empty() && written.runner != part.runner =>
            {
                *written = part.clone();
            }
            Some(_) => {}
            None => job.parts.push(part.clone()),
        }
        let state = job.state;
        Box::pin(async move { Ok(Some(state)) })
    }
}

/// The nodes that a test says there are.
#[derive(Debug)]
struct Nodes(Vec<&'static str>);

impl ClusterNodes for Nodes {
    fn beat<'a>(&'a self, _: &'a NodeFacts, _: Duration) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    fn leave<'a>(&'a self, _: &'a NodeFacts) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    fn nodes(&self) -> BoxFuture<'_, Result<Vec<KnownNode>, Error>> {
        let known = |name: &&str| KnownNode {
            facts: NodeFacts {
                name: (*name).to_owned(),
                number: 0,
                admin: String::new(),
                version: String::new(),
            },
            started: Default::default(),
            seen: Duration::ZERO,
        };
        let nodes = self.0.iter().map(known).collect();
        Box::pin(async move { Ok(nodes) })
    }
}

/// What the nodes of a shop share.
struct Shop {
    clock: Arc<ManualClock>,
    origin: Arc<FakeOrigin>,
    l2: Arc<FakeTier>,
    jobs: Arc<MemoryJobs>,
    nodes: Vec<&'static str>,
    budget: BudgetSettings,
    started: AtomicU32,
}

struct Node {
    warmer: Warmer,
    cache: Cache,
    running: JoinHandle<()>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Shop {
    fn new(products: usize) -> Self {
        let clock = Arc::new(ManualClock::new());
        let origin = FakeOrigin::with_clock(Arc::clone(&clock) as Arc<dyn Clock>);
        for at in 0..products {
            origin.put(&format!("p{at}"), format!(r#"{{"id":"p{at}"}}"#));
        }
        Shop {
            clock,
            origin: Arc::new(origin),
            l2: Arc::new(FakeTier::new(TierName::L2)),
            jobs: Arc::default(),
            nodes: vec!["one"],
            budget: BudgetSettings::default(),
            started: AtomicU32::default(),
        }
    }

    async fn node(&self, name: &str) -> Node {
        let namespace = Namespace {
            name: products(),
            variants: VariantSchema::default(),
            shape: Shape(7),
            policy: FreshnessPolicy::default(),
            tracked: true,
            document_bytes_max: 1 << 20,
        };
        let cache = Cache::builder(Arc::clone(&self.origin) as _)
            .settings(EngineSettings {
                budget: self.budget,
                ..EngineSettings::default()
            })
            .clock(Arc::clone(&self.clock) as _)
            .l2(Arc::clone(&self.l2) as Arc<dyn Tier>)
            .namespace(namespace, Arc::clone(&self.origin) as _)
            .start();
        until(|| cache.is_ready()).await;
        let warmer = Warmer::new(WarmParts {
            cache: cache.clone(),
            clock: Arc::clone(&self.clock) as _,
            jobs: Arc::clone(&self.jobs) as _,
            finders: HashMap::new(),
            leases: Some(Arc::clone(&self.origin) as _),
            nodes: Arc::new(Nodes(self.nodes.clone())),
            node: name.to_owned(),
            process: format!("{name}/{}", self.started.fetch_add(1, Ordering::Relaxed)),
            settings: WarmSettings {
                ids_max: 1_000,
                keys_per_second_max: 1_000_000,
                statements_at_once: 2,
            },
        });
        let running = tokio::spawn(warmer.clone().run());
        Node {
            warmer,
            cache,
            running,
        }
    }

    async fn until_state(&self, job: WarmJobId, state: WarmState) -> WarmJob {
        until(|| self.jobs.job(job).state == state).await;
        self.jobs.job(job)
    }
}

/// The runtime's clock is paused, so this takes no time.
async fn until(mut probe: impl FnMut() -> bool) {
    let mut left = 100_000;
    while !probe() {
        assert!(left > 0, "did not come to pass");
        left -= 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn ids(count: usize) -> Vec<Id> {
    let id = |at| Id::new(&format!("p{at}")).unwrap();
    (0..count).map(id).collect()
}

fn wish(count: usize, tiers: WarmTiers) -> WarmWish {
    WarmWish {
        namespace: products(),
        variants: vec![Variant::default()],
        include: vec![WarmSource::Ids(ids(count))],
        exclude: Vec::new(),
        tiers,
        nodes: Vec::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_is_done_once_whoever_looks_for_it() {
    let shop = Shop::new(950);
    let (one, two) = (shop.node("one").await, shop.node("two").await);
    let job = one.warmer.start(&wish(1_000, L2), "ops").await.unwrap();
    let done = shop.until_state(job, WarmState::Done).await;
    assert_eq!(shop.l2.len(), 1_000);
    let [part] = &done.parts[..] else {
        panic!("{done:?}")
    };
    assert_eq!((part.cursor, part.counts.filled), (1_000, 950));
    assert_eq!((part.counts.absent, part.counts.fetched), (50, 1_000));
    assert_eq!((&*done.source, &*part.node), ("1000 ids", ""));
    assert_eq!(shop.origin.fetches(), 5, "200 in a statement");
    drop(two);
}

#[tokio::test(start_paused = true)]
async fn who_takes_over_goes_on_where_the_other_was() {
    let shop = Shop::new(1_000);
    let one = shop.node("one").await;
    shop.origin.answers.hold();
    let job = one.warmer.start(&wish(1_000, L2), "ops").await.unwrap();
    shop.origin.answers.arrived(1).await;
    shop.origin.answers.release();
    until(|| {
        let job = shop.jobs.job(job);
        job.parts.first().is_some_and(|part| part.cursor >= 400)
    })
    .await;
    drop(one);
    // Its lease ends by itself on the clock of the database.
    shop.clock.advance(Duration::from_secs(5));
    let two = shop.node("two").await;
    let done = shop.until_state(job, WarmState::Done).await;
    assert_eq!(shop.l2.len(), 1_000);
    assert_eq!(done.parts[0].cursor, 1_000);
    let counts = done.parts[0].counts;
    assert_eq!(counts.filled + counts.held, 1_000, "{counts:?}");
    drop(two);
}

#[tokio::test(start_paused = true)]
async fn a_job_waits_for_who_is_down_and_says_why() {
    let shop = Shop::new(100);
    let one = shop.node("one").await;
    shop.l2.fail(UnavailableReason::Open);
    let job = one.warmer.start(&wish(100, L2), "ops").await.unwrap();
    until(|| !shop.jobs.job(job).parts.is_empty()).await;
    assert_eq!(shop.jobs.job(job).parts[0].trouble, "l2: open");
    *shop.jobs.down.lock() = true;
    tokio::time::sleep(Duration::from_secs(10)).await;
    *shop.jobs.down.lock() = false;
    shop.l2.recover();
    let done = shop.until_state(job, WarmState::Done).await;
    let counts = done.parts[0].counts;
    assert_eq!((counts.failed, shop.l2.len()), (0, 100), "{counts:?}");
    assert_eq!(done.parts[0].trouble, "");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_paused_or_cancelled_stops_and_one_that_is_resumed_ends() {
    let shop = Shop::new(100);
    let one = shop.node("one").await;
    shop.l2.fail(UnavailableReason::Open);
    let start = async || one.warmer.start(&wish(100, L2), "ops").await.unwrap();
    let job = start().await;
    until(|| !shop.jobs.job(job).parts.is_empty()).await;
    let changed = one.warmer.change(job, WarmState::Paused, "boss").await;
    assert_eq!(changed.unwrap(), WarmChange::Changed);
    tokio::time::sleep(Duration::from_secs(10)).await;
    shop.l2.recover();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(shop.l2.is_empty(), "it is paused");
    let other = start().await;
    shop.until_state(other, WarmState::Done).await;
    assert_eq!(shop.l2.len(), 100, "others go on");
    shop.l2.clear();
    one.warmer
        .change(job, WarmState::Running, "boss")
        .await
        .unwrap();
    shop.until_state(job, WarmState::Done).await;
    assert_eq!(shop.l2.len(), 100);
    let over = one.warmer.change(job, WarmState::Cancelled, "boss").await;
    assert_eq!(over.unwrap(), WarmChange::Over(WarmState::Done));
}

#[tokio::test(start_paused = true)]
async fn every_node_fills_its_own_tiers_from_what_they_share() {
    let mut shop = Shop::new(300);
    shop.nodes = vec!["one", "two"];
    let one = shop.node("one").await;
    let tiers = WarmTiers { l1: true, ..L2 };
    let job = one.warmer.start(&wish(300, tiers), "ops").await.unwrap();
    until(|| {
        let parts = shop.jobs.job(job).parts;
        parts.len() == 2 && parts.iter().all(|part| part.cursor == 300)
    })
    .await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let open = shop.jobs.job(job);
    assert_eq!(
        open.state,
        WarmState::Running,
        "the other node is waited for"
    );
    let two = shop.node("two").await;
    shop.until_state(job, WarmState::Done).await;
    assert_eq!(shop.origin.fetches(), 2, "each document was read once");
    for node in [&one, &two] {
        let job = shop.jobs.job(job);
        let asked = CoverageAsked { from: 0, step: 1 };
        let coverage = node.warmer.coverage(&job, asked).await.unwrap();
        assert_eq!((coverage.keys, coverage.next), (300, None));
        let current: Vec<u64> = coverage.tiers.iter().map(|tier| tier.current).collect();
        assert_eq!(current, [300, 300]);
    }
    assert!(two.cache.tiers().l1);
}

#[tokio::test(start_paused = true)]
async fn only_the_nodes_that_are_named_fill_their_own_tiers() {
    let mut shop = Shop::new(10);
    shop.nodes = vec!["one", "two"];
    let (one, _two) = (shop.node("one").await, shop.node("two").await);
    let named = WarmWish {
        nodes: vec!["two".to_owned()],
        ..wish(10, L1)
    };
    let job = one.warmer.start(&named, "ops").await.unwrap();
    let done = shop.until_state(job, WarmState::Done).await;
    let parts: Vec<&str> = done.parts.iter().map(|part| &*part.node).collect();
    assert_eq!(parts, ["two"]);
}

#[tokio::test(start_paused = true)]
async fn a_plan_says_what_fits_and_what_would() {
    let shop = Shop::new(100);
    let one = shop.node("one").await;
    let plan = one.warmer.plan(&wish(100, L2)).await.unwrap();
    assert_eq!((plan.ids, plan.found, plan.missing), (100, 100, 0));
    assert_eq!((plan.reads, plan.statements), (100, 1));
    assert!(plan.fits && plan.advice.is_empty(), "{plan:?}");
    assert!(shop.l2.is_empty(), "a plan fills nothing");
    let bytes = plan.tiers[0].bytes;
    shop.l2.bound(bytes / 2);
    let plan = one.warmer.plan(&wish(100, L2)).await.unwrap();
    assert!(!plan.fits);
    assert_eq!(plan.tiers[0].bytes_short, bytes - bytes / 2);
    let [advice] = &plan.advice[..] else {
        panic!("{plan:?}")
    };
    assert!(advice.contains("at most 50 ids"), "{advice}");
}

#[tokio::test(start_paused = true)]
async fn a_wish_is_the_union_of_its_sources_without_what_is_excluded() {
    let shop = Shop::new(10);
    let one = shop.node("one").await;
    let wish = WarmWish {
        include: vec![
            WarmSource::Ids(ids(4)),
            WarmSource::Ids(ids(6)),
            WarmSource::Hot,
        ],
        exclude: vec![WarmSource::Ids(ids(2))],
        ..wish(0, L2)
    };
    assert_eq!(one.warmer.resolve(&wish).await.unwrap(), ids(6)[2..]);
    assert_eq!(wish.words(), "4 ids + 6 ids + the hot set without 2 ids");
    let refused = async |include| {
        let wish = WarmWish {
            include,
            ..wish.clone()
        };
        let error = one.warmer.start(&wish, "ops").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        error.to_string()
    };
    let nothing = refused(vec![WarmSource::Ids(ids(1))]).await;
    assert!(nothing.contains("no id"), "{nothing}");
    let many = refused(vec![WarmSource::Ids(ids(1_003))]).await;
    assert!(many.contains("more than 1000 ids"), "{many}");
    let foreign = refused(vec![WarmSource::Everything]).await;
    assert!(foreign.contains("hotshelf's own tables"), "{foreign}");
}

#[tokio::test(start_paused = true)]
async fn coverage_is_looked_at_a_stretch_at_a_time() {
    let shop = Shop::new(900);
    let one = shop.node("one").await;
    let job = one.warmer.start(&wish(900, L2), "ops").await.unwrap();
    let done = shop.until_state(job, WarmState::Done).await;
    let sampled = CoverageAsked { from: 0, step: 7 };
    let coverage = one.warmer.coverage(&done, sampled).await.unwrap();
    assert_eq!((coverage.keys, coverage.next), (129, None));
    let late = CoverageAsked { from: 899, step: 1 };
    let coverage = one.warmer.coverage(&done, late).await.unwrap();
    assert_eq!((coverage.keys, coverage.tiers[1].current), (1, 1));
    let beyond = CoverageAsked { from: 900, step: 1 };
    let coverage = one.warmer.coverage(&done, beyond).await.unwrap();
    assert_eq!((coverage.keys, coverage.next), (0, None));
}

#[tokio::test(start_paused = true)]
async fn a_job_yields_while_readers_need_the_room() {
    let mut shop = Shop::new(1_000);
    (shop.budget.concurrency_min, shop.budget.concurrency_max) = (2, 2);
    let one = shop.node("one").await;
    shop.origin.answers.hold();
    let read = |id: &Id| {
        let (cache, key) = (
            one.cache.clone(),
            Key::new(&products(), id, &Variant::default()),
        );
        tokio::spawn(async move { cache.get(&key, ReadOptions::default()).await.map(drop) })
    };
    let mut readers = Vec::new();
    for id in ids(2) {
        // One after the other, or they would share a statement.
        readers.push(read(&id));
        shop.origin.answers.arrived(readers.len()).await;
    }
    let job = one.warmer.start(&wish(1_000, L2), "ops").await.unwrap();
    until(|| one.cache.is_pressed()).await;
    assert_eq!(shop.origin.fetches(), 2, "readers have all of the budget");
    shop.origin.answers.release();
    for reader in readers {
        reader.await.unwrap().unwrap();
    }
    // The budget's clock stands still, so it is pressed all the time.
    let done = shop.until_state(job, WarmState::Done).await;
    assert!(done.parts[0].yielding, "{done:?}");
    let statements = shop.origin.fetches() - 2;
    assert!(statements > 6, "small steps: {statements} statements");

    shop.clock.advance(Duration::from_secs(2));
    until(|| one.cache.is_ready()).await;
    let job = one.warmer.start(&wish(1_000, L2), "ops").await.unwrap();
    let done = shop.until_state(job, WarmState::Done).await;
    assert!(!done.parts[0].yielding, "{done:?}");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_begins_anew_fills_its_l1_anew() {
    let mut shop = Shop::new(100);
    shop.nodes = vec!["one", "two"];
    let one = shop.node("one").await;
    let job = one.warmer.start(&wish(100, L1), "ops").await.unwrap();
    until(|| {
        let parts = shop.jobs.job(job).parts;
        parts.first().is_some_and(|part| part.cursor == 100)
    })
    .await;
    drop(one);
    // Its lease ends by itself on the clock of the database.
    shop.clock.advance(Duration::from_secs(5));
    let one = shop.node("one").await;
    until(|| shop.jobs.job(job).parts[0].runner == "one/1").await;
    let _two = shop.node("two").await;
    let done = shop.until_state(job, WarmState::Done).await;
    let asked = CoverageAsked { from: 0, step: 1 };
    let coverage = one.warmer.coverage(&done, asked).await.unwrap();
    assert_eq!(coverage.tiers[0].current, 100);
}
