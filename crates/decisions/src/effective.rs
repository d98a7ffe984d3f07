//! What is in force: a pure function of the documents, the node's name and the database's time.

use std::collections::HashSet;

use hotshelf_engine::Switches;
use hotshelf_model::{DbTime, Key};

use crate::pins::Pins;
use crate::switches::{Switch, SwitchEntries, SwitchValue};

/// What is in force on a node. The default is what holds when nobody has decided anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effective {
    /// What is pinned.
    pub pins: HashSet<Key>,
    /// How the engine's switches stand.
    pub switches: Switches,
    /// Whether what is hot stays as it is.
    pub promotion_frozen: bool,
    /// The filter of the log, instead of the configured one.
    pub log_filter: Option<String>,
    /// How many switches do not stand as configured.
    pub switched: usize,
    /// The next moment at which this changes by time alone.
    pub changes_at: Option<DbTime>,
}

/// What is in force on `node` at a moment on the database's clock.
pub fn effective(pins: &Pins, switches: &SwitchEntries, node: &str, now: DbTime) -> Effective {
    let mut effective = Effective::default();
    let in_force = pins.iter().filter(|pin| pin.act.is_in_force(now));
    effective.pins = in_force.map(|pin| pin.key.clone()).collect();
    for switch in Switch::ALL {
        let value = switches.on(switch, node, now).map(|entry| &entry.value);
        effective.set(switch, value);
    }
    let of_pins = pins.iter().map(|pin| &pin.act);
    let of_switches = switches.iter().map(|entry| &entry.act);
    let ends = of_pins.chain(of_switches).filter_map(|act| act.ends(now));
    effective.changes_at = ends.min();
    effective
}

impl Effective {
    fn set(&mut self, switch: Switch, value: Option<&SwitchValue>) {
        let Some(value) = value.filter(|value| **value != SwitchValue::On) else {
            return;
        };
        self.switched += 1;
        match (value, switch.part()) {
            (SwitchValue::Off, Some(part)) => self.switches = self.switches.with_off(part),
            (SwitchValue::Off | SwitchValue::On, _) => self.promotion_frozen = true,
            (SwitchValue::Cap(cap), _) => self.switches = self.switches.with_stale_cap(*cap),
            (SwitchValue::Filter(filter), _) => self.log_filter = Some(filter.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
