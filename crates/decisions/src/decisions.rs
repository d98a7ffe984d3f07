//! A node's view of what operators have decided: puts it in force, and changes it for the whole cluster.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use hotshelf_engine::{Cache, Class, HotReason, PromotionOutcome, ReadOptions};
use hotshelf_model::{
    ClusterSetting, ClusterSettings, DbTime, Error, ErrorKind, Key, Kind, SettingChange,
    SettingOutcome,
};
use hotshelf_telemetry::{Counter, Gauge, metric};
use parking_lot::Mutex;
use tokio::time::{MissedTickBehavior, interval};

use crate::document::Document;
use crate::effective::{Effective, effective};
use crate::pins::{Pins, Room};
use crate::switches::SwitchEntries;
use crate::watcher::{Follows, Watcher};

/// How often a node sees whether something has ended.
const TICK: Duration = Duration::from_millis(250);
/// How often a change is tried when others change the same document at the same time.
const ATTEMPTS: u32 = 5;
/// Documents weighed at once.
const WEIGHED_AT_ONCE: usize = 200;
const WEIGH_DEADLINE: Duration = Duration::from_secs(5);

/// Carries out what is none of the engine's.
pub trait CarryOut: Send + Sync + Debug {
    /// From now on this is in force on the node.
    fn carry_out(&self, effective: &Effective);
}

/// A document as a node knows it.
#[derive(Clone, Debug, Default)]
pub struct Known<D> {
    /// The last one that could be read.
    pub document: D,
    /// The version that the database has; 0 when there never was one.
    pub version: u64,
    /// What is wrong with that version, if it cannot be read.
    pub unreadable: Option<String>,
}

/// Who decides, and why.
#[derive(Clone, Debug)]
pub struct Decider {
    /// Who: the name of a token.
    pub who: String,
    /// Why.
    pub why: String,
    /// Decide only while this is the document's version.
    pub if_version: Option<u64>,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed<R> {
    /// It is durable.
    Written {
        /// The document's version now.
        version: u64,
    },
    /// It cannot be made, for this reason; nothing was written.
    Refused(R),
    /// The document has another version than the one asked for; nothing was written.
    VersionMismatch {
        /// Its version.
        current: u64,
    },
    /// Others have changed the document each time that this was tried; nothing was written.
    Contended,
    /// The document in the database cannot be read by this node, so it is not replaced.
    Unreadable(String),
}

/// What documents take in L1.
#[derive(Clone, Debug, Default)]
pub struct Weighed {
    /// Each that is there, with its bytes.
    pub keys: Vec<(Key, u64)>,
    /// Those that are not there.
    pub absent: Vec<Key>,
}

/// What operators have decided, on one node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Decisions {
    shared: Arc<Shared>,
    watcher: Watcher,
}

#[derive(Debug)]
struct Shared {
    node: String,
    cache: Cache,
    others: Arc<dyn CarryOut>,
    state: Mutex<State>,
    pins: [Gauge; 2],
    switched: Gauge,
}

#[derive(Debug, Default)]
struct State {
    pins: Known<Pins>,
    switches: Known<SwitchEntries>,
    is_dirty: bool,
    in_force: Effective,
    /// When it was put in force.
    since: DbTime,
    /// Pins that the hot set has no room for, or that are banned.
    refused: Vec<Key>,
}

impl Decisions {
    /// Those of the node of this name. Nothing is read before the watcher looks.
    pub fn new(node: &str, cache: Cache, watcher: Watcher, others: Arc<dyn CarryOut>) -> Self {
        let pins = |state: &'static str| metric::PINS.gauge(&[("state", state)]);
        let shared = Arc::new(Shared {
            node: node.to_owned(),
            cache,
            others,
            state: Mutex::default(),
            pins: [pins("held"), pins("refused")],
            switched: metric::SWITCHED.gauge(&[]),
        });
        watcher.add(Arc::new(Follower {
            shared: Arc::clone(&shared),
            known: |state| &mut state.pins,
            unreadable: unreadable::<Pins>(),
        }));
        watcher.add(Arc::new(Follower {
            shared: Arc::clone(&shared),
            known: |state| &mut state.switches,
            unreadable: unreadable::<SwitchEntries>(),
        }));
        Decisions { shared, watcher }
    }

    /// The name of this node, as switches for one node say it.
    pub fn node(&self) -> &str {
        &self.shared.node
    }

    /// The pins that this node knows, ended ones included.
    pub fn pins(&self) -> Known<Pins> {
        self.shared.state.lock().pins.clone()
    }

    /// The decisions about switches that this node knows, ended ones included.
    pub fn switches(&self) -> Known<SwitchEntries> {
        self.shared.state.lock().switches.clone()
    }

    /// What is in force on this node.
    pub fn in_force(&self) -> Effective {
        self.shared.state.lock().in_force.clone()
    }

    /// The keys that are pinned, but that this node has no room for, or that are banned.
    pub fn refused(&self) -> Vec<Key> {
        self.shared.state.lock().refused.clone()
    }

    /// The database's clock.
    ///
    /// # Errors
    /// `Unavailable` before the node has read it.
    pub fn now(&self) -> Result<DbTime, Error> {
        let now = self.shared.cache.status().database_now;
        let context = "this node does not know the database's time yet";
        now.ok_or_else(|| Error::new(ErrorKind::Unavailable, context))
    }

    /// What this node can pin.
    pub fn room(&self) -> Room {
        let (keys, bytes) = self.shared.cache.hot_room();
        Room { keys, bytes }
    }

    /// Reads documents as a caller in the background would, to know what they take.
    ///
    /// # Errors
    /// As [`Cache::get`].
    pub async fn weigh(&self, keys: &[Key]) -> Result<Weighed, Error> {
        let options = ReadOptions {
            deadline: WEIGH_DEADLINE,
            class: Class::Background,
            ..ReadOptions::default()
        };
        let mut weighed = Weighed::default();
        for keys in keys.chunks(WEIGHED_AT_ONCE) {
            let answers = self.shared.cache.get_many(keys, options).await;
            for (key, answer) in keys.iter().zip(answers) {
                let answer = answer?;
                match answer.kind() {
                    Kind::Present => {
                        let bytes = Cache::weight(key, &answer);
                        weighed.keys.push((key.clone(), bytes));
                    }
                    Kind::Absent => weighed.absent.push(key.clone()),
                }
            }
        }
        Ok(weighed)
    }

    /// Changes a document for the whole cluster, durably: what is decided is in force on this node when this returns, on the others within
    /// a second. `edit` gets the document as the database has it, without what has ended, and the database's time; it is asked again when
    /// somebody else was quicker.
    ///
    /// # Errors
    /// As [`ClusterSettings::change`]; `Unavailable` as [`Decisions::now`].
    pub async fn change<D: Document, R>(
        &self,
        decider: &Decider,
        edit: impl Fn(D, DbTime) -> Result<D, R>,
    ) -> Result<Changed<R>, Error> {
        let settings = self.watcher.settings();
        for _ in 0..ATTEMPTS {
            let read = settings.read(D::SETTING, None).await?.unwrap_or_default();
            let current = read.version;
            if decider.if_version.is_some_and(|wanted| wanted != current) {
                return Ok(Changed::VersionMismatch { current });
            }
            let document = match read.text.as_deref().map(D::from_json).transpose() {
                Ok(document) => document.unwrap_or_default(),
                Err(reason) => return Ok(Changed::Unreadable(reason)),
            };
            let text = match edit(document, self.now()?) {
                Ok(edited) => edited.to_json(),
                Err(refused) => return Ok(Changed::Refused(refused)),
            };
            let change = SettingChange {
                name: D::SETTING,
                text: Some(&text),
                if_version: Some(current),
                who: &decider.who,
                why: &decider.why,
            };
            if let SettingOutcome::Written { version } = settings.change(&change).await? {
                tracing::info!(
                    setting = D::SETTING,
                    version,
                    who = decider.who,
                    why = decider.why,
                    "an operator has decided"
                );
                if let Err(error) = self.watcher.look().await {
                    // It is durable; this node hears of it a little later, like the others.
                    tracing::debug!(%error, "could not read back what was decided");
                }
                return Ok(Changed::Written { version });
            }
        }
        Ok(Changed::Contended)
    }

    /// The last changes of a document, the newest first.
    ///
    /// # Errors
    /// As [`ClusterSettings::history`].
    pub async fn history<D: Document>(
        &self,
        changes_max: usize,
    ) -> Result<Vec<ClusterSetting>, Error> {
        let settings: &Arc<dyn ClusterSettings> = self.watcher.settings();
        settings.history(D::SETTING, changes_max).await
    }

    /// Ends what ends by time alone, for as long as it is polled. A database that does not answer holds nothing up.
    pub async fn keep_time(self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.shared.put_in_force();
        }
    }
}

fn unreadable<D: Document>() -> Counter {
    metric::DECISIONS_UNREADABLE.counter(&[("setting", D::SETTING)])
}

impl Shared {
    /// Puts in force what holds at this moment, if that may be something else than what is.
    fn put_in_force(&self) {
        let Some(now) = self.cache.status().database_now else {
            return;
        };
        let mut state = self.state.lock();
        let is_over = state.in_force.changes_at.is_some_and(|at| now >= at);
        // A clock that was set back may bring back what has ended.
        if !state.is_dirty && !is_over && now >= state.since {
            self.retry_refused(&mut state);
            return;
        }
        let next = effective(
            &state.pins.document,
            &state.switches.document,
            &self.node,
            now,
        );
        (state.is_dirty, state.since) = (false, now);
        let before = std::mem::replace(&mut state.in_force, next);
        let next = &state.in_force;
        let gone: Vec<Key> = before.pins.difference(&next.pins).cloned().collect();
        let new: Vec<Key> = next.pins.difference(&before.pins).cloned().collect();
        self.cache.demote(&gone, HotReason::Pinned);
        self.cache.set_switches(next.switches);
        self.others.carry_out(next);
        if before.switches != next.switches
            || before.promotion_frozen != next.promotion_frozen
            || before.log_filter != next.log_filter
        {
            let Effective {
                switches,
                promotion_frozen,
                log_filter,
                ..
            } = next;
            tracing::warn!(
                ?switches,
                promotion_frozen,
                ?log_filter,
                "the switches stand otherwise than before"
            );
        }
        if !gone.is_empty() || !new.is_empty() {
            tracing::info!(
                pinned = new.len(),
                unpinned = gone.len(),
                "the pins are others than before"
            );
        }
        state.refused.retain(|key| !gone.contains(key));
        state.refused.extend(new);
        self.retry_refused(&mut state);
        self.switched.set(gauge(state.in_force.switched));
    }

    /// Pins what the node could not pin so far: something else may have given way.
    fn retry_refused(&self, state: &mut State) {
        if !state.refused.is_empty() {
            let outcomes = self.cache.promote(&state.refused, HotReason::Pinned);
            let mut outcomes = outcomes.into_iter();
            state.refused.retain(|_| {
                let is_held = matches!(
                    outcomes.next(),
                    Some(PromotionOutcome::Promoted | PromotionOutcome::Known)
                );
                !is_held
            });
        }
        let held = state.in_force.pins.len() - state.refused.len();
        self.pins[0].set(gauge(held));
        self.pins[1].set(gauge(state.refused.len()));
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody pins 2^52 keys")]
fn gauge(count: usize) -> f64 {
    count as f64
}

/// Follows one document.
#[derive(Debug)]
struct Follower<D> {
    shared: Arc<Shared>,
    known: fn(&mut State) -> &mut Known<D>,
    unreadable: Counter,
}

impl<D: Document> Follows for Follower<D> {
    fn name(&self) -> &'static str {
        D::SETTING
    }

    fn version(&self) -> u64 {
        (self.known)(&mut self.shared.state.lock()).version
    }

    fn take(&self, setting: ClusterSetting) {
        let read = setting.text.as_deref().map(D::from_json).transpose();
        {
            let mut state = self.shared.state.lock();
            state.is_dirty = true;
            let known = (self.known)(&mut state);
            known.version = setting.version;
            match read {
                Ok(document) => {
                    known.document = document.unwrap_or_default();
                    known.unreadable = None;
                }
                Err(reason) => {
                    self.unreadable.increment(1);
                    tracing::error!(
                        setting = D::SETTING,
                        version = setting.version,
                        reason,
                        "cannot read what operators have decided, which a newer hotshelf may have written; what was in force stays"
                    );
                    known.unreadable = Some(reason);
                }
            }
        }
        self.shared.put_in_force();
    }
}

#[cfg(test)]
mod tests;
