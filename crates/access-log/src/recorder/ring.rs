//! A ring of words between one thread that pushes and one that takes.
//!
//! A record begins at a cache line, so that most records touch one, and the two threads never the same. Nothing here is unsafe: the words
//! are atomics. They are read and written relaxed; what orders them are the two counters. The thread that pushes stores `written` after the
//! words (release), and who takes loads it before them (acquire); `taken` does the same for the words' next use.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Words of a cache line.
const LINE_WORDS: usize = 8;

#[derive(Debug, Default)]
#[repr(align(64))]
struct CacheLine([AtomicU64; LINE_WORDS]);

/// Keeps away from its neighbours what one thread writes; processors fetch lines in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Apart<T>(T);

#[derive(Debug)]
struct Ring {
    /// A power of two of them, so that the counters may overflow.
    lines: Box<[CacheLine]>,
    /// Lines that were ever written.
    written: Apart<AtomicUsize>,
    /// Lines that were ever taken.
    taken: Apart<AtomicUsize>,
}

/// A ring with room for at least `lines` cache lines.
pub(crate) fn ring(lines: usize) -> (Producer, Consumer) {
    let lines = lines.max(1).next_power_of_two();
    let ring = Arc::new(Ring {
        lines: (0..lines).map(|_| CacheLine::default()).collect(),
        written: Apart::default(),
        taken: Apart::default(),
    });
    let producer = Producer {
        ring: Arc::clone(&ring),
        written: 0,
        taken: 0,
    };
    (producer, Consumer { ring, taken: 0 })
}

/// The words of one record.
#[derive(Debug)]
pub(crate) struct Words<'a> {
    lines: &'a [CacheLine],
    first: usize,
}

impl Words<'_> {
    #[inline]
    fn word(&self, at: usize) -> &AtomicU64 {
        let line = self.first.wrapping_add(at / LINE_WORDS) & (self.lines.len() - 1);
        &self.lines[line].0[at % LINE_WORDS]
    }

    #[inline]
    pub(crate) fn put(&self, at: usize, word: u64) {
        self.word(at).store(word, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn get(&self, at: usize) -> u64 {
        self.word(at).load(Ordering::Relaxed)
    }
}

/// The end that pushes.
#[derive(Debug)]
pub(crate) struct Producer {
    ring: Arc<Ring>,
    written: usize,
    /// As it was when it was last looked at: to look costs a cache line that the other thread writes.
    taken: usize,
}

impl Producer {
    /// Pushes a record of so many words, which `write` puts. Says whether there was room.
    #[inline]
    pub(crate) fn push(&mut self, words: usize, write: impl FnOnce(&Words<'_>)) -> bool {
        let lines = words.div_ceil(LINE_WORDS);
        if self.room() < lines {
            self.taken = self.ring.taken.0.load(Ordering::Acquire);
            if self.room() < lines {
                return false;
            }
        }
        write(&Words {
            lines: &self.ring.lines,
            first: self.written,
        });
        self.written = self.written.wrapping_add(lines);
        self.ring.written.0.store(self.written, Ordering::Release);
        true
    }

    #[inline]
    fn room(&self) -> usize {
        self.ring.lines.len() - self.written.wrapping_sub(self.taken)
    }

    /// Whether the other end is gone.
    pub(super) fn is_abandoned(&mut self) -> bool {
        Arc::get_mut(&mut self.ring).is_some()
    }
}

/// The end that takes.
#[derive(Debug)]
pub(crate) struct Consumer {
    ring: Arc<Ring>,
    taken: usize,
}

impl Consumer {
    /// Where the records end that were pushed until now.
    pub(crate) fn end(&self) -> usize {
        self.ring.written.0.load(Ordering::Acquire)
    }

    /// Takes a record, unless it has come to `end`. `read` says how many words the record has.
    pub(crate) fn take(&mut self, end: usize, read: impl FnOnce(&Words<'_>) -> usize) -> bool {
        if self.taken == end {
            return false;
        }
        let words = read(&Words {
            lines: &self.ring.lines,
            first: self.taken,
        });
        self.taken = self.taken.wrapping_add(words.div_ceil(LINE_WORDS));
        self.ring.taken.0.store(self.taken, Ordering::Release);
        true
    }

    /// Whether nothing is in it and nothing can come any more.
    pub(super) fn is_finished(&mut self) -> bool {
        // In this order: what was pushed before the other end was given up is seen after that was seen.
        Arc::get_mut(&mut self.ring).is_some() && self.taken == self.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pushes a record of so many words, each of which says whose it is.
    fn push(producer: &mut Producer, words: usize, number: u64) -> bool {
        producer.push(words, |slots| {
            slots.put(0, words as u64);
            (1..words).for_each(|at| slots.put(at, number));
        })
    }

    /// Takes all that is there; answers the numbers of the records.
    fn take(consumer: &mut Consumer) -> Vec<u64> {
        let (end, mut numbers) = (consumer.end(), Vec::new());
        while consumer.take(end, |slots| {
            let words = usize::try_from(slots.get(0)).unwrap();
            let number = slots.get(1);
            assert!((1..words).all(|at| slots.get(at) == number), "{number}");
            numbers.push(number);
            words
        }) {}
        numbers
    }

    #[test]
    fn what_was_pushed_comes_out_whole_and_in_order_wherever_the_ring_begins_again() {
        let (mut producer, mut consumer) = ring(16);
        for number in 0..500 {
            // One to five lines.
            let words = 2 + usize::try_from(number).unwrap() * 7 % 37;
            assert!(push(&mut producer, words, number));
            assert!(push(&mut producer, words, number + 1));
            assert_eq!(take(&mut consumer), [number, number + 1]);
        }
    }

    #[test]
    fn a_record_that_has_no_room_is_not_begun() {
        let (mut producer, mut consumer) = ring(3);
        assert!(push(&mut producer, 8, 1));
        assert!(push(&mut producer, 9, 2));
        assert!(
            !push(&mut producer, 9, 3),
            "four lines, of which three are used"
        );
        assert!(push(&mut producer, 8, 4));
        assert!(!push(&mut producer, 2, 5));
        assert_eq!(take(&mut consumer), [1, 2, 4]);
        assert!(push(&mut producer, 32, 6));
        assert_eq!(take(&mut consumer), [6]);
        assert!(!push(&mut producer, 33, 7), "longer than the ring");
    }

    #[test]
    fn a_ring_is_finished_when_its_thread_is_gone_and_all_was_taken() {
        let (mut producer, mut consumer) = ring(4);
        assert!(!consumer.is_finished() && !producer.is_abandoned());
        push(&mut producer, 2, 1);
        drop(producer);
        assert!(!consumer.is_finished());
        take(&mut consumer);
        assert!(consumer.is_finished());
        let (mut producer, consumer) = ring(4);
        drop(consumer);
        assert!(producer.is_abandoned());
    }

    #[test]
    fn two_threads_lose_nothing_and_see_no_record_before_it_is_whole() {
        const RECORDS: u64 = 200_000;
        let (mut producer, mut consumer) = ring(64);
        let pushing = std::thread::spawn(move || {
            for number in 0..RECORDS {
                let words = 2 + usize::try_from(number).unwrap() % 29;
                while !push(&mut producer, words, number) {
                    std::thread::yield_now();
                }
            }
        });
        let mut next = 0;
        while next < RECORDS {
            let numbers = take(&mut consumer);
            if numbers.is_empty() {
                std::thread::yield_now();
            }
            for number in numbers {
                assert_eq!(number, next);
                next += 1;
            }
        }
        pushing.join().unwrap();
        assert!(consumer.is_finished());
    }
}
