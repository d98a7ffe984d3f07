//! The rules for hot keys that hold in the whole cluster: those of the file until others are set, then those of the database.

use std::sync::Arc;

use hotshelf_decisions::{Follows, Watcher};
use hotshelf_hotkeys::Rules;
use hotshelf_model::{ClusterSetting, DbTime, Error, SettingChange, SettingOutcome};
use hotshelf_telemetry::{Counter, Gauge, metric};
use tokio::sync::watch;

use crate::handle::HotKeys;

/// What the setting is called.
const SETTING: &str = "hot_rules";

/// Keeps the rules of one node as the cluster's operators decided them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LiveRules {
    shared: Arc<Shared>,
    watcher: Watcher,
}

#[derive(Debug)]
struct Shared {
    hot: HotKeys,
    /// Those of the file.
    file: Arc<Rules>,
    known: watch::Sender<RulesKnown>,
    version: Gauge,
    unreadable: Counter,
}

/// What a node knows of the rules.
#[derive(Clone, Debug)]
pub struct RulesKnown {
    /// Those in force.
    pub rules: Arc<Rules>,
    /// Who set them; `None` while those of the file hold.
    pub set: Option<RulesSet>,
    /// The version that the database has; 0 when rules were never set. Where it is not that of `set`, rules were removed, or are
    /// [`RulesKnown::unreadable`].
    pub version: u64,
    /// What is wrong with the database's rules, if they cannot be read; those in force are then the last that could.
    pub unreadable: Option<String>,
}

/// Who set rules, when and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesSet {
    /// Their version: 1 or greater.
    pub version: u64,
    /// When, on the database's clock.
    pub at: DbTime,
    /// Who.
    pub who: String,
    /// Why, in their words.
    pub why: String,
}

/// Who decides about rules, and why.
#[derive(Clone, Copy, Debug)]
pub struct Decider<'a> {
    /// Who.
    pub who: &'a str,
    /// Why.
    pub why: &'a str,
    /// Decide only while this is the version of the rules.
    pub if_version: Option<u64>,
}

impl LiveRules {
    /// Those that `hot` was made with are the file's. Nothing is read before the watcher looks.
    pub fn new(hot: HotKeys, watcher: Watcher) -> Self {
        let file = hot.rules();
        let known = RulesKnown {
            rules: Arc::clone(&file),
            set: None,
            version: 0,
            unreadable: None,
        };
        let shared = Arc::new(Shared {
            hot,
            file,
            known: watch::Sender::new(known),
            version: metric::HOT_RULES_VERSION.gauge(&[]),
            unreadable: metric::HOT_RULES_UNREADABLE.counter(&[]),
        });
        watcher.add(Arc::clone(&shared) as _);
        LiveRules { shared, watcher }
    }

    /// What this node knows.
    pub fn known(&self) -> RulesKnown {
        self.shared.known.borrow().clone()
    }

    /// Sets rules for the whole cluster, durably. They are in force on this node when this returns, on the others within a second.
    ///
    /// # Errors
    /// As [`ClusterSettings::change`](hotshelf_model::ClusterSettings::change).
    pub async fn set(&self, rules: &Rules, decider: Decider<'_>) -> Result<SettingOutcome, Error> {
        let text = rules.to_json().to_string();
        self.change(Some(&text), decider).await
    }

    /// Removes the rules that were set, so that each node goes back to those of its file, as after [`LiveRules::set`].
    ///
    /// # Errors
    /// As [`ClusterSettings::change`](hotshelf_model::ClusterSettings::change).
    pub async fn clear(&self, decider: Decider<'_>) -> Result<SettingOutcome, Error> {
        self.change(None, decider).await
    }

    async fn change(
        &self,
        text: Option<&str>,
        decider: Decider<'_>,
    ) -> Result<SettingOutcome, Error> {
        let change = SettingChange {
            name: SETTING,
            text,
            if_version: decider.if_version,
            who: decider.who,
            why: decider.why,
        };
        let outcome = self.watcher.settings().change(&change).await?;
        if let Err(error) = self.watcher.look().await {
            // They are set; this node hears of them a little later, like the others.
            tracing::debug!(%error, "could not read back the rules for hot keys");
        }
        Ok(outcome)
    }
}

impl Follows for Shared {
    fn name(&self) -> &'static str {
        SETTING
    }

    fn version(&self) -> u64 {
        self.known.borrow().version
    }

    fn take(&self, setting: ClusterSetting) {
        let mut known = self.known.borrow().clone();
        known.version = setting.version;
        known.unreadable = None;
        match setting
            .text
            .as_deref()
            .map(|text| Rules::from_json(text.as_bytes()))
        {
            None => {
                known.rules = Arc::clone(&self.file);
                known.set = None;
            }
            Some(Ok(rules)) => {
                known.rules = Arc::new(rules);
                known.set = Some(RulesSet {
                    version: setting.version,
                    at: setting.at,
                    who: setting.who,
                    why: setting.why,
                });
            }
            Some(Err(problems)) => {
                let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
                let reason = problems.join("; ");
                self.unreadable.increment(1);
                tracing::error!(
                    version = setting.version,
                    reason,
                    "cannot read the rules for hot keys in the database, which a newer hotshelf may have written; those in force stay"
                );
                known.unreadable = Some(reason);
                self.known.send_replace(known);
                return;
            }
        }
        let version = known.set.as_ref().map_or(0, |set| set.version);
        let (threshold, rules) = (known.rules.threshold(), known.rules.texts().len());
        tracing::info!(
            version,
            threshold,
            rules,
            "other rules for hot keys are in force"
        );
        self.version.set(gauge(version));
        self.hot.set_rules(Rules::clone(&known.rules));
        self.known.send_replace(known);
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody sets rules 2^52 times")]
fn gauge(version: u64) -> f64 {
    version as f64
}

#[cfg(test)]
mod tests;
