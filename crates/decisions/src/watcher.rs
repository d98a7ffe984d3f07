//! The watcher: reads which settings of the cluster have changed, all in one statement, twice a second.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use hotshelf_model::{ClusterSetting, ClusterSettings, Error};
use parking_lot::RwLock;
use tokio::sync::Mutex;
use tokio::time::{MissedTickBehavior, interval};

/// How often a node looks: one statement, whose answer is empty while nothing has changed.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Follows one setting.
pub trait Follows: Send + Sync + Debug {
    /// What the setting is called.
    fn name(&self) -> &'static str;

    /// The version that it knows; 0 before any.
    fn version(&self) -> u64;

    /// Takes another version than the one that it knows.
    fn take(&self, setting: ClusterSetting);
}

/// Reads settings for those who follow them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Watcher {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: Arc<dyn ClusterSettings>,
    followers: RwLock<Vec<Arc<dyn Follows>>>,
    /// One reading at a time, so that an older one never comes after a newer.
    reading: Mutex<()>,
}

impl Watcher {
    /// One that nobody follows yet.
    pub fn new(settings: Arc<dyn ClusterSettings>) -> Self {
        let shared = Shared {
            settings,
            followers: RwLock::default(),
            reading: Mutex::new(()),
        };
        Watcher {
            shared: Arc::new(shared),
        }
    }

    /// Where the settings lie.
    pub fn settings(&self) -> &Arc<dyn ClusterSettings> {
        &self.shared.settings
    }

    /// From the next look on `follower` is told.
    pub fn add(&self, follower: Arc<dyn Follows>) {
        self.shared.followers.write().push(follower);
    }

    /// Looks once, and tells those whose setting has changed.
    ///
    /// # Errors
    /// As [`ClusterSettings::read`]; nobody is told anything.
    pub async fn look(&self) -> Result<(), Error> {
        let shared = &self.shared;
        let _one = shared.reading.lock().await;
        let followers = shared.followers.read().clone();
        let known: Vec<_> = followers
            .iter()
            .map(|follower| (follower.name(), follower.version()))
            .collect();
        let changed = shared.settings.read_changed(&known).await?;
        for (follower, setting) in followers.iter().zip(changed) {
            if let Some(setting) = setting {
                follower.take(setting);
            }
        }
        Ok(())
    }

    /// Looks for as long as it is polled.
    pub async fn follow(self) {
        let mut looks = interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_failing = false;
        loop {
            looks.tick().await;
            let looked = self.look().await;
            if let Err(error) = &looked
                && !is_failing
            {
                tracing::warn!(%error, "could not look for what operators have decided; what is in force stays");
            }
            is_failing = looked.is_err();
        }
    }
}
