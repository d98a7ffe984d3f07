//! Pins: documents that every node holds, whatever is read, until they end.

use std::collections::BTreeMap;
use std::fmt;

use hotshelf_model::{DbTime, Key};
use serde::{Deserialize, Serialize};

use crate::document::{self, Act, Document};

/// One pinned document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Its key.
    pub key: Key,
    /// What its copy took in L1 when it was pinned.
    pub bytes: u64,
    /// Who pinned it, and until when.
    pub act: Act,
}

#[derive(Serialize, Deserialize)]
struct PinText {
    key: String,
    bytes: u64,
    #[serde(flatten)]
    act: Act,
}

/// All pins of the cluster, one for each key, in the order of the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pins(BTreeMap<Box<str>, Pin>);

/// What may be pinned in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Keys.
    pub keys: usize,
    /// Bytes of their copies.
    pub bytes: u64,
}

/// Why pins do not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom {
    /// What all pins together would need.
    pub needed: Room,
    /// What there is.
    pub room: Room,
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NoRoom { needed, room } = self;
        write!(
            f,
            "with these there would be {} pins of {} bytes, and the hot set has room for {} keys of {} bytes: ",
            needed.keys, needed.bytes, room.keys, room.bytes
        )?;
        let keys = needed.keys.saturating_sub(room.keys);
        let bytes = needed.bytes.saturating_sub(room.bytes);
        match (keys, bytes) {
            (0, bytes) => write!(f, "{bytes} bytes short"),
            (keys, 0) => write!(f, "{keys} keys short"),
            (keys, bytes) => write!(f, "{keys} keys and {bytes} bytes short"),
        }
    }
}

impl Pins {
    /// Each pin, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = &Pin> {
        self.0.values()
    }

    /// Those that have not ended.
    #[must_use]
    pub fn current(&self, now: DbTime) -> Self {
        let mut pins = self.clone();
        pins.0.retain(|_, pin| pin.act.is_in_force(now));
        pins
    }

    /// These and more, in place of those of the same keys.
    ///
    /// # Errors
    /// When there is no room for all of them together.
    pub fn with(
        mut self,
        keys: impl IntoIterator<Item = (Key, u64)>,
        act: &Act,
        room: Room,
    ) -> Result<Self, NoRoom> {
        for (key, bytes) in keys {
            let act = act.clone();
            self.0.insert(key.as_str().into(), Pin { key, bytes, act });
        }
        let needed = Room {
            keys: self.0.len(),
            bytes: self.iter().map(|pin| pin.bytes).sum(),
        };
        if needed.keys > room.keys || needed.bytes > room.bytes {
            return Err(NoRoom { needed, room });
        }
        Ok(self)
    }

    /// These without those whose keys are meant.
    #[must_use]
    pub fn without(mut self, is_meant: impl Fn(&Key) -> bool) -> Self {
        self.0.retain(|_, pin| !is_meant(&pin.key));
        self
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Document for Pins {
    const SETTING: &'static str = "pins";

    fn from_json(text: &str) -> Result<Self, String> {
        let pin = |text: PinText| {
            let PinText { key, bytes, act } = text;
            let parsed = Key::parse(&key).ok_or_else(|| format!("`{key}` is not a key"))?;
            let pin = Pin {
                key: parsed,
                bytes,
                act,
            };
            Ok((key.into(), pin))
        };
        let pins = document::read(text)?.into_iter().map(pin);
        pins.collect::<Result<_, String>>().map(Pins)
    }

    fn to_json(&self) -> String {
        let text = |pin: &Pin| PinText {
            key: pin.key.as_str().to_owned(),
            bytes: pin.bytes,
            act: pin.act.clone(),
        };
        document::write(self.iter().map(text).collect())
    }
}
