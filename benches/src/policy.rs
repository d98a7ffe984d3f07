//! Hits of policies that need no cache to be known: least recently used, and the optimum that knows the future.

use std::collections::BTreeSet;

/// No neighbour.
const NONE: usize = usize::MAX;

/// A list of keys by their last request, as links between key numbers; the newest and the oldest hang on one more place.
struct ByAge {
    newer: Vec<usize>,
    older: Vec<usize>,
    ends: usize,
}

impl ByAge {
    fn new(keys: usize) -> Self {
        let mut list = ByAge {
            newer: vec![NONE; keys + 1],
            older: vec![NONE; keys + 1],
            ends: keys,
        };
        (list.newer[keys], list.older[keys]) = (keys, keys);
        list
    }

    fn holds(&self, key: usize) -> bool {
        self.newer[key] != NONE
    }

    fn remove(&mut self, key: usize) {
        let (newer, older) = (self.newer[key], self.older[key]);
        (self.older[newer], self.newer[older]) = (older, newer);
        self.newer[key] = NONE;
    }

    fn push_newest(&mut self, key: usize) {
        let newest = self.older[self.ends];
        (self.newer[key], self.older[key]) = (self.ends, newest);
        (self.newer[newest], self.older[self.ends]) = (key, key);
    }

    fn oldest(&self) -> usize {
        self.newer[self.ends]
    }
}

/// Hits of a cache of `entries` entries that drops the one that was not asked for the longest.
pub fn lru_hits(requests: &[u32], keys: usize, entries: usize) -> usize {
    let mut list = ByAge::new(keys);
    let (mut held, mut hits) = (0, 0);
    for &key in requests {
        let key = key as usize;
        if list.holds(key) {
            list.remove(key);
            hits += 1;
        } else if held == entries {
            list.remove(list.oldest());
        } else {
            held += 1;
        }
        list.push_newest(key);
    }
    hits
}

/// Hits of a cache of `entries` entries that drops the one whose next request is the farthest (Belady), or does not keep the new one.
pub fn optimal_hits(requests: &[u32], keys: usize, entries: usize) -> usize {
    let mut next = vec![NONE; requests.len()];
    let mut seen = vec![NONE; keys];
    for (at, &key) in requests.iter().enumerate().rev() {
        next[at] = std::mem::replace(&mut seen[key as usize], at);
    }
    // By the time of the next request.
    let mut held = BTreeSet::new();
    let mut hits = 0;
    for (at, &key) in requests.iter().enumerate() {
        let key = key as usize;
        hits += usize::from(held.remove(&(at, key)));
        if next[at] != NONE {
            held.insert((next[at], key));
        }
        if held.len() > entries {
            held.pop_last();
        }
    }
    hits
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same by searching, for requests few enough.
    fn lru_by_search(requests: &[u32], entries: usize) -> usize {
        let mut held: Vec<u32> = Vec::new();
        let mut hits = 0;
        for &key in requests {
            match held.iter().position(|&other| other == key) {
                Some(at) => {
                    held.remove(at);
                    hits += 1;
                }
                None if held.len() == entries => drop(held.remove(0)),
                None => {}
            }
            held.push(key);
        }
        hits
    }

    #[test]
    fn the_linked_list_hits_as_often_as_a_search_does_and_the_optimum_at_least_as_often() {
        let requests = crate::zipf::sequence(50, 2000, 3);
        for entries in [1, 2, 7, 50] {
            let hits = lru_hits(&requests, 50, entries);
            assert_eq!(hits, lru_by_search(&requests, entries), "{entries} entries");
            assert!(optimal_hits(&requests, 50, entries) >= hits);
        }
    }

    #[test]
    fn the_optimum_keeps_what_comes_back_first() {
        assert_eq!(optimal_hits(&[0, 1, 2, 0, 1, 2], 3, 1), 1);
        assert_eq!(optimal_hits(&[0, 1, 2, 0, 1, 2], 3, 2), 2);
    }
}
