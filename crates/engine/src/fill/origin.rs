//! The part of a fill that asks the origin: under leases, so that of all nodes one fetches a key, and under the budget.

use std::time::Duration;

use futures_util::future::{join, join_all};
use hotshelf_coherence::Admission;
use hotshelf_model::{
    Body, Boot, Entry, Error, ErrorKind, FillFacts, LeaseOutcome, LeaseToken, Position, Stamp,
    TierKey, TierName, Timeline,
};

use super::{Fill, NEVER, Pending};
use crate::fetch::{FetchOutcome, Fetched, Fetcher};
use crate::flight::Landed;
use crate::write_back::Put;

/// A fetch that contradicts what the node knows is repeated once.
const ATTEMPTS: u32 = 2;
const WAIT_MIN: Duration = Duration::from_millis(3);
const WAIT_MAX: Duration = Duration::from_millis(50);

impl Fill {
    pub(super) async fn fetch(&self, pending: Vec<Pending>) {
        if pending.is_empty() {
            return;
        }
        let (mine, others) = self.lease(pending).await;
        join(self.fetch_mine(mine), self.wait_for_others(others)).await;
    }

    /// Splits flights into those that this node fetches and those that another node is fetching.
    async fn lease(&self, pending: Vec<Pending>) -> (Vec<Pending>, Vec<Pending>) {
        let (Some(leases), Some(keys)) = (&self.engine.leases, self.tier_keys(&pending)) else {
            return (pending, Vec::new());
        };
        let mut outcomes = leases.acquire_many(&keys).await;
        outcomes.resize(keys.len(), LeaseOutcome::Unavailable);
        let counters = &self.engine.counters.leases;
        let (mut mine, mut others) = (Vec::new(), Vec::new());
        for (mut pending, outcome) in pending.into_iter().zip(outcomes) {
            match outcome {
                LeaseOutcome::Acquired(token) => {
                    counters.acquired.increment(1);
                    pending.lease = Some(token);
                    mine.push(pending);
                }
                LeaseOutcome::Unavailable => {
                    counters.unavailable.increment(1);
                    mine.push(pending);
                }
                LeaseOutcome::Held => {
                    counters.held.increment(1);
                    others.push(pending);
                }
            }
        }
        (mine, others)
    }

    fn tier_keys(&self, pending: &[Pending]) -> Option<Vec<TierKey>> {
        let knowledge = self.engine.follower.knowledge()?;
        Some(
            pending
                .iter()
                .map(|pending| self.tier_key(&knowledge, pending))
                .collect(),
        )
    }

    /// Fetches, lands, puts to L2 and only then gives the leases up, so that who waits for one finds the copy.
    async fn fetch_mine(&self, mut open: Vec<Pending>) {
        if open.is_empty() {
            return;
        }
        let leases = self.held_leases(&open);
        let fetching = async {
            let mut puts = Vec::new();
            for attempt in 1..=ATTEMPTS {
                open = self
                    .fetch_once(std::mem::take(&mut open), attempt == ATTEMPTS, &mut puts)
                    .await;
                if open.is_empty() {
                    break;
                }
                self.engine.follower.poll_now(self.left()).await;
            }
            puts
        };
        let puts = self.renewing(&leases, fetching).await;
        if let (Some(table), false) = (&self.engine.leases, leases.is_empty()) {
            self.engine.write_l2(&puts).await;
            table.release_many(&leases).await;
            self.engine.write_l3(&puts).await;
            return;
        }
        self.write_back(puts);
    }

    fn held_leases(&self, pending: &[Pending]) -> Vec<(TierKey, LeaseToken)> {
        let Some(keys) = self.tier_keys(pending) else {
            return Vec::new();
        };
        let held = pending
            .iter()
            .zip(keys)
            .filter_map(|(pending, key)| pending.lease.map(|token| (key, token)));
        held.collect()
    }

    /// Renews leases while `work` goes on, so that a lease can be short and a dead holder is soon known.
    async fn renewing<T>(
        &self,
        leases: &[(TierKey, LeaseToken)],
        work: impl Future<Output = T>,
    ) -> T {
        let Some(table) = self.engine.leases.as_ref().filter(|_| !leases.is_empty()) else {
            return work.await;
        };
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(table.ttl() / 3) => table.renew_many(leases).await,
            }
        }
    }

    /// One round; gives back what has to be fetched again, because it contradicts what the node knows.
    async fn fetch_once(
        &self,
        open: Vec<Pending>,
        is_last: bool,
        puts: &mut Vec<Put>,
    ) -> Vec<Pending> {
        let group = Fetcher::group(&self.source.namespace, &self.variant, self.class);
        let ids: Vec<_> = open.iter().map(|pending| pending.id.clone()).collect();
        let as_of = self.engine.follower.db_now();
        let receivers = self.source.fetcher.fetch(&group, &ids, as_of, self.left());
        let outcomes = join_all(receivers).await;
        let mut again = Vec::new();
        for (pending, outcome) in open.into_iter().zip(outcomes) {
            let panicked = |_| Err(Error::new(ErrorKind::OriginFailed, "the origin panicked"));
            again.extend(self.take_fetched(
                pending,
                outcome.unwrap_or_else(panicked),
                is_last,
                puts,
            ));
        }
        again
    }

    fn take_fetched(
        &self,
        pending: Pending,
        outcome: FetchOutcome,
        is_last: bool,
        puts: &mut Vec<Put>,
    ) -> Option<Pending> {
        let (entry, fetched) =
            match outcome.and_then(|fetched| Ok((self.entry(&pending, &fetched)?, fetched))) {
                Ok(found) => found,
                Err(error) => {
                    self.land_without_origin(pending, error);
                    return None;
                }
            };
        let knowledge = self.engine.follower.knowledge();
        let is_other_history = knowledge
            .zip(fetched.head)
            .is_some_and(|(knowledge, head)| knowledge.hist != head.hist);
        let as_of = if fetched.head.is_none_or(|head| head.primary) {
            fetched.as_of
        } else {
            Boot::default()
        };
        if is_other_history {
            return self.contradicted(pending, &entry, as_of, is_last);
        }
        if let (Some(knowledge), Some(head)) = (knowledge, fetched.head)
            && head.position > knowledge.low
        {
            self.engine.follower.nudge();
        }
        let key = knowledge.map(|knowledge| self.tier_key(&knowledge, &pending));
        match self.admit_and_land(pending, &entry, TierName::Origin, as_of) {
            None => {
                puts.extend(key.map(|key| Put {
                    key,
                    entry,
                    except: None,
                }));
                None
            }
            // A document that expires in the moment of its fetch is the best there is; it is served and not kept.
            Some((pending, Admission::Refused(_))) => {
                self.contradicted(pending, &entry, as_of, true)
            }
            Some((pending, Admission::Suspect | Admission::Fresh)) => {
                self.contradicted(pending, &entry, as_of, is_last)
            }
        }
    }

    /// The origin knows less than the node, or the node less than the origin: asked again after a poll, then served but not kept.
    fn contradicted(
        &self,
        pending: Pending,
        entry: &Entry,
        as_of: Boot,
        is_last: bool,
    ) -> Option<Pending> {
        if !is_last {
            return Some(pending);
        }
        let slot = std::sync::Arc::new(self.slot(&pending, entry, NEVER, as_of));
        pending.guard.land(Ok(Landed {
            slot,
            tier: TierName::Origin,
            stale: false,
        }));
        None
    }

    fn entry(&self, pending: &Pending, fetched: &Fetched) -> Result<Entry, Error> {
        let document = &fetched.document;
        let knowledge = self.engine.follower.knowledge();
        let (timeline, position) = match (fetched.head, knowledge) {
            (Some(head), _) => (head.timeline, head.position),
            (None, Some(knowledge)) => (knowledge.timeline, knowledge.low),
            (None, None) => (Timeline::default(), Position::default()),
        };
        let stamp = Stamp {
            timeline,
            version: document.version,
            position,
        };
        let fetched_at = self.fetched_at(fetched.head.as_ref());
        let mut entry = match &document.body {
            Some(body) => {
                self.check_size(pending, body.len())?;
                Entry::present(
                    Body {
                        identity: body.clone(),
                        zstd: None,
                    },
                    stamp,
                    fetched_at,
                )
            }
            None => Entry::absent(stamp, fetched_at),
        };
        entry.valid_until = document.valid_until;
        entry.parents = fetched.parents.clone();
        let fetch_us = u32::try_from(fetched.took.as_micros()).unwrap_or(u32::MAX);
        entry.facts = FillFacts {
            node: self.engine.settings.node,
            fetch_us,
        };
        Ok(entry)
    }

    fn check_size(&self, pending: &Pending, bytes: usize) -> Result<(), Error> {
        let max = self.source.namespace.document_bytes_max;
        if bytes <= max {
            return Ok(());
        }
        let context = format!(
            "the document of {} has {bytes} bytes; {max} are allowed",
            pending.guard.key()
        );
        Err(Error::new(ErrorKind::TooLarge, context))
    }

    /// Waits for the copies of other nodes in L2, as long as their leases live.
    async fn wait_for_others(&self, mut others: Vec<Pending>) {
        let mut pause = WAIT_MIN;
        while !others.is_empty() {
            if self.left().is_zero() {
                for pending in others {
                    let error =
                        Error::new(ErrorKind::OriginTimeout, "waiting for another node's fetch");
                    self.land_without_origin(pending, error);
                }
                return;
            }
            tokio::time::sleep(pause.min(self.left())).await;
            pause = (pause * 3 / 2).min(WAIT_MAX);
            let before = others.len();
            let open = self.look_up_l2(others).await;
            self.engine
                .counters
                .leases
                .waited
                .increment((before - open.len()) as u64);
            if open.is_empty() {
                return;
            }
            let (mine, still) = self.lease(open).await;
            if !mine.is_empty() {
                self.engine
                    .counters
                    .leases
                    .expired
                    .increment(mine.len() as u64);
                self.fetch_mine(mine).await;
            }
            others = still;
        }
    }
}
