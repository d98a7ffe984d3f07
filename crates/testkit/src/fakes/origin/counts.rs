//! What was asked of a fake origin.

use std::collections::HashMap;

use hotshelf_model::Id;
use parking_lot::Mutex;

#[derive(Debug, Default)]
struct Numbers {
    fetches: u64,
    documents: u64,
    by_id: HashMap<Id, u64>,
    fetching: u64,
    fetching_max: u64,
    versions_calls: u64,
    polls: u64,
    reads: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<Numbers>);

impl Counts {
    /// Counts a fetch until what it returns is dropped, also by a cancelled caller.
    pub(super) fn begin_fetch(&self, ids: &[Id]) -> Fetching<'_> {
        let mut numbers = self.0.lock();
        numbers.fetches += 1;
        numbers.documents += ids.len() as u64;
        for id in ids {
            *numbers.by_id.entry(id.clone()).or_default() += 1;
        }
        numbers.fetching += 1;
        numbers.fetching_max = numbers.fetching_max.max(numbers.fetching);
        Fetching(self)
    }

    pub(super) fn count_versions_call(&self) {
        self.0.lock().versions_calls += 1;
    }

    pub(super) fn count_poll(&self) {
        self.0.lock().polls += 1;
    }

    pub(super) fn count_read(&self) {
        self.0.lock().reads += 1;
    }

    pub(super) fn reads(&self) -> u64 {
        self.0.lock().reads
    }

    pub(super) fn fetches(&self) -> u64 {
        self.0.lock().fetches
    }

    pub(super) fn documents(&self) -> u64 {
        self.0.lock().documents
    }

    pub(super) fn fetches_of(&self, id: &Id) -> u64 {
        self.0.lock().by_id.get(id).copied().unwrap_or_default()
    }

    pub(super) fn fetching_max(&self) -> u64 {
        self.0.lock().fetching_max
    }

    pub(super) fn versions_calls(&self) -> u64 {
        self.0.lock().versions_calls
    }

    pub(super) fn polls(&self) -> u64 {
        self.0.lock().polls
    }
}

/// A fetch that is going on.
#[derive(Debug)]
pub(super) struct Fetching<'a>(&'a Counts);

impl Drop for Fetching<'_> {
    fn drop(&mut self) {
        self.0.0.lock().fetching -= 1;
    }
}
