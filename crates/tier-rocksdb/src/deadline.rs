//! A deadline for every lookup without a timer for each: a timer of the runtime wakes a thread that sleeps whenever one is set, and a
//! lookup takes little longer than that.
//!
//! All lookups wait equally long, so the oldest is due first. One thread sleeps until it is, and nobody wakes that thread while it
//! has something to sleep for.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use hotshelf_model::{Boot, Clock, Error, ErrorKind, Lookup, UnavailableReason};
use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::oneshot;

/// What the caller of a job hears; nothing at all when the job was dropped or panicked.
pub(crate) type Answer = Result<Vec<Lookup>, UnavailableReason>;

/// Where a job leaves its answer: the first one counts.
pub(crate) struct Reply(Mutex<Option<oneshot::Sender<Answer>>>);

impl Reply {
    pub(crate) fn new() -> (Arc<Self>, oneshot::Receiver<Answer>) {
        let (sender, answer) = oneshot::channel();
        (Arc::new(Reply(Mutex::new(Some(sender)))), answer)
    }

    /// Whether somebody still waits.
    pub(crate) fn is_wanted(&self) -> bool {
        let sender = self.0.lock();
        sender.as_ref().is_some_and(|sender| !sender.is_closed())
    }

    pub(crate) fn give(&self, answer: Answer) {
        let sender = self.0.lock().take();
        if let Some(sender) = sender {
            // The caller may have gone meanwhile; then nobody wants to know.
            drop(sender.send(answer));
        }
    }
}

/// The lookups that are under way, and the thread that watches them.
pub(crate) struct Deadlines {
    watch: Arc<Watch>,
    length: Duration,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Deadlines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deadlines")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

struct Watch {
    waits: Mutex<Waits>,
    changed: Condvar,
}

struct Waits {
    /// Oldest first. The job owns the reply, so that dropping the job tells the caller.
    queue: VecDeque<(Boot, Weak<Reply>)>,
    /// Answered ones may lie behind one that is not; from this length on they are looked for.
    length_max: usize,
    idle: bool,
    stopped: bool,
}

impl Deadlines {
    /// Starts the thread, for no more than `under_way_max` lookups at once that wait `length` each.
    pub(crate) fn start(
        length: Duration,
        under_way_max: usize,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let waits = Waits {
            queue: VecDeque::new(),
            length_max: under_way_max * 2,
            idle: false,
            stopped: false,
        };
        let watch = Arc::new(Watch {
            waits: Mutex::new(waits),
            changed: Condvar::new(),
        });
        let (on_thread, its_clock) = (Arc::clone(&watch), Arc::clone(&clock));
        thread::Builder::new()
            .name("l3-deadline".to_owned())
            .spawn(move || on_thread.run(&*its_clock))
            .map_err(|error| {
                Error::new(ErrorKind::Unavailable, "starting l3's deadlines").with_source(error)
            })?;
        Ok(Deadlines {
            watch,
            length,
            clock,
        })
    }

    /// Answers `Deadline` when nothing else has been answered in time.
    pub(crate) fn watch(&self, reply: Weak<Reply>) {
        let mut waits = self.watch.waits.lock();
        waits.push(self.clock.now().plus(self.length), reply);
        if std::mem::take(&mut waits.idle) {
            self.watch.changed.notify_one();
        }
    }
}

impl Drop for Deadlines {
    fn drop(&mut self) {
        self.watch.waits.lock().stopped = true;
        self.watch.changed.notify_one();
    }
}

impl Waits {
    fn push(&mut self, due: Boot, reply: Weak<Reply>) {
        drop(self.oldest());
        if self.queue.len() >= self.length_max {
            self.queue.retain(|(_, reply)| wanted(reply).is_some());
        }
        self.queue.push_back((due, reply));
    }

    /// The oldest that is not answered, and when it is due; those before it are forgotten.
    fn oldest(&mut self) -> Option<(Boot, Arc<Reply>)> {
        while let Some((due, reply)) = self.queue.front() {
            if let Some(reply) = wanted(reply) {
                return Some((*due, reply));
            }
            self.queue.pop_front();
        }
        None
    }
}

fn wanted(reply: &Weak<Reply>) -> Option<Arc<Reply>> {
    reply.upgrade().filter(|reply| reply.is_wanted())
}

impl Watch {
    fn run(&self, clock: &dyn Clock) {
        let mut waits = self.waits.lock();
        while !waits.stopped {
            let Some((due, reply)) = waits.oldest() else {
                waits.idle = true;
                self.changed.wait(&mut waits);
                continue;
            };
            let left = due.since(clock.now());
            if left.is_zero() {
                MutexGuard::unlocked(&mut waits, || reply.give(Err(UnavailableReason::Deadline)));
            } else {
                // A job must not be kept from telling that it was dropped.
                drop(reply);
                self.changed.wait_for(&mut waits, left);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hotshelf_model::BootClock;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn deadlines(length: Duration) -> Deadlines {
        Deadlines::start(length, 2, Arc::new(BootClock)).unwrap()
    }

    #[tokio::test]
    async fn what_is_not_answered_in_time_is_answered_deadline() {
        let deadlines = deadlines(Duration::from_millis(5));
        for _ in 0..3 {
            let (reply, answer) = Reply::new();
            deadlines.watch(Arc::downgrade(&reply));
            assert_eq!(answer.await.unwrap(), Err(UnavailableReason::Deadline));
            assert!(!reply.is_wanted());
            // The job ends later, unheard.
            reply.give(Ok(Vec::new()));
        }
    }

    #[tokio::test]
    async fn an_answer_in_time_is_the_only_one() {
        let deadlines = deadlines(LONG);
        let (reply, answer) = Reply::new();
        deadlines.watch(Arc::downgrade(&reply));
        reply.give(Ok(Vec::new()));
        reply.give(Err(UnavailableReason::Deadline));
        assert_eq!(answer.await.unwrap(), Ok(Vec::new()));
    }

    #[tokio::test]
    async fn a_dropped_job_is_told_at_once() {
        let deadlines = deadlines(LONG);
        let (reply, answer) = Reply::new();
        deadlines.watch(Arc::downgrade(&reply));
        drop(reply);
        assert!(answer.await.is_err());
    }

    #[test]
    fn one_that_is_stuck_does_not_make_the_queue_grow() {
        let deadlines = deadlines(LONG);
        let (stuck, _waiting) = Reply::new();
        deadlines.watch(Arc::downgrade(&stuck));
        for _ in 0..1000 {
            let (reply, _answer) = Reply::new();
            deadlines.watch(Arc::downgrade(&reply));
        }
        let waits = deadlines.watch.waits.lock();
        assert!(
            waits.queue.len() <= waits.length_max,
            "{}",
            waits.queue.len()
        );
        assert_eq!(waits.queue.front().unwrap().1.as_ptr(), Arc::as_ptr(&stuck));
    }
}
