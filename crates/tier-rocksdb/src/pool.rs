//! A few threads that run jobs from one bounded queue, because a disk blocks whoever reads it.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hotshelf_model::{Error, ErrorKind};
use parking_lot::{Condvar, Mutex};

type Job<C> = Box<dyn FnOnce(&C) + Send>;

/// Why a job was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Full,
    Stopped,
}

/// Its threads own what the jobs work on, and let it go as they end.
pub(crate) struct Pool<C> {
    queue: Arc<Queue<C>>,
}

struct Queue<C> {
    state: Mutex<State<C>>,
    job_came: Condvar,
    thread_ended: Condvar,
    jobs_max: usize,
}

struct State<C> {
    jobs: VecDeque<Job<C>>,
    threads: usize,
    stopped: bool,
}

impl<C> fmt::Debug for Pool<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.queue.state.lock();
        f.debug_struct("Pool")
            .field("threads", &state.threads)
            .field("jobs", &state.jobs.len())
            .finish_non_exhaustive()
    }
}

impl<C> Pool<C> {
    pub(crate) fn new(
        name: &str,
        threads: usize,
        jobs_max: usize,
        on: &Arc<C>,
    ) -> Result<Self, Error>
    where
        C: Send + Sync + 'static,
    {
        let state = State {
            jobs: VecDeque::new(),
            threads: 0,
            stopped: false,
        };
        let queue = Arc::new(Queue {
            state: Mutex::new(state),
            job_came: Condvar::new(),
            thread_ended: Condvar::new(),
            jobs_max,
        });
        let pool = Pool { queue };
        for index in 0..threads {
            pool.spawn(format!("{name}-{index}"), Arc::clone(on))?;
        }
        Ok(pool)
    }

    fn spawn(&self, name: String, on: Arc<C>) -> Result<(), Error>
    where
        C: Send + Sync + 'static,
    {
        let queue = Arc::clone(&self.queue);
        queue.state.lock().threads += 1;
        let spawned = thread::Builder::new()
            .name(name)
            .spawn(move || queue.work(on));
        if let Err(error) = spawned {
            self.queue.state.lock().threads -= 1;
            let context = "starting a thread of l3";
            return Err(Error::new(ErrorKind::Unavailable, context).with_source(error));
        }
        Ok(())
    }

    pub(crate) fn submit(&self, job: impl FnOnce(&C) + Send + 'static) -> Result<(), Refused> {
        let mut state = self.queue.state.lock();
        if state.stopped {
            return Err(Refused::Stopped);
        }
        if state.jobs.len() >= self.queue.jobs_max {
            return Err(Refused::Full);
        }
        state.jobs.push_back(Box::new(job));
        drop(state);
        self.queue.job_came.notify_one();
        Ok(())
    }

    /// Drops the jobs that wait and lets the threads end after the ones that run.
    pub(crate) fn stop(&self) {
        let mut state = self.queue.state.lock();
        state.stopped = true;
        let dropped = std::mem::take(&mut state.jobs);
        drop(state);
        drop(dropped);
        self.queue.job_came.notify_all();
    }

    /// Waits for the threads of a stopped pool; says whether all have ended.
    pub(crate) fn ended_within(&self, limit: Duration) -> bool {
        let mut state = self.queue.state.lock();
        self.queue
            .thread_ended
            .wait_while_for(&mut state, |state| state.threads > 0, limit);
        state.threads == 0
    }
}

impl<C> Drop for Pool<C> {
    fn drop(&mut self) {
        self.stop();
    }
}

impl<C> Queue<C> {
    fn work(&self, on: Arc<C>) {
        while let Some(job) = self.next() {
            if catch_unwind(AssertUnwindSafe(|| job(&on))).is_err() {
                tracing::error!("a job of l3 panicked; its caller was told that the tier failed");
            }
        }
        drop(on);
        self.state.lock().threads -= 1;
        self.thread_ended.notify_all();
    }

    fn next(&self) -> Option<Job<C>> {
        let mut state = self.state.lock();
        loop {
            if state.stopped {
                return None;
            }
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            self.job_came.wait(&mut state);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn a_full_queue_refuses_and_a_stopped_pool_ends_its_threads() {
        let pool = Pool::new("test", 1, 2, &Arc::new(())).unwrap();
        let (release, released) = mpsc::channel::<()>();
        let (began, begun) = mpsc::channel();
        pool.submit(move |()| {
            began.send(()).unwrap();
            released.recv().unwrap();
        })
        .unwrap();
        begun.recv_timeout(LONG).unwrap();
        assert_eq!(pool.submit(|()| ()), Ok(()));
        assert_eq!(pool.submit(|()| ()), Ok(()));
        assert_eq!(pool.submit(|()| ()), Err(Refused::Full));
        pool.stop();
        assert_eq!(pool.submit(|()| ()), Err(Refused::Stopped));
        assert!(!pool.ended_within(Duration::from_millis(1)));
        release.send(()).unwrap();
        assert!(pool.ended_within(LONG));
    }

    #[test]
    fn a_panicking_job_leaves_the_thread_alive() {
        let pool = Pool::new("test", 1, 8, &Arc::new(())).unwrap();
        pool.submit(|()| panic!("on purpose")).unwrap();
        let (done, finished) = mpsc::channel();
        pool.submit(move |()| done.send(7).unwrap()).unwrap();
        assert_eq!(finished.recv_timeout(LONG), Ok(7));
    }
}
