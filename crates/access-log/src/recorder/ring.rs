//! The rings of all threads, and how a thread finds its own.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use rtrb::{Consumer, Producer, RingBuffer};

thread_local! {
    /// This thread's ends, one for each `Rings` it has recorded for. They are dropped when the thread ends, which their other ends see.
    static ENDS: RefCell<Vec<End>> = const { RefCell::new(Vec::new()) };
}

/// A thread's end of a ring.
struct End {
    rings: u64,
    producer: Box<dyn Held>,
}

/// A producer of any type of record.
trait Held: Any {
    fn is_abandoned(&self) -> bool;
    fn as_any(&mut self) -> &mut dyn Any;
}

impl<R: 'static> Held for Producer<R> {
    fn is_abandoned(&self) -> bool {
        Producer::is_abandoned(self)
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

/// The rings of all threads that have recorded.
pub(super) struct Rings<R> {
    /// Tells the rings of one recorder from those of another.
    number: u64,
    ring_records: usize,
    rings_max: usize,
    count: AtomicUsize,
    /// Rings that the drainer has not taken over yet.
    new: Mutex<Vec<Consumer<R>>>,
    /// Records for which there was no room, since somebody asked.
    dropped: AtomicU64,
}

impl<R> fmt::Debug for Rings<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rings")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl<R: Send + 'static> Rings<R> {
    pub(super) fn new(ring_records: usize, rings_max: usize) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        Rings {
            // Relaxed: only that no number is given twice matters.
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            ring_records: ring_records.max(1),
            rings_max,
            count: AtomicUsize::new(0),
            new: Mutex::new(Vec::new()),
            dropped: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(super) fn push(&self, record: R) {
        // A record that is dropped may record: that one finds the cell in use. A thread that is ending has no ends any more.
        let pushed = ENDS.try_with(|ends| {
            let Ok(mut ends) = ends.try_borrow_mut() else {
                return Err(record);
            };
            let end = match ends.iter().position(|end| end.rings == self.number) {
                Some(at) => &mut ends[at],
                None => match self.add(&mut ends) {
                    Some(end) => end,
                    None => return Err(record),
                },
            };
            match end.producer.as_any().downcast_mut::<Producer<R>>() {
                Some(producer) => producer
                    .push(record)
                    .map_err(|rtrb::PushError::Full(record)| record),
                None => Err(record),
            }
        });
        // The record itself is dropped after the cell has been given back.
        if !matches!(pushed, Ok(Ok(()))) {
            // Relaxed: a number, of nothing that lies elsewhere.
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[cold]
    fn add<'a>(&self, ends: &'a mut Vec<End>) -> Option<&'a mut End> {
        ends.retain(|end| !end.producer.is_abandoned());
        // Relaxed: the count guards memory, and no data is reached through it.
        let counted = self
            .count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                (count < self.rings_max).then_some(count + 1)
            });
        counted.ok()?;
        let (producer, consumer) = RingBuffer::new(self.ring_records);
        self.new.lock().push(consumer);
        ends.push(End {
            rings: self.number,
            producer: Box::new(producer),
        });
        ends.last_mut()
    }

    /// Moves rings that were made since the last call to `taken`.
    pub(super) fn take_new(&self, taken: &mut Vec<Consumer<R>>) {
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
