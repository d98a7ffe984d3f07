//! Every record is counted once, or counted as dropped; threads and panics leave nothing behind.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};

use hotshelf_model::{Asker, Key, ReadOutcome, TierName, Version};
use hotshelf_testkit::{ManualClock, wait_until};
use parking_lot::Mutex;

use super::*;
use crate::BlockReader;
use crate::samples::key;
use crate::writer::{LogFormat, WriterSettings};

const LIMIT: Duration = Duration::from_secs(30);
const WALL_MS: u64 = 1_700_000_000_000;
/// What the manual clock shows at first.
const NOW: Boot = Boot(3_600_000_000_000);

/// A recorder, and reads for it that differ in their number.
struct Reader(Recorder, Key);

impl Reader {
    fn new(recorder: &Recorder) -> Self {
        Reader(recorder.clone(), key("LAMP-1"))
    }

    fn read(&self, number: u64) {
        self.read_at(NOW, number);
    }

    /// The number goes for the size of the document.
    fn read_at(&self, at: Boot, number: u64) {
        self.0.read(&Read {
            key: (&self.1).into(),
            at,
            latency: None,
            tier: TierName::L1,
            outcome: ReadOutcome::Hit,
            version: Version(1),
            bytes: number,
            is_interactive: true,
            asker: Asker::default(),
        });
    }
}

/// The number of a read.
fn number(read: &HeldRead) -> u64 {
    read.record(0).bytes
}

fn clocks() -> Clocks {
    Clocks {
        boot: Arc::new(ManualClock::new()),
        wall_ms: || WALL_MS,
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

fn counting(settings: RecorderSettings) -> (Reader, Recording, Counted) {
    let counted = Counted::default();
    let count = {
        let counted = Arc::clone(&counted);
        move |read: &HeldRead| counted.lock().push(number(read))
    };
    let (recorder, recording) = Recording::start(settings, clocks(), None, count).unwrap();
    (Reader::new(&recorder), recording, counted)
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
    let (reader, recording, counted) = counting(RecorderSettings::default());
    const THREADS: u64 = 4;
    const EACH: u64 = 5000;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let reader = &reader;
            scope.spawn(move || (0..EACH).for_each(|n| reader.read(thread << 24 | n)));
        }
    });
    recording.stop();
    let mut next = HashMap::new();
    for number in counted.lock().iter() {
        let next: &mut u64 = next.entry(number >> 24).or_default();
        assert_eq!(number & 0xff_ffff, *next);
        *next += 1;
    }
    assert_eq!(next, (0..THREADS).map(|thread| (thread, EACH)).collect());
}

#[test]
fn a_full_ring_drops_the_newest_records_and_the_rest_goes_on() {
    let gate = Arc::new(Barrier::new(2));
    let counted = Counted::default();
    let count = {
        let (gate, counted) = (Arc::clone(&gate), Arc::clone(&counted));
        move |read: &HeldRead| {
            if number(read) == 0 {
                // The drainer is held up until the ring has overflowed.
                gate.wait();
                gate.wait();
            }
            counted.lock().push(number(read));
        }
    };
    let settings = RecorderSettings {
        ring_records: 8,
        ..RecorderSettings::default()
    };
    let (recorder, recording) = Recording::start(settings, clocks(), None, count).unwrap();
    let reader = Reader::new(&recorder);
    reader.read(0);
    gate.wait();
    (1..100).for_each(|number| reader.read(number));
    gate.wait();
    wait_until("the ring is drained", LIMIT, || counted.lock().len() == 9);
    reader.read(100);
    recording.stop();
    assert_eq!(*counted.lock(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 100]);
}

#[test]
fn a_thread_that_ends_gives_its_ring_back_after_it_was_drained() {
    let settings = RecorderSettings {
        rings_max: 1,
        ..RecorderSettings::default()
    };
    let (reader, recording, counted) = counting(settings);
    for number in 0..5 {
        // With room for one ring, a thread's record arrives only when the last thread's ring was freed.
        wait_until("there is a ring", LIMIT, || {
            let reader = Reader::new(&reader.0);
            let reading = std::thread::spawn(move || reader.read(number));
            reading.join().unwrap();
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
        move |read: &HeldRead| {
            assert!(number(read) != 3, "on purpose");
            counted.lock().push(number(read));
        }
    };
    let (recorder, recording) =
        Recording::start(RecorderSettings::default(), clocks(), None, count).unwrap();
    let reader = Reader::new(&recorder);
    (0..6).for_each(|number| reader.read(number));
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

impl Counting for Passes {
    fn count(&mut self, _read: &HeldRead) {
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
    let reader = Reader::new(&recorder);
    (0..11).for_each(|number| reader.read(number));
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
        first.read(number);
        second.read(100 + number);
    }
    first_recording.stop();
    second_recording.stop();
    assert_eq!(*first_counted.lock(), (0..10).collect::<Vec<_>>());
    assert_eq!(*second_counted.lock(), (100..110).collect::<Vec<_>>());
}

#[test]
fn all_records_are_logged_with_their_time_on_the_wall_clock() {
    for format in [LogFormat::Blocks, LogFormat::Json] {
        let folder = tempfile::tempdir().unwrap();
        let writer = Writer::open(settings(folder.path(), format)).unwrap();
        let log = Some((writer, LogMode::Full));
        let (recorder, recording) = Recording::start(
            RecorderSettings::default(),
            clocks(),
            log,
            |_: &HeldRead| (),
        )
        .unwrap();
        let reader = Reader::new(&recorder);
        for number in 0..8000 {
            reader.read_at(NOW.plus(Duration::from_millis(number)), number);
        }
        reader.read_at(NOW.minus(Duration::from_millis(1)), 8000);
        recording.stop();
        if format == LogFormat::Blocks {
            let mut wanted: Vec<_> = (0..8000).map(|n| (n, WALL_MS + n, 1)).collect();
            wanted.push((8000, WALL_MS - 1, 1));
            assert_eq!(logged(folder.path()), wanted);
        } else {
            // More than one file, because lines are not compressed.
            let files = ["access-0000000001.jsonl", "access-0000000002.jsonl"];
            let text = files.map(|file| std::fs::read_to_string(folder.path().join(file)).unwrap());
            let text = text.concat();
            assert_eq!(text.lines().count(), 8001);
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
        move |_: &HeldRead| {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    };
    let log = Some((writer, LogMode::Sampled(one_in)));
    let settings = RecorderSettings {
        ring_records: 100_000,
        ..RecorderSettings::default()
    };
    let (recorder, recording) = Recording::start(settings, clocks(), log, count).unwrap();
    let reader = Reader::new(&recorder);
    (0..80_000).for_each(|number| reader.read(number));
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
        move |_: &HeldRead| {
            seen.fetch_add(1, Ordering::SeqCst);
        }
    };
    let (recorder, recording) =
        Recording::start(RecorderSettings::default(), clocks, log, count).unwrap();
    Reader::new(&recorder).read(7);
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
        move |_: &HeldRead| {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    };
    let log = Some((writer, LogMode::Full));
    let (recorder, recording) =
        Recording::start(RecorderSettings::default(), clocks(), log, count).unwrap();
    let reader = Reader::new(&recorder);
    (0..5000).for_each(|number| reader.read(number));
    recording.stop();
    assert_eq!(counted.load(Ordering::Relaxed), 5000);
}
