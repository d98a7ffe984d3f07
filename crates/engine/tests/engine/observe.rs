//! The observer is told of each read once, and reads of the background leave no trace in L1.

use std::sync::Arc;

use hotshelf_engine::{Class, ReadOptions};
use hotshelf_model::{Asker, Boot, Read, ReadObserver, ReadOutcome, TierName, Version};
use parking_lot::Mutex;

use crate::shop::{Shop, key};

/// What was told of a read.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    id: String,
    tier: TierName,
    outcome: ReadOutcome,
    version: Version,
    bytes: u64,
    is_interactive: bool,
    request_id: String,
    at: Boot,
    is_measured: bool,
}

#[derive(Debug, Default)]
struct Ears(Mutex<Vec<Told>>);

impl ReadObserver for Ears {
    fn read(&self, read: &Read<'_>) {
        self.0.lock().push(Told {
            id: read.key.id().to_owned(),
            tier: read.tier,
            outcome: read.outcome,
            version: read.version,
            bytes: read.bytes,
            is_interactive: read.is_interactive,
            request_id: read.asker.request_id.to_owned(),
            at: read.at,
            is_measured: read.latency.is_some(),
        });
    }
}

impl Ears {
    /// What was told since the last call, in short.
    fn take(&self) -> Vec<(String, TierName, ReadOutcome)> {
        let told = std::mem::take(&mut *self.0.lock());
        let short = |told: Told| (told.id, told.tier, told.outcome);
        told.into_iter().map(short).collect()
    }
}

const BACKGROUND: ReadOptions<'static> = ReadOptions {
    deadline: std::time::Duration::from_secs(5),
    min_version: None,
    class: Class::Background,
    asker: Asker {
        request_id: "",
        caller: "",
    },
};

fn told(id: &str, tier: TierName, outcome: ReadOutcome) -> (String, TierName, ReadOutcome) {
    (id.to_owned(), tier, outcome)
}

#[tokio::test(start_paused = true)]
async fn each_read_is_told_once_whoever_answers_it() {
    use ReadOutcome::{Absent, Failed, Hit};
    let shop = Shop::with_lamp();
    let ears = Arc::new(Ears::default());
    let node = shop.node_observed(Arc::clone(&ears) as _).await;
    let version = node.get("lamp").await.unwrap().version();
    node.get("lamp").await.unwrap();
    assert!(node.cache.try_get(&key("lamp")).is_some());
    assert!(node.cache.try_get(&key("vase")).is_none());
    node.get("vase").await.unwrap();
    node.get("vase").await.unwrap();
    let expected = [
        told("lamp", TierName::Origin, Hit),
        told("lamp", TierName::L1, Hit),
        told("lamp", TierName::L1, Hit),
        told("vase", TierName::Origin, Absent),
        told("vase", TierName::L1, Absent),
    ];
    assert_eq!(ears.take(), expected);
    shop.origin.put("rug", "new");
    let keys = [key("lamp"), key("rug"), key("lamp")];
    node.cache.get_many(&keys, ReadOptions::default()).await;
    let expected = [
        told("lamp", TierName::L1, Hit),
        told("rug", TierName::Origin, Hit),
    ];
    assert_eq!(ears.take(), expected);
    let wanted = ReadOptions {
        min_version: Some(Version(version.0 + 1_000_000).token()),
        ..ReadOptions::default()
    };
    node.cache.get(&key("lamp"), wanted).await.unwrap_err();
    assert_eq!(ears.take(), [told("lamp", TierName::Origin, Failed)]);
}

#[tokio::test(start_paused = true)]
async fn a_read_is_told_whole() {
    let shop = Shop::with_lamp();
    let ears = Arc::new(Ears::default());
    let node = shop.node_observed(Arc::clone(&ears) as _).await;
    let options = ReadOptions {
        asker: Asker {
            request_id: "r-1",
            caller: "",
        },
        ..ReadOptions::default()
    };
    let answer = node.cache.get(&key("lamp"), options).await.unwrap();
    let expected = Told {
        id: "lamp".to_owned(),
        tier: TierName::Origin,
        outcome: ReadOutcome::Hit,
        version: answer.version(),
        bytes: answer.document().len() as u64,
        is_interactive: true,
        request_id: "r-1".to_owned(),
        at: hotshelf_model::Clock::now(&*shop.clock),
        is_measured: true,
    };
    assert_eq!(*ears.0.lock(), [expected]);
}

#[tokio::test(start_paused = true)]
async fn what_only_the_background_reads_is_not_kept_in_l1() {
    use ReadOutcome::Hit;
    let shop = Shop::with_lamp();
    shop.origin.put("vase", "vase");
    let ears = Arc::new(Ears::default());
    let node = shop.node_observed(Arc::clone(&ears) as _).await;
    node.get("vase").await.unwrap();
    ears.take();
    for id in ["lamp", "vase"] {
        node.cache.get(&key(id), BACKGROUND).await.unwrap();
    }
    assert!(ears.0.lock().iter().all(|told| !told.is_interactive));
    let expected = [
        told("lamp", TierName::Origin, Hit),
        told("vase", TierName::L1, Hit),
    ];
    assert_eq!(ears.take(), expected);
    assert!(node.cache.try_get(&key("lamp")).is_none());
    let lamp = shop.tier_key("lamp");
    node.until("the lamp is in L2", |_| shop.l2.entry(&lamp).is_some())
        .await;
    node.get("lamp").await.unwrap();
    assert!(node.cache.try_get(&key("lamp")).is_some());
}
