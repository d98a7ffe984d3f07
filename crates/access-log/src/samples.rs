//! Records for tests.

use hotshelf_model::{Key, KeyRef, NamespaceName, ReadOutcome, TierName, Version};

use crate::parse::{KeyPattern, OWN_PATHS};
use crate::record::AccessRecord;

/// The pattern of hotshelf's own paths.
pub(crate) fn own_paths() -> KeyPattern {
    KeyPattern::new(OWN_PATHS, &NamespaceName::new("products").unwrap()).unwrap()
}

pub(crate) fn key(id: &str) -> Key {
    Key::parse(&format!("products/locale=de/{id}")).unwrap()
}

/// A record that says something in every field.
pub(crate) fn record(key: &Key) -> AccessRecord<'_> {
    AccessRecord {
        at_ms: 1_700_000_000_123,
        reads: 1,
        key: KeyRef::from(key),
        tier: TierName::L2,
        outcome: ReadOutcome::Stale,
        version: Version(3 << 40 | 18447),
        latency_ns: Some(350),
        bytes: 1233,
        request_id: "r-1",
        caller: "checkout",
    }
}
