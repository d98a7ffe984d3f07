//! What would have been hot, and when: the reads of a log through one node's counter and a detector.
//!
//! Nothing is left out that a node and a detector do: slices, frames with their bytes, ticks. Only the time is the log's. A log that
//! tells whole seconds says nothing of their parts; its reads are spread over each second evenly, in their order, so that a second's
//! reads do not look like a burst.

use std::collections::BTreeMap;

use hotshelf_model::{Boot, Key};

use crate::detector::{Decision, Detector, Limits};
use crate::frame::{FRAME_BUDGET_MAX, Frame, Framer, Sender};
use crate::hash::{KeyHash, KeyMap};
use crate::rules::Rules;
use crate::slices::Slices;

/// A second's reads are counted when the log has gone on for so many more.
const SECONDS_HELD: u64 = 2;
/// A gap in the log is lived through for so long, in which everything cools; the rest is jumped over.
const GAP_SECONDS_MAX: u64 = 600;
const SEED: u64 = 0;
const SLICES_OF_SECOND: u64 = 10;

/// A read of a second.
#[derive(Debug)]
struct Read {
    ms: u64,
    key: Key,
    reads: u32,
}

/// Something that was decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Replayed {
    /// When, in the log's milliseconds.
    pub at_ms: u64,
    /// For a promotion, when the key began to be read that much, in the log's milliseconds.
    pub onset_ms: Option<u64>,
    /// What.
    pub decision: Decision,
}

/// Replays the reads of logs, which may come out of order by two seconds.
#[derive(Debug)]
pub struct Replay {
    slices: Slices,
    framer: Framer,
    detector: Detector,
    seconds: BTreeMap<u64, Vec<Read>>,
    /// The next second to be counted; `None` before the first read.
    next: Option<u64>,
    /// The second at which the detector's clock showed zero.
    base: u64,
    late: u64,
    decisions: Vec<Replayed>,
}

impl Replay {
    /// A cluster of one node that has seen nothing yet.
    pub fn new(rules: Rules, limits: Limits) -> Self {
        let sender = Sender {
            node: 0,
            incarnation: 0,
        };
        let mut framer = Framer::new(sender, SEED);
        framer.set_budget(FRAME_BUDGET_MAX);
        Replay {
            slices: Slices::new(Boot(0), SEED),
            framer,
            detector: Detector::new(rules, limits, Boot(0)),
            seconds: BTreeMap::new(),
            next: None,
            base: 0,
            late: 0,
            decisions: Vec::new(),
        }
    }

    /// Takes reads of a key at a moment in milliseconds.
    pub fn add(&mut self, at_ms: u64, key: &Key, reads: u32) {
        let second = at_ms / 1000;
        if self.next.is_some_and(|next| second < next) {
            self.late += u64::from(reads);
            return;
        }
        let read = Read {
            ms: at_ms % 1000,
            key: key.clone(),
            reads,
        };
        self.seconds.entry(second).or_default().push(read);
        while let Some(first) = self.seconds.first_entry()
            && *first.key() + SECONDS_HELD < second
        {
            let (second, reads) = first.remove_entry();
            self.count(second, reads);
        }
    }

    /// Counts what is left. Says what was decided, in the order of time, and how many reads came more than two seconds out of order and were
    /// not counted.
    pub fn finish(mut self) -> (Vec<Replayed>, u64) {
        while let Some((second, reads)) = self.seconds.pop_first() {
            self.count(second, reads);
        }
        (self.decisions, self.late)
    }

    fn count(&mut self, second: u64, mut reads: Vec<Read>) {
        self.pass_until(second);
        spread(&mut reads);
        let mut names = KeyMap::default();
        let mut reads = reads.into_iter().peekable();
        for slice in 1..=SLICES_OF_SECOND {
            let end_ms = slice * 1000 / SLICES_OF_SECOND;
            while let Some(read) = reads.next_if(|read| read.ms < end_ms) {
                let hash = KeyHash::of(read.key.as_str(), SEED);
                self.slices.count(hash, read.reads);
                names.entry(hash).or_insert(read.key);
            }
            self.close(second * 1000 + end_ms, &names);
        }
        self.next = Some(second + 1);
    }

    /// Lets the time until `second` pass in which nothing was read.
    fn pass_until(&mut self, second: u64) {
        let Some(next) = self.next else {
            self.base = second;
            return;
        };
        let nobody = KeyMap::default();
        for quiet in next..second.min(next + GAP_SECONDS_MAX) {
            for slice in 1..=SLICES_OF_SECOND {
                self.close(quiet * 1000 + slice * 1000 / SLICES_OF_SECOND, &nobody);
            }
        }
    }

    fn close(&mut self, at_ms: u64, names: &KeyMap<Key>) {
        let now = Boot((at_ms - self.base * 1000) * 1_000_000);
        if let Some(slice) = self.slices.close(now) {
            let framed = self.framer.frame(&slice);
            self.slices.reuse(slice);
            if let Ok(frame) = Frame::decode(&framed.bytes) {
                // The only sender's frames come once and in order.
                self.detector.frame(&frame, now).ok();
            }
        }
        self.detector.tick(now);
        for hash in self.detector.questions() {
            if let Some(key) = names.get(&hash) {
                self.detector.name(hash, key, 0, now);
            }
        }
        self.slices.watch(self.detector.watched());
        let ms_of = |moment: Boot| self.base * 1000 + moment.0 / 1_000_000;
        for decision in self.detector.decisions() {
            let onset_ms = match &decision {
                Decision::Promote(promotion) => Some(ms_of(promotion.onset)),
                Decision::Demote(_) => None,
            };
            self.decisions.push(Replayed {
                at_ms,
                onset_ms,
                decision,
            });
        }
    }
}

/// Puts reads into the order of time, and over the whole second where none tells a part of it.
fn spread(reads: &mut [Read]) {
    if reads.iter().all(|read| read.ms == 0) {
        let count = reads.len() as u64;
        for (at, read) in (0..).zip(reads) {
            read.ms = at * 1000 / count;
        }
    } else {
        reads.sort_by_key(|read| read.ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detector::PromotionReason;

    const BEGIN: u64 = 1_800_000_000;

    fn key(id: &str) -> Key {
        Key::parse(&format!("products//{id}")).unwrap()
    }

    fn replay() -> Replay {
        Replay::new(Rules::new(100, &[]).unwrap(), Limits::default())
    }

    /// Reads of a key, so many in each second, at whole seconds or evenly.
    fn reads(replay: &mut Replay, seconds: std::ops::Range<u64>, id: &str, rate: u64, whole: bool) {
        for second in seconds {
            for at in 0..rate {
                let ms = if whole { 0 } else { at * 1000 / rate };
                replay.add((BEGIN + second) * 1000 + ms, &key(id), 1);
            }
        }
    }

    fn told(decisions: &[Replayed]) -> Vec<(u64, String)> {
        let told = |one: &Replayed| match &one.decision {
            Decision::Promote(promotion) => format!("+{}", promotion.key.id()),
            Decision::Demote(demotion) => format!("-{}", demotion.key.id()),
        };
        let second = |one: &Replayed| one.at_ms / 1000 - BEGIN;
        decisions
            .iter()
            .map(|one| (second(one), told(one)))
            .collect()
    }

    #[test]
    fn a_surge_is_found_and_let_go() {
        for whole in [false, true] {
            let mut replay = replay();
            reads(&mut replay, 0..20, "lamp", 20, whole);
            reads(&mut replay, 20..40, "lamp", 500, whole);
            reads(&mut replay, 40..80, "lamp", 20, whole);
            let (decisions, late) = replay.finish();
            let told = told(&decisions);
            assert_eq!(late, 0);
            assert_eq!(told.len(), 2, "{told:?}");
            assert_eq!(told[0], (20, "+lamp".into()));
            assert_eq!(told[1].1, "-lamp");
            assert!((43..60).contains(&told[1].0), "{told:?}");
            let onset = decisions[0].onset_ms.unwrap();
            assert!((BEGIN * 1000 + 19_800..BEGIN * 1000 + 20_500).contains(&onset));
            let Decision::Promote(promotion) = &decisions[0].decision else {
                panic!("{decisions:?}");
            };
            assert!(matches!(promotion.why, PromotionReason::Surge { .. }));
        }
    }

    #[test]
    fn whole_seconds_do_not_look_like_bursts() {
        let mut replay = replay();
        reads(&mut replay, 0..60, "lamp", 70, true);
        assert_eq!(replay.finish().0, []);
    }

    #[test]
    fn logs_of_several_machines_may_be_two_seconds_apart() {
        let mut replay = replay();
        for second in 2..40 {
            reads(&mut replay, second..second + 1, "lamp", 100, false);
            reads(&mut replay, second - 2..second - 1, "lamp", 100, false);
        }
        reads(&mut replay, 10..11, "lamp", 7, false);
        let (decisions, late) = replay.finish();
        assert_eq!(told(&decisions)[0].1, "+lamp");
        assert_eq!(late, 7);
    }

    #[test]
    fn a_gap_of_years_is_jumped_over() {
        let mut replay = replay();
        reads(&mut replay, 0..5, "lamp", 500, false);
        let later = 3_000_000_000;
        reads(&mut replay, later..later + 5, "lamp", 500, false);
        let told = told(&replay.finish().0);
        let what: Vec<_> = told.iter().map(|(_, what)| what.as_str()).collect();
        assert_eq!(what, ["+lamp", "-lamp", "+lamp"]);
        assert!(told[1].0 < 60 && told[2].0 >= later, "{told:?}");
    }
}
