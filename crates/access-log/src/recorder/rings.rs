//! The rings of all threads, and how a thread finds its own.

use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::ring::{Consumer, Producer, ring};

thread_local! {
    /// This thread's ends, one for each `Rings` it has recorded for. They are dropped when the thread ends, which their other ends see.
    static ENDS: RefCell<Vec<End>> = const { RefCell::new(Vec::new()) };
}

/// A thread's end of a ring.
struct End {
    rings: u64,
    producer: Producer,
}

/// The rings of all threads that have recorded.
pub(super) struct Rings {
    /// Tells the rings of one recorder from those of another.
    number: u64,
    ring_records: usize,
    rings_max: usize,
    count: AtomicUsize,
    /// Rings that the drainer has not taken over yet.
    new: Mutex<Vec<Consumer>>,
    /// Records for which there was no room, since somebody asked.
    dropped: AtomicU64,
}

impl fmt::Debug for Rings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rings")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl Rings {
    pub(super) fn new(ring_records: usize, rings_max: usize) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        Rings {
            // Relaxed: only that no number is given twice matters.
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            ring_records,
            rings_max,
            count: AtomicUsize::new(0),
            new: Mutex::new(Vec::new()),
            dropped: AtomicU64::new(0),
        }
    }

    /// Hands this thread's ring to `push`, which says whether there was room; counts a record that was dropped.
    #[inline]
    pub(super) fn push(&self, push: impl FnOnce(&mut Producer) -> bool) {
        // A thread that is ending has no ends any more.
        let pushed = ENDS.try_with(|ends| {
            let Ok(mut ends) = ends.try_borrow_mut() else {
                return false;
            };
            let end = match ends.iter().position(|end| end.rings == self.number) {
                Some(at) => ends.get_mut(at),
                None => self.add(&mut ends),
            };
            end.is_some_and(|end| push(&mut end.producer))
        });
        if pushed != Ok(true) {
            // Relaxed: a number, of nothing that lies elsewhere.
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[cold]
    #[inline(never)]
    fn add<'a>(&self, ends: &'a mut Vec<End>) -> Option<&'a mut End> {
        ends.retain_mut(|end| !end.producer.is_abandoned());
        // Relaxed: the count guards memory, and no data is reached through it.
        let counted = self
            .count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                (count < self.rings_max).then_some(count + 1)
            });
        counted.ok()?;
        let (producer, consumer) = ring(self.ring_records);
        self.new.lock().push(consumer);
        ends.push(End {
            rings: self.number,
            producer,
        });
        ends.last_mut()
    }

    /// Moves rings that were made since the last call to `taken`.
    pub(super) fn take_new(&self, taken: &mut Vec<Consumer>) {
        taken.append(&mut self.new.lock());
    }

    /// How many records were dropped since the last call.
    pub(super) fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }

    /// Says that so many rings were freed.
    pub(super) fn freed(&self, rings: usize) {
        self.count.fetch_sub(rings, Ordering::Relaxed);
    }
}
