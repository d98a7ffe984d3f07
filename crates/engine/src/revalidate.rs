//! Revalidation: suspect copies are checked by version, many in one statement.
//!
//! One statement per namespace is under way at a time; what becomes suspect meanwhile goes into the next. So the database sees one
//! connection's worth of cheap lookups, however many readers touch suspect copies.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hotshelf_coherence::{reflects, unchanged};
use hotshelf_model::{
    Boot, Clock, Error, ErrorKind, Head, Id, NamespaceName, Origin, Parents, Stamp, Version,
    Versions,
};
use hotshelf_telemetry::{Counter, metric};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::switches::{Part, Switchboard, origin_off};

/// Most ids in one statement.
const IDS_MAX: usize = 512;

/// What the database says of one key.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    head: Head,
    version: Version,
    parents: Parents,
    sent: Boot,
}

impl Checked {
    /// The new stamp of a copy that is unchanged, or of an untracked one that nothing newer is recorded of; `None` when it has changed.
    pub(crate) fn restamp(
        &self,
        tracked: bool,
        version: Version,
        parents: &Parents,
    ) -> Option<Stamp> {
        let holds = if tracked { unchanged } else { reflects };
        holds(version, parents, self.version, &self.parents).then_some(Stamp {
            timeline: self.head.timeline,
            version,
            position: self.head.position,
        })
    }

    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    /// The key's version, and those of its parents.
    pub(crate) fn versions(&self) -> (Version, &Parents) {
        (self.version, &self.parents)
    }

    /// The moment before the statement was sent to a primary; zero for a standby, whose answer is as old as its position says.
    pub(crate) fn as_of(&self) -> Boot {
        if self.head.primary {
            self.sent
        } else {
            Boot::default()
        }
    }
}

/// `None` from an origin that cannot say a version without its document.
pub(crate) type CheckOutcome = Result<Option<Checked>, Error>;
type Waiting = (Id, oneshot::Sender<CheckOutcome>);

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Waiting>,
    running: bool,
}

#[derive(Debug)]
pub(crate) struct Revalidator {
    origin: Arc<dyn Origin>,
    namespace: NamespaceName,
    clock: Arc<dyn Clock>,
    switches: Arc<Switchboard>,
    timeout: Duration,
    queue: Mutex<Queue>,
    pub(crate) same: Counter,
    pub(crate) changed: Counter,
    pub(crate) failed: Counter,
}

impl Revalidator {
    pub(crate) fn new(
        origin: Arc<dyn Origin>,
        namespace: NamespaceName,
        clock: Arc<dyn Clock>,
        switches: Arc<Switchboard>,
        timeout: Duration,
    ) -> Arc<Self> {
        let counter =
            |outcome: &'static str| metric::REVALIDATIONS.counter(&[("outcome", outcome)]);
        Arc::new(Revalidator {
            origin,
            namespace,
            clock,
            switches,
            timeout,
            queue: Mutex::default(),
            same: counter("same"),
            changed: counter("changed"),
            failed: counter("failed"),
        })
    }

    /// Asks for the versions of `ids`; each outcome comes on its own channel. While the origin is switched off each is that error at once.
    pub(crate) fn check<'a>(
        self: &Arc<Self>,
        ids: impl Iterator<Item = &'a Id>,
    ) -> Vec<oneshot::Receiver<CheckOutcome>> {
        let is_off = self.switches.is_off(Part::Origin);
        let mut receivers = Vec::new();
        let mut queue = self.queue.lock();
        for id in ids {
            let (sender, receiver) = oneshot::channel();
            if is_off {
                // Who asks holds the other end.
                sender.send(Err(origin_off())).ok();
            } else {
                queue.waiting.push((id.clone(), sender));
            }
            receivers.push(receiver);
        }
        if !queue.running && !queue.waiting.is_empty() {
            queue.running = true;
            tokio::spawn(Arc::clone(self).run());
        }
        receivers
    }

    async fn run(self: Arc<Self>) {
        loop {
            let (ids, senders) = self.take();
            if ids.is_empty() {
                return;
            }
            // In a task of its own, so that a panic in the origin ends one batch and not all that follow.
            let asked = tokio::spawn(Arc::clone(&self).ask(ids)).await;
            let outcome = asked.unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::OriginFailed, "the origin panicked"))
            });
            self.answer(senders, &outcome);
        }
    }

    fn take(&self) -> (Vec<Id>, Vec<Vec<oneshot::Sender<CheckOutcome>>>) {
        let mut queue = self.queue.lock();
        // While the origin is silent, fills give up and leave their questions behind.
        queue.waiting.retain(|(_, sender)| !sender.is_closed());
        let mut index = HashMap::new();
        let (mut ids, mut senders) = (Vec::new(), Vec::<Vec<_>>::new());
        let count = queue.waiting.len().min(IDS_MAX);
        for (id, sender) in queue.waiting.drain(..count) {
            let at = *index.entry(id.clone()).or_insert(ids.len());
            if at == ids.len() {
                ids.push(id);
                senders.push(Vec::with_capacity(1));
            }
            senders[at].push(sender);
        }
        queue.running = !ids.is_empty();
        (ids, senders)
    }

    async fn ask(self: Arc<Self>, ids: Vec<Id>) -> Result<Option<(Versions, Boot)>, Error> {
        let sent = self.clock.now();
        let asked =
            tokio::time::timeout(self.timeout, self.origin.versions(&self.namespace, &ids)).await;
        let late = |_| {
            Error::new(
                ErrorKind::OriginTimeout,
                format!("revalidating in namespace {}", self.namespace),
            )
        };
        let versions = asked.map_err(late)??;
        let answers = versions
            .as_ref()
            .map_or(ids.len(), |versions| versions.versions.len());
        if answers != ids.len() {
            let context = format!(
                "{answers} versions for {} ids of namespace {}",
                ids.len(),
                self.namespace
            );
            return Err(Error::new(ErrorKind::OriginFailed, context));
        }
        Ok(versions.map(|versions| (versions, sent)))
    }

    fn answer(
        &self,
        senders: Vec<Vec<oneshot::Sender<CheckOutcome>>>,
        outcome: &Result<Option<(Versions, Boot)>, Error>,
    ) {
        for (at, senders) in senders.into_iter().enumerate() {
            let outcome = match outcome {
                Ok(Some((versions, sent))) => Ok(Some(Checked {
                    head: versions.head,
                    version: versions.versions[at],
                    parents: versions.parents.clone(),
                    sent: *sent,
                })),
                Ok(None) => Ok(None),
                Err(error) => Err(error.clone()),
            };
            for sender in senders {
                // Who no longer listens has landed its flight another way.
                sender.send(outcome.clone()).ok();
            }
        }
    }
}
