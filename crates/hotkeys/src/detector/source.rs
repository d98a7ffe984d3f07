//! Which of the detector's slots a node's slices belong to.
//!
//! A node's slices follow its own clock. The shortest way that a frame has taken so far, from the moment on the node's clock when its
//! slice was closed to the moment on the detector's when it arrived, ties the two clocks together: it holds the clocks' difference,
//! whatever it is, and the fastest delivery. What a frame took longer than that is its lag. The tie is let out by a five-thousandth of the time
//! that passes, so that it follows clocks that run apart by 200 millionths, and a lag of seconds is still seen for hours.

use hotshelf_model::Boot;

use crate::frame::Frame;
use crate::slices::SLICE_NANOS;

use super::decision::Refused;

/// Slices that are told apart from their doubles: 12.8 s of them.
const SEEN: u64 = 128;

/// Slices over which losses are counted.
pub(super) const COVERED: u64 = 100;

/// A slice may be so late before it counts as missing.
const GRACE_SLOTS: u64 = 2;

const DRIFT_PARTS: u64 = 5000;

const SLOT: i64 = SLICE_NANOS.cast_signed();

#[derive(Debug)]
pub(super) struct Source {
    incarnation: u64,
    former: Option<u64>,
    tie: Tie,
    /// Slices before this slot would be counted in slots that have slices of this node.
    not_before: u64,
    /// The first number of this process.
    first: u64,
    /// The highest number, and the 128 up to it that have come.
    highest: u64,
    seen: u128,
    /// When the newest slice was closed, on the node's clock.
    closed: i64,
}

/// How the node's clock is tied to the detector's.
#[derive(Debug)]
struct Tie {
    /// The shortest way, in nanoseconds; negative when the node's clock is ahead.
    shortest: i64,
    as_of: Boot,
    /// What to add to a node's slot, a whole number that changes only when it must: slices next to each other stay so.
    offset: i64,
}

impl Tie {
    fn new(way: i64, now: Boot) -> Self {
        Tie {
            shortest: way,
            as_of: now,
            offset: (way + SLOT).div_euclid(SLOT),
        }
    }

    /// Whether slices move to earlier slots.
    fn tighten(&mut self, way: i64, now: Boot) -> bool {
        let passed = now.0.saturating_sub(self.as_of.0);
        let let_out = (passed / DRIFT_PARTS).cast_signed();
        self.as_of = self.as_of.max(now);
        self.shortest = way.min(self.shortest.saturating_add(let_out));
        // A slice arrives in the slot after the one that it fills, or counts for the same: half a slot to either side is let pass.
        let exact = self.shortest.saturating_add(SLOT);
        let from = self.offset.saturating_mul(SLOT) - SLOT / 2;
        if (from..from + 2 * SLOT).contains(&exact) {
            return false;
        }
        let offset = exact.div_euclid(SLOT);
        let is_earlier = offset < self.offset;
        self.offset = offset;
        is_earlier
    }
}

impl Source {
    pub(super) fn new(frame: &Frame, arrived: Boot, former: Option<u64>) -> Self {
        let number = frame.number();
        Source {
            incarnation: frame.sender.incarnation,
            former,
            tie: Tie::new(way(frame, arrived), arrived),
            not_before: 0,
            first: number,
            highest: number,
            seen: 0,
            closed: closed(frame),
        }
    }

    /// What to add to the slots of a frame, if it is to be counted.
    pub(super) fn take(&mut self, frame: &Frame, arrived: Boot) -> Result<i64, Refused> {
        if self.former == Some(frame.sender.incarnation) {
            return Err(Refused::Former);
        }
        if self.incarnation != frame.sender.incarnation {
            *self = Source::new(frame, arrived, Some(self.incarnation));
        }
        let number = frame.number();
        if self.highest.saturating_sub(number) >= COVERED {
            return Err(Refused::Late);
        }
        if number <= self.highest && self.seen & self.bit(number) != 0 {
            return Err(Refused::Doubled);
        }
        let newest = self.slot(self.highest);
        if self.tie.tighten(way(frame, arrived), arrived) {
            self.not_before = newest + 1;
        }
        self.mark(number, frame.closed_ms() / 100);
        self.closed = self.closed.max(closed(frame));
        if self.slot(number) < self.not_before {
            return Err(Refused::Realigned);
        }
        Ok(self.tie.offset)
    }

    fn slot(&self, number: u64) -> u64 {
        number.saturating_add_signed(self.tie.offset)
    }

    fn bit(&self, number: u64) -> u128 {
        1_u128
            .checked_shl(u32::try_from(self.highest - number).unwrap_or(u32::MAX))
            .unwrap_or(0)
    }

    /// Notes a slice's number, and those that it was too long to leave to others.
    fn mark(&mut self, number: u64, end: u64) {
        let last = number.max(end.saturating_sub(1));
        if last > self.highest {
            let more = u32::try_from(last - self.highest).unwrap_or(u32::MAX);
            self.seen = self.seen.checked_shl(more).unwrap_or(0);
            self.highest = last;
        }
        for covered in number.max((last + 1).saturating_sub(SEEN))..=last {
            self.seen |= self.bit(covered);
        }
    }

    /// The time since its newest slice was closed, in nanoseconds of the detector's clock.
    pub(super) fn age(&self, now: Boot) -> u64 {
        let closed = self.closed.saturating_add(self.tie.shortest);
        u64::try_from(now.0.cast_signed().saturating_sub(closed)).unwrap_or(0)
    }

    /// The part of the slices of the last ten seconds, or since the process began, that has come.
    pub(super) fn coverage(&self, now: Boot) -> f64 {
        let behind = (self.age(now) / SLICE_NANOS).saturating_sub(GRACE_SLOTS);
        let kept = COVERED.saturating_sub(behind);
        if kept == 0 {
            return 0.0;
        }
        let mask = (1_u128 << kept) - 1;
        let come = u64::from((self.seen & mask).count_ones());
        let expected = (self.highest - self.first.min(self.highest) + 1 + behind).min(COVERED);
        (come as f64 / expected as f64).min(1.0)
    }
}

/// From when a slice was closed, on the node's clock, to when it arrived, on the detector's.
fn way(frame: &Frame, arrived: Boot) -> i64 {
    arrived.0.cast_signed().saturating_sub(closed(frame))
}

fn closed(frame: &Frame) -> i64 {
    let nanos = frame.closed_ms().saturating_mul(1_000_000);
    i64::try_from(nanos).unwrap_or(i64::MAX)
}
