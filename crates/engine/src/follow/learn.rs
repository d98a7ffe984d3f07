//! What polls say: where the log stands, what they will prove, and whether it is still the same log.

use std::sync::atomic::Ordering;

use hotshelf_coherence::{Cursor, Knowledge, PollStep};
use hotshelf_model::{Boot, Poll};

use super::{CLAIMS_MAX, Follower};
use crate::counters::gauge;

impl Follower {
    /// Takes the database's clock from a poll of this node's own: of one that another made, it is not known well enough when.
    pub(super) fn note_clock(&self, poll: &Poll, sent: Boot) {
        self.db_clock.sample(poll.head.now, sent, self.clock.now());
        self.counters
            .clock_bound
            .set(self.db_clock.bound().as_secs_f64());
    }

    /// Takes in a poll that was asked about the cursor `asked` and sent at `sent`.
    pub(crate) fn learn(&self, asked: Cursor, poll: &Poll, sent: Boot) -> PollStep {
        let is_lost = self.rows_are_lost.swap(false, Ordering::Relaxed);
        let is_first = self.ledger.knowledge().is_none();
        let step = if is_first {
            self.ledger.start(self.saved.lock().take(), poll)
        } else {
            self.ledger.learn(asked, poll, is_lost)
        };
        self.tell(step, poll);
        self.note_whether_astray(step, poll);
        if step == PollStep::OtherHistory {
            self.version_max.store(0, Ordering::Relaxed);
        }
        self.version_max
            .fetch_max(poll.version_max.0, Ordering::Relaxed);
        if let Some((first, last)) = poll.sequenced {
            let mut unpublished = self.unpublished.lock();
            *unpublished = Some(unpublished.map_or((first, last), |(from, _)| (from, last)));
        }
        if is_first && let Some(knowledge) = self.ledger.knowledge() {
            self.changes.restart(knowledge.cursor);
        }
        if let Some(knowledge) = self.ledger.knowledge() {
            self.note_claim(&knowledge, asked, poll, step, sent);
        }
        step
    }

    fn note_whether_astray(&self, step: PollStep, poll: &Poll) {
        let (head, knowledge) = (poll.head, self.ledger.knowledge());
        let timeline = knowledge.map(|knowledge| knowledge.timeline);
        let is_astray = match step {
            PollStep::LostHistory => true,
            // Of a primary of the cursor's timeline only a poll that does not find the cursor's row is ignored.
            PollStep::Ignored if head.primary && Some(head.timeline) == timeline => true,
            PollStep::Ignored => return,
            PollStep::UpToDate
            | PollStep::Behind
            | PollStep::Resync(_)
            | PollStep::OtherHistory => false,
        };
        // Relaxed: polls and rows are taken in by one task.
        self.is_astray.store(is_astray, Ordering::Relaxed);
    }

    /// Notes what a poll will prove, and proves what has been reached.
    fn note_claim(
        &self,
        knowledge: &Knowledge,
        asked: Cursor,
        poll: &Poll,
        step: PollStep,
        sent: Boot,
    ) {
        let claim = if matches!(step, PollStep::Resync(_) | PollStep::OtherHistory) {
            self.claims.lock().clear();
            *self.unpublished.lock() = None;
            self.ahead.store(0, Ordering::Relaxed);
            self.changes.restart(knowledge.cursor);
            // The cursor is this very poll's head, whose row is there with its nonce.
            let known_nonce = Some(poll.head_nonce);
            knowledge.claim(
                knowledge.cursor,
                &Poll {
                    known_nonce,
                    ..*poll
                },
            )
        } else {
            knowledge.claim(asked, poll)
        };
        match claim {
            Some(claim) => {
                let mut claims = self.claims.lock();
                if claims.len() == CLAIMS_MAX {
                    claims.pop_front();
                }
                claims.push_back((claim, sent));
                self.counters.settled.increment(1);
            }
            None => self.counters.unsettled.increment(1),
        }
        self.moved(knowledge);
    }

    /// The cursor may have reached the head that a poll saw.
    pub(super) fn moved(&self, knowledge: &Knowledge) {
        let mut claims = self.claims.lock();
        while let Some((claim, sent)) = claims.front()
            && claim.is_reached(knowledge)
        {
            self.ledger.prove(*sent);
            self.proved_once.store(true, Ordering::Release);
            claims.pop_front();
        }
        drop(claims);
        self.counters
            .position
            .set(gauge(knowledge.cursor.position.0));
    }

    fn tell(&self, step: PollStep, poll: &Poll) {
        let hist = poll.head.hist;
        match step {
            PollStep::Resync(reason) => {
                self.counters.resynced(reason);
                tracing::info!(
                    reason = reason.as_str(),
                    position = poll.head.position.0,
                    "following the change log anew: copies are checked by version before they are served again"
                );
            }
            PollStep::OtherHistory => {
                self.counters.other_history.increment(1);
                tracing::warn!(%hist, "the database has another history: every copy of the former one is dead");
            }
            PollStep::LostHistory => {
                self.counters.lost_history.increment(1);
                tracing::error!(%hist, position = poll.head.position.0,
                    "the database has lost changes that this node has applied, and still calls itself by the same history: a backup was \
                     restored without `hotshelf.renew_hist()`; renewing the history now");
            }
            PollStep::Ignored | PollStep::UpToDate | PollStep::Behind => {}
        }
    }

    pub(super) async fn renew_history(&self, poll: &Poll) {
        match self
            .guarded(async { self.log.renew_hist(poll.head.hist).await })
            .await
        {
            Ok(()) => self.nudge(),
            Err(error) => {
                tracing::error!(
                    ?error,
                    "the history was not renewed; until it is, answers are labelled stale"
                );
            }
        }
    }
}
