//! Fills share statements, and none fails for another's sake.

use hotshelf_testkit::{FakeOrigin, ManualClock};

use super::*;
use crate::budget::Permit;
use crate::settings::BudgetSettings;

const PATIENCE: Duration = Duration::from_secs(2);

struct Bench {
    clock: Arc<ManualClock>,
    origin: Arc<FakeOrigin>,
    budget: Arc<Budget>,
    fetcher: Arc<Fetcher>,
    group: Group,
}

/// A fetcher over a budget of one, for statements of `documents_max`.
fn bench(documents_max: usize) -> Bench {
    let clock = Arc::new(ManualClock::new());
    let origin = Arc::new(FakeOrigin::with_clock(Arc::clone(&clock) as _));
    let settings = BudgetSettings {
        concurrency_min: 1,
        concurrency_max: 1,
        ..BudgetSettings::default()
    };
    let budget = Budget::new(settings, Arc::clone(&clock) as _);
    let fetcher = Fetcher::new(
        Arc::clone(&origin) as _,
        Arc::clone(&budget),
        Arc::clone(&clock) as _,
        Arc::new(Switchboard::new()),
        documents_max,
    );
    let group = Group {
        namespace: NamespaceName::new("products").unwrap(),
        variant: Variant::default(),
        class: Class::Interactive,
        moment: None,
    };
    Bench {
        clock,
        origin,
        budget,
        fetcher,
        group,
    }
}

impl Bench {
    async fn occupy(&self) -> Permit {
        self.budget
            .acquire(Class::Interactive, PATIENCE)
            .await
            .unwrap()
    }

    /// Wants documents; the runners are on their way when it returns.
    async fn want(&self, ids: &[&str], patience: Duration) -> Vec<oneshot::Receiver<FetchOutcome>> {
        let ids: Vec<_> = ids.iter().map(|id| Id::new(id).unwrap()).collect();
        let receivers = self.fetcher.fetch(&self.group, &ids, None, patience);
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        receivers
    }

    fn is_idle(&self) -> bool {
        self.fetcher.waiting.lock().is_empty()
    }
}

async fn kinds(receivers: Vec<oneshot::Receiver<FetchOutcome>>) -> Vec<Option<ErrorKind>> {
    let mut kinds = Vec::new();
    for receiver in receivers {
        kinds.push(receiver.await.unwrap().err().map(|error| error.kind()));
    }
    kinds
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_the_budget_goes_in_one_statement() {
    let bench = bench(200);
    let busy = bench.occupy().await;
    let one = bench.want(&["a", "b"], PATIENCE).await;
    let other = bench.want(&["b", "c"], PATIENCE).await;
    drop(busy);
    assert_eq!(kinds(one).await, [None, None]);
    assert_eq!(kinds(other).await, [None, None]);
    assert_eq!((bench.origin.fetches(), bench.origin.documents()), (1, 3));
    assert!(bench.is_idle());
}

#[tokio::test(start_paused = true)]
async fn a_document_of_a_moment_to_come_does_not_take_the_others_there() {
    let bench = bench(200);
    let now = bench.origin.now();
    let moment = now.plus(Duration::from_secs(60));
    for id in ["a", "b"] {
        let course = [(DbTime(0), "old"), (moment, "new")];
        bench.origin.schedule(id, &course);
    }
    let busy = bench.occupy().await;
    let ahead = Group {
        moment: Some(moment),
        ..bench.group.clone()
    };
    let ids = [Id::new("a").unwrap()];
    let next = bench.fetcher.fetch(&ahead, &ids, Some(moment), PATIENCE);
    let present = bench.want(&["a", "b"], PATIENCE).await;
    drop(busy);
    for (receivers, body) in [(next, "new"), (present, "old")] {
        for receiver in receivers {
            let fetched = receiver.await.unwrap().unwrap();
            assert_eq!(fetched.document.body.unwrap(), body);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_a_reader_waits_for_goes_before_readers_who_come_later() {
    let mut bench = bench(200);
    let busy = bench.occupy().await;
    bench.group.class = Class::Refresh;
    let refresh = bench.want(&["a"], PATIENCE).await;
    bench
        .fetcher
        .urge(&bench.group, Class::Interactive, PATIENCE);
    tokio::task::yield_now().await;
    bench.group.class = Class::Interactive;
    let later = bench.want(&["b"], PATIENCE).await;
    bench.origin.requests.hold();
    drop(busy);
    bench.origin.requests.arrived(1).await;
    assert_eq!(
        (bench.origin.fetches_of("a"), bench.origin.fetches()),
        (1, 1)
    );
    bench.origin.requests.release();
    assert_eq!(kinds(refresh).await, [None]);
    assert_eq!(kinds(later).await, [None]);
    bench
        .fetcher
        .urge(&bench.group, Class::Interactive, PATIENCE);
    while !bench.is_idle() {
        tokio::task::yield_now().await;
    }
    assert_eq!(bench.origin.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_late_comer_does_not_fail_with_who_has_waited_long() {
    let bench = bench(200);
    let busy = bench.occupy().await;
    let early = bench.want(&["a"], PATIENCE).await;
    bench.clock.advance(PATIENCE - Duration::from_millis(100));
    let late = bench.want(&["b"], PATIENCE).await;
    bench.origin.delay(Duration::from_millis(500));
    drop(busy);
    assert_eq!(kinds(late).await, [None]);
    assert_eq!(kinds(early).await, [None]);
    assert_eq!(bench.origin.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_gets_no_permit_is_shed_and_leaves_nothing_behind() {
    let bench = bench(2);
    let busy = bench.occupy().await;
    let hasty = bench
        .want(&["a", "b", "c"], Duration::from_millis(100))
        .await;
    let patient = bench.want(&["d"], PATIENCE).await;
    bench.clock.advance(Duration::from_millis(100));
    assert_eq!(kinds(hasty).await, [Some(ErrorKind::Shed); 3]);
    drop(busy);
    assert_eq!(kinds(patient).await, [None]);
    assert!(bench.is_idle());
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_its_own_statement_and_gives_the_permit_back() {
    let bench = bench(200);
    bench.origin.panic_once();
    for receiver in bench.want(&["a"], PATIENCE).await {
        receiver.await.unwrap_err();
    }
    let again = bench.want(&["a"], PATIENCE).await;
    assert_eq!(kinds(again).await, [None]);
    assert!(bench.is_idle());
}
