//! The node's counter, one thread, from hashes that are known.

use std::collections::HashMap;
use std::hint::black_box;

use hotshelf_benches::args::Args;
use hotshelf_benches::rounds::{Contender, Measured, Sample, compare};
use hotshelf_benches::{table, zipf};
use hotshelf_hotkeys::{Framer, KeyHash, Sender, Slices};
use hotshelf_model::Boot;

use crate::nodes::{hashes, slot};

/// Reads of one key after another that a slice of a busy node holds.
const READS_PER_SLICE: usize = 100_000;

pub(crate) fn run(args: &Args) {
    let (keys, reads) = args.size((200_000, 10_000_000), (2000, 200_000));
    let hashes = hashes(keys);
    let numbers = zipf::sequence(keys, reads, 3);
    let stream: Vec<KeyHash> = numbers
        .iter()
        .map(|&number| hashes[number as usize])
        .collect();
    table::heading(&format!(
        "counting: {reads} reads of {keys} keys, Zipf {}, slices of {READS_PER_SLICE} reads, one thread",
        zipf::EXPONENT
    ));
    let measured = compare(args.size(9, 1), &mut contenders(&stream));
    let ns = |measured: &Measured| measured.median(|sample| sample.cpu_ns);
    let row = |measured: &Measured| {
        let ns = ns(measured);
        vec![
            measured.name.clone(),
            format!("{ns:.2}"),
            format!("{:.0}", 1000.0 / ns),
        ]
    };
    let rows: Vec<Vec<String>> = measured.iter().map(row).collect();
    table::rows(&["", "ns per read", "million reads/s/core"], &rows);
    let millions = 1000.0 / ns(&measured[1]);
    table::target_at_least("million reads counted per second and core", millions, 100.0);
}

fn contenders(stream: &[KeyHash]) -> [Contender<'_>; 4] {
    let mut alone = Counter::new();
    let mut sending = Counter::new();
    let mut map: HashMap<KeyHash, u32> = HashMap::new();
    let chunks = move || stream.chunks(READS_PER_SLICE);
    let read = move || {
        let sum = stream.iter().fold(0_u64, |sum, key| sum ^ key.get());
        black_box(sum);
        stream.len()
    };
    let counted_by_map = move || {
        for chunk in chunks() {
            for key in chunk {
                *map.entry(*key).or_default() += 1;
            }
            map.clear();
        }
        stream.len()
    };
    let mut counted_by_map = counted_by_map;
    [
        Contender::new("reading the hashes", move || Sample::of(read)),
        Contender::new("slices", move || Sample::of(|| alone.count(stream, false))),
        Contender::new("slices and frames", move || {
            Sample::of(|| sending.count(stream, true))
        }),
        Contender::new("std's HashMap", move || Sample::of(&mut counted_by_map)),
    ]
}

/// A node that counts one slice after another.
struct Counter {
    slices: Slices,
    framer: Framer,
    closed: u64,
}

impl Counter {
    fn new() -> Self {
        let sender = Sender {
            node: 1,
            incarnation: 1,
        };
        Counter {
            slices: Slices::new(Boot(0), 1),
            framer: Framer::new(sender, 1),
            closed: 0,
        }
    }

    fn count(&mut self, stream: &[KeyHash], sends: bool) -> usize {
        for chunk in stream.chunks(READS_PER_SLICE) {
            self.slices.count_all(chunk);
            self.closed += 1;
            let Some(slice) = self.slices.close(slot(self.closed)) else {
                continue;
            };
            if sends {
                black_box(self.framer.frame(&slice));
            }
            self.slices.reuse(slice);
        }
        stream.len()
    }
}
