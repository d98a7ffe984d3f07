//! Settings of the whole cluster: versions, removals, several writers at once, and what is kept of each change.

use futures_util::future::join_all;
use hotshelf_model::{ClusterSetting, ClusterSettings, SettingChange, SettingOutcome};

use super::shop::{Shop, shops};
use crate::{Dialect, SqlSettings};

fn change(text: Option<&'static str>, if_version: Option<u64>) -> SettingChange<'static> {
    SettingChange {
        name: "hot_rules",
        text,
        if_version,
        who: "shop-operator",
        why: "the \"sale\" begins",
    }
}

impl Shop {
    async fn change(&self, text: Option<&'static str>, if_version: Option<u64>) -> SettingOutcome {
        self.origin.change(&change(text, if_version)).await.unwrap()
    }

    async fn setting(&self, known: Option<u64>) -> Option<ClusterSetting> {
        self.origin.read("hot_rules", known).await.unwrap()
    }
}

#[tokio::test]
async fn a_setting_is_what_was_decided_last_and_says_who_decided_it() {
    for shop in shops("setting").await {
        assert_eq!(shop.setting(None).await, Some(ClusterSetting::default()));
        assert_eq!(shop.setting(Some(0)).await, None, "still not there");
        let written = |version| SettingOutcome::Written { version };
        assert_eq!(shop.change(Some("one"), None).await, written(1));
        assert_eq!(shop.change(Some("two"), Some(1)).await, written(2));
        let read = shop.setting(Some(1)).await.unwrap();
        assert_eq!((read.version, read.text.as_deref()), (2, Some("two")));
        assert_eq!(
            (&*read.who, &*read.why),
            ("shop-operator", "the \"sale\" begins")
        );
        assert_eq!(shop.setting(Some(2)).await, None, "its version is known");
        let is_now = match shop.dialect {
            Dialect::Postgres => "abs(extract(epoch FROM now()) * 1000 - $AT) < 60000",
            Dialect::Sqlite => "abs(unixepoch() * 1000 - $AT) < 60000",
        };
        let sql = format!(
            "SELECT count(*) WHERE {}",
            is_now.replace("$AT", &read.at.0.to_string())
        );
        assert_eq!(shop.number(&sql).await, 1, "{:?}", read.at);

        assert_eq!(shop.change(None, None).await, written(3));
        let removed = shop.setting(Some(2)).await.unwrap();
        assert_eq!((removed.version, removed.text), (3, None));
        assert_eq!(shop.change(Some("four"), Some(3)).await, written(4));
        let kept =
            "SELECT count(*) FROM cache_setting WHERE name = 'hot_rules' AND who = 'shop-operator'";
        assert_eq!(shop.number(kept).await, 4, "every change is kept");
    }
}

#[tokio::test]
async fn what_changed_of_several_is_read_at_once_and_every_change_is_remembered() {
    for shop in shops("setting_changed").await {
        shop.change(Some("one"), None).await;
        shop.change(Some("two"), None).await;
        let never = ("pins", 0);
        let changed = shop.origin.read_changed(&[never, ("hot_rules", 1)]).await;
        let changed = changed.unwrap();
        assert_eq!((changed.len(), &changed[0]), (2, &None));
        let text = changed[1].as_ref().unwrap().text.as_deref();
        assert_eq!(text, Some("two"), "{:?}", shop.dialect);
        let known = [("hot_rules", 2), never, ("switches", 3)];
        let changed = shop.origin.read_changed(&known).await.unwrap();
        assert_eq!(changed[..2], [None, None]);
        assert_eq!(changed[2], Some(ClusterSetting::default()), "it is gone");
        assert_eq!(shop.origin.read_changed(&[]).await.unwrap(), []);
        shop.change(None, None).await;
        let history = shop.origin.history("hot_rules", 2).await.unwrap();
        let told: Vec<_> = history
            .iter()
            .map(|change| (change.version, change.text.as_deref()))
            .collect();
        assert_eq!(told, [(3, None), (2, Some("two"))]);
        assert_eq!(history[0].who, "shop-operator");
    }
}

#[tokio::test]
async fn a_change_of_another_version_writes_nothing() {
    for shop in shops("setting_mismatch").await {
        let mismatch = |current| SettingOutcome::VersionMismatch { current };
        assert_eq!(shop.change(Some("one"), Some(1)).await, mismatch(0));
        shop.change(Some("one"), Some(0)).await;
        assert_eq!(shop.change(Some("two"), Some(0)).await, mismatch(1));
        assert_eq!(shop.change(None, Some(7)).await, mismatch(1));
        let read = shop.setting(None).await.unwrap();
        assert_eq!((read.version, read.text.as_deref()), (1, Some("one")));
    }
}

#[tokio::test]
async fn of_changes_at_once_each_gets_its_version_and_one_of_those_that_ask_for_the_same() {
    for shop in shops("setting_race").await {
        let other = shop.another(&SqlSettings::default());
        let both = [&shop.origin, &other];
        let free = change(Some("free"), None);
        let outcomes = join_all((0..4).map(|at| both[at % 2].change(&free))).await;
        let mut versions: Vec<u64> = outcomes
            .into_iter()
            .map(|outcome| match outcome.unwrap() {
                SettingOutcome::Written { version } => version,
                mismatch @ SettingOutcome::VersionMismatch { .. } => panic!("{mismatch:?}"),
            })
            .collect();
        versions.sort_unstable();
        assert_eq!(versions, (1..=4).collect::<Vec<_>>(), "{:?}", shop.dialect);
        let bound = change(Some("bound"), Some(4));
        let outcomes = join_all((0..4).map(|at| both[at % 2].change(&bound))).await;
        let written = outcomes
            .iter()
            .flatten()
            .filter(|outcome| **outcome == SettingOutcome::Written { version: 5 });
        assert_eq!(written.count(), 1, "{outcomes:?}");
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    }
}
