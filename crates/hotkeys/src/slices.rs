//! What a node counts: reads by key, exactly, in slices of 100 ms.
//!
//! A slice holds [`DISTINCT_MAX`] keys. Past that, a key that is not in it is let in by chance (one read in 16 at first, ever fewer as
//! the room for them fills), and is then counted from there on, with the reads that it had to fail on average added: the expected
//! count of every key is its true one, whatever the keys. What was let in so says by how much it may err ([`Counted::unit`]). Keys
//! that are watched, because they are hot or may become so, have places of their own and are always exact.

use std::time::Duration;

use hotshelf_model::Boot;

use crate::dice::Dice;
use crate::hash::KeyHash;
use crate::table::{BATCH, Table};

/// How long a slice is, when it is closed in time.
pub const SLICE: Duration = Duration::from_millis(100);

/// Keys that a slice counts exactly, besides the watched ones.
pub const DISTINCT_MAX: usize = 65_536;

/// Watched keys; what is beyond is not watched.
pub const WATCHED_MAX: usize = 8192;

/// Reads of one key in a slice; more count as so many, so that there is always a frame they fit in.
pub const COUNT_MAX: u32 = 1 << 24;

/// Keys that chance lets into a full slice.
const LUCKY_MAX: usize = 4096;

/// The chance of the first of them: 1 in 2^4.
const CHANCE_LOG2: u32 = 4;

/// In the place of a unit: the key is watched, and exact.
const WATCHED: u32 = u32::MAX;

/// The node's counter. One thread feeds it; a closed slice may go to another.
///
/// Memory follows the keys of a slice: 16 to 32 bytes for each, in two slices, at most 4 MiB.
#[derive(Debug)]
pub struct Slices {
    open: Slice,
    spare: Option<Table<Cell>>,
    watched: Vec<KeyHash>,
    lucky: Lucky,
    dice: Dice,
}

/// What was counted between two moments.
#[derive(Debug)]
pub struct Slice {
    opened: Boot,
    length: Duration,
    reads: u64,
    dropped: u64,
    turned_away: u64,
    cells: Table<Cell>,
}

/// A key of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The key.
    pub key: KeyHash,
    /// Its reads, or an unbiased estimate of them; at most [`COUNT_MAX`].
    pub count: u32,
    /// 0 when the count is exact; otherwise how far chance has moved it, as a standard deviation at most.
    pub unit: u32,
    /// Whether it was watched; its count is then exact.
    pub is_watched: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    count: u32,
    unit: u32,
}

/// Who gets into a full slice.
#[derive(Debug, Default)]
struct Lucky {
    admitted: usize,
    /// Reads of unknown keys to turn away before the next is let in; none while the slice has room.
    to_turn_away: Option<u64>,
}

impl Lucky {
    /// Halving what room is left makes the chance a quarter, so each half lasts twice as long as the one before.
    fn chance_log2(&self) -> u32 {
        let left = LUCKY_MAX.saturating_sub(self.admitted).max(1);
        (CHANCE_LOG2 + 2 * (LUCKY_MAX / left).ilog2()).min(COUNT_MAX.ilog2())
    }
}

impl Slices {
    /// Opens the first slice. `now` is of the node's boot clock, here and in [`Slices::close`]; `seed` is random.
    pub fn new(now: Boot, seed: u64) -> Self {
        Slices {
            open: Slice::open(now, Table::with_room(0)),
            spare: None,
            watched: Vec::new(),
            lucky: Lucky::default(),
            dice: Dice::new(seed),
        }
    }

    /// Counts reads of a key. Reads that are not to make a key hot (`Hotshelf-Class: background`) are not counted at all.
    #[inline]
    pub fn count(&mut self, key: KeyHash, reads: u32) {
        self.open.reads += u64::from(reads);
        match self.open.cells.find(key) {
            Ok(place) => {
                let cell = self.open.cells.at(place);
                cell.count = cell.count.saturating_add(reads);
            }
            Err(free) => self.admit(key, reads, free),
        }
    }

    /// Counts one read of each of these keys; as [`Slices::count`] of each, and faster where there are many keys.
    pub fn count_all(&mut self, keys: &[KeyHash]) {
        for batch in keys.chunks(BATCH) {
            self.open.cells.touch(batch.iter().copied());
            for &key in batch {
                self.count(key, 1);
            }
        }
    }

    /// Notes reads whose keys were lost before they could be counted, in a full ring for example.
    pub fn dropped(&mut self, reads: u64) {
        self.open.dropped += reads;
    }

    /// Sets the keys that are counted exactly however many others there are, from the next slice on; at most [`WATCHED_MAX`].
    pub fn watch(&mut self, keys: impl IntoIterator<Item = KeyHash>) {
        self.watched.clear();
        self.watched.extend(keys.into_iter().take(WATCHED_MAX));
    }

    /// Closes the slice when its 100 ms on the node's clock are over, and opens the next. Call it each 100 ms or more often; when it
    /// is called late, the slice is longer and says so.
    pub fn close(&mut self, now: Boot) -> Option<Slice> {
        if number(now) <= number(self.open.opened) {
            return None;
        }
        let expected = self.open.cells.len();
        let cells = self.spare.take();
        let cells = cells.unwrap_or_else(|| Table::with_room(expected));
        let mut closed = std::mem::replace(&mut self.open, Slice::open(now, cells));
        closed.length = now.since(closed.opened);
        self.lucky = Lucky::default();
        for &key in &self.watched {
            if let Err(free) = self.open.cells.find(key) {
                let (count, unit) = (0, WATCHED);
                self.open.cells.put(free, key, Cell { count, unit });
            }
        }
        Some(closed)
    }

    /// Takes a closed slice back, so that its memory serves again. Not to do so costs an allocation.
    pub fn reuse(&mut self, slice: Slice) {
        let mut cells = slice.cells;
        cells.clear(cells.len().max(self.open.cells.len()));
        self.spare = Some(cells);
    }

    /// Bytes on the heap, without a slice that is elsewhere.
    pub fn heap_bytes(&self) -> usize {
        let spare = self.spare.as_ref().map_or(0, Table::heap_bytes);
        let watched = self.watched.capacity() * size_of::<KeyHash>();
        self.open.cells.heap_bytes() + spare + watched
    }

    #[cold]
    fn admit(&mut self, key: KeyHash, reads: u32, free: usize) {
        if self.open.cells.len() < DISTINCT_MAX + self.watched.len() {
            let cell = Cell {
                count: reads,
                unit: 0,
            };
            self.open.cells.put(free, key, cell);
        } else {
            self.admit_by_chance(key, reads, free);
        }
    }

    fn admit_by_chance(&mut self, key: KeyHash, reads: u32, free: usize) {
        let chance_log2 = self.lucky.chance_log2();
        let (lucky, dice) = (&mut self.lucky, &mut self.dice);
        let failures = lucky
            .to_turn_away
            .get_or_insert_with(|| dice.failures(chance_log2));
        let counted = u64::from(reads);
        if *failures >= counted || lucky.admitted >= LUCKY_MAX {
            *failures = failures.saturating_sub(counted);
            self.open.turned_away += counted;
            return;
        }
        // The read that was let in stands for those that were not; what comes after it is counted as it is.
        let before = u32::try_from(*failures).unwrap_or(reads);
        let unit = 1_u32 << chance_log2;
        let count = unit.saturating_add(reads.saturating_sub(before + 1));
        self.open.turned_away += *failures;
        lucky.admitted += 1;
        lucky.to_turn_away = None;
        self.open.cells.put(free, key, Cell { count, unit });
    }
}

impl Slice {
    fn open(opened: Boot, cells: Table<Cell>) -> Self {
        Slice {
            opened,
            length: Duration::ZERO,
            reads: 0,
            dropped: 0,
            turned_away: 0,
            cells,
        }
    }

    /// When it was opened, on the node's boot clock.
    pub fn opened(&self) -> Boot {
        self.opened
    }

    /// Which 100 ms of the node's clock it was opened in; no two slices of a process were opened in the same.
    pub fn number(&self) -> u64 {
        number(self.opened)
    }

    /// How long it was open.
    pub fn length(&self) -> Duration {
        self.length
    }

    /// All reads, of whichever keys.
    pub fn reads(&self) -> u64 {
        self.reads
    }

    /// Reads whose keys were lost before they could be counted.
    pub fn dropped_reads(&self) -> u64 {
        self.dropped
    }

    /// Reads that found the slice full and were left to chance.
    pub fn turned_away(&self) -> u64 {
        self.turned_away
    }

    /// The keys that were read, in no order.
    pub fn counted(&self) -> impl Iterator<Item = Counted> {
        let read = self.cells.iter().filter(|(_, cell)| cell.count > 0);
        read.map(|(key, cell)| {
            let is_watched = cell.unit == WATCHED;
            Counted {
                key,
                count: cell.count.min(COUNT_MAX),
                unit: if is_watched { 0 } else { cell.unit },
                is_watched,
            }
        })
    }
}

/// Which 100 ms of its clock a moment is in.
pub(crate) fn number(moment: Boot) -> u64 {
    moment.0 / SLICE_NANOS
}

/// The length of a slice in nanoseconds.
pub(crate) const SLICE_NANOS: u64 = 100_000_000;

#[cfg(test)]
mod tests;
