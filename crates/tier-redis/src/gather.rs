//! Lookups of single keys that wait for the same shard at the same time go out together.
//!
//! A shard has a few *lines*: how many exchanges of lookups it has under way at most. A lookup that finds a line free goes out at
//! once and alone, in its caller's own future, so that nothing is added to it. Any other is queued. Whoever gives a line back
//! hands it to a task when somebody is queued, and the task asks for what was queued meanwhile with one command (in a cluster
//! with one pipeline), again and again until nobody is queued. So the more lookups there are, the more of them share one
//! command, one timer, one pass of the breaker and one turn of the connection.
//!
//! **Invariant:** while a lookup is queued, no line is free, and every line comes back: by `Drop`, whatever ends its holder.
//! **Invariant:** lookups leave in the order in which they came and have all the same time, so nobody's deadline passes in the
//! queue before those ahead are answered.
//! **Invariant:** an errand keeps its permit until it is answered, also when its caller has gone; so `ops_max` bounds the queue.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;

use hotshelf_model::UnavailableReason;
use parking_lot::Mutex;
use redis::Value;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::call::Call;
use crate::shard::{Attempt, Request, Shard, is_service};

/// A lookup with the time it has.
#[derive(Debug)]
pub(crate) struct Errand {
    pub(crate) call: Call,
    pub(crate) until: Instant,
    /// The errand's place among the operations under way.
    pub(crate) _permit: OwnedSemaphorePermit,
}

/// What Redis said, an error reply included, with the errand; or why nothing was said.
pub(crate) type Answer = Result<(Value, Errand), UnavailableReason>;

#[derive(Debug)]
struct Waiting {
    errand: Errand,
    answer: oneshot::Sender<Answer>,
}

impl Waiting {
    fn answer(self, reply: Result<Value, UnavailableReason>) {
        let Waiting { errand, answer } = self;
        // A caller who has gone wants no answer.
        drop(answer.send(reply.map(|value| (value, errand))));
    }
}

/// The lines of a shard, and who waits for one.
#[derive(Debug)]
pub(crate) struct Lines {
    state: Mutex<State>,
    /// Most lookups in one exchange.
    keys_max: usize,
}

#[derive(Debug)]
struct State {
    free: usize,
    queue: VecDeque<Waiting>,
}

impl Lines {
    pub(crate) fn new(lines: usize, keys_max: usize) -> Self {
        let (free, queue) = (lines, VecDeque::new());
        Lines {
            state: Mutex::new(State { free, queue }),
            keys_max,
        }
    }

    /// The lookups that go out next, without those whose callers have gone.
    fn next(&self) -> VecDeque<Waiting> {
        // Dropped after the lock is given back, because dropping wakes others.
        let mut gone = Vec::new();
        let mut next = VecDeque::new();
        let mut state = self.state.lock();
        while next.len() < self.keys_max
            && let Some(waiting) = state.queue.pop_front()
        {
            if waiting.answer.is_closed() {
                gone.push(waiting);
            } else {
                next.push_back(waiting);
            }
        }
        next
    }

    #[cfg(test)]
    pub(crate) fn queued(&self) -> usize {
        self.state.lock().queue.len()
    }

    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        self.state.lock().free
    }
}

/// Where an errand begins.
enum Place {
    Line(Line, Errand),
    Queue(oneshot::Receiver<Answer>),
}

/// The right to have one exchange under way.
struct Line {
    shard: Arc<Shard>,
    /// Whether the holder has promised to serve the queue.
    serving: bool,
}

impl Drop for Line {
    fn drop(&mut self) {
        let mut state = self.shard.lines.state.lock();
        let queue = if self.serving {
            // The task was ended with its runtime, or panicked. Whoever waits learns that nobody will answer.
            std::mem::take(&mut state.queue)
        } else {
            VecDeque::new()
        };
        if state.queue.is_empty() {
            state.free += 1;
            drop(state);
            drop(queue);
        } else {
            drop(state);
            let (shard, serving) = (self.shard.clone(), true);
            let line = Line { shard, serving };
            self.shard.runtime.spawn(line.serve());
        }
    }
}

impl Line {
    async fn serve(mut self) {
        loop {
            let mut next = self.shard.lines.next();
            if next.is_empty() {
                break;
            }
            let shard = &self.shard;
            shard.guarded(shard.ask_together(&mut next)).await;
            for refused in next {
                refused.answer(Err(UnavailableReason::Open));
            }
        }
        // Somebody may be queued again by now, so the line goes back as a caller's does.
        self.serving = false;
    }
}

impl Shard {
    /// Looks one key up, perhaps in one exchange with others.
    pub(crate) async fn look_up(self: &Arc<Self>, errand: Errand) -> Answer {
        match self.place(errand)? {
            Place::Line(_line, errand) => self.ask_alone(errand).await,
            Place::Queue(answer) => answer.await.unwrap_or(Err(UnavailableReason::Failed)),
        }
    }

    fn place(self: &Arc<Self>, errand: Errand) -> Result<Place, UnavailableReason> {
        let mut state = self.lines.state.lock();
        if state.free > 0 {
            state.free -= 1;
            let (shard, serving) = (self.clone(), false);
            return Ok(Place::Line(Line { shard, serving }, errand));
        }
        if !self.breaker.may_pass(self.clock.now()) {
            return Err(UnavailableReason::Open);
        }
        let (answer, receiver) = oneshot::channel();
        state.queue.push_back(Waiting { errand, answer });
        Ok(Place::Queue(receiver))
    }

    async fn ask_alone(&self, errand: Errand) -> Answer {
        let request = Request::One(errand.call.command(false));
        let asked = self.guarded(async {
            let asked = timeout_at(errand.until, self.ask(request)).await;
            let values = asked.unwrap_or(Err(UnavailableReason::Deadline));
            (is_service(&values), values)
        });
        let values = asked.await.unwrap_or(Err(UnavailableReason::Open))?;
        let value = values.into_iter().next().ok_or(UnavailableReason::Failed)?;
        Ok((value, errand))
    }

    /// Answers everybody in one exchange, each by their own deadline. Says whether Redis served.
    async fn ask_together(&self, waiting: &mut VecDeque<Waiting>) -> (bool, ()) {
        let attempts = waiting
            .iter()
            .map(|waiting| Attempt::first(0, &waiting.errand.call));
        let attempts: Vec<_> = attempts.collect();
        let mut asking = pin!(self.ask(Request::pack(&attempts, self.mget)));
        let mut late = 0;
        while let Some(first) = waiting.front() {
            let Ok(values) = timeout_at(first.errand.until, &mut asking).await else {
                late += answer_late(waiting);
                continue;
            };
            let served = is_service(&values);
            match values {
                Ok(values) => {
                    for (value, waiting) in values.into_iter().skip(late).zip(waiting.drain(..)) {
                        waiting.answer(Ok(value));
                    }
                }
                Err(reason) => waiting
                    .drain(..)
                    .for_each(|waiting| waiting.answer(Err(reason))),
            }
            return (served, ());
        }
        (false, ())
    }
}

/// Answers those whose deadline has passed, at least the first; they stand in the order of their deadlines.
fn answer_late(waiting: &mut VecDeque<Waiting>) -> usize {
    let now = Instant::now();
    let late = waiting
        .iter()
        .take_while(|waiting| waiting.errand.until <= now)
        .count()
        .max(1);
    waiting
        .drain(..late)
        .for_each(|waiting| waiting.answer(Err(UnavailableReason::Deadline)));
    late
}
