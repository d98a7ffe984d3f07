//! What a person may write about hot keys.

use hotshelf_hotkeys::detector::TRACKED_MAX;
use hotshelf_hotkeys::frame::{FRAME_BUDGET, FRAME_BUDGET_MAX};
use hotshelf_hotkeys::rules::{THRESHOLD, THRESHOLD_MAX, THRESHOLD_MIN};
use serde::{Deserialize, Serialize};

use super::ValueKind::{Bool, HotRules};
use super::{RawHotRule, count, toml_text};
use crate::key::{Key, Section};

section! {
    /// Hot keys: those that are read most over all nodes are found from what each node counts, and held on every node.
    RawHot "hot"
    /// Whether this node counts its reads, looks for hot keys and holds those that are found.
    enabled: bool = true, Bool;
    /// From how many reads per second over all nodes on a key is hot, where no rule speaks of it.
    threshold: u32 = THRESHOLD, count(THRESHOLD_MIN.into(), THRESHOLD_MAX.into());
    /// Most hot keys.
    keys_max: usize = 1000, count(1, TRACKED_MAX as u64 / 2);
    /// The share of `l1.bytes_max` that copies of hot keys may take and never be evicted, in percent.
    l1_share_percent: u8 = 25, count(0, 50);
    /// A hot key's document that changes by time alone, such as a price at midnight, is fetched ahead of its moment by between half of this
    /// and all of it.
    lead_s: u64 = 30, count(1, 3600);
    /// The most that a node sends of its counts ten times a second; above it, counts of keys that are read little are sampled.
    frame_bytes_max: usize = FRAME_BUDGET, count(256, FRAME_BUDGET_MAX as u64);
    /// Rules; the first that matches a key speaks of it. Each has a `name`, an `action` (`threshold`: hot from its `threshold` on, in
    /// reads per second over all nodes; `never`; `always`: hot at a tenth of the least threshold of all; what is to be held whether it is read
    /// or not is pinned), and, if it is not about all keys, a `namespace` and an `id`, a regular expression that the whole id matches. They hold, with `threshold`, until rules are set with
    /// `hotshelf hot rules set`, and again when those are cleared.
    rule: Vec<RawHotRule>, HotRules, unset "`threshold` for all keys", example "[{ name = \"stars\", namespace = \"products\", id = \"TV-.*\", action = \"threshold\", threshold = 200 }]";
}
