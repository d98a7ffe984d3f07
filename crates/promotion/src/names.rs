//! The keys behind the hashes that somebody wants to know.
//!
//! A counter keeps hashes and no texts. Of a hash that is wanted, the next read tells the key.

use std::time::Duration;

use hotshelf_hotkeys::message::{HASHES_MAX, KEYS_MAX, Name};
use hotshelf_hotkeys::{KeyHash, KeyMap};
use hotshelf_model::{Boot, Key};

/// Keys that are kept; some 200 bytes for each.
const KNOWN_MAX: usize = 2048;
/// A key that nobody wanted for so long makes room.
const KNOWN_TTL: Duration = Duration::from_secs(10);
/// A hash that was not read for so long is not waited for; who still wants it asks again.
const WANTED_TTL: Duration = Duration::from_secs(2);

/// What is wanted, and what is known.
#[derive(Debug, Default)]
pub(crate) struct Names {
    known: KeyMap<Known>,
    wanted: KeyMap<Wanted>,
    /// What is to be told, and when.
    answers: Vec<(Boot, KeyHash)>,
}

#[derive(Debug)]
struct Known {
    name: Name,
    used: Boot,
}

#[derive(Debug)]
struct Wanted {
    since: Boot,
    /// When the key is to be told, if a detector asks for it.
    answer_at: Option<Boot>,
}

impl Names {
    /// This node itself wants to know a key.
    pub(crate) fn want(&mut self, hash: KeyHash, now: Boot) {
        match self.known.get_mut(&hash) {
            Some(known) => known.used = now,
            None => self.wait_for(hash, now, None),
        }
    }

    /// A detector wants to know a key, and is to be told at `answer_at` if nobody else has told it until then.
    pub(crate) fn ask(&mut self, hash: KeyHash, now: Boot, answer_at: Boot) {
        if self.known.contains_key(&hash) {
            if self.answers.len() < HASHES_MAX {
                self.answers.push((answer_at, hash));
            }
        } else {
            self.wait_for(hash, now, Some(answer_at));
        }
    }

    fn wait_for(&mut self, hash: KeyHash, since: Boot, answer_at: Option<Boot>) {
        let has_room = self.wanted.len() < HASHES_MAX;
        if let Some(wanted) = self.wanted.get_mut(&hash) {
            wanted.answer_at = wanted.answer_at.or(answer_at);
        } else if has_room {
            self.wanted.insert(hash, Wanted { since, answer_at });
        }
    }

    /// Whether a read of this hash tells something.
    #[inline]
    pub(crate) fn is_wanted(&self, hash: KeyHash) -> bool {
        !self.wanted.is_empty() && self.wanted.contains_key(&hash)
    }

    /// A wanted key was read.
    pub(crate) fn learn(&mut self, hash: KeyHash, name: Name, now: Boot) {
        let Some(wanted) = self.wanted.remove(&hash) else {
            return;
        };
        if self.known.len() >= KNOWN_MAX {
            self.known
                .retain(|_, known| now.since(known.used) <= KNOWN_TTL);
        }
        if self.known.len() < KNOWN_MAX {
            self.known.insert(hash, Known { name, used: now });
            self.answers.extend(wanted.answer_at.map(|at| (at, hash)));
        }
    }

    /// Another node has told these keys.
    pub(crate) fn told(&mut self, hashes: &[KeyHash]) {
        self.answers.retain(|(_, hash)| !hashes.contains(hash));
        for hash in hashes {
            if let Some(wanted) = self.wanted.get_mut(hash) {
                wanted.answer_at = None;
            }
        }
    }

    /// What is to be told now, at most [`KEYS_MAX`]; and forgets what is not waited for any more.
    pub(crate) fn due(&mut self, now: Boot) -> Vec<Name> {
        self.wanted
            .retain(|_, wanted| now.since(wanted.since) <= WANTED_TTL);
        let mut due = Vec::new();
        let known = &self.known;
        self.answers.retain(|(at, hash)| {
            let is_due = *at <= now && due.len() < KEYS_MAX;
            if is_due {
                due.extend(known.get(hash).map(|known| known.name.clone()));
            }
            !is_due
        });
        due
    }

    /// The key of a hash, if it is known.
    pub(crate) fn key(&self, hash: KeyHash) -> Option<Key> {
        self.known.get(&hash).map(|known| known.name.key.clone())
    }
}

#[cfg(test)]
mod tests;
