//! Every record is counted once, or counted as dropped; threads and panics leave nothing behind.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hotshelf_model::Key;
use hotshelf_testkit::{ManualClock, wait_until};
use parking_lot::Mutex;

use super::*;
use crate::BlockReader;
use crate::samples::{key, record};
use crate::writer::{LogFormat, WriterSettings};

const LIMIT: Duration = Duration::from_secs(30);
const WALL_MS: u64 = 1_700_000_000_000;
/// What the manual clock shows at first.
const NOW: Boot = Boot(3_600_000_000_000);

/// A read of a key that is shared.
struct Read {
    key: Arc<Key>,
    number: u64,
    at: Boot,
}

impl Access for Read {
    fn at(&self) -> Boot {
        self.at
    }

    fn record(&self, at_ms: u64) -> AccessRecord<'_> {
        AccessRecord {
            at_ms,
            bytes: self.number,
            ..record(&self.key)
        }
    }
}

fn clocks() -> Clocks {
    Clocks {
        boot: Arc::new(ManualClock::new()),
        wall_ms: || WALL_MS,
    }
}

fn read(number: u64) -> Read {
    Read {
        key: Arc::new(key("LAMP-1")),
        number,
        at: NOW,
    }
}

fn settings(folder: &std::path::Path, format: LogFormat) -> WriterSettings {
    WriterSettings {
        folder: folder.to_owned(),
        format,
        file_bytes_max: 1 << 20,
        file_age_max: Duration::from_secs(3600),
        bytes_max: 1 << 24,
    }
}

/// What was counted, in order.
type Counted = Arc<Mutex<Vec<u64>>>;

fn counting(settings: RecorderSettings) -> (Recorder<Read>, Recording, Counted) {
    let counted = Counted::default();
    let count = {
        let counted = Arc::clone(&counted);
        move |read: &Read| counted.lock().push(read.number)
    };
    let (recorder, recording) = Recording::start(settings, clocks(), None, count).unwrap();
    (recorder, recording, counted)
}

/// Every record in the folder's files.
fn logged(folder: &std::path::Path) -> Vec<(u64, u64, u32)> {
    let mut records = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let mut reader = BlockReader::new(File::open(file.unwrap().path()).unwrap());
        while let Some(record) = reader.next().unwrap() {
            records.push((record.bytes, record.at_ms, record.reads));
        }
        assert_eq!(reader.skipped(), crate::Skipped::default());
    }
    records
}

#[test]
fn what_threads_record_is_counted_once_and_in_each_threads_order() {
    let (recorder, recording, counted) = counting(RecorderSettings::default());
    const THREADS: u64 = 4;
    const EACH: u64 = 5000;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let recorder = recorder.clone();
            scope.spawn(move || (0..EACH).for_each(|n| recorder.record(read(thread << 32 | n))));
        }
    });
    recording.stop();
    let mut next = HashMap::new();
    for number in counted.lock().iter() {
        let next: &mut u64 = next.entry(number >> 32).or_default();
        assert_eq!(number & 0xffff_ffff, *next);
        *next += 1;
    }
    assert_eq!(next, (0..THREADS).map(|thread| (thread, EACH)).collect());
}

#[test]
fn a_full_ring_drops_the_newest_records_and_the_rest_goes_on() {
    let gate = Arc::new(Barrier::new(2));
    let counted = Arc::new(AtomicU64::new(0));
    let count = {
        let (gate, counted) = (Arc::clone(&gate), Arc::clone(&counted));
        move |read: &Read| {
            if read.number == 0 {
                // The drainer is held up until the ring has overflowed.
                gate.wait();
                gate.wait();
            }
            counted.fetch_add(1, Ordering::SeqCst);
        }
    };
    let settings = RecorderSettings {
        ring_records: 8,
        ..RecorderSettings::default()
    };
    let (recorder, recording) = Recording::start(settings, clocks(), None, count).unwrap();
    recorder.record(read(0));
    gate.wait();
    let key = Arc::new(key("LAMP-1"));
    for number in 1..100 {
        let key = Arc::clone(&key);
        recorder.record(Read {
            key,
            ..read(number)
        });
    }
    // What was dropped is gone at once; the one under way may still have its place in the ring.
    let held = Arc::strong_count(&key) - 1;
    assert!((7..=8).contains(&held), "{held}");
    gate.wait();
    wait_until("the ring is drained", LIMIT, || {
        Arc::strong_count(&key) == 1
    });
    recorder.record(read(100));
    recording.stop();
    assert_eq!(counted.load(Ordering::SeqCst), 1 + held as u64 + 1);
}

#[test]
fn a_thread_that_ends_gives_its_ring_back_after_it_was_drained() {
    let settings = RecorderSettings {
        rings_max: 1,
        ..RecorderSettings::default()
    };
    let (recorder, recording, counted) = counting(settings);
    for number in 0..5 {
        let recorder = recorder.clone();
        // With room for one ring, a thread's record arrives only when the last thread's ring was freed.
        wait_until("there is a ring", LIMIT, || {
            let recorder = recorder.clone();
            std::thread::spawn(move || recorder.record(read(number)))
                .join()
                .unwrap();
            counted.lock().contains(&number)
        });
    }
    recording.stop();
    let mut seen = counted.lock().clone();
    seen.dedup();
    assert_eq!(seen, [0, 1, 2, 3, 4]);
}

#[test]
fn a_count_that_panics_costs_one_record() {
    let counted = Counted::default();
    let count = {
        let counted = Arc::clone(&counted);
        move |read: &Read| {
            assert!(read.number != 3, "on purpose");
            counted.lock().push(read.number);
        }
    };
    let (recorder, recording) =
        Recording::start(RecorderSettings::default(), clocks(), None, count).unwrap();
    (0..6).for_each(|number| recorder.record(read(number)));
    recording.stop();
    assert_eq!(*counted.lock(), [0, 1, 2, 4, 5]);
}

/// Counts, and notes what it is told after each pass.
#[derive(Default)]
struct Passes {
    counted: u64,
    /// How many were counted before, the moment, and the records dropped.
    passed: Arc<Mutex<Vec<(u64, Boot, u64)>>>,
    panics: bool,
}

impl Counting<Read> for Passes {
    fn count(&mut self, _read: &Read) {
        self.counted += 1;
    }

    fn passed(&mut self, now: Boot, dropped: u64) {
        self.passed.lock().push((self.counted, now, dropped));
        assert!(!self.panics, "on purpose");
    }
}

#[test]
fn after_a_pass_whoever_counts_is_told_the_moment_and_what_was_dropped() {
    let counting = Passes::default();
    let passed = Arc::clone(&counting.passed);
    let clock = Arc::new(ManualClock::new());
    let boot: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
    let clocks = Clocks {
        boot,
        wall_ms: || WALL_MS,
    };
    let settings = RecorderSettings {
        ring_records: 8,
        // The only pass is the last.
        drain_interval: LIMIT,
        ..RecorderSettings::default()
    };
    let (recorder, recording) = Recording::start(settings, clocks, None, counting).unwrap();
    (0..11).for_each(|number| recorder.record(read(number)));
    clock.advance(Duration::from_secs(1));
    recording.stop();
    assert_eq!(*passed.lock(), [(8, NOW.plus(Duration::from_secs(1)), 3)]);
}

#[test]
fn a_panic_after_a_pass_ends_nothing() {
    let counting = Passes {
        panics: true,
        ..Passes::default()
    };
    let passed = Arc::clone(&counting.passed);
    let (_recorder, recording) =
        Recording::start(RecorderSettings::default(), clocks(), None, counting).unwrap();
    wait_until("there was another pass", LIMIT, || passed.lock().len() > 1);
    recording.stop();
}

#[test]
fn two_recorders_on_one_thread_do_not_mix() {
    let (first, first_recording, first_counted) = counting(RecorderSettings::default());
    let (second, second_recording, second_counted) = counting(RecorderSettings::default());
    for number in 0..10 {
        first.record(read(number));
        second.record(read(100 + number));
    }
    first_recording.stop();
    second_recording.stop();
    assert_eq!(*first_counted.lock(), (0..10).collect::<Vec<_>>());
    assert_eq!(*second_counted.lock(), (100..110).collect::<Vec<_>>());
}

#[test]
fn a_record_that_records_when_it_is_dropped_does_no_harm() {
    struct Loud(Recorder<Loud>, Arc<AtomicBool>, Key);
    impl Access for Loud {
        fn at(&self) -> Boot {
            Boot(0)
        }
        fn record(&self, _at_ms: u64) -> AccessRecord<'_> {
            record(&self.2)
        }
    }
    impl Drop for Loud {
        fn drop(&mut self) {
            if !self.1.swap(true, Ordering::SeqCst) {
                let again = Loud(self.0.clone(), Arc::clone(&self.1), self.2.clone());
                self.0.record(again);
            }
        }
    }
    let settings = RecorderSettings {
        rings_max: 0,
        ..RecorderSettings::default()
    };
    let (recorder, recording) = Recording::start(settings, clocks(), None, |_: &Loud| ()).unwrap();
    let dropped = Arc::new(AtomicBool::new(false));
    recorder.record(Loud(recorder.clone(), Arc::clone(&dropped), key("A")));
    assert!(dropped.load(Ordering::SeqCst));
    recording.stop();
}

#[test]
fn all_records_are_logged_with_their_time_on_the_wall_clock() {
    for format in [LogFormat::Blocks, LogFormat::Json] {
        let folder = tempfile::tempdir().unwrap();
        let writer = Writer::open(settings(folder.path(), format)).unwrap();
        let log = Some((writer, LogMode::Full));
        let (recorder, recording) =
            Recording::start(RecorderSettings::default(), clocks(), log, |_: &Read| ()).unwrap();
        for number in 0..6000 {
            let at = NOW.plus(Duration::from_millis(number));
            recorder.record(Read { at, ..read(number) });
        }
        recorder.record(Read {
            at: NOW.minus(Duration::from_millis(1)),
            ..read(6000)
        });
        recording.stop();
        if format == LogFormat::Blocks {
            let mut wanted: Vec<_> = (0..6000).map(|n| (n, WALL_MS + n, 1)).collect();
            wanted.push((6000, WALL_MS - 1, 1));
            assert_eq!(logged(folder.path()), wanted);
        } else {
            // More than one file, because lines are not compressed.
            let files = ["access-0000000001.jsonl", "access-0000000002.jsonl"];
            let text = files.map(|file| std::fs::read_to_string(folder.path().join(file)).unwrap());
            let text = text.concat();
            assert_eq!(text.lines().count(), 6001);
            let last = text.lines().last().unwrap();
            let last = crate::json::parse_line(last.as_bytes(), &mut String::new()).unwrap();
            assert_eq!(last.record().at_ms, WALL_MS - 1);
        }
    }
}

#[test]
fn a_sample_says_how_many_reads_it_stands_for() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Writer::open(settings(folder.path(), LogFormat::Blocks)).unwrap();
    let one_in = NonZeroU32::new(8).unwrap();
    let counted = Arc::new(AtomicU64::new(0));
    let count = {
        let counted = Arc::clone(&counted);
        move |_: &Read| {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    };
    let log = Some((writer, LogMode::Sampled(one_in)));
    let settings = RecorderSettings {
        ring_records: 100_000,
        ..RecorderSettings::default()
    };
    let (recorder, recording) = Recording::start(settings, clocks(), log, count).unwrap();
    (0..80_000).for_each(|number| recorder.record(read(number)));
    recording.stop();
    assert_eq!(counted.load(Ordering::Relaxed), 80_000, "all are counted");
    let logged = logged(folder.path());
    assert!(logged.iter().all(|(_, _, reads)| *reads == 8));
    // Ten standard deviations.
    assert!((9000..11_000).contains(&logged.len()), "{}", logged.len());
}

#[test]
fn a_record_that_waits_is_written_within_the_flush_interval() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Writer::open(settings(folder.path(), LogFormat::Blocks)).unwrap();
    let clock = Arc::new(ManualClock::new());
    let boot: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
    let clocks = Clocks {
        boot,
        wall_ms: || WALL_MS,
    };
    let log = Some((writer, LogMode::Full));
    let seen = Arc::new(AtomicU64::new(0));
    let count = {
        let seen = Arc::clone(&seen);
        move |_: &Read| {
            seen.fetch_add(1, Ordering::SeqCst);
        }
    };
    let (recorder, recording) =
        Recording::start(RecorderSettings::default(), clocks, log, count).unwrap();
    recorder.record(read(7));
    wait_until("the record is taken", LIMIT, || {
        seen.load(Ordering::SeqCst) == 1
    });
    assert!(logged(folder.path()).is_empty());
    // The drainer notes the moment in the pass in which it took the record, or in the next one.
    wait_until("the record is written", LIMIT, || {
        clock.advance(Duration::from_secs(1));
        !logged(folder.path()).is_empty()
    });
    recording.stop();
}

#[test]
fn a_log_that_cannot_be_written_costs_its_records_and_no_counts() {
    let folder = tempfile::tempdir().unwrap();
    let log_folder = folder.path().join("log");
    let writer = Writer::open(settings(&log_folder, LogFormat::Blocks)).unwrap();
    std::fs::remove_dir_all(&log_folder).unwrap();
    let counted = Arc::new(AtomicU64::new(0));
    let count = {
        let counted = Arc::clone(&counted);
        move |_: &Read| {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    };
    let log = Some((writer, LogMode::Full));
    let (recorder, recording) =
        Recording::start(RecorderSettings::default(), clocks(), log, count).unwrap();
    (0..5000).for_each(|number| recorder.record(read(number)));
    recording.stop();
    assert_eq!(counted.load(Ordering::Relaxed), 5000);
}
