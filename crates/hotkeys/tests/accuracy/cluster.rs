//! Nodes that count, a bus that loses, delays and repeats, and a detector.

use std::collections::{BTreeMap, HashMap};

use hotshelf_hotkeys::{
    Decision, Demotion, Detector, Frame, Framer, KeyHash, Limits, Promotion, Rules, Sender, Slices,
};
use hotshelf_model::{Boot, Id, Key, NamespaceName, Variant};

use crate::chance::{Chance, Zipf};
use crate::oracle::{Oracle, Step};

const STEP_NANOS: u64 = 10_000_000;

/// The detector's clock at the start of the stream.
const START: u64 = 7_777_770_000_000;

/// Which keys are read.
#[derive(Clone, Debug)]
pub(crate) enum Keys {
    One(u32),
    Zipf(Zipf),
    /// In this order, again and again.
    Listed(Vec<u32>),
    /// Each once, and never again; the oracle need not know them.
    Fresh,
    /// All below a number, so often in each 100 ms.
    Steady(u32, u32),
}

/// On which nodes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum On {
    All,
    Only(usize),
}

/// Reads at a rate, from one step to another.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) keys: Keys,
    pub(crate) per_second: f64,
    pub(crate) steps: std::ops::Range<Step>,
    pub(crate) on: On,
}

impl Load {
    pub(crate) fn new(keys: Keys, per_second: f64, steps: std::ops::Range<Step>) -> Self {
        Load {
            keys,
            per_second,
            steps,
            on: On::All,
        }
    }
}

/// What is unusual.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) nodes: usize,
    pub(crate) threshold: u32,
    pub(crate) seed: u64,
    /// Frames that get lost, in a thousand.
    pub(crate) lost: usize,
    /// Frames that come twice, in a thousand.
    pub(crate) doubled: usize,
    /// Beyond the 3 ms that a frame takes, at most so long.
    pub(crate) jitter_ms: u64,
    /// By how much node clocks differ from the detector's, to either side.
    pub(crate) skew_ms: u64,
    /// A node that is gone, from when on.
    pub(crate) dead: Option<(usize, Step)>,
    pub(crate) budget: Option<usize>,
}

impl Setup {
    pub(crate) fn new(nodes: usize, threshold: u32) -> Self {
        Setup {
            nodes,
            threshold,
            seed: 1,
            lost: 0,
            doubled: 0,
            jitter_ms: 5,
            skew_ms: 86_400_000,
            dead: None,
            budget: None,
        }
    }
}

struct Node {
    slices: Slices,
    framer: Framer,
    /// What its clock is ahead of the detector's.
    ahead: u64,
}

/// What came of a stream.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) promotions: Vec<(Step, u32, Promotion)>,
    pub(crate) demotions: Vec<(Step, u32, Demotion)>,
    /// Promotions of keys that were read below 0.8 times the threshold in every window.
    pub(crate) wrong: Vec<(Step, u32, f64)>,
    /// Keys that were due and not promoted within a second.
    pub(crate) missed: Vec<u32>,
    pub(crate) due: usize,
    pub(crate) reads: u64,
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
}

impl Outcome {
    /// Milliseconds from a step to the first promotion of a key after it.
    pub(crate) fn latency(&self, key: u32, from: Step) -> Option<u64> {
        let found = self
            .promotions
            .iter()
            .find(|(step, promoted, _)| *promoted == key && *step >= from);
        found.map(|(step, ..)| (step - from) * 10)
    }

    pub(crate) fn is_right(&self) {
        assert!(self.wrong.is_empty(), "wrongly promoted: {:?}", self.wrong);
        assert!(
            self.missed.is_empty(),
            "missed: {:?} of {}",
            self.missed,
            self.due
        );
    }
}

struct Cluster {
    nodes: Vec<Node>,
    detector: Detector,
    oracle: Oracle,
    chance: Chance,
    /// What is under way, by when it arrives.
    bus: BTreeMap<(u64, u64), Vec<u8>>,
    sent: u64,
    keys: HashMap<KeyHash, u32>,
    hashes: Vec<KeyHash>,
    fresh: u64,
    outcome: Outcome,
}

fn key(number: u32) -> Key {
    let namespace = NamespaceName::new("products").unwrap();
    Key::new(
        &namespace,
        &Id::new(&format!("P-{number}")).unwrap(),
        &Variant::default(),
    )
}

/// Runs a stream of so many steps.
pub(crate) fn run(setup: &Setup, loads: &mut [Load], steps: Step) -> Outcome {
    let mut cluster = Cluster::new(setup);
    for step in 0..steps {
        for load in &mut *loads {
            if load.steps.contains(&step) {
                cluster.read(setup, load, step);
            }
        }
        cluster.send(setup, step);
        cluster.detect(step);
    }
    cluster.judge(setup, steps)
}

impl Cluster {
    fn new(setup: &Setup) -> Self {
        let mut chance = Chance::new(setup.seed);
        let nodes = (0..setup.nodes).map(|number| {
            let ahead = chance.next() % (2 * setup.skew_ms).max(100) * 1_000_000;
            let sender = Sender {
                node: u32::try_from(number).unwrap(),
                incarnation: chance.next(),
            };
            let mut framer = Framer::new(sender, chance.next());
            if let Some(budget) = setup.budget {
                framer.set_budget(budget);
            }
            Node {
                slices: Slices::new(Boot(START + ahead), chance.next()),
                framer,
                ahead,
            }
        });
        let nodes = nodes.collect();
        let rules = Rules::new(setup.threshold, &[]).unwrap();
        Cluster {
            nodes,
            detector: Detector::new(rules, Limits::default(), Boot(START)),
            oracle: Oracle::new(setup.threshold),
            chance,
            bus: BTreeMap::new(),
            sent: 0,
            keys: HashMap::new(),
            hashes: Vec::new(),
            fresh: 0,
            outcome: Outcome::default(),
        }
    }

    fn hash(&mut self, number: u32) -> KeyHash {
        while self.hashes.len() <= number as usize {
            let next = u32::try_from(self.hashes.len()).unwrap();
            let hash = KeyHash::of(key(next).as_str(), 1);
            self.hashes.push(hash);
            self.keys.insert(hash, next);
        }
        self.hashes[number as usize]
    }

    fn node(&mut self, setup: &Setup, on: On, step: Step) -> usize {
        let node = match on {
            On::Only(node) => node,
            On::All => self.chance.below(setup.nodes),
        };
        match setup.dead {
            // Its readers ask the next one.
            Some((dead, from)) if dead == node && step >= from => (node + 1) % setup.nodes,
            _ => node,
        }
    }

    fn read(&mut self, setup: &Setup, load: &mut Load, step: Step) {
        if let Keys::Steady(keys, reads) = load.keys {
            if step.is_multiple_of(10) {
                for number in 0..keys {
                    self.count(setup, load.on, step, number, reads);
                }
            }
            return;
        }
        for _ in 0..self.chance.poisson(load.per_second / 100.0) {
            let number = match &mut load.keys {
                Keys::One(number) => *number,
                Keys::Zipf(zipf) => zipf.draw(&mut self.chance),
                Keys::Listed(list) => {
                    let at = usize::try_from(self.outcome.reads).unwrap() % list.len();
                    list[at]
                }
                Keys::Fresh | Keys::Steady(..) => {
                    self.fresh += 1;
                    let hash = KeyHash::of(&format!("products//uuid-{}", self.fresh), 1);
                    let node = self.node(setup, load.on, step);
                    self.nodes[node].slices.count(hash, 1);
                    continue;
                }
            };
            self.count(setup, load.on, step, number, 1);
        }
    }

    fn count(&mut self, setup: &Setup, on: On, step: Step, number: u32, reads: u32) {
        let hash = self.hash(number);
        let node = self.node(setup, on, step);
        self.nodes[node].slices.count(hash, reads);
        self.oracle.add(step, number, reads);
        self.outcome.reads += u64::from(reads);
    }

    /// Closes the slices whose time has come.
    fn send(&mut self, setup: &Setup, step: Step) {
        let now = START + (step + 1) * STEP_NANOS;
        let watched: Option<Vec<KeyHash>> = step
            .is_multiple_of(100)
            .then(|| self.detector.watched().collect());
        for (number, node) in self.nodes.iter_mut().enumerate() {
            if setup
                .dead
                .is_some_and(|(dead, from)| dead == number && step >= from)
            {
                continue;
            }
            if let Some(watched) = &watched {
                node.slices.watch(watched.iter().copied());
            }
            let Some(slice) = node.slices.close(Boot(now + node.ahead)) else {
                continue;
            };
            let framed = node.framer.frame(&slice);
            node.slices.reuse(slice);
            self.outcome.entries += framed.entries as u64;
            self.outcome.bytes += framed.bytes.len() as u64;
            let is_lost = self.chance.below(1000) < setup.lost;
            let is_doubled = self.chance.below(1000) < setup.doubled;
            for _ in 0..u8::from(!is_lost) + u8::from(is_doubled) {
                let way = 3 + self.chance.next() % (setup.jitter_ms + 1);
                self.sent += 1;
                self.bus
                    .insert((now + way * 1_000_000, self.sent), framed.bytes.to_vec());
            }
        }
    }

    /// Lets the detector hear what has arrived by the end of the step, and learn the names that it asked for in the step before.
    fn detect(&mut self, step: Step) {
        let now = START + (step + 1) * STEP_NANOS;
        for hash in self.detector.questions() {
            if let Some(number) = self.keys.get(&hash) {
                self.detector.name(hash, &key(*number), 2000, Boot(now));
            }
        }
        while let Some(entry) = self.bus.first_entry().filter(|entry| entry.key().0 <= now) {
            let ((arrived, _), bytes) = entry.remove_entry();
            let frame = Frame::decode(&bytes).unwrap();
            // Refused frames are part of it: some come twice.
            self.detector.frame(&frame, Boot(arrived)).ok();
        }
        self.detector.tick(Boot(now));
        for decision in self.detector.decisions() {
            match decision {
                Decision::Promote(promotion) => {
                    let number = self.keys[&promotion.hash];
                    let ratio = self.oracle.ratio(number, step);
                    if ratio < 0.8 {
                        self.outcome.wrong.push((step, number, ratio));
                    }
                    self.outcome.promotions.push((step, number, promotion));
                }
                Decision::Demote(demotion) => {
                    let number = self.keys[&demotion.hash];
                    self.outcome.demotions.push((step, number, demotion));
                }
            }
        }
    }

    fn judge(mut self, setup: &Setup, steps: Step) -> Outcome {
        let due = self.oracle.due();
        let promoted: HashMap<u32, Step> = self
            .outcome
            .promotions
            .iter()
            .rev()
            .map(|(step, key, _)| (*key, *step))
            .collect();
        for &(key, since) in &due {
            let in_time = promoted.get(&key).is_some_and(|step| *step <= since + 100);
            if !in_time && since + 100 < steps {
                self.outcome.missed.push(key);
            }
        }
        self.outcome.due = due.len();
        let seconds = steps as f64 / 100.0;
        let of_node = self.outcome.entries as f64 / seconds / setup.nodes as f64;
        println!(
            "{} reads, {} keys due, {} promotions, {} demotions, {:.0} entries and {:.0} bytes per node and second",
            self.outcome.reads,
            self.outcome.due,
            self.outcome.promotions.len(),
            self.outcome.demotions.len(),
            of_node,
            self.outcome.bytes as f64 / seconds / setup.nodes as f64,
        );
        self.outcome
    }
}
