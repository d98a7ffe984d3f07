//! The exact count of a stream, by key and 10 ms, of the last 2.5 s.

use std::collections::HashMap;

/// Steps of 10 ms.
pub(crate) type Step = u64;

const KEPT: usize = 256;

/// Windows in steps: those that the detector looks at.
const WINDOWS: [u64; 4] = [20, 50, 100, 200];

/// A decision is judged by windows that ended at most so long before it: a slice, a slot, the way and the question take time.
const LOOK_BACK: u64 = 50;

#[derive(Clone, Debug)]
struct Counts {
    newest: Step,
    counts: [u16; KEPT],
    /// Of the last 200 steps.
    two_seconds: u32,
    /// Since when the last two seconds have been at 1.2 times the threshold.
    above: Option<Step>,
    /// Since when they were for 0.3 s, the first time.
    due: Option<Step>,
}

impl Counts {
    fn at(&self, step: Step) -> u16 {
        let is_kept = step <= self.newest && self.newest - step < KEPT as u64;
        if is_kept { self.counts[index(step)] } else { 0 }
    }

    fn advance(&mut self, step: Step) {
        while self.newest < step {
            self.newest += 1;
            let out = self.newest.saturating_sub(200);
            let has_left = self.newest >= 200;
            self.two_seconds -= if has_left {
                u32::from(self.counts[index(out)])
            } else {
                0
            };
            self.counts[index(self.newest)] = 0;
            if self.two_seconds == 0 && step - self.newest > 512 {
                self.counts = [0; KEPT];
                self.newest = step - 1;
            }
        }
    }
}

fn index(step: Step) -> usize {
    usize::try_from(step % KEPT as u64).unwrap()
}

#[derive(Debug)]
pub(crate) struct Oracle {
    threshold: f64,
    keys: HashMap<u32, Counts>,
}

impl Oracle {
    pub(crate) fn new(threshold: u32) -> Self {
        Oracle {
            threshold: f64::from(threshold),
            keys: HashMap::new(),
        }
    }

    pub(crate) fn add(&mut self, step: Step, key: u32, reads: u32) {
        let counts = self.keys.entry(key).or_insert_with(|| Counts {
            newest: step,
            counts: [0; KEPT],
            two_seconds: 0,
            above: None,
            due: None,
        });
        counts.advance(step);
        counts.counts[index(step)] += u16::try_from(reads).unwrap();
        counts.two_seconds += reads;
        let is_above = f64::from(counts.two_seconds) >= 2.4 * self.threshold;
        counts.above = is_above.then(|| counts.above.unwrap_or(step));
        if let Some(since) = counts.above.filter(|since| step - since >= 30) {
            counts.due.get_or_insert(since);
        }
    }

    /// The greatest part of the threshold at which a key was read in any window that a decision at `step` may rest on.
    pub(crate) fn ratio(&self, key: u32, step: Step) -> f64 {
        let Some(counts) = self.keys.get(&key) else {
            return 0.0;
        };
        let mut greatest: f64 = 0.0;
        for end in step.saturating_sub(LOOK_BACK)..=step {
            let mut sum = 0;
            let mut back = 0;
            for window in WINDOWS {
                while back < window && back <= end {
                    sum += u32::from(counts.at(end - back));
                    back += 1;
                }
                let seconds = window as f64 / 100.0;
                greatest = greatest.max(f64::from(sum) / seconds / self.threshold);
            }
        }
        greatest
    }

    /// Keys that were read at 1.2 times the threshold for 2.3 s, and since when they were for two.
    pub(crate) fn due(&self) -> Vec<(u32, Step)> {
        let due = self
            .keys
            .iter()
            .filter_map(|(key, counts)| Some((*key, counts.due?)));
        let mut due: Vec<(u32, Step)> = due.collect();
        due.sort_unstable();
        due
    }
}

#[test]
fn the_oracle_counts_exactly() {
    let mut oracle = Oracle::new(100);
    for step in 0..1000 {
        oracle.add(step, 1, u32::from(step % 2 == 0));
        if (300..600).contains(&step) {
            oracle.add(step, 2, 2);
        }
    }
    assert!((oracle.ratio(1, 999) - 0.5).abs() < 0.06);
    assert!((oracle.ratio(2, 599) - 2.0).abs() < 1e-9);
    assert_eq!(oracle.ratio(3, 999), 0.0);
    assert_eq!(oracle.due(), [(2, 300 + 119)]);
}
