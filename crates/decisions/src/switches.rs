//! Switches: what operators turn off, or otherwise than configured, in the cluster or on one node.

use std::fmt;
use std::time::Duration;

use hotshelf_engine::Part;
use hotshelf_model::DbTime;
use hotshelf_telemetry::logging;
use serde::{Deserialize, Serialize};

use crate::document::{self, Act, Document};

/// The longest stale cap that a switch sets.
pub const STALE_CAP_MAX: Duration = Duration::from_secs(7 * 86_400);
/// The longest value, in bytes.
const VALUE_BYTES_MAX: usize = 500;

/// What can be switched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Switch {
    /// L2 and the leases in it.
    L2,
    /// L3.
    L3,
    /// The origin: only what is held is served.
    Origin,
    /// Refreshes.
    Refresh,
    /// Promotion of hot keys: frozen, what is hot stays as it is. Of the whole cluster only.
    Promotion,
    /// The stale cap of every namespace.
    StaleCap,
    /// The filter of the log.
    Log,
}

impl Switch {
    /// Every switch.
    pub const ALL: [Switch; 7] = [
        Switch::L2,
        Switch::L3,
        Switch::Origin,
        Switch::Refresh,
        Switch::Promotion,
        Switch::StaleCap,
        Switch::Log,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Switch::L2 => "l2",
            Switch::L3 => "l3",
            Switch::Origin => "origin",
            Switch::Refresh => "refresh",
            Switch::Promotion => "promotion",
            Switch::StaleCap => "stale-cap",
            Switch::Log => "log",
        }
    }

    /// The one of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|switch| switch.as_str() == name)
    }

    /// Whether it can be set on one node alone. A frozen detector freezes what the whole cluster holds.
    pub fn is_for_nodes(self) -> bool {
        self != Switch::Promotion
    }

    /// What it takes, for people.
    pub fn takes(self) -> &'static str {
        match self {
            Switch::L2 | Switch::L3 | Switch::Origin | Switch::Refresh => "`off` or `on`",
            Switch::Promotion => "`frozen` or `on`",
            Switch::StaleCap => "a time such as `90s`, `10m` or `24h`, up to 7 days",
            Switch::Log => "a filter such as `info` or `warn,hotshelf_engine=debug`",
        }
    }

    /// The part of the engine that it switches off.
    pub(crate) fn part(self) -> Option<Part> {
        match self {
            Switch::L2 => Some(Part::L2),
            Switch::L3 => Some(Part::L3),
            Switch::Origin => Some(Part::Origin),
            Switch::Refresh => Some(Part::Refresh),
            Switch::Promotion | Switch::StaleCap | Switch::Log => None,
        }
    }
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a switch stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SwitchValue {
    /// Off, or frozen.
    Off,
    /// On: of use on one node while it is off in the cluster.
    On,
    /// A stale cap.
    Cap(Duration),
    /// A log filter.
    Filter(String),
}

impl SwitchValue {
    /// Reads what [`Switch::takes`].
    pub fn parse(switch: Switch, text: &str) -> Option<Self> {
        if text.len() > VALUE_BYTES_MAX {
            return None;
        }
        match (switch, text) {
            (Switch::StaleCap, text) => time(text)
                .filter(|cap| *cap <= STALE_CAP_MAX)
                .map(SwitchValue::Cap),
            (Switch::Log, filter) => logging::check(filter)
                .is_ok()
                .then(|| SwitchValue::Filter(filter.to_owned())),
            (_, "on") | (Switch::Promotion, "frozen") => Some(match text {
                "on" => SwitchValue::On,
                _ => SwitchValue::Off,
            }),
            (Switch::Promotion, _) => None,
            (_, "off") => Some(SwitchValue::Off),
            _ => None,
        }
    }
}

/// A whole number with `ms`, `s`, `m`, `h` or `d`.
pub fn time(text: &str) -> Option<Duration> {
    let digits = text.find(|char: char| !char.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let ms: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let ms = number.parse::<u64>().ok()?.checked_mul(ms)?;
    Some(Duration::from_millis(ms))
}

/// One decision about a switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchEntry {
    /// Which.
    pub switch: Switch,
    /// How it is to stand, as it was written.
    pub text: String,
    /// The same, read.
    pub value: SwitchValue,
    /// The one node that it is for; all when `None`.
    pub node: Option<String>,
    /// Who decided it, and until when.
    pub act: Act,
}

#[derive(Serialize, Deserialize)]
struct EntryText {
    switch: String,
    value: String,
    node: Option<String>,
    #[serde(flatten)]
    act: Act,
}

/// Every decision about switches: of each switch one for the cluster, and one for each node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SwitchEntries(Vec<SwitchEntry>);

impl SwitchEntries {
    /// Each, in the order in which they were decided.
    pub fn iter(&self) -> impl Iterator<Item = &SwitchEntry> {
        self.0.iter()
    }

    /// Those that have not ended.
    #[must_use]
    pub fn current(mut self, now: DbTime) -> Self {
        self.0.retain(|entry| entry.act.is_in_force(now));
        self
    }

    /// These with one more, in place of that of the same switch and node.
    #[must_use]
    pub fn with(self, entry: SwitchEntry) -> Self {
        let mut entries = self.without(entry.switch, entry.node.as_deref());
        entries.0.push(entry);
        entries
    }

    /// These without that of a switch and node.
    #[must_use]
    pub fn without(mut self, switch: Switch, node: Option<&str>) -> Self {
        self.0
            .retain(|entry| entry.switch != switch || entry.node.as_deref() != node);
        self
    }

    /// What holds on a node: what was decided for it alone before what was decided for all.
    pub fn on(&self, switch: Switch, node: &str, now: DbTime) -> Option<&SwitchEntry> {
        let in_force = |entry: &&SwitchEntry| entry.switch == switch && entry.act.is_in_force(now);
        let of = |wanted: Option<&str>| {
            let mut entries = self.0.iter().filter(in_force);
            entries.find(|entry| entry.node.as_deref() == wanted)
        };
        of(Some(node)).or_else(|| of(None))
    }
}

impl Document for SwitchEntries {
    const SETTING: &'static str = "switches";

    fn from_json(text: &str) -> Result<Self, String> {
        let entry = |text: EntryText| {
            let switch = Switch::parse(&text.switch)
                .ok_or_else(|| format!("`{}` is no switch", text.switch))?;
            let value = SwitchValue::parse(switch, &text.value)
                .ok_or_else(|| format!("`{}` is nothing that `{switch}` takes", text.value))?;
            Ok(SwitchEntry {
                switch,
                text: text.value,
                value,
                node: text.node,
                act: text.act,
            })
        };
        let entries = document::read(text)?.into_iter().map(entry);
        entries.collect::<Result<_, String>>().map(SwitchEntries)
    }

    fn to_json(&self) -> String {
        let text = |entry: &SwitchEntry| EntryText {
            switch: entry.switch.as_str().to_owned(),
            value: entry.text.clone(),
            node: entry.node.clone(),
            act: entry.act.clone(),
        };
        document::write(self.0.iter().map(text).collect())
    }
}
