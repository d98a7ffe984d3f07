//! Nodes that count reads of Zipf-like keys, each closing its slices at its own moments.

use hotshelf_hotkeys::{Framed, Framer, KeyHash, Sender, Slices};
use hotshelf_model::{Boot, Id, Key, NamespaceName, Variant};

/// Milliseconds in which everything happens at once.
pub(crate) const STEP_MS: u64 = 10;

/// A key by its number.
#[expect(clippy::expect_used, reason = "a number is a good id")]
pub(crate) fn key(number: usize) -> Key {
    let namespace = NamespaceName::new("products").expect("a good name");
    let id = Id::new(&format!("P-{number}")).expect("a good id");
    Key::new(&namespace, &id, &Variant::default())
}

/// The hashes of the first keys.
pub(crate) fn hashes(keys: usize) -> Vec<KeyHash> {
    (0..keys)
        .map(|number| KeyHash::of(key(number).as_str(), 1))
        .collect()
}

/// The end of a slot of 100 ms.
pub(crate) fn slot(number: u64) -> Boot {
    Boot(number * 100_000_000)
}

/// The end of a step.
pub(crate) fn moment(step: u64) -> Boot {
    Boot((step + 1) * STEP_MS * 1_000_000)
}

/// One node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) slices: Slices,
    framer: Framer,
    /// What its clock is ahead, so that nodes close their slices at different moments.
    ahead_ms: u64,
}

impl Node {
    /// `budget` is what a frame may take, in bytes.
    pub(crate) fn new(number: u32, budget: usize) -> Self {
        let sender = Sender {
            node: number,
            incarnation: 1,
        };
        let seed = u64::from(number);
        let ahead_ms = seed * 7 % 10 * STEP_MS + 1000 * seed;
        let mut framer = Framer::new(sender, seed);
        framer.set_budget(budget);
        Node {
            slices: Slices::new(Boot(ahead_ms * 1_000_000), seed),
            framer,
            ahead_ms,
        }
    }

    /// The frame of the slice that ends with a step, if one does.
    pub(crate) fn close(&mut self, step: u64) -> Option<Framed> {
        let now = Boot(moment(step).0 + self.ahead_ms * 1_000_000);
        let slice = self.slices.close(now)?;
        let framed = self.framer.frame(&slice);
        self.slices.reuse(slice);
        Some(framed)
    }
}
