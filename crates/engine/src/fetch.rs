//! Fetches from the origins: fills that wait for the budget at the same time share statements.
//!
//! Each wanted document is put on its group's list (a namespace, a variant and a class), and a runner queues for a permit. A
//! runner that gets one takes as many documents off the list as fit in a statement, whoever wanted them; a runner that finds the
//! list empty is done, and one that gets no permit refuses what the others have no room for. So an idle origin gets one statement
//! per fill at once, and a slow one gets few large statements. A group that somebody more urgent waits for gets a runner of that class.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hotshelf_model::{
    Boot, Clock, DbTime, Error, ErrorKind, FetchRequest, FetchedDocument, Head, Id, Namespace,
    NamespaceName, Origin, Parents, Variant,
};
use hotshelf_telemetry::{Counter, Histogram, metric};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::budget::{Budget, StatementKind};
use crate::settings::Class;
use crate::switches::{Part, Switchboard, origin_off};

/// How long after a failed fetch was told further ones are not.
const QUIET: Duration = Duration::from_secs(10);

/// One document as fetched.
#[derive(Clone, Debug)]
pub(crate) struct Fetched {
    pub(crate) document: FetchedDocument,
    /// `None` from an origin that has no change log.
    pub(crate) head: Option<Head>,
    pub(crate) parents: Parents,
    /// The moment before the statement was sent.
    pub(crate) as_of: Boot,
    pub(crate) took: Duration,
}

pub(crate) type FetchOutcome = Result<Fetched, Error>;

/// Documents that may share a statement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Group {
    pub(crate) namespace: NamespaceName,
    pub(crate) variant: Variant,
    pub(crate) class: Class,
    /// The moment to come that documents are wanted for: they share no statement with those for now.
    pub(crate) moment: Option<DbTime>,
}

#[derive(Debug)]
struct Wanted {
    id: Id,
    /// The call that wants it.
    call: u64,
    /// The earliest time to answer for.
    as_of: Option<DbTime>,
    /// When its reader has no more use for it.
    until: Boot,
    sender: oneshot::Sender<FetchOutcome>,
}

/// Invariant: `runners` full statements have room for everything that is wanted.
#[derive(Debug, Default)]
struct Waiting {
    wanted: VecDeque<Wanted>,
    runners: usize,
}

#[derive(Debug)]
struct FetchCounters {
    ok: [Counter; Class::COUNT],
    failed: [Counter; Class::COUNT],
    timeout: [Counter; Class::COUNT],
    documents: [Counter; Class::COUNT],
    seconds: Histogram,
}

/// Sends fetches to one origin. All fetchers of a process share one budget.
#[derive(Debug)]
pub(crate) struct Fetcher {
    origin: Arc<dyn Origin>,
    budget: Arc<Budget>,
    clock: Arc<dyn Clock>,
    switches: Arc<Switchboard>,
    documents_max: usize,
    calls: AtomicU64,
    waiting: Mutex<HashMap<Group, Waiting>>,
    counters: FetchCounters,
    /// Until then failures are not told at the usual level of the log.
    quiet_until: Mutex<Boot>,
}

impl Fetcher {
    pub(crate) fn new(
        origin: Arc<dyn Origin>,
        budget: Arc<Budget>,
        clock: Arc<dyn Clock>,
        switches: Arc<Switchboard>,
        documents_max: usize,
    ) -> Arc<Self> {
        let fetches = |outcome: &'static str| {
            Class::ALL.map(|class| {
                metric::FETCHES.counter(&[("class", class.as_str()), ("outcome", outcome)])
            })
        };
        let counters = FetchCounters {
            ok: fetches("ok"),
            failed: fetches("failed"),
            timeout: fetches("timeout"),
            documents: Class::ALL
                .map(|class| metric::FETCHED_DOCUMENTS.counter(&[("class", class.as_str())])),
            seconds: metric::LOOKUP_SECONDS.histogram(&[("tier", "origin")]),
        };
        Arc::new(Fetcher {
            origin,
            budget,
            clock,
            switches,
            documents_max,
            calls: AtomicU64::new(0),
            waiting: Mutex::default(),
            counters,
            quiet_until: Mutex::default(),
        })
    }

    /// Asks for documents; each outcome comes on its own channel, within `patience`, or later when others with more patience are in
    /// the same statement. While the origin is switched off each is that error at once.
    pub(crate) fn fetch(
        self: &Arc<Self>,
        group: &Group,
        ids: &[Id],
        as_of: Option<DbTime>,
        patience: Duration,
    ) -> Vec<oneshot::Receiver<FetchOutcome>> {
        if self.switches.is_off(Part::Origin) {
            return ids.iter().map(|_| refused()).collect();
        }
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let runners = ids.len().div_ceil(self.documents_max);
        let until = self.clock.now().plus(patience);
        let mut receivers = Vec::with_capacity(ids.len());
        {
            let mut waiting = self.waiting.lock();
            let list = waiting.entry(group.clone()).or_default();
            list.runners += runners;
            for id in ids {
                let (sender, receiver) = oneshot::channel();
                list.wanted.push_back(Wanted {
                    id: id.clone(),
                    call,
                    as_of,
                    until,
                    sender,
                });
                receivers.push(receiver);
            }
        }
        for _ in 0..runners {
            let run = Arc::clone(self).run(group.clone(), group.class, call, patience);
            tokio::spawn(run);
        }
        receivers
    }

    /// Has what a group wants fetched as soon as a statement of `class` would be: somebody waits for it who is more urgent.
    pub(crate) fn urge(self: &Arc<Self>, group: &Group, class: Class, patience: Duration) {
        match self.waiting.lock().get_mut(group) {
            Some(list) => list.runners += 1,
            None => return,
        }
        // Of no call, so that nothing is refused when it gets no permit.
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(Arc::clone(self).run(group.clone(), class, call, patience));
    }

    async fn run(self: Arc<Self>, group: Group, class: Class, call: u64, patience: Duration) {
        let Ok(permit) = self.budget.acquire(class, patience).await else {
            self.give_up(&group, call);
            return;
        };
        let batch = self.take(&group);
        if batch.is_empty() {
            return;
        }
        let kind = StatementKind::of(&group.namespace, batch.ids.len());
        let sent = self.clock.now();
        let left = batch.until.since(sent);
        let outcome = tokio::time::timeout(left, self.ask(&group, &batch)).await;
        let took = self.clock.now().since(sent);
        self.counters.seconds.record(took.as_secs_f64());
        let index = group.class.index();
        let failure = match outcome {
            Ok(Ok(fetch)) => {
                permit.finish(kind, took, true);
                self.counters.ok[index].increment(1);
                hand_over(batch, fetch, sent, took);
                return;
            }
            Ok(Err(error)) => error,
            Err(_) => Error::new(
                ErrorKind::OriginTimeout,
                format!("fetching from namespace {}", group.namespace),
            ),
        };
        permit.finish(kind, took, false);
        let timed_out = failure.kind() == ErrorKind::OriginTimeout;
        let counters = if timed_out {
            &self.counters.timeout
        } else {
            &self.counters.failed
        };
        counters[index].increment(1);
        self.tell(&group, &failure);
        refuse(batch, &failure);
    }

    /// A query that its database refuses fails every fetch, and its author looks into the log; an origin that is down fails every
    /// fetch too, so few are told.
    fn tell(&self, group: &Group, failure: &Error) {
        let now = self.clock.now();
        let mut quiet_until = self.quiet_until.lock();
        if now < *quiet_until {
            tracing::debug!(namespace = %group.namespace, error = ?failure, "a fetch failed");
            return;
        }
        *quiet_until = now.plus(QUIET);
        tracing::warn!(namespace = %group.namespace, error = ?failure, "a fetch failed; those of the next {QUIET:?} are not told");
    }

    async fn ask(&self, group: &Group, batch: &Batch) -> Result<hotshelf_model::Fetch, Error> {
        self.counters.documents[group.class.index()].increment(batch.ids.len() as u64);
        let request = FetchRequest {
            namespace: &group.namespace,
            variant: &group.variant,
            ids: &batch.ids,
            as_of: batch.as_of,
        };
        let fetch = self.origin.fetch_many(request).await?;
        if fetch.documents.len() == batch.ids.len() {
            return Ok(fetch);
        }
        let answers = fetch.documents.len();
        let context = format!(
            "{answers} answers for {} ids of namespace {}",
            batch.ids.len(),
            group.namespace
        );
        Err(Error::new(ErrorKind::OriginFailed, context))
    }

    /// The oldest wants, as many as fit in a statement.
    fn take(&self, group: &Group) -> Batch {
        let mut waiting = self.waiting.lock();
        let mut batch = Batch::default();
        let Some(list) = waiting.get_mut(group) else {
            return batch;
        };
        list.runners -= 1;
        let mut index = HashMap::new();
        let count = list.wanted.len().min(self.documents_max);
        for wanted in list.wanted.drain(..count) {
            batch.as_of = batch.as_of.max(wanted.as_of);
            batch.until = batch.until.max(wanted.until);
            let at = *index.entry(wanted.id.clone()).or_insert(batch.ids.len());
            if at == batch.ids.len() {
                batch.ids.push(wanted.id);
                batch.senders.push(Vec::with_capacity(1));
            }
            batch.senders[at].push(wanted.sender);
        }
        if list.runners == 0 {
            waiting.remove(group);
        }
        batch
    }

    /// A runner without a permit refuses what its own call still wants if its time is over, and else no more than the other runners
    /// have no room for.
    fn give_up(&self, group: &Group, call: u64) {
        let now = self.clock.now();
        let mut refused = Vec::new();
        let mut waiting = self.waiting.lock();
        let Some(list) = waiting.get_mut(group) else {
            return;
        };
        list.runners -= 1;
        let room = list.runners * self.documents_max;
        let mut at = list.wanted.len();
        while at > 0 {
            at -= 1;
            let Wanted {
                call: of, until, ..
            } = list.wanted[at];
            if of == call && (list.wanted.len() > room || until <= now) {
                refused.extend(list.wanted.remove(at));
            }
        }
        // Others took this call's wants along in their statements, and left theirs.
        let surplus = list.wanted.len().saturating_sub(room);
        refused.extend(list.wanted.drain(list.wanted.len() - surplus..));
        if list.runners == 0 {
            waiting.remove(group);
        }
        drop(waiting);
        let error = Error::new(ErrorKind::Shed, "the origin budget has no room");
        for Wanted { sender, .. } in refused {
            send(vec![sender], &Err(error.clone()));
        }
    }

    /// The group of a namespace's fetches.
    pub(crate) fn group(
        namespace: &Namespace,
        variant: &Variant,
        class: Class,
        moment: Option<DbTime>,
    ) -> Group {
        Group {
            namespace: namespace.name.clone(),
            variant: variant.clone(),
            class,
            moment,
        }
    }
}

/// Distinct ids, each with everyone who wants it.
#[derive(Debug, Default)]
struct Batch {
    ids: Vec<Id>,
    senders: Vec<Vec<oneshot::Sender<FetchOutcome>>>,
    /// The latest of its readers' times: who came first is not served by what is too old for who came last.
    as_of: Option<DbTime>,
    /// The statement has the time that the most patient reader has. One that is cut short for the first would fail for all.
    until: Boot,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

fn send(senders: Vec<oneshot::Sender<FetchOutcome>>, outcome: &FetchOutcome) {
    for sender in senders {
        // Who no longer listens has landed its flight another way.
        sender.send(outcome.clone()).ok();
    }
}

fn hand_over(batch: Batch, fetch: hotshelf_model::Fetch, as_of: Boot, took: Duration) {
    for (senders, document) in batch.senders.into_iter().zip(fetch.documents) {
        let outcome = document.map(|document| Fetched {
            document,
            head: fetch.head,
            parents: fetch.parents.clone(),
            as_of,
            took,
        });
        send(senders, &outcome);
    }
}

/// What comes of a fetch while the origin is switched off.
fn refused() -> oneshot::Receiver<FetchOutcome> {
    let (sender, receiver) = oneshot::channel();
    send(vec![sender], &Err(origin_off()));
    receiver
}

fn refuse(batch: Batch, error: &Error) {
    for senders in batch.senders {
        send(senders, &Err(error.clone()));
    }
}

#[cfg(test)]
mod tests;
