//! The part of a fill that asks the origin, under the budget.

use futures_util::future::{Either, join_all, select, select_all};
use hotshelf_coherence::{Admission, FloorKey, Knowledge, Refusal};
use hotshelf_model::{
    Body, Boot, DbTime, Entry, Error, ErrorKind, FillFacts, Hist, Key, Parent, Parents, Position,
    Stamp, TierName, Timeline,
};

use super::look_up::Gathered;
use super::{Fill, Found, NotAdmitted, Pending, speaks_for_itself};
use crate::fetch::{FetchOutcome, Fetched, Fetcher, Group};
use crate::settings::Class;
use crate::slot::TICK;
use crate::switches::{Part, origin_off};
use crate::write_back::Put;

/// A fetch that contradicts what the node knows is repeated once.
const ATTEMPTS: u32 = 2;

/// One round of asking the origin.
struct Round {
    is_last: bool,
    /// Whether the origin told of something that a poll would have told the node.
    is_node_behind: bool,
    asked: Asked,
    gathered: Gathered,
    /// Flights that the origin has no answer for.
    failed: Vec<Pending>,
}

impl Round {
    fn fail(&mut self, mut pending: Pending, error: Error) {
        pending.failure = Some(error);
        self.failed.push(pending);
    }
}

/// What the node knew before it asked, and what an origin without a change log therefore reflects: a change is posted after it was made,
/// so who has applied it and asks then gets it.
#[derive(Default)]
pub(super) struct Asked {
    knowledge: Option<Knowledge>,
    parents: Parents,
}

impl Fill {
    pub(super) async fn fetch(&self, pending: Vec<Pending>) {
        if pending.is_empty() {
            return;
        }
        let failure = if self.engine.switches.is_off(Part::Origin) {
            origin_off()
        } else if self.left().is_zero() {
            Error::new(ErrorKind::OriginTimeout, "looking for a copy")
        } else {
            return self.fetch_leased(pending).await;
        };
        let failed = |pending| Pending {
            failure: Some(failure.clone()),
            ..pending
        };
        self.land_without_origin(pending.into_iter().map(failed).collect())
            .await;
    }

    /// Fetches, lands, puts to L2 and only then gives the leases up, so that who waits for one finds the copy.
    pub(super) async fn fetch_mine(&self, mut open: Vec<Pending>) {
        if open.is_empty() {
            return;
        }
        let leases: Vec<_> = open
            .iter_mut()
            .filter_map(|pending| pending.lease.take())
            .collect();
        let fetched = async {
            let open = self.look_up_leased(open, &leases).await;
            self.fetch_rounds(open).await
        };
        let puts = self.renewing(&leases, fetched).await;
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
                asked: self.asked(),
                gathered: Gathered::default(),
                failed: Vec::new(),
            };
            open = self.fetch_once(open, &mut round).await;
            puts.append(&mut round.gathered.puts);
            self.land_without_origin(round.failed).await;
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

    /// One round; gives back what has to be fetched again, because it contradicts what the node knows.
    async fn fetch_once(&self, open: Vec<Pending>, round: &mut Round) -> Vec<Pending> {
        let group = Fetcher::group(&self.source.namespace, &self.variant, self.class, None);
        let ids: Vec<_> = open.iter().map(|pending| pending.id.clone()).collect();
        let as_of = self.engine.follower.db_now();
        let receivers = self.source.fetcher.fetch(&group, &ids, as_of, self.left());
        let outcomes = self.urging(&group, &open, join_all(receivers)).await;
        let mut again = Vec::new();
        for (pending, outcome) in open.into_iter().zip(outcomes) {
            let panicked = |_| Err(Error::new(ErrorKind::OriginFailed, "the origin panicked"));
            again.extend(self.take_fetched(pending, outcome.unwrap_or_else(panicked), round));
        }
        again.extend(self.revalidate_found(&mut round.gathered).await);
        again
    }

    /// Waits for a fetch. When a reader joins one of its flights meanwhile, a refresh waits for the budget no longer than the reader would.
    async fn urging<T>(
        &self,
        group: &Group,
        open: &[Pending],
        fetch: impl Future<Output = T>,
    ) -> T {
        if self.class != Class::Refresh || open.is_empty() {
            return fetch.await;
        }
        let urged = open.iter().map(|pending| Box::pin(pending.guard.urged()));
        match select(Box::pin(fetch), select_all(urged)).await {
            Either::Left((fetched, _)) => fetched,
            Either::Right((_, fetch)) => {
                let fetcher = &self.source.fetcher;
                fetcher.urge(group, Class::Interactive, self.left());
                fetch.await
            }
        }
    }

    fn take_fetched(
        &self,
        pending: Pending,
        outcome: FetchOutcome,
        round: &mut Round,
    ) -> Option<Pending> {
        let found =
            outcome.and_then(|fetched| self.found(pending.guard.key(), &fetched, &round.asked));
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                round.fail(pending, error);
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
                round.fail(pending, Error::new(ErrorKind::OriginFailed, context));
            }
        }
        None
    }

    pub(super) fn asked(&self) -> Asked {
        let name = &self.source.namespace.name;
        let version = self.ledger().parent_floor(FloorKey::namespace(name));
        Asked {
            knowledge: self.engine.follower.knowledge(),
            parents: Parents::new(&[Parent::namespace(name, version)]).unwrap_or_default(),
        }
    }

    pub(super) fn found(
        &self,
        key: &Key,
        fetched: &Fetched,
        asked: &Asked,
    ) -> Result<Found, Error> {
        let hist = match (fetched.head, asked.knowledge) {
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
            entry: self.entry(key, fetched, asked)?,
            tier: TierName::Origin,
            hist,
            as_of,
        })
    }

    fn entry(&self, key: &Key, fetched: &Fetched, asked: &Asked) -> Result<Entry, Error> {
        let document = &fetched.document;
        let (timeline, position) = match (fetched.head, asked.knowledge) {
            (Some(head), _) => (head.timeline, head.position),
            (None, Some(knowledge)) => (knowledge.timeline, knowledge.cursor.position),
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
                self.check_size(key, body.len())?;
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
        entry.parents = match fetched.head {
            Some(_) => fetched.parents.clone(),
            None => asked.parents.clone(),
        };
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

    fn check_size(&self, key: &Key, bytes: usize) -> Result<(), Error> {
        let max = self.source.namespace.document_bytes_max;
        if bytes <= max {
            return Ok(());
        }
        let context = format!("the document of {key} has {bytes} bytes; {max} are allowed");
        Err(Error::new(ErrorKind::TooLarge, context))
    }
}

impl Found {
    fn is_ahead_of(&self, knowledge: &Knowledge) -> bool {
        let stamp = self.entry.stamp;
        self.hist == knowledge.hist
            && (stamp.timeline, stamp.position) > (knowledge.timeline, knowledge.cursor.position)
    }
}
