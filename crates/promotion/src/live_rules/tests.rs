//! Rules of the database hold until they are removed; what cannot be read changes nothing.

use hotshelf_hotkeys::{Action, RuleText};
use hotshelf_model::{BootClock, ErrorKind};
use hotshelf_testkit::{FakeSettings, wait_until_async};

use super::*;

const LIMIT: std::time::Duration = std::time::Duration::from_secs(10);

fn node(settings: &Arc<FakeSettings>) -> (HotKeys, LiveRules) {
    let file = Rules::new(700, &[]).unwrap();
    let hot = HotKeys::new(Arc::new(BootClock), file);
    let watcher = Watcher::new(Arc::clone(settings) as _);
    let live = LiveRules::new(hot.clone(), watcher);
    (hot, live)
}

fn decider(if_version: Option<u64>) -> Decider<'static> {
    Decider {
        who: "ops",
        why: "the sale",
        if_version,
    }
}

fn rules(threshold: u32) -> Rules {
    let never = RuleText {
        name: "vouchers".to_owned(),
        namespace: None,
        id: Some("V-.*".to_owned()),
        action: Action::Never,
    };
    Rules::new(threshold, &[never]).unwrap()
}

#[tokio::test]
async fn what_is_set_on_one_node_holds_on_every_node_until_it_is_cleared() {
    let settings = Arc::new(FakeSettings::default());
    let (here, live) = node(&settings);
    let (there, other) = node(&settings);
    let following = tokio::spawn(other.watcher.clone().follow());
    let outcome = live.set(&rules(900), decider(None)).await.unwrap();
    assert_eq!(outcome, SettingOutcome::Written { version: 1 });
    assert_eq!(here.rules().threshold(), 900, "at once");
    let set = live.known().set.unwrap();
    assert_eq!((set.version, &*set.who, &*set.why), (1, "ops", "the sale"));
    let holds = async |threshold| {
        wait_until_async("the other node has the rules", LIMIT, async || {
            there.rules().threshold() == threshold
        })
        .await;
    };
    holds(900).await;
    assert_eq!(there.rules().to_json(), rules(900).to_json());
    let refused = live.clear(decider(Some(7))).await.unwrap();
    assert_eq!(refused, SettingOutcome::VersionMismatch { current: 1 });
    assert_eq!(here.rules().threshold(), 900);
    live.clear(decider(Some(1))).await.unwrap();
    assert_eq!((here.rules().threshold(), live.known().set), (700, None));
    holds(700).await;
    following.abort();
}

#[tokio::test]
async fn what_cannot_be_read_leaves_the_rules_in_force() {
    let settings = Arc::new(FakeSettings::default());
    let (hot, live) = node(&settings);
    live.set(&rules(900), decider(None)).await.unwrap();
    settings.put(SETTING, Some(r#"{"format": 2, "threshold": 800}"#));
    live.watcher.look().await.unwrap();
    let known = live.known();
    assert_eq!((hot.rules().threshold(), known.version), (900, 2));
    assert_eq!(known.set.unwrap().version, 1);
    assert!(known.unreadable.unwrap().contains("format"));
    settings.put(SETTING, Some(r#"{"threshold": 800}"#));
    live.watcher.look().await.unwrap();
    assert_eq!(
        (hot.rules().threshold(), live.known().unreadable),
        (800, None)
    );
}

#[tokio::test]
async fn a_database_that_is_down_leaves_the_rules_in_force() {
    let settings = Arc::new(FakeSettings::default());
    let (hot, live) = node(&settings);
    live.set(&rules(900), decider(None)).await.unwrap();
    settings.fail(ErrorKind::OriginFailed);
    assert!(live.watcher.look().await.is_err());
    assert!(live.set(&rules(800), decider(None)).await.is_err());
    assert_eq!(hot.rules().threshold(), 900);
    settings.recover();
    let reads = settings.reads();
    live.watcher.look().await.unwrap();
    assert_eq!(
        (hot.rules().threshold(), settings.reads()),
        (900, reads + 1),
        "one statement a look"
    );
}
