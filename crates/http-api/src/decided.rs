//! What operators decide while the cluster runs: [`pins`] and [`switches`], and what both have in common.

pub(crate) mod deciding;
pub(crate) mod pins;
pub(crate) mod switches;

use std::sync::Arc;

use hotshelf_decisions::Decisions;
use hotshelf_model::ProductFinder;

/// What operators decide, as the routes know it.
#[derive(Clone, Debug)]
pub struct Decided {
    /// The decisions.
    pub decisions: Decisions,
    /// Finds the products of a category.
    pub finder: Arc<dyn ProductFinder>,
}

#[cfg(test)]
mod tests;
