//! Frames of many nodes, as they come from the bus, merged by one detector on one thread.

use std::collections::HashMap;

use bytes::Bytes;
use hotshelf_benches::args::Args;
use hotshelf_benches::rounds::{Contender, Sample, compare};
use hotshelf_benches::{table, zipf};
use hotshelf_hotkeys::{Detector, Frame, KeyHash, Limits, Rules};
use hotshelf_model::Boot;

use crate::nodes::{Node, STEP_MS, hashes, key, moment};

/// What others say of themselves, in thousands of keys per second and core (their documents; other machines).
const OTHERS: &str = "JD-hotkey 20 to 23, HotCaffeine 37, Camellia 66 to 129";

/// Frames in the order of their arrival.
struct Frames {
    frames: Vec<(u64, Bytes)>,
    entries: usize,
    steps: u64,
}

impl Frames {
    /// Of nodes that each read 10,000 times a second.
    fn new(nodes: u32, keys: usize, seconds: u64, hashes: &[KeyHash]) -> Self {
        let reads_per_step = 100;
        let steps = seconds * 1000 / STEP_MS;
        let numbers = zipf::sequence(keys, nodes as usize * reads_per_step * 500, 5);
        let mut stream = numbers.iter().cycle();
        let mut made = Frames {
            frames: Vec::new(),
            entries: 0,
            steps,
        };
        let mut nodes: Vec<Node> = (0..nodes)
            .map(|number| Node::new(number, usize::MAX))
            .collect();
        for step in 0..steps {
            for node in &mut nodes {
                for number in stream.by_ref().take(reads_per_step) {
                    node.slices.count(hashes[*number as usize], 1);
                }
                if let Some(framed) = node.close(step) {
                    made.entries += framed.entries;
                    made.frames.push((step, framed.bytes));
                }
            }
        }
        made
    }

    fn merge(&self, names: &HashMap<KeyHash, usize>) -> (usize, usize) {
        let mut detector = Detector::new(Rules::default(), Limits::default(), Boot(0));
        let mut frames = self.frames.iter().peekable();
        let mut promoted = 0;
        for step in 0..self.steps {
            let now = moment(step);
            while let Some((_, bytes)) = frames.next_if(|(arrives, _)| *arrives == step) {
                // What is decoded was just encoded, and comes once.
                if let Ok(frame) = Frame::decode(bytes) {
                    detector.frame(&frame, now).ok();
                }
            }
            for asked in detector.questions() {
                detector.name(asked, &key(names[&asked]), 2048, now);
            }
            detector.tick(now);
            promoted += detector.decisions().len();
        }
        (promoted, detector.status(moment(self.steps)).heap_bytes)
    }

    fn decode(&self) -> usize {
        let frames = self.frames.iter().map(|(_, bytes)| Frame::decode(bytes));
        frames
            .map(|frame| frame.map_or(0, |frame| frame.entries.len()))
            .sum()
    }
}

pub(crate) fn run(args: &Args) {
    let (nodes, keys, seconds) = args.size((100, 1_000_000, 5), (10, 10_000, 1));
    let hashes = hashes(keys);
    let names: HashMap<KeyHash, usize> = hashes.iter().copied().zip(0..).collect();
    let frames = Frames::new(nodes, keys, seconds, &hashes);
    let bytes: usize = frames.frames.iter().map(|(_, bytes)| bytes.len()).sum();
    let (promoted, heap_bytes) = frames.merge(&names);
    table::heading(&format!(
        "merging: {} entries in {} frames of {nodes} nodes, 10,000 reads per second each, {keys} keys, one thread",
        frames.entries,
        frames.frames.len(),
    ));
    table::say(format!(
        "{:.1} bytes per entry; {promoted} promotions; the detector holds {:.1} MB",
        bytes as f64 / frames.entries as f64,
        heap_bytes as f64 / 1e6
    ));
    let mut contenders = [
        Contender::new("decode", || Sample::of(|| frames.decode())),
        Contender::new("decode and merge", || {
            Sample::of(|| {
                frames.merge(&names);
                frames.entries
            })
        }),
    ];
    let measured = compare(args.size(7, 1), &mut contenders);
    let millions = |at: usize| 1000.0 / measured[at].median(|sample| sample.cpu_ns);
    let rows: Vec<Vec<String>> = measured
        .iter()
        .enumerate()
        .map(|(at, measured)| vec![measured.name.clone(), format!("{:.2}", millions(at))])
        .collect();
    table::rows(&["", "million entries/s/core"], &rows);
    table::target_at_least(
        "million entries merged per second and core",
        millions(1),
        3.0,
    );
    table::say(format!("others, in thousands: {OTHERS}"));
}
