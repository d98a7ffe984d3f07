//! Writing messages.

use bytes::BufMut;
use hotshelf_model::{Hist, Key, varint};

use super::{
    Announced, CHECK_BYTES, Decided, HASHES_MAX, Held, HotMessage, KEYS_MAX, Name, SEATS, Snapshot,
    State, Told,
};
use crate::cursor::HotCursor;
use crate::detector::{DemotionReason, Health, PromotionReason};
use crate::frame::Sender;
use crate::hash::KeyHash;
use crate::poisson::Window;

/// Codes of why a key is hot: the windows by their order first.
pub(super) const RULE: u64 = 4;
pub(super) const SNAPSHOT: u64 = 5;

pub(super) const HEALTHS: [Health; 4] = [Health::Live, Health::Late, Health::Frozen, Health::Blind];
pub(super) const DEMOTIONS: [DemotionReason; 4] = [
    DemotionReason::Cooled,
    DemotionReason::Rule,
    DemotionReason::Room,
    DemotionReason::Blind,
];

pub(super) struct Writer {
    pub(super) bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn new(magic: [u8; 4], format: u16, kind: u16, hist: Hist) -> Self {
        let mut bytes = Vec::with_capacity(64 + CHECK_BYTES);
        bytes.put_slice(&magic);
        bytes.put_u16(format);
        bytes.put_u16(kind);
        bytes.put_u64(hist.0);
        Writer { bytes }
    }

    pub(super) fn message(&mut self, message: &HotMessage) {
        match message {
            HotMessage::Decided(decided) => self.decided(decided),
            HotMessage::State(state) => self.state(state),
            HotMessage::Snapshot(snapshot) => self.snapshot(snapshot),
            HotMessage::Want(from) => self.sender(*from),
            HotMessage::Questions(hashes) | HotMessage::Watched(hashes) => self.hashes(hashes),
            HotMessage::Names(names) => self.names(names),
            HotMessage::Rates(rates) => self.rates(rates),
            HotMessage::Held(held) => self.held(held),
        }
    }

    fn number(&mut self, number: u64) {
        varint::put(&mut self.bytes, number);
    }

    fn count(&mut self, count: usize, most: usize) {
        assert!(count <= most, "a message is bounded");
        self.number(count as u64);
    }

    /// To `parts` of one.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rounded, and a cast keeps within the bounds of the number"
    )]
    fn real(&mut self, real: f64, parts: f64) {
        self.number((real * parts).round() as u64);
    }

    fn key(&mut self, key: &Key) {
        let text = key.as_str();
        self.number(text.len() as u64);
        self.bytes.put_slice(text.as_bytes());
    }

    fn cursor(&mut self, cursor: HotCursor) {
        self.number(cursor.term);
        self.number(cursor.number);
    }

    fn sender(&mut self, sender: Sender) {
        self.number(sender.node.into());
        self.bytes.put_u64(sender.incarnation);
    }

    fn place<T: PartialEq>(&mut self, of: &T, among: &[T]) {
        let place = among.iter().position(|one| one == of);
        self.number(place.unwrap_or_default() as u64);
    }

    fn ascending(&mut self, hash: KeyHash, before: &mut u64) {
        assert!(hash.get() > *before, "hashes ascend");
        self.number(hash.get() - *before);
        *before = hash.get();
    }

    fn hashes(&mut self, hashes: &[KeyHash]) {
        self.count(hashes.len(), HASHES_MAX);
        let mut before = 0;
        for &hash in hashes {
            self.ascending(hash, &mut before);
        }
    }

    fn told(&mut self, told: &Told) {
        self.key(&told.key);
        self.number(told.bytes.into());
        self.real(told.rate, 10.0);
        self.real(told.share, 1e6);
        self.number(told.onset_ms);
        self.number(told.decided_ms);
        match told.why {
            PromotionReason::Surge { window, sigmas } => {
                self.place(&window, &Window::ALL);
                self.real(sigmas, 100.0);
            }
            PromotionReason::Rule => self.number(RULE),
            PromotionReason::Snapshot => self.number(SNAPSHOT),
        }
    }

    fn decided(&mut self, decided: &Decided) {
        self.cursor(decided.first);
        self.count(decided.decisions.len(), KEYS_MAX);
        for decision in &decided.decisions {
            match decision {
                Announced::Promoted(told) => {
                    self.number(0);
                    self.told(told);
                }
                Announced::Demoted(key, why) => {
                    self.number(1);
                    self.key(key);
                    self.place(why, &DEMOTIONS);
                }
            }
        }
    }

    fn state(&mut self, state: &State) {
        self.sender(state.from);
        self.count(state.seat, SEATS - 1);
        match state.cursor {
            Some(cursor) => {
                self.number(1);
                self.cursor(cursor);
            }
            None => self.number(0),
        }
        self.place(&state.health, &HEALTHS);
        self.number(u64::try_from(state.lag.as_millis()).unwrap_or(u64::MAX));
        self.number(state.nodes.into());
    }

    fn snapshot(&mut self, snapshot: &Snapshot) {
        self.cursor(snapshot.cursor);
        self.number(snapshot.part.into());
        self.number(snapshot.parts.into());
        self.count(snapshot.keys.len(), KEYS_MAX);
        for told in &snapshot.keys {
            self.told(told);
        }
    }

    fn names(&mut self, names: &[Name]) {
        self.count(names.len(), KEYS_MAX);
        for name in names {
            self.key(&name.key);
            self.number(name.bytes.into());
        }
    }

    fn rates(&mut self, rates: &[(KeyHash, f64)]) {
        self.count(rates.len(), HASHES_MAX);
        let mut before = 0;
        for &(hash, rate) in rates {
            self.ascending(hash, &mut before);
            self.real(rate, 10.0);
        }
    }

    fn held(&mut self, held: &Held) {
        self.sender(held.from);
        self.cursor(held.cursor);
        self.hashes(&held.missing);
    }
}
