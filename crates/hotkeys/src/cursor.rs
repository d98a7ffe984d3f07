//! Which decision of which leader.

use std::fmt;
use std::str::FromStr;

/// A place in the sequence of decisions. Of two places the later one is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HotCursor {
    /// Counts leaders: greater for each that leads later.
    pub term: u64,
    /// How many decisions the leader has made up to here, without gaps. 0 is the hot set that it began with.
    pub number: u64,
}

impl HotCursor {
    /// The place after one more decision of the same leader.
    #[must_use]
    pub fn next(self) -> Self {
        HotCursor {
            number: self.number.saturating_add(1),
            ..self
        }
    }
}

impl fmt::Display for HotCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.term, self.number)
    }
}

/// What a text is that is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not `TERM.NUMBER`, two decimal numbers")]
pub struct NoCursor;

impl FromStr for HotCursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let (term, number) = text.split_once('.').ok_or(NoCursor)?;
        let read = |digits: &str| {
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| plain).ok_or(NoCursor)
        };
        Ok(HotCursor {
            term: read(term)?,
            number: read(number)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_later_ones_are_greater() {
        let cursor = HotCursor {
            term: 1_790_000_000_000,
            number: 7,
        };
        assert_eq!(cursor.to_string(), "1790000000000.7");
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        assert!(cursor.next() > cursor);
        let later = HotCursor {
            term: cursor.term + 1,
            number: 0,
        };
        assert!(later > cursor.next());
        for text in [
            "",
            "1",
            "1.",
            ".1",
            "1.2.3",
            "+1.2",
            "1.-2",
            "a.b",
            "99999999999999999999.1",
        ] {
            assert_eq!(text.parse::<HotCursor>(), Err(NoCursor), "{text}");
        }
    }
}
