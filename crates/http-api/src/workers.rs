//! The threads that serve connections, each with a runtime of its own.
//!
//! On a runtime of many threads every request that arrives may wake one of them and move to it, which costs more than an L1 hit.
//! Here a connection stays on the thread that it was given when it was accepted, and what is slow (fills, statements, tiers) runs
//! on the runtime that the engine was started on. So nothing may block a worker: its other connections would wait.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Threads for work that may block, such as compressing a large document, of each worker.
const BLOCKING_THREADS_MAX: usize = 2;

/// Threads that serve connections, taken in turn. They end when the last connection has let go of this, at the latest with the process.
#[derive(Debug)]
pub struct Workers {
    handles: Vec<Handle>,
    next: AtomicUsize,
    _stop: Option<DropGuard>,
}

impl Workers {
    /// Starts `count` threads, one at least.
    ///
    /// # Errors
    /// When the machine gives no more threads or file descriptors.
    pub fn start(count: usize) -> io::Result<Self> {
        let stop = CancellationToken::new();
        // From here on a failure ends the threads that have begun.
        let guard = stop.clone().drop_guard();
        let handles = (0..count.max(1)).map(|number| start_one(number, stop.clone()));
        Ok(Workers {
            handles: handles.collect::<io::Result<_>>()?,
            next: AtomicUsize::new(0),
            _stop: Some(guard),
        })
    }

    /// The threads of a runtime that is there already, for connections on which nobody waits for microseconds.
    pub fn on(runtime: Handle) -> Self {
        Workers {
            handles: vec![runtime],
            next: AtomicUsize::new(0),
            _stop: None,
        }
    }

    /// The worker whose turn it is.
    pub(crate) fn next(&self) -> &Handle {
        // Relaxed: only the number counts.
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        &self.handles[number % self.handles.len()]
    }
}

fn start_one(number: usize, stop: CancellationToken) -> io::Result<Handle> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new()
        .name(format!("http-{number}"))
        .spawn(move || {
            runtime.block_on(stop.cancelled_owned());
            // Does not wait for what blocks.
            runtime.shutdown_background();
        })?;
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn workers_take_turns_and_end_together() {
        let workers = Workers::start(2).unwrap();
        let mut names = Vec::new();
        for _ in 0..4 {
            let name = || thread::current().name().map(str::to_owned);
            names.push(workers.next().spawn(async move { name() }).await.unwrap());
        }
        assert_eq!(names[0], names[2]);
        assert_eq!(names[1], names[3]);
        assert_ne!(names[0], names[1]);
        let endless = workers.next().spawn(std::future::pending::<()>());
        drop(workers);
        assert!(endless.await.unwrap_err().is_cancelled());
    }
}
