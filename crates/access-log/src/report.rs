//! Which keys were read most, and when each was read most often.
//!
//! The files are read twice: once for the counts, and once, for the few keys at the top alone, for their windows. So a window is exact
//! whatever order the events come in, from several machines' files for example, and memory holds no window of any other key.

use std::collections::HashMap;
use std::time::Duration;

use hotshelf_model::Key;

use crate::parse::Event;

/// Different keys that are counted at the same time; over it, the rarest half is given up.
const KEYS_MAX: usize = 1 << 20;

/// Counts reads per key. Counts are exact up to a million different keys; then [`Report::missed`] says by how much one may be too low.
#[derive(Debug)]
pub struct Report {
    counts: HashMap<Key, u64>,
    keys_max: usize,
    reads: u64,
    missed: u64,
    span_ms: Option<(u64, u64)>,
}

impl Default for Report {
    fn default() -> Self {
        Report {
            counts: HashMap::new(),
            keys_max: KEYS_MAX,
            reads: 0,
            missed: 0,
            span_ms: None,
        }
    }
}

impl Report {
    /// Counts a read.
    pub fn add(&mut self, event: &Event) {
        let reads = u64::from(event.reads);
        self.reads += reads;
        let (first, last) = self.span_ms.unwrap_or((event.at_ms, event.at_ms));
        self.span_ms = Some((first.min(event.at_ms), last.max(event.at_ms)));
        match self.counts.get_mut(&event.key) {
            Some(count) => *count += reads,
            None => {
                self.counts.insert(event.key.clone(), reads);
            }
        }
        if self.counts.len() > self.keys_max {
            self.give_up_rarest();
        }
    }

    /// A key that is given up had at most this count, and at most `missed` before it was first counted again.
    fn give_up_rarest(&mut self) {
        let mut counts: Vec<u64> = self.counts.values().copied().collect();
        let half = counts.len() / 2;
        let (_, &mut most, _) = counts.select_nth_unstable(half);
        self.counts.retain(|_, count| *count > most);
        self.missed += most;
    }

    /// All reads.
    pub fn reads(&self) -> u64 {
        self.reads
    }

    /// Different keys that are counted.
    pub fn keys(&self) -> usize {
        self.counts.len()
    }

    /// By how much a key's count may be too low.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// When the first and the last read were, in milliseconds since 1970.
    pub fn span_ms(&self) -> Option<(u64, u64)> {
        self.span_ms
    }

    /// The keys that were read most, with their counts; of equal ones, the first by name.
    pub fn top(&self, keys_max: usize) -> Vec<(Key, u64)> {
        let mut top: Vec<_> = self.counts.iter().collect();
        top.sort_by(|(key, count), (other, than)| {
            than.cmp(count)
                .then_with(|| key.as_str().cmp(other.as_str()))
        });
        top.truncate(keys_max);
        let owned = |(key, count): (&Key, &u64)| (key.clone(), *count);
        top.into_iter().map(owned).collect()
    }
}

/// The windows of a few keys.
#[derive(Debug)]
pub struct Peaks {
    window_ms: u64,
    windows: HashMap<Key, HashMap<u64, u64>>,
}

/// The window in which a key was read most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak {
    /// Its beginning, in milliseconds since 1970.
    pub at_ms: u64,
    /// Reads in it.
    pub reads: u64,
    /// The same as a rate.
    pub reads_per_s: f64,
}

impl Peaks {
    /// Windows of this length, from multiples of it; of at least a millisecond.
    pub fn new(keys: impl IntoIterator<Item = Key>, window: Duration) -> Self {
        let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX).max(1);
        let windows = keys.into_iter().map(|key| (key, HashMap::new())).collect();
        Peaks { window_ms, windows }
    }

    /// Counts a read, if it is of one of the keys.
    pub fn add(&mut self, event: &Event) {
        if let Some(windows) = self.windows.get_mut(&event.key) {
            *windows.entry(event.at_ms / self.window_ms).or_default() += u64::from(event.reads);
        }
    }

    /// A key's greatest window; the first of equal ones.
    pub fn peak(&self, key: &Key) -> Option<Peak> {
        let windows = self.windows.get(key)?.iter();
        let (window, reads) =
            windows.max_by_key(|(window, reads)| (**reads, u64::MAX - **window))?;
        #[expect(clippy::cast_precision_loss, reason = "a rate is for reading")]
        let reads_per_s = *reads as f64 * 1000.0 / self.window_ms as f64;
        Some(Peak {
            at_ms: window * self.window_ms,
            reads: *reads,
            reads_per_s,
        })
    }
}

/// A moment as text, in UTC: `2026-11-21T15:39:23Z`.
pub fn utc(at_ms: u64) -> String {
    let timestamp = i64::try_from(at_ms).ok();
    let timestamp = timestamp.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    timestamp.map_or_else(|| format!("{at_ms} ms"), |timestamp| timestamp.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::key;

    fn event(id: &str, at_ms: u64, reads: u32) -> Event {
        Event {
            at_ms,
            key: key(id),
            reads,
        }
    }

    #[test]
    fn keys_are_ordered_by_reads_and_windows_are_exact_in_any_order() {
        let events = [
            event("b", 5999, 1),
            event("a", 10_000, 1),
            event("b", 5000, 2),
            event("c", 10_500, 8),
            event("a", 3000, 1),
            event("b", 1000, 2),
            event("a", 10_999, 1),
        ];
        let mut report = Report::default();
        events.iter().for_each(|event| report.add(event));
        assert_eq!((report.reads(), report.keys(), report.missed()), (16, 3, 0));
        assert_eq!(report.span_ms(), Some((1000, 10_999)));
        let top = report.top(2);
        assert_eq!(top, [(key("c"), 8), (key("b"), 5)]);
        let mut peaks = Peaks::new([key("a"), key("b"), key("x")], Duration::from_secs(1));
        events.iter().for_each(|event| peaks.add(event));
        let peak = |id: &str| peaks.peak(&key(id)).map(|peak| (peak.at_ms, peak.reads));
        assert_eq!(peak("a"), Some((10_000, 2)));
        assert_eq!(peak("b"), Some((5000, 3)));
        assert_eq!((peak("c"), peak("x")), (None, None));
        let mut peaks = Peaks::new([key("c")], Duration::from_millis(500));
        events.iter().for_each(|event| peaks.add(event));
        let rate = peaks.peak(&key("c")).unwrap().reads_per_s;
        assert!((rate - 16.0).abs() < 1e-9, "{rate}");
    }

    #[test]
    fn more_keys_than_are_counted_cost_only_the_rare_ones() {
        let mut report = Report {
            keys_max: 100,
            ..Report::default()
        };
        for number in 0..10_000 {
            report.add(&event(&format!("rare-{number}"), number, 1));
            report.add(&event(&format!("hot-{}", number % 5), number, 1));
            assert!(report.keys() <= 100);
        }
        let top = report.top(5);
        for (key, count) in top {
            assert!(key.id().starts_with("hot-"), "{key}");
            assert!(
                count <= 2000 && count + report.missed() >= 2000,
                "{count}, {}",
                report.missed()
            );
        }
        assert_eq!(report.reads(), 20_000);
    }

    #[test]
    fn a_moment_is_told_in_utc() {
        assert_eq!(utc(1_795_275_563_000), "2026-11-21T15:39:23Z");
        assert_eq!(utc(1_795_275_563_310), "2026-11-21T15:39:23.31Z");
        assert_eq!(utc(u64::MAX), "18446744073709551615 ms");
    }
}
