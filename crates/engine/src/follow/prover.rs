//! Polls that the leading node makes for the others, so that the database's work does not grow with the nodes.
//!
//! Each poll interval a node asks, over the bus, the one that leads to poll for it. The leader answers all who asked before it sent its
//! next poll, and each takes the answer as if it had made that poll itself when it asked: about its own cursor, as of the moment of
//! its own ask. So an answer that is lost, late, doubled or from an earlier process proves nothing false; a node that gets none polls
//! itself, as it does when the bus, the leader or the leases are away.

use std::time::Duration;

use hotshelf_coherence::{Cursor, PollStep};
use hotshelf_model::message::{ASKS_MAX, Answered, Answers, Ask, encode_answers, encode_ask};
use hotshelf_model::{Boot, Channel, Poll, Position};
use parking_lot::Mutex;

use super::Follower;

/// However well it is answered, a node polls itself this often: only so it measures the database's clock well.
const OWN_POLL_INTERVAL: Duration = Duration::from_secs(30);

/// What was asked, and what others asked.
#[derive(Debug)]
pub(super) struct Prover {
    asker: u64,
    asking: Mutex<Asking>,
    /// Asks of others that the next poll answers.
    waiting: Mutex<Vec<Ask>>,
}

#[derive(Debug, Default)]
struct Asking {
    number: u64,
    /// About what, and when; `None` once it is answered, or not to be waited for any more.
    asked: Option<(Cursor, Boot)>,
    /// Whether the next ask was due and this one not answered. The leader polls once in each interval, so an answer comes within one, and
    /// seldom within two.
    is_late: bool,
    /// Where the log stood by the last answer, if no poll of this node's own came after it.
    answered: Option<Position>,
    own_poll: Boot,
}

impl Prover {
    pub(super) fn new() -> Self {
        Prover {
            asker: rand::random(),
            asking: Mutex::default(),
            waiting: Mutex::default(),
        }
    }
}

impl Follower {
    /// Whether this node can leave the poll that is due now to the one that leads.
    pub(super) fn is_polled_for(&self) -> bool {
        let (now, asking) = (self.clock.now(), self.prover.asking.lock());
        let Some(head) = asking.answered else {
            return false;
        };
        // A row that is still missing when the next poll is due has been lost on its way.
        head <= self.cursor().position
            && !asking.is_late
            && self.bus.as_ref().is_some_and(|bus| bus.is_connected())
            && now.since(self.ledger.proof()) <= self.staleness_bound / 2
            && now.since(asking.own_poll) <= OWN_POLL_INTERVAL
            && !self.leads()
    }

    /// Asks the node that leads to poll for this one, unless an earlier ask is still waited for.
    pub(super) fn ask(&self) {
        let (Some(bus), Some(knowledge)) = (&self.bus, self.ledger.knowledge()) else {
            return;
        };
        if self.leads() || !bus.is_connected() {
            return;
        }
        let mut asking = self.prover.asking.lock();
        asking.is_late = asking.asked.is_some();
        if asking.is_late {
            return;
        }
        asking.number += 1;
        asking.asked = Some((knowledge.cursor, self.clock.now()));
        let ask = Ask {
            asker: self.prover.asker,
            number: asking.number,
            known: knowledge.cursor.position,
        };
        bus.publish(Channel::Hint, encode_ask(&ask));
    }

    /// This node begins a poll of its own: one at a time, so what was asked before is not waited for. Returns what others asked so far.
    pub(super) fn begin_own_poll(&self, sent: Boot) -> Vec<Ask> {
        let mut asking = self.prover.asking.lock();
        asking.asked = None;
        asking.answered = None;
        asking.own_poll = sent;
        drop(asking);
        std::mem::take(&mut *self.prover.waiting.lock())
    }

    /// Somebody asks. Only the node that leads answers, and it polls anyway.
    pub(super) fn take_ask(&self, ask: Ask) {
        if !self.leads() {
            return;
        }
        let mut waiting = self.prover.waiting.lock();
        // Who is one too many gets no answer, and polls itself.
        if waiting.len() < ASKS_MAX {
            waiting.push(ask);
        }
    }

    /// Tells those who asked before a poll was sent what it said; `polls` are one for each of them.
    pub(super) fn answer(&self, asks: &[Ask], polls: &[Poll]) {
        let Some((bus, poll)) = self.bus.as_ref().zip(polls.first()) else {
            return;
        };
        if !poll.settled || !poll.head.primary {
            return;
        }
        let answered = |(ask, poll): (&Ask, &Poll)| Answered {
            asker: ask.asker,
            number: ask.number,
            known_nonce: poll.known_nonce,
        };
        let answers = Answers {
            poll: *poll,
            answered: asks.iter().zip(polls).map(answered).collect(),
        };
        bus.publish(Channel::Hint, encode_answers(&answers));
        self.counters.answered.increment(asks.len() as u64);
    }

    /// Takes an answer in, if it is to what this node asked last.
    pub(super) fn take_answers(&self, answers: &Answers) {
        let mut asking = self.prover.asking.lock();
        let Some((asked, sent)) = asking.asked else {
            return;
        };
        let Some(poll) = answers.of(self.prover.asker, asking.number) else {
            return;
        };
        asking.asked = None;
        asking.is_late = false;
        asking.answered = Some(poll.head.position);
        drop(asking);
        self.counters.polled_for.increment(1);
        match self.learn(asked, &poll, sent) {
            PollStep::UpToDate | PollStep::Behind => {}
            // A poll of its own says what is to be done.
            PollStep::Ignored
            | PollStep::Resync(_)
            | PollStep::OtherHistory
            | PollStep::LostHistory => self.nudge(),
        }
        self.polled.notify_waiters();
    }
}
