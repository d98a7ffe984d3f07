//! The part of a fill that asks the origin: under leases, so that of all nodes one fetches a key, and under the budget.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, join, join_all, select};
use hotshelf_coherence::{Admission, Knowledge, Refusal};
use hotshelf_model::{
    Body, Boot, DbTime, Entry, Error, ErrorKind, FillFacts, Hist, LeaseOutcome, LeaseToken, Leases,
    Position, Stamp, TierKey, TierName, Timeline,
};

use super::look_up::Gathered;
use super::{Fill, Found, NotAdmitted, Pending, speaks_for_itself};
use crate::fetch::{FetchOutcome, Fetched, Fetcher};
use crate::settings::Class;
use crate::slot::TICK;
use crate::write_back::Put;

/// A fetch that contradicts what the node knows is repeated once.
const ATTEMPTS: u32 = 2;
const WAIT_MIN: Duration = Duration::from_millis(3);
const WAIT_MAX: Duration = Duration::from_millis(50);

/// One round of asking the origin.
struct Round {
    is_last: bool,
    /// Whether the origin told of something that a poll would have told the node.
    is_node_behind: bool,
    gathered: Gathered,
}

impl Fill {
    pub(super) async fn fetch(&self, pending: Vec<Pending>) {
        if pending.is_empty() {
            return;
        }
        if self.left().is_zero() {
            self.run_out_of_time(pending, "looking for a copy");
            return;
        }
        let (mine, others) = self.lease(pending).await;
        join(self.fetch_mine(mine), self.wait_for_others(others)).await;
    }

    fn run_out_of_time(&self, pending: Vec<Pending>, what: &str) {
        for pending in pending {
            let error = Error::new(ErrorKind::OriginTimeout, what);
            self.land_without_origin(pending, error);
        }
    }

    /// Splits flights into those that this node fetches and those that another node is fetching. A warm-up takes no lease: it may have
    /// to wait for its turn, and readers of all nodes would wait with it.
    async fn lease(&self, pending: Vec<Pending>) -> (Vec<Pending>, Vec<Pending>) {
        let leases = self.engine.leases.as_ref();
        let (Some(leases), Some(keys)) = (
            leases.filter(|_| self.class != Class::Warm),
            self.tier_keys(&pending),
        ) else {
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
    async fn fetch_mine(&self, open: Vec<Pending>) {
        if open.is_empty() {
            return;
        }
        let leases = self.held_leases(&open);
        let puts = self.renewing(&leases, self.fetch_rounds(open)).await;
        if let (Some(table), false) = (&self.engine.leases, leases.is_empty()) {
            self.engine.write_l2(&puts).await;
            table.release_many(&leases).await;
            self.engine.write_l3(&puts).await;
            return;
        }
        self.write_back(puts);
    }

    /// Fetches until every flight has landed; gives what is to be put.
    async fn fetch_rounds(&self, mut open: Vec<Pending>) -> Vec<Put> {
        let mut puts = Vec::new();
        for attempt in 1..=ATTEMPTS {
            let mut round = Round {
                is_last: attempt == ATTEMPTS,
                is_node_behind: false,
                gathered: Gathered::default(),
            };
            open = self.fetch_once(open, &mut round).await;
            puts.append(&mut round.gathered.puts);
            if open.is_empty() {
                break;
            }
            if round.is_node_behind {
                // Half of the time, so that some is left for what the poll makes possible.
                self.engine.follower.poll_now(self.left() / 2).await;
            }
        }
        puts
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
        let (work, renewals) = (Box::pin(work), Box::pin(renew(table, leases)));
        match select(work, renewals).await {
            Either::Left((done, _)) => done,
            Either::Right((never, _)) => match never {},
        }
    }

    /// One round; gives back what has to be fetched again, because it contradicts what the node knows.
    async fn fetch_once(&self, open: Vec<Pending>, round: &mut Round) -> Vec<Pending> {
        let group = Fetcher::group(&self.source.namespace, &self.variant, self.class);
        let ids: Vec<_> = open.iter().map(|pending| pending.id.clone()).collect();
        let as_of = self.engine.follower.db_now();
        let receivers = self.source.fetcher.fetch(&group, &ids, as_of, self.left());
        let outcomes = join_all(receivers).await;
        let mut again = Vec::new();
        for (pending, outcome) in open.into_iter().zip(outcomes) {
            let panicked = |_| Err(Error::new(ErrorKind::OriginFailed, "the origin panicked"));
            again.extend(self.take_fetched(pending, outcome.unwrap_or_else(panicked), round));
        }
        again.extend(self.revalidate_found(&mut round.gathered).await);
        again
    }

    fn take_fetched(
        &self,
        pending: Pending,
        outcome: FetchOutcome,
        round: &mut Round,
    ) -> Option<Pending> {
        let found = outcome.and_then(|fetched| self.found(&pending, &fetched));
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                self.land_without_origin(pending, error);
                return None;
            }
        };
        let knowledge = self.engine.follower.knowledge();
        if let Some(knowledge) = knowledge
            && found.is_ahead_of(&knowledge)
        {
            self.engine.follower.nudge();
        }
        let key = self
            .source
            .namespace
            .tier_key(found.hist, pending.guard.key());
        match self.admit_and_land(pending, found) {
            Ok(entry) => {
                if knowledge.is_some() && self.ttl_hard(entry.kind()) > TICK {
                    round.gathered.puts.push(Put {
                        key,
                        entry,
                        except: None,
                    });
                }
                None
            }
            Err(refused) => self.take_contradiction(*refused, round),
        }
    }

    /// A fetched document that was not admitted: the log has moved since, or it has changed by time alone, or the origin and the node
    /// follow different databases.
    fn take_contradiction(&self, refused: NotAdmitted, round: &mut Round) -> Option<Pending> {
        let NotAdmitted {
            mut pending,
            found,
            admission,
        } = refused;
        let knowledge = self.engine.follower.knowledge();
        let same_timeline = knowledge.is_some_and(|knowledge| {
            knowledge.hist == found.hist && knowledge.timeline == found.entry.stamp.timeline
        });
        if !round.is_last {
            if admission == Admission::Suspect && same_timeline {
                round.gathered.suspects.push((pending, found));
                return None;
            }
            round.is_node_behind |= !same_timeline;
            Self::keep_stale(&mut pending, found, admission);
            return Some(pending);
        }
        let proves_itself = knowledge.filter(|knowledge| {
            let is_outdated = admission == Admission::Refused(Refusal::Dead);
            (is_outdated || admission == Admission::Suspect)
                && knowledge.hist == found.hist
                && speaks_for_itself(found.as_of, found.entry.stamp.timeline, knowledge)
        });
        match proves_itself {
            Some(knowledge) => self.land_unproved(pending, &found, knowledge.generation),
            None => {
                Self::keep_stale(&mut pending, found, admission);
                let context = "the origin answers for another database or another time";
                self.land_without_origin(pending, Error::new(ErrorKind::OriginFailed, context));
            }
        }
        None
    }

    fn found(&self, pending: &Pending, fetched: &Fetched) -> Result<Found, Error> {
        let knowledge = self.engine.follower.knowledge();
        let hist = match (fetched.head, knowledge) {
            (Some(head), _) => head.hist,
            (None, Some(knowledge)) => knowledge.hist,
            (None, None) => Hist::default(),
        };
        // What a standby says is as old as its position, which only a change log gives a meaning.
        let tracked = self.source.namespace.tracked;
        let as_of = if !tracked || fetched.head.is_none_or(|head| head.primary) {
            fetched.as_of
        } else {
            Boot::default()
        };
        Ok(Found {
            entry: self.entry(pending, fetched)?,
            tier: TierName::Origin,
            hist,
            as_of,
        })
    }

    fn entry(&self, pending: &Pending, fetched: &Fetched) -> Result<Entry, Error> {
        let document = &fetched.document;
        let knowledge = self.engine.follower.knowledge();
        let (timeline, position) = match (fetched.head, knowledge) {
            (Some(head), _) => (head.timeline, head.position),
            (None, Some(knowledge)) => (knowledge.timeline, Position::default()),
            (None, None) => (Timeline::default(), Position::default()),
        };
        let stamp = Stamp {
            timeline,
            version: document.version,
            position,
        };
        let fetched_at = self.fetched_at(fetched);
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

    /// When the bytes of a fetch were made, on the database's clock; without its word, not later than they were.
    fn fetched_at(&self, fetched: &Fetched) -> DbTime {
        let asked_at = || {
            let now = self.engine.follower.db_now().unwrap_or_default();
            let ago = self.engine.clock.now().since(fetched.as_of);
            DbTime(
                now.0
                    .saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)),
            )
        };
        fetched.head.map_or_else(asked_at, |head| head.now)
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
                self.run_out_of_time(others, "waiting for another node's fetch");
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

impl Found {
    fn is_ahead_of(&self, knowledge: &Knowledge) -> bool {
        let stamp = self.entry.stamp;
        self.hist == knowledge.hist
            && (stamp.timeline, stamp.position) > (knowledge.timeline, knowledge.cursor.position)
    }
}

/// Extends leases until it is dropped. Beside the work and not in turns with it: a table that hangs must not hold up what was fetched.
async fn renew(table: &Arc<dyn Leases>, leases: &[(TierKey, LeaseToken)]) -> Infallible {
    loop {
        tokio::time::sleep(table.ttl() / 3).await;
        table.renew_many(leases).await;
    }
}
