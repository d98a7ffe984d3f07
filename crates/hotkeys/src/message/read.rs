//! Reading messages.

use std::time::Duration;

use hotshelf_model::{Key, varint};

use super::write::{DEMOTIONS, HEALTHS, RULE, SNAPSHOT};
use super::{
    Announced, Decided, HASHES_MAX, Held, HotMessage, KEYS_MAX, Name, PARTS_MAX, SEATS, Snapshot,
    State, Told,
};
use crate::cursor::HotCursor;
use crate::detector::PromotionReason;
use crate::frame::Sender;
use crate::hash::KeyHash;
use crate::poisson::Window;

/// What is left to be read. Nothing is read of what no node writes.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl Reader<'_> {
    pub(super) fn message(&mut self, kind: u16) -> Option<HotMessage> {
        Some(match kind {
            1 => HotMessage::Decided(self.decided()?),
            2 => HotMessage::State(self.state()?),
            3 => HotMessage::Snapshot(self.snapshot()?),
            4 => HotMessage::Want(self.sender()?),
            5 => HotMessage::Questions(self.hashes()?),
            6 => HotMessage::Names(self.many(KEYS_MAX, Self::name)?),
            7 => HotMessage::Rates(self.rates()?),
            8 => HotMessage::Watched(self.hashes()?),
            9 => HotMessage::Held(self.held()?),
            _ => return None,
        })
    }

    fn number(&mut self) -> Option<u64> {
        varint::take(&mut self.0)
    }

    fn short(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    fn count(&mut self, most: usize) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= most).then_some(count)
    }

    /// In `parts` of one. So large a number that it is no longer exact is no rate.
    fn real(&mut self, parts: f64) -> Option<f64> {
        let number = self.number().filter(|&number| number < 1 << 50)?;
        Some(number as f64 / parts)
    }

    fn many<T>(&mut self, most: usize, one: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        // What each takes at least bounds what is made room for.
        let count = self.count(most.min(self.0.len()))?;
        (0..count).map(|_| one(self)).collect()
    }

    fn key(&mut self) -> Option<Key> {
        let length = self.count(self.0.len())?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Key::parse(str::from_utf8(text).ok()?)
    }

    fn cursor(&mut self) -> Option<HotCursor> {
        Some(HotCursor {
            term: self.number()?,
            number: self.number()?,
        })
    }

    fn sender(&mut self) -> Option<Sender> {
        let node = self.short()?;
        let (incarnation, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        let incarnation = u64::from_be_bytes(*incarnation);
        Some(Sender { node, incarnation })
    }

    fn one_of<T: Copy>(&mut self, among: &[T]) -> Option<T> {
        let place = usize::try_from(self.number()?).ok()?;
        among.get(place).copied()
    }

    fn ascending(&mut self, before: &mut u64) -> Option<KeyHash> {
        let more = self.number().filter(|&more| more > 0)?;
        *before = before.checked_add(more)?;
        Some(KeyHash::new(*before))
    }

    fn hashes(&mut self) -> Option<Vec<KeyHash>> {
        let count = self.count(HASHES_MAX.min(self.0.len()))?;
        let mut before = 0;
        (0..count).map(|_| self.ascending(&mut before)).collect()
    }

    fn told(&mut self) -> Option<Told> {
        Some(Told {
            key: self.key()?,
            bytes: self.short()?,
            rate: self.real(10.0)?,
            share: self.real(1e6).filter(|share| *share <= 1.0)?,
            onset_ms: self.number()?,
            decided_ms: self.number()?,
            why: self.why()?,
        })
    }

    fn why(&mut self) -> Option<PromotionReason> {
        match self.number()? {
            RULE => Some(PromotionReason::Rule),
            SNAPSHOT => Some(PromotionReason::Snapshot),
            window => Some(PromotionReason::Surge {
                window: *Window::ALL.get(usize::try_from(window).ok()?)?,
                sigmas: self.real(100.0)?,
            }),
        }
    }

    fn decided(&mut self) -> Option<Decided> {
        Some(Decided {
            first: self.cursor()?,
            decisions: self.many(KEYS_MAX, Self::announced)?,
        })
    }

    fn announced(&mut self) -> Option<Announced> {
        match self.number()? {
            0 => Some(Announced::Promoted(self.told()?)),
            1 => Some(Announced::Demoted(self.key()?, self.one_of(&DEMOTIONS)?)),
            _ => None,
        }
    }

    fn state(&mut self) -> Option<State> {
        Some(State {
            from: self.sender()?,
            seat: self.count(SEATS - 1)?,
            cursor: match self.number()? {
                0 => None,
                1 => Some(self.cursor()?),
                _ => return None,
            },
            health: self.one_of(&HEALTHS)?,
            lag: Duration::from_millis(self.number()?),
            nodes: self.short()?,
        })
    }

    fn snapshot(&mut self) -> Option<Snapshot> {
        let (cursor, part, parts) = (self.cursor()?, self.short()?, self.short()?);
        (part < parts && parts <= PARTS_MAX).then_some(())?;
        Some(Snapshot {
            cursor,
            part,
            parts,
            keys: self.many(KEYS_MAX, Self::told)?,
        })
    }

    fn name(&mut self) -> Option<Name> {
        Some(Name {
            key: self.key()?,
            bytes: self.short()?,
        })
    }

    fn rates(&mut self) -> Option<Vec<(KeyHash, f64)>> {
        let count = self.count(HASHES_MAX.min(self.0.len()))?;
        let mut before = 0;
        let mut one = || Some((self.ascending(&mut before)?, self.real(10.0)?));
        (0..count).map(|_| one()).collect()
    }

    fn held(&mut self) -> Option<Held> {
        Some(Held {
            from: self.sender()?,
            cursor: self.cursor()?,
            missing: self.hashes()?,
        })
    }
}
