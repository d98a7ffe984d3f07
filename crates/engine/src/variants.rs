//! The variants of a namespace that have been asked for: those whose copies L1 may hold.

use std::sync::Arc;

use hotshelf_model::Variant;
use parking_lot::RwLock;

/// The variants in use; they grow to the declared ones at most, because a read of another is refused before it comes here.
#[derive(Debug)]
pub(crate) struct Variants(RwLock<Arc<[Variant]>>);

impl Default for Variants {
    fn default() -> Self {
        Variants(RwLock::new(Arc::new([])))
    }
}

impl Variants {
    /// Notes a variant. To be called before a flight for it begins, so that a record that is applied afterwards finds the flight and
    /// the copy that it brings.
    pub(crate) fn note(&self, variant: &str) {
        let is_known = |known: &[Variant]| known.iter().any(|known| known.as_str() == variant);
        if is_known(&self.0.read()) {
            return;
        }
        let Some(variant) = Variant::parse(variant) else {
            return;
        };
        let mut known = self.0.write();
        if !is_known(&known) {
            *known = known.iter().cloned().chain([variant]).collect();
        }
    }

    /// Those noted so far.
    pub(crate) fn in_use(&self) -> Arc<[Variant]> {
        Arc::clone(&self.0.read())
    }
}
