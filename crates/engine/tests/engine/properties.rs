//! Whatever happens in whatever order: no answer is worse than it says, and when all is well again, every answer is right.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hotshelf_engine::{Answer, Cache, EngineSettings, Freshness, ReadOptions};
use hotshelf_model::{
    Boot, Clock, DbTime, Error, ErrorKind, FreshnessPolicy, Id, Key, Kind, Namespace,
    NamespaceName, Shape, Tier, TierName, UnavailableReason, Variant, VariantSchema, Version,
};
use hotshelf_testkit::{
    BusFaults, FakeBus, FakeHub, FakeLeases, FakeOrigin, FakeTier, ManualClock,
};
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::shop::{products, text};

const CASES: u32 = 80;
const NODES: usize = 2;
const BOUND: Duration = Duration::from_secs(2);
/// What the database's clock and its measurement, both in whole milliseconds, may be apart.
const CLOCK_ERROR: Duration = Duration::from_millis(5);
const UNTRACKED_TTL: Duration = Duration::from_secs(3);
const STALE_CAP: Duration = Duration::from_secs(120);
/// (namespace, id, variant): tracked and untracked products, with and without a variant.
const KEYS: [(&str, &str, &str); 7] = [
    ("products", "lamp", ""),
    ("products", "lamp", "locale=de"),
    ("products", "vase", ""),
    ("products", "vase", "locale=de"),
    ("products", "sofa", ""),
    ("stock", "lamp", ""),
    ("stock", "vase", ""),
];

/// The place of a key in `KEYS`.
type At = usize;

#[derive(Clone, Debug)]
enum Op {
    Put(At),
    Remove(At),
    Schedule(At, u64),
    Bump,
    FailOver,
    LoseTail(usize),
    Prune,
    RenewHist,
    SequenceAtOnce,
    SequenceByPolls,
    Write(usize, At),
    Restart(usize, bool),
    FailBus(u8),
    CutBus(usize),
    MendBus,
    Read(usize, At),
    ReadVersion(usize, At),
    ReadBehind(usize, At),
    ReadMany(usize, Vec<At>),
    RemoveFromL1(usize, At),
    Advance(u64),
    CatchUp(usize),
    Recover,
    HoldRequests,
    HoldAnswers,
    HoldLookups,
    Release,
    FailFetches,
    FailPolls,
    Unsettle,
    AnswerAsStandby,
    FailL2,
    ClearL2,
    DamageL2(At),
    FailL3(usize),
    FailLeases,
    HoldLease(At),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let at = || 0..KEYS.len();
    let node = || 0..NODES;
    let op = prop_oneof![
        6 => at().prop_map(Op::Put),
        2 => at().prop_map(Op::Remove),
        2 => (at(), 1_u64..20_000).prop_map(|(at, ms)| Op::Schedule(at, ms)),
        1 => Just(Op::Bump),
        1 => Just(Op::FailOver),
        1 => (0..4_usize).prop_map(Op::LoseTail),
        1 => Just(Op::Prune),
        1 => Just(Op::SequenceAtOnce),
        1 => Just(Op::SequenceByPolls),
        4 => (node(), at()).prop_map(|(node, at)| Op::Write(node, at)),
        2 => (node(), any::<bool>()).prop_map(|(node, saves)| Op::Restart(node, saves)),
        1 => (0..80_u8).prop_map(Op::FailBus),
        1 => node().prop_map(Op::CutBus),
        1 => Just(Op::MendBus),
        1 => Just(Op::RenewHist),
        16 => (node(), at()).prop_map(|(node, at)| Op::Read(node, at)),
        4 => (node(), at()).prop_map(|(node, at)| Op::ReadVersion(node, at)),
        8 => (node(), at()).prop_map(|(node, at)| Op::ReadBehind(node, at)),
        4 => (node(), prop::collection::vec(at(), 0..9)).prop_map(|(node, at)| Op::ReadMany(node, at)),
        3 => (node(), at()).prop_map(|(node, at)| Op::RemoveFromL1(node, at)),
        8 => prop::sample::select(vec![1, 60, 300, 1_000, 2_500, 9_000, 30_000, 70_000])
            .prop_map(Op::Advance),
        5 => node().prop_map(Op::CatchUp),
        3 => Just(Op::Recover),
        2 => Just(Op::HoldRequests),
        2 => Just(Op::HoldAnswers),
        2 => Just(Op::HoldLookups),
        5 => Just(Op::Release),
        1 => Just(Op::FailFetches),
        1 => Just(Op::FailPolls),
        1 => Just(Op::Unsettle),
        1 => Just(Op::AnswerAsStandby),
        1 => Just(Op::FailL2),
        1 => Just(Op::ClearL2),
        1 => at().prop_map(Op::DamageL2),
        1 => node().prop_map(Op::FailL3),
        1 => Just(Op::FailLeases),
        1 => at().prop_map(Op::HoldLease),
    ];
    prop::collection::vec(op, 1..90)
}

/// One commit of a product: what it is from each moment on; nothing before the first.
#[derive(Clone, Debug)]
struct Commit {
    at: Boot,
    /// When a failover lost it.
    lost_at: Option<Boot>,
    version: Version,
    course: Vec<(DbTime, String)>,
}

impl Commit {
    /// What the product is at `time`; `None` when it is absent.
    fn document(&self, time: DbTime) -> Option<&str> {
        let begun = self.course.iter().rev().find(|(from, _)| *from <= time);
        begun.map(|(_, document)| document.as_str())
    }

    /// What it is at some time from `from` to `to`.
    fn documents(&self, from: DbTime, to: DbTime) -> Vec<Option<&str>> {
        let starts = self.course.iter().map(|(start, _)| *start);
        let within = starts.filter(|start| (from..=to).contains(start));
        let times = std::iter::once(from).chain(within);
        times.map(|time| self.document(time)).collect()
    }
}

/// When a read was begun, and what its node had proved by then.
#[derive(Clone, Copy, Debug)]
struct Begun {
    at: Boot,
    proved: Boot,
    /// Whether all was well then, and which fault would be the next.
    is_calm: bool,
    faults: u64,
}

type Outcome = (At, Begun, Boot, Result<Answer, Error>);

struct World {
    clock: Arc<ManualClock>,
    origin: Arc<FakeOrigin>,
    l2: Arc<FakeTier>,
    leases: Arc<FakeLeases>,
    namespaces: HashMap<&'static str, Namespace>,
    hub: Arc<FakeHub>,
    folder: TempDir,
    nodes: Vec<(Cache, Arc<FakeTier>, Arc<FakeBus>)>,
    /// What each node has written since the log began anew.
    written: HashMap<(usize, &'static str, &'static str), Version>,
    /// For each node, up to when it is known to know every commit.
    proved: [Boot; NODES],
    commits: HashMap<(&'static str, &'static str), Vec<Commit>>,
    behind: Vec<JoinHandle<Outcome>>,
    changes: u64,
    faults: u64,
    is_broken: bool,
    polls_are_broken: bool,
    is_standby: bool,
}

fn stock() -> NamespaceName {
    NamespaceName::new("stock").unwrap()
}

fn namespace(name: NamespaceName, tracked: bool) -> Namespace {
    let tracked_policy = FreshnessPolicy {
        ttl_soft: Duration::from_secs(20),
        ttl_hard: Duration::from_secs(60),
        stale_cap: STALE_CAP,
        ttl_absent: Duration::from_secs(10),
        jitter_percent: 20,
    };
    let untracked_policy = FreshnessPolicy {
        ttl_soft: UNTRACKED_TTL / 2,
        ttl_hard: UNTRACKED_TTL,
        ttl_absent: Duration::ZERO,
        ..tracked_policy
    };
    Namespace {
        name,
        variants: VariantSchema::default(),
        shape: Shape(7),
        policy: if tracked {
            tracked_policy
        } else {
            untracked_policy
        },
        tracked,
        document_bytes_max: 1 << 20,
    }
}

fn key(at: At) -> Key {
    let (namespace, id, variant) = KEYS[at];
    Key::new(
        &NamespaceName::new(namespace).unwrap(),
        &Id::new(id).unwrap(),
        &Variant::parse(variant).unwrap(),
    )
}

fn options() -> ReadOptions<'static> {
    ReadOptions {
        deadline: Duration::from_secs(1),
        ..ReadOptions::default()
    }
}

impl World {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::new());
        let origin = Arc::new(FakeOrigin::with_clock(Arc::clone(&clock) as Arc<dyn Clock>));
        origin.add_namespace(&stock());
        let ttl = Duration::from_secs(1);
        let leases = FakeLeases::new(Arc::clone(&clock) as Arc<dyn Clock>, ttl);
        let mut world = World {
            clock,
            origin,
            l2: Arc::new(FakeTier::new(TierName::L2)),
            leases: Arc::new(leases),
            namespaces: HashMap::from([
                ("products", namespace(products(), true)),
                ("stock", namespace(stock(), false)),
            ]),
            hub: FakeHub::new(11),
            folder: tempfile::tempdir().unwrap(),
            nodes: Vec::new(),
            written: HashMap::new(),
            proved: [Boot::default(); NODES],
            commits: HashMap::new(),
            behind: Vec::new(),
            changes: 0,
            faults: 0,
            is_broken: false,
            polls_are_broken: false,
            is_standby: false,
        };
        for node in 0..NODES {
            let disk = Arc::new(FakeTier::new(TierName::L3));
            let started = world.start(node, disk);
            world.nodes.push(started);
            world.catch_up(node).await;
        }
        world
    }

    fn start(&self, node: usize, l3: Arc<FakeTier>) -> (Cache, Arc<FakeTier>, Arc<FakeBus>) {
        let bus = self.hub.join();
        let settings = EngineSettings {
            staleness_bound: BOUND,
            // One in each shard, so that floors are given up.
            floors_max: 64,
            ..EngineSettings::default()
        };
        let mut builder = Cache::builder(Arc::clone(&self.origin) as _)
            .settings(settings)
            .clock(Arc::clone(&self.clock) as _)
            .l2(Arc::clone(&self.l2) as _)
            .l3(Arc::clone(&l3) as Arc<dyn Tier>)
            .leases(Arc::clone(&self.leases) as _)
            .bus(Arc::clone(&bus) as _)
            .cluster_leases(Arc::clone(&self.origin) as _)
            .checkpoint(self.folder.path().join(node.to_string()));
        for namespace in self.namespaces.values() {
            builder = builder.namespace(namespace.clone(), Arc::clone(&self.origin) as _);
        }
        (builder.start(), l3, bus)
    }

    async fn run(&mut self, op: &Op) {
        match *op {
            Op::Put(at) => {
                self.changes += 1;
                self.change(at, vec![(DbTime(0), document(at, self.changes))]);
            }
            Op::Remove(at) => self.change(at, Vec::new()),
            Op::Schedule(at, ms) => {
                self.changes += 2;
                let flip = DbTime(self.origin.now().0 + ms);
                let course = vec![
                    (DbTime(0), document(at, self.changes - 1)),
                    (flip, document(at, self.changes)),
                ];
                self.change(at, course);
            }
            Op::Bump => {
                self.origin.bump(&products());
            }
            Op::FailOver => {
                self.origin.fail_over();
                self.written.clear();
            }
            Op::LoseTail(rows) => self.lose_tail(rows),
            Op::Prune => {
                self.origin.prune(self.origin.head().position);
                self.written.clear();
            }
            Op::RenewHist => {
                self.origin.renew_hist();
                self.written.clear();
            }
            Op::SequenceAtOnce => self.origin.sequence_at_once(),
            Op::SequenceByPolls => self.origin.sequence_by_polls(),
            Op::Write(node, at) => self.write(node, at),
            Op::Restart(node, saves) => self.restart(node, saves).await,
            Op::FailBus(percent) => self.hub.set_faults(BusFaults {
                lose_percent: percent,
                duplicate_percent: percent,
                delay_percent: percent,
            }),
            Op::CutBus(node) => self.nodes[node].2.disconnect(),
            Op::MendBus => self.mend_bus(),
            Op::Read(node, at) => {
                let begun = self.begin(node);
                let outcome = self.nodes[node].0.get(&key(at), options()).await;
                self.check_own_write(node, at, &outcome);
                self.check(&(at, begun, self.clock.now(), outcome));
            }
            Op::ReadVersion(node, at) => self.read_version(node, at).await,
            Op::ReadBehind(node, at) => self.read_behind(node, at).await,
            Op::ReadMany(node, ref keys) => self.read_many(node, keys).await,
            Op::RemoveFromL1(node, at) => self.nodes[node].0.remove_from_l1(&key(at)),
            Op::Advance(ms) => self.clock.advance(Duration::from_millis(ms)),
            Op::CatchUp(node) => self.catch_up(node).await,
            Op::Recover => self.recover().await,
            ref fault => self.break_something(fault),
        }
    }

    fn break_something(&mut self, fault: &Op) {
        let is_of_the_origin = !matches!(
            fault,
            Op::FailL2 | Op::ClearL2 | Op::DamageL2(_) | Op::FailL3(_) | Op::FailLeases
        );
        if is_of_the_origin && !matches!(fault, Op::Release) {
            self.is_broken = true;
            self.faults += 1;
        }
        let tier_key = |at: At| {
            let hist = self.origin.head().hist;
            self.namespaces[KEYS[at].0].tier_key(hist, &key(at))
        };
        match *fault {
            Op::HoldRequests => self.origin.requests.hold(),
            Op::HoldAnswers => self.origin.answers.hold(),
            Op::HoldLookups => self.l2.lookups.hold(),
            Op::Release => self.release(),
            Op::FailFetches => self.origin.fail_fetches(ErrorKind::OriginFailed),
            Op::FailPolls => {
                self.origin.fail_polls(ErrorKind::OriginFailed);
                self.polls_are_broken = true;
            }
            Op::Unsettle => {
                self.origin.leave_unsettled(true);
                self.polls_are_broken = true;
            }
            Op::AnswerAsStandby => {
                self.origin.answer_as_replica(true);
                self.polls_are_broken = true;
                self.is_standby = true;
            }
            Op::FailL2 => self.l2.fail(UnavailableReason::Failed),
            Op::ClearL2 => self.l2.clear(),
            Op::DamageL2(at) => {
                self.l2.damage(&tier_key(at));
            }
            Op::FailL3(node) => self.nodes[node].1.fail(UnavailableReason::Deadline),
            Op::FailLeases => self.leases.fail(),
            Op::HoldLease(at) => {
                self.leases.hold_elsewhere(&tier_key(at));
            }
            _ => unreachable!("{fault:?} is no fault"),
        }
    }

    fn release(&self) {
        self.origin.requests.release();
        self.origin.answers.release();
        self.l2.lookups.release();
    }

    fn change(&mut self, at: At, course: Vec<(DbTime, String)>) {
        let (namespace, id, _) = KEYS[at];
        let name = &self.namespaces[namespace].name;
        let version = match course.as_slice() {
            [] => self.origin.remove_in(name, id),
            [(_, document)] => self.origin.put_in(name, id, document.clone()),
            // The fake schedules products only.
            _ if namespace != "products" => return,
            course => {
                let course: Vec<_> = course
                    .iter()
                    .map(|(from, document)| (*from, document.as_str()))
                    .collect();
                self.origin.schedule(id, &course)
            }
        };
        let commits = self.commits.entry((namespace, id)).or_default();
        let living = commits.iter().rev().find(|commit| commit.lost_at.is_none());
        if living.map_or(Version::NONE, |last| last.version) != version {
            let at = self.clock.now();
            commits.push(Commit {
                at,
                lost_at: None,
                version,
                course,
            });
        }
    }

    /// A write through a node, which must never answer an older version again.
    fn write(&mut self, node: usize, at: At) {
        self.changes += 1;
        self.change(at, vec![(DbTime(0), document(at, self.changes))]);
        let (namespace, id, _) = KEYS[at];
        let follows = self.nodes[node].0.status().position.is_some();
        if namespace != "products" || !follows {
            return;
        }
        let name = &self.namespaces[namespace].name;
        let version = self.origin.version_of(name, id);
        self.nodes[node]
            .0
            .written(name, &Id::new(id).unwrap(), version);
        self.written.insert((node, namespace, id), version);
    }

    fn check_own_write(&self, node: usize, at: At, outcome: &Result<Answer, Error>) {
        let (namespace, id, _) = KEYS[at];
        if let (Some(version), Ok(answer)) = (self.written.get(&(node, namespace, id)), outcome) {
            assert!(
                answer.version() >= *version,
                "{id} was written here: {answer:?}"
            );
        }
    }

    /// A failover to a standby that lagged.
    fn lose_tail(&mut self, rows: usize) {
        self.origin.fail_over_losing(rows);
        self.written.clear();
        let now = self.clock.now();
        for ((namespace, id), commits) in &mut self.commits {
            let version = self.origin.version_of(&self.namespaces[namespace].name, id);
            for commit in commits {
                if commit.version > version && commit.lost_at.is_none() {
                    commit.lost_at = Some(now);
                }
            }
        }
    }

    async fn restart(&mut self, node: usize, saves: bool) {
        let (cache, l3, bus) = self.nodes.remove(node);
        if saves {
            cache.stop().await;
        }
        drop((cache, bus));
        let started = self.start(node, l3);
        self.nodes.insert(node, started);
        self.proved[node] = Boot::default();
        self.written.retain(|(writer, ..), _| *writer != node);
    }

    fn mend_bus(&self) {
        self.hub.set_faults(BusFaults::NONE);
        self.hub.release();
        for (.., bus) in &self.nodes {
            bus.reconnect();
        }
    }

    fn begin(&self, node: usize) -> Begun {
        let at = self.clock.now();
        let proved = self.proved[node];
        Begun {
            at,
            proved,
            is_calm: !self.is_broken && at.since(proved) <= BOUND - Duration::from_millis(100),
            faults: self.faults,
        }
    }

    async fn read_version(&self, node: usize, at: At) {
        let (namespace, id, _) = KEYS[at];
        let Some(last) = self
            .commits
            .get(&(namespace, id))
            .and_then(|commits| commits.iter().rev().find(|commit| commit.lost_at.is_none()))
        else {
            return;
        };
        let wanted = ReadOptions {
            min_version: Some(last.version.token()),
            ..options()
        };
        let begun = self.begin(node);
        let outcome = self.nodes[node].0.get(&key(at), wanted).await;
        if let Ok(answer) = &outcome {
            assert!(
                answer.version() >= last.version,
                "the client saw a newer one"
            );
        }
        self.check(&(at, begun, self.clock.now(), outcome));
    }

    async fn read_behind(&mut self, node: usize, at: At) {
        let begun = self.begin(node);
        let (cache, clock) = (self.nodes[node].0.clone(), Arc::clone(&self.clock));
        self.behind.push(tokio::spawn(async move {
            let outcome = cache.get(&key(at), options()).await;
            (at, begun, clock.now(), outcome)
        }));
        // Far enough to meet a gate, if there is one.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    async fn read_many(&self, node: usize, at: &[At]) {
        let keys: Vec<_> = at.iter().map(|at| key(*at)).collect();
        let begun = self.begin(node);
        let outcomes = self.nodes[node].0.get_many(&keys, options()).await;
        assert_eq!(outcomes.len(), keys.len());
        for (at, outcome) in at.iter().zip(outcomes) {
            self.check(&(*at, begun, self.clock.now(), outcome));
        }
    }

    /// Waits until a node has polled, so that from now on it must know all that was committed before.
    async fn catch_up(&mut self, node: usize) {
        if self.polls_are_broken {
            return;
        }
        self.clock.advance(Duration::from_millis(10));
        let from = self.clock.now();
        let cache = &self.nodes[node].0;
        until("the node has proved itself", || {
            let age = cache.status().proof_age;
            age.is_some_and(|age| age < Duration::from_millis(10))
        })
        .await;
        self.proved[node] = from;
    }

    /// Mends everything, and waits until everything that is under way has ended.
    async fn recover(&mut self) {
        self.release();
        self.origin.recover();
        self.origin.leave_unsettled(false);
        self.origin.answer_as_replica(false);
        self.l2.recover();
        self.leases.recover();
        self.mend_bus();
        self.is_broken = false;
        self.polls_are_broken = false;
        // Leases and fills run out.
        self.clock.advance(Duration::from_secs(3));
        for read in std::mem::take(&mut self.behind) {
            let outcome = read.await.unwrap();
            self.check(&outcome);
        }
        self.is_standby = false;
        for (cache, l3, _) in &self.nodes {
            l3.recover();
            until("every fill has landed", || cache.status().fills == 0).await;
        }
        // The pause after a failed fill is over.
        self.clock.advance(Duration::from_secs(2));
        for node in 0..NODES {
            self.catch_up(node).await;
        }
    }

    /// The database's time at a moment.
    fn db(&self, at: Boot) -> DbTime {
        let ago = self.clock.now().since(at).as_millis();
        DbTime(self.origin.now().0 - u64::try_from(ago).unwrap())
    }

    /// What became of a product, from its never having existed on.
    fn commits_of(&self, namespace: &'static str, id: &'static str) -> Vec<Commit> {
        let never = Commit {
            at: Boot::default(),
            lost_at: None,
            version: Version::NONE,
            course: Vec::new(),
        };
        let mut commits = vec![never];
        commits.extend(
            self.commits
                .get(&(namespace, id))
                .into_iter()
                .flatten()
                .cloned(),
        );
        commits
    }

    fn check(&self, (at, begun, ended, outcome): &Outcome) {
        let stayed_calm = begun.faults == self.faults && *ended == begun.at;
        let begun = &Begun {
            is_calm: begun.is_calm && stayed_calm,
            ..*begun
        };
        let answer = match outcome {
            Ok(answer) => answer,
            Err(error) => {
                let of_the_engine = [ErrorKind::Internal, ErrorKind::Invalid];
                assert!(!of_the_engine.contains(&error.kind()), "{error:?}");
                assert!(!begun.is_calm, "{:?} failed in calm: {error:?}", KEYS[*at]);
                return;
            }
        };
        let (namespace, id, _) = KEYS[*at];
        let commits = self.commits_of(namespace, id);
        let commit = commits
            .iter()
            .find(|commit| commit.version == answer.version())
            .unwrap();
        assert!(commit.at <= *ended, "an answer from the future");
        let is_fresh = matches!(answer.freshness(), Freshness::Fresh { .. });
        if is_fresh && namespace == "products" {
            let is_known_lost = commit.lost_at.is_some_and(|at| at < begun.proved);
            assert!(
                !is_known_lost,
                "lost and known to be: {answer:?} of {commit:?}"
            );
        }

        let bound = self.bound(namespace, answer, begun);
        let newest = commits
            .iter()
            .rev()
            .find(|commit| commit.at < begun.at.minus(bound) && commit.lost_at.is_none())
            .unwrap_or(&commits[0]);
        let what = || {
            format!(
                "{:?} at {:?} by {:?}: {answer:?} of {commit:?}; {newest:?}",
                KEYS[*at],
                begun,
                answer.tier()
            )
        };
        assert!(answer.version() >= newest.version, "too old: {}", what());

        // Time alone changes a document without any delay.
        let flips_since = if is_fresh && namespace == "products" {
            begun.at
        } else {
            begun.at.minus(bound)
        };
        let latest = self.db(*ended).plus(CLOCK_ERROR);
        let possible = commit.documents(self.db(flips_since), latest);
        let given = match answer.kind() {
            Kind::Present => Some(text(answer)),
            Kind::Absent => None,
        };
        assert!(
            possible
                .iter()
                .any(|document| with_variant(*at, *document) == given),
            "{possible:?} expected: {}",
            what()
        );
    }

    /// Nothing that was committed longer ago than this may be missing from an answer.
    fn bound(&self, namespace: &str, answer: &Answer, begun: &Begun) -> Duration {
        let tracked = self.namespaces[namespace].tracked;
        match answer.freshness() {
            Freshness::Fresh { .. } if tracked => begun.at.since(begun.proved).min(BOUND),
            Freshness::Fresh { .. } => UNTRACKED_TTL.max(BOUND),
            Freshness::Stale { by } => {
                assert!(!begun.is_calm, "stale in calm: {answer:?}");
                // What a standby says in this moment has no age that the node could know; and the clock may jump during a fetch
                // further than a fetch may take.
                let is_held = !self.is_standby && answer.tier() != TierName::Origin;
                let cap = STALE_CAP + UNTRACKED_TTL + Duration::from_millis(100);
                assert!(!is_held || by <= cap, "beyond the cap: {answer:?}");
                by
            }
        }
    }

    /// When all is well, each node answers each key with what the database has, and then from L1.
    async fn check_that_all_is_well(&mut self) {
        self.recover().await;
        for node in 0..NODES {
            for (at, (namespace, ..)) in KEYS.iter().enumerate() {
                self.catch_up(node).await;
                for tier in [None, Some(TierName::L1)] {
                    let begun = self.begin(node);
                    let answer = self.nodes[node].0.get(&key(at), options()).await.unwrap();
                    let kept = *namespace == "products";
                    assert!(tier.is_none_or(|tier| !kept || answer.tier() == tier));
                    self.check(&(at, begun, self.clock.now(), Ok(answer)));
                }
            }
        }
    }
}

fn document(at: At, change: u64) -> String {
    let (namespace, id, _) = KEYS[at];
    format!("{namespace} {id} {change} {{variant}}")
}

fn with_variant(at: At, document: Option<&str>) -> Option<String> {
    document.map(|document| document.replace("{variant}", KEYS[at].2))
}

async fn until(what: &str, mut probe: impl FnMut() -> bool) {
    let mut left = 20_000;
    while !probe() {
        assert!(left > 0, "{what}: did not come to pass");
        left -= 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_answer_is_worse_than_it_says_and_after_a_recovery_every_answer_is_right(ops in ops()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for op in &ops {
                world.run(op).await;
            }
            world.check_that_all_is_well().await;
        });
    }
}
