//! Short ways to names and keys; what is no name makes the test panic.
#![expect(
    clippy::expect_used,
    reason = "a test that names something wrongly must fail"
)]

use std::hash::{BuildHasher, RandomState};

use hotshelf_model::{Hist, Id, Key, NamespaceName, Shape, TierKey, Variant};

/// An id.
///
/// # Panics
/// When it breaks the rules of ids.
pub fn id(text: &str) -> Id {
    Id::new(text).expect("the test uses a good id")
}

/// A namespace's name.
///
/// # Panics
/// When it breaks the rules of names.
pub fn namespace(name: &str) -> NamespaceName {
    NamespaceName::new(name).expect("the test uses a good namespace")
}

/// A variant in canonical form: `locale=de;currency=EUR`.
///
/// # Panics
/// When it is malformed.
pub fn variant(text: &str) -> Variant {
    Variant::parse(text).expect("the test uses a good variant")
}

/// The namespace `products`.
pub fn products() -> NamespaceName {
    namespace("products")
}

/// A key in `products` without a variant.
///
/// # Panics
/// When the id breaks the rules of ids.
pub fn key(product: &str) -> Key {
    Key::new(&products(), &id(product), &Variant::default())
}

/// The same as the tiers outside the process store it, with some shape.
///
/// # Panics
/// When the id breaks the rules of ids.
pub fn tier_key(hist: Hist, product: &str) -> TierKey {
    TierKey {
        hist,
        shape: Shape(7),
        key: key(product),
    }
}

/// A history that no other test uses, so that tests can share a server.
pub fn fresh_hist() -> Hist {
    Hist(random())
}

/// A number that nobody can foresee.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(0_u8)
}
