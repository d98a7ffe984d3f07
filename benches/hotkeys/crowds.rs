//! Flash crowds in a simulated cluster: the time from the onset to the decision, for our detector and for the rule of JD-hotkey, on the
//! same reads. Time is simulated; nothing here depends on the machine.

use std::collections::HashMap;

use bytes::Bytes;
use hotshelf_benches::args::Args;
use hotshelf_benches::{table, zipf};
use hotshelf_hotkeys::{Decision, Detector, Frame, KeyHash, Limits, Rules};
use hotshelf_model::Boot;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::jd::{Sdk, Worker};
use crate::nodes::{Node, STEP_MS, hashes, key, moment};

const THRESHOLD: u32 = 1000;
const RATIOS: [f64; 4] = [1.2, 2.0, 5.0, 20.0];
/// The longest that the slowest of 100 may take, in milliseconds.
const TARGETS: [f64; 4] = [2500.0, 400.0, 200.0, 120.0];
const CROWD_STEPS: u64 = 400;
/// Crowds begin in this distance, after the detectors have seen three seconds of ordinary reads.
const APART_STEPS: u64 = 13;
const FIRST_STEP: u64 = 300;
/// A frame or a batch takes a step to arrive.
const HOP_STEPS: u64 = 1;

/// What is read.
struct World {
    nodes: u32,
    keys: usize,
    background: Vec<u32>,
    crowds: Vec<Crowd>,
    steps: u64,
}

struct Crowd {
    key: u32,
    ratio: f64,
    onset: u64,
}

impl World {
    fn new(nodes: u32, keys: usize, crowds_each: usize) -> Self {
        let crowd = |number: usize| Crowd {
            key: u32::try_from(keys + number).unwrap_or(u32::MAX),
            ratio: RATIOS[number % RATIOS.len()],
            onset: FIRST_STEP + APART_STEPS * number as u64,
        };
        let crowds: Vec<Crowd> = (0..crowds_each * RATIOS.len()).map(crowd).collect();
        let steps = crowds.last().map_or(0, |crowd| crowd.onset) + CROWD_STEPS;
        World {
            nodes,
            keys,
            background: zipf::sequence(keys, 5_000_000, 11),
            crowds,
            steps,
        }
    }

    /// Hands out each read of a step: the node and the key.
    fn reads(&self, step: u64, random: &mut StdRng, mut read: impl FnMut(usize, u32)) {
        let per_node = 100;
        for node in 0..self.nodes as usize {
            let from = random.random_range(0..self.background.len() - per_node);
            for &key in &self.background[from..from + per_node] {
                read(node, key);
            }
        }
        for crowd in &self.crowds {
            if (crowd.onset..crowd.onset + CROWD_STEPS).contains(&step) {
                let mean = crowd.ratio * f64::from(THRESHOLD) * STEP_MS as f64 / 1000.0;
                for _ in 0..poisson(mean, random) {
                    read(random.random_range(0..self.nodes as usize), crowd.key);
                }
            }
        }
    }

    /// The rates of the background's keys, in reads per second of all nodes.
    fn steady(&self) -> Vec<f64> {
        let all = f64::from(self.nodes) * 100.0 * 1000.0 / STEP_MS as f64;
        let mut counts = vec![0_u32; self.keys];
        self.background
            .iter()
            .for_each(|&key| counts[key as usize] += 1);
        let rate = |count: u32| f64::from(count) / self.background.len() as f64 * all;
        counts.into_iter().map(rate).collect()
    }
}

fn poisson(mean: f64, random: &mut StdRng) -> u32 {
    let (mut count, mut left) = (0, mean);
    while left > 0.0 {
        let limit = (-left.min(20.0)).exp();
        left -= 20.0;
        let mut product: f64 = random.random();
        while product > limit {
            count += 1;
            product *= random.random::<f64>();
        }
    }
    count
}

/// Who finds hot keys.
#[derive(Default)]
struct Found {
    name: String,
    /// The step of the first promotion of each key.
    promoted: HashMap<u32, u64>,
    entries: u64,
}

impl Found {
    fn row(&self, world: &World, steady: &[f64]) -> Vec<String> {
        let mut row = vec![self.name.clone()];
        for ratio in RATIOS {
            let found = self.latencies(world, ratio);
            row.push(format!(
                "{:.0} / {:.0}",
                quantile(&found, 0.5),
                quantile(&found, 0.99)
            ));
        }
        let threshold = f64::from(THRESHOLD);
        let is_wrong = |key: &&u32| {
            steady
                .get(**key as usize)
                .is_some_and(|rate| *rate < 0.8 * threshold)
        };
        let wrong = self.promoted.keys().filter(is_wrong).count();
        let all = (0..)
            .zip(steady)
            .filter(|(_, rate)| **rate >= 1.2 * threshold)
            .map(|(key, _)| key);
        let all = all.chain(world.crowds.iter().map(|crowd| crowd.key));
        let missed = all
            .filter(|key: &u32| !self.promoted.contains_key(key))
            .count();
        let seconds = world.steps as f64 * STEP_MS as f64 / 1000.0;
        let entries = self.entries as f64 / seconds / f64::from(world.nodes);
        row.extend([
            wrong.to_string(),
            missed.to_string(),
            format!("{entries:.0}"),
        ]);
        row
    }

    /// In milliseconds, sorted; without those that were not found.
    fn latencies(&self, world: &World, ratio: f64) -> Vec<f64> {
        let crowds = world.crowds.iter().filter(|crowd| crowd.ratio == ratio);
        let mut found: Vec<f64> = crowds
            .filter_map(|crowd| {
                Some((self.promoted.get(&crowd.key)? - crowd.onset) as f64 * STEP_MS as f64)
            })
            .collect();
        found.sort_by(f64::total_cmp);
        found
    }
}

fn quantile(sorted: &[f64], part: f64) -> f64 {
    let rank = (sorted.len() as f64 * part).ceil().max(1.0);
    let at = (1..=sorted.len()).find(|at| *at as f64 >= rank);
    at.map_or(f64::NAN, |at| sorted[at - 1])
}

/// Our nodes and detector.
struct Ours {
    nodes: Vec<Node>,
    detector: Detector,
    under_way: Vec<(u64, Bytes)>,
    names: HashMap<KeyHash, u32>,
    found: Found,
}

impl Ours {
    fn new(name: &str, world: &World, budget: usize, hashes: &[KeyHash]) -> anyhow::Result<Self> {
        let rules =
            Rules::new(THRESHOLD, &[]).map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
        Ok(Ours {
            nodes: (0..world.nodes)
                .map(|number| Node::new(number, budget))
                .collect(),
            detector: Detector::new(rules, Limits::default(), Boot(0)),
            under_way: Vec::new(),
            names: hashes.iter().copied().zip(0..).collect(),
            found: Found {
                name: name.to_owned(),
                ..Found::default()
            },
        })
    }

    fn step(&mut self, step: u64) {
        let now = moment(step);
        for (_, bytes) in self
            .under_way
            .extract_if(.., |(arrives, _)| *arrives <= step)
        {
            // What is decoded was just encoded, and comes once.
            if let Ok(frame) = Frame::decode(&bytes) {
                self.detector.frame(&frame, now).ok();
            }
        }
        for node in &mut self.nodes {
            if let Some(framed) = node.close(step) {
                self.found.entries += framed.entries as u64;
                self.under_way.push((step + HOP_STEPS, framed.bytes));
            }
        }
        self.detector.tick(now);
        for decision in self.detector.decisions() {
            if let Decision::Promote(promotion) = decision {
                let key = self.names[&promotion.hash];
                self.found.promoted.entry(key).or_insert(step);
            }
        }
        // Names arrive with the next step, as frames do.
        for asked in self.detector.questions() {
            let number = self.names[&asked];
            self.detector.name(asked, &key(number as usize), 2048, now);
        }
    }
}

/// The rule of JD-hotkey.
struct Jd {
    sdks: Vec<Sdk>,
    worker: Worker,
    batch_ms: u64,
    under_way: Vec<(u64, HashMap<u32, u32>)>,
    found: Found,
}

impl Jd {
    fn new(world: &World, batch_ms: u64) -> Self {
        Jd {
            sdks: (0..u64::from(world.nodes))
                .map(|node| Sdk::new(node * 7))
                .collect(),
            worker: Worker::new(f64::from(THRESHOLD)),
            batch_ms,
            under_way: Vec::new(),
            found: Found {
                name: format!("JD's rule, {batch_ms} ms batches"),
                ..Found::default()
            },
        }
    }

    fn step(&mut self, step: u64) {
        let now_ms = (step + 1) * STEP_MS;
        for (_, batch) in self
            .under_way
            .extract_if(.., |(arrives, _)| *arrives <= step)
        {
            for key in self.worker.take(now_ms, &batch) {
                self.found.promoted.entry(key).or_insert(step);
            }
        }
        for sdk in &mut self.sdks {
            if let Some(batch) = sdk.send(step, self.batch_ms) {
                self.found.entries += batch.len() as u64;
                self.under_way.push((step + HOP_STEPS, batch));
            }
        }
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let (nodes, keys, crowds_each) = args.size((100, 200_000, 60), (10, 2000, 2));
    let world = World::new(nodes, keys, crowds_each);
    let hashes = hashes(keys + world.crowds.len());
    let mut ours = [
        Ours::new("ours, whole slices", &world, usize::MAX, &hashes)?,
        Ours::new("ours, 8 KiB frames", &world, 8 << 10, &hashes)?,
        Ours::new("ours, 2 KiB frames", &world, 2 << 10, &hashes)?,
    ];
    let mut others = [Jd::new(&world, 500), Jd::new(&world, 100)];
    let mut random = StdRng::seed_from_u64(17);
    for step in 0..world.steps {
        world.reads(step, &mut random, |node, key| {
            for ours in &mut ours {
                ours.nodes[node].slices.count(hashes[key as usize], 1);
            }
            for jd in &mut others {
                jd.sdks[node].count(key);
            }
        });
        ours.iter_mut().for_each(|ours| ours.step(step));
        others.iter_mut().for_each(|jd| jd.step(step));
    }
    show(&world, &ours, &others);
    Ok(())
}

fn show(world: &World, ours: &[Ours], others: &[Jd]) {
    table::heading(&format!(
        "crowds: {} of four seconds, {} nodes with 10,000 reads per second each of {} keys, Zipf {}, threshold {THRESHOLD} per second",
        world.crowds.len(),
        world.nodes,
        world.keys,
        zipf::EXPONENT
    ));
    table::say(
        "from the onset to the decision in simulated ms, p50 / p99, by how many times the threshold; a way of 10 ms is part of it",
    );
    let steady = world.steady();
    let found = others
        .iter()
        .map(|jd| &jd.found)
        .chain(ours.iter().map(|ours| &ours.found));
    let rows: Vec<Vec<String>> = found.map(|found| found.row(world, &steady)).collect();
    let columns = [
        "",
        "1.2 x",
        "2 x",
        "5 x",
        "20 x",
        "wrong",
        "missed",
        "entries/node/s",
    ];
    table::rows(&columns, &rows);
    table::say(
        "wrong: promoted below 0.8 times the threshold; missed: at 1.2 times or more, and not promoted",
    );
    for (ratio, most) in RATIOS.into_iter().zip(TARGETS) {
        let p99 = quantile(&ours[1].found.latencies(world, ratio), 0.99);
        table::target(
            &format!("ms to the decision at {ratio} x, p99, 8 KiB frames"),
            p99,
            most,
        );
        let jd = quantile(&others[0].found.latencies(world, ratio), 0.99);
        table::say(format!("JD's rule takes {:.1} times as long", jd / p99));
    }
}
