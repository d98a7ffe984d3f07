//! Where a copy stands: version (per key), position (in the change log), timeline and history (of the database), shape (of the query).

use std::fmt;
use std::str::FromStr;

use xxhash_rust::xxh3::xxh3_64;

/// The version of one product in one namespace: the timeline it was sealed on in the upper 24 bits, a sequence in the lower 40.
///
/// It orders all commits of one key. `Version::NONE` (0) belongs to a key that never existed. An HTTP origin's version is any
/// number that grows with each change; it is used as it comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl Version {
    /// The version of what never existed.
    pub const NONE: Version = Version(0);
    const SEQUENCE_BITS: u32 = 40;

    /// The database timeline on which this version was sealed.
    pub fn timeline(self) -> u64 {
        self.0 >> Self::SEQUENCE_BITS
    }

    /// The sequence within that timeline.
    pub fn sequence(self) -> u64 {
        self.0 & ((1 << Self::SEQUENCE_BITS) - 1)
    }

    /// The opaque form given to clients.
    pub fn token(self) -> VersionToken {
        VersionToken(self)
    }
}

/// A version as clients see it: `3-18447`, to be treated as opaque.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionToken(Version);

impl VersionToken {
    /// The version that the token names.
    pub fn version(self) -> Version {
        self.0
    }
}

impl fmt::Display for VersionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0.timeline(), self.0.sequence())
    }
}

/// A version token that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a version token: expected two numbers such as `3-18447`, as given in the `Hotshelf-Version` header"
)]
pub struct InvalidVersionToken;

impl FromStr for VersionToken {
    type Err = InvalidVersionToken;

    fn from_str(text: &str) -> Result<Self, InvalidVersionToken> {
        let (timeline, sequence) = text.split_once('-').ok_or(InvalidVersionToken)?;
        let number = |digits: &str| -> Result<u64, InvalidVersionToken> {
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            plain
                .then(|| digits.parse().ok())
                .flatten()
                .ok_or(InvalidVersionToken)
        };
        let (timeline, sequence) = (number(timeline)?, number(sequence)?);
        if timeline >= 1 << (64 - Version::SEQUENCE_BITS) || sequence >= 1 << Version::SEQUENCE_BITS
        {
            return Err(InvalidVersionToken);
        }
        Ok(VersionToken(Version(
            timeline << Version::SEQUENCE_BITS | sequence,
        )))
    }
}

/// A place in the change log: dense, assigned by the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// The timeline of the database at a log position; it grows with every failover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timeline(pub u32);

/// One history of one database: renewed by a restore, so that entries of another history are never found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Hist(pub u64);

/// A hash of a namespace's query and document format: entries of another shape are never found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shape(pub u32);

impl Shape {
    /// The shape of a namespace whose documents are made by `parts` (the query or URL, the variant dimensions, the format).
    pub fn of(parts: &[&str]) -> Shape {
        let mut joined = Vec::new();
        for part in parts {
            joined.extend_from_slice(&(part.len() as u64).to_be_bytes());
            joined.extend_from_slice(part.as_bytes());
        }
        let hash = xxh3_64(&joined);
        Shape(u32::try_from(hash >> 32).unwrap_or_default())
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Display for Hist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What proves a copy: it reflects all log records at or below `position` on `timeline`, and is `version` of its key.
///
/// Ordered by (timeline, version, position), as the fenced writes of L2 compare it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// The log's timeline when the copy was read.
    pub timeline: Timeline,
    /// The key's version.
    pub version: Version,
    /// The log's head in the same snapshot as the document.
    pub position: Position,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_as_it_was_written() {
        for version in [0, 1, 18447, 3 << 40 | 18447, u64::MAX] {
            let token = Version(version).token();
            assert_eq!(token.to_string().parse::<VersionToken>(), Ok(token));
        }
        assert_eq!(Version(3 << 40 | 18447).token().to_string(), "3-18447");
    }

    #[test]
    fn what_is_not_a_token_is_refused() {
        for text in [
            "",
            "-",
            "3",
            "3-",
            "-4",
            "+3-4",
            "3-4-5",
            "16777216-0",
            "0-1099511627776",
            "a-b",
        ] {
            assert_eq!(
                text.parse::<VersionToken>(),
                Err(InvalidVersionToken),
                "{text}"
            );
        }
    }

    #[test]
    fn a_later_failover_beats_any_sequence_before_it() {
        let before = Stamp {
            timeline: Timeline(1),
            version: Version(1 << 40 | 900),
            position: Position(9),
        };
        let after = Stamp {
            timeline: Timeline(2),
            version: Version(1 << 40 | 1),
            position: Position(1),
        };
        assert!(after > before);
    }

    #[test]
    fn the_shape_tells_parts_apart_that_join_to_the_same_text() {
        assert_ne!(Shape::of(&["ab", "c"]), Shape::of(&["a", "bc"]));
    }
}
