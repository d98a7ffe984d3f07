//! The tier suite passes on the fake and fails on wrong tiers.

use hotshelf_model::{BoxFuture, Hist, Key, TierStatus};

use super::*;
use crate::FakeTier;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fake_tier_passes() {
    tier(async || Arc::new(FakeTier::new(TierName::L2)) as Arc<dyn Tier>).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tier_that_admits_on_the_second_put_passes() {
    let fake = Arc::new(FakeTier::new(TierName::L3));
    fake.admit_on_second_put();
    tier(async || fake.clone() as Arc<dyn Tier>).await;
}

const CUT: usize = 1 << 19;

/// What a wrong tier does wrong.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Unfenced,
    UnfencedWithinOneCall,
    Reversed,
    Collapsed,
    ForgetsNothing,
    IgnoresHist,
    IgnoresCase,
    LosesFacts,
    SaysStored,
    CutsLongDocuments,
}

#[derive(Debug)]
struct Broken {
    fault: Fault,
    inner: FakeTier,
}

impl Broken {
    fn key(&self, key: &TierKey) -> TierKey {
        let mut key = key.clone();
        match self.fault {
            Fault::IgnoresHist => key.hist = Hist(0),
            Fault::IgnoresCase => {
                key.key = Key::parse(&key.key.as_str().to_lowercase()).unwrap();
            }
            _ => {}
        }
        key
    }

    fn entry(&self, entry: &Entry) -> Entry {
        let mut entry = entry.clone();
        match self.fault {
            Fault::LosesFacts => entry.facts = FillFacts::default(),
            Fault::CutsLongDocuments if entry.body().identity.len() > CUT => {
                entry = present(entry.body().identity.slice(..CUT), entry.stamp);
            }
            _ => {}
        }
        entry
    }
}

impl Tier for Broken {
    fn name(&self) -> TierName {
        TierName::L2
    }

    fn get_many<'a>(&'a self, keys: &'a [TierKey]) -> BoxFuture<'a, Vec<Lookup>> {
        Box::pin(async move {
            let mut keys: Vec<TierKey> = keys.iter().map(|key| self.key(key)).collect();
            match self.fault {
                Fault::Reversed => keys.reverse(),
                Fault::Collapsed => {
                    let mut seen = std::collections::HashSet::new();
                    keys.retain(|key| seen.insert(key.clone()));
                }
                _ => {}
            }
            self.inner.get_many(&keys).await
        })
    }

    fn put_many<'a>(&'a self, entries: &'a [(TierKey, Entry)]) -> BoxFuture<'a, Vec<PutOutcome>> {
        Box::pin(async move {
            let entries: Vec<_> = entries
                .iter()
                .map(|(key, entry)| (self.key(key), self.entry(entry)))
                .collect();
            let keys: Vec<TierKey> = entries.iter().map(|(key, _)| key.clone()).collect();
            let mut repeated = keys.clone();
            repeated.dedup();
            let again = repeated.len() < keys.len();
            match self.fault {
                Fault::Unfenced => self.inner.remove_many(&keys).await,
                Fault::UnfencedWithinOneCall if again => {
                    self.inner.remove_many(&keys).await;
                    return self
                        .inner
                        .put_many(&entries[entries.len() - 1..])
                        .await
                        .repeat(entries.len());
                }
                _ => {}
            }
            let outcomes = self.inner.put_many(&entries).await;
            match self.fault {
                Fault::SaysStored => vec![PutOutcome::Stored; outcomes.len()],
                _ => outcomes,
            }
        })
    }

    fn remove_many<'a>(&'a self, keys: &'a [TierKey]) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if !matches!(self.fault, Fault::ForgetsNothing) {
                let keys: Vec<TierKey> = keys.iter().map(|key| self.key(key)).collect();
                self.inner.remove_many(&keys).await;
            }
        })
    }

    fn status(&self) -> TierStatus {
        self.inner.status()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wrong_tier_is_found_out() {
    let faults = [
        Fault::Unfenced,
        Fault::UnfencedWithinOneCall,
        Fault::Reversed,
        Fault::Collapsed,
        Fault::ForgetsNothing,
        Fault::IgnoresHist,
        Fault::IgnoresCase,
        Fault::LosesFacts,
        Fault::SaysStored,
        Fault::CutsLongDocuments,
    ];
    let here = tokio::task::LocalSet::new();
    for fault in faults {
        let inner = FakeTier::new(TierName::L2);
        let broken: Arc<dyn Tier> = Arc::new(Broken { fault, inner });
        let run = here.spawn_local(async move { tier(async || broken.clone()).await });
        let found = here.run_until(run).await.is_err();
        assert!(found, "{fault:?} was not found out");
    }
}
