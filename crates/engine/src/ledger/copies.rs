//! What this process holds of keys, in L1 and on its way there.

use std::collections::HashMap;
use std::sync::Arc;

use hotshelf_model::{Id, Key, NamespaceName, Version};

use crate::flight::Flights;
use crate::l1::L1;
use crate::variants::Variants;

/// What this process holds of keys and has to let go when a newer version is known.
#[derive(Debug)]
pub(crate) struct Copies {
    pub(crate) l1: Arc<L1>,
    pub(crate) flights: Arc<Flights>,
    /// The variants in use of each namespace.
    pub(crate) variants: HashMap<Box<str>, Arc<Variants>>,
}

impl Copies {
    /// Removes copies older than `version`, and lets nobody join a flight that may bring one.
    pub(super) fn remove_older(&self, namespace: &NamespaceName, id: &Id, version: Version) {
        let Some(variants) = self.variants.get(namespace.as_str()) else {
            return;
        };
        for variant in variants.in_use().iter() {
            let key = Key::new(namespace, id, variant);
            self.l1.remove_older(&key, version);
            self.flights.detach(&key);
            // Last: what the keeper begins now is not to be detached.
            self.l1.hot.changed(&key);
        }
    }
}
