//! What a node knows of the change log, and how polls and rows change it.

use std::fmt;
use std::str::FromStr;

use hotshelf_model::{Hist, LogRow, Poll, Position, Timeline};

/// Counts resyncs: a copy of an earlier generation is suspect.
///
/// The generations of a node's knowledge are even. The odd number below one belongs to copies of the same history that this
/// knowledge proves nothing about; so they are newer than all that was proved before, and still never taken for proved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u32);

impl Generation {
    #[must_use]
    fn next(self) -> Self {
        Generation(self.0.wrapping_add(2))
    }

    /// The generation of a copy that was found in this one without being proved.
    #[must_use]
    pub fn unproved(self) -> Self {
        Generation(self.0.saturating_sub(1))
    }
}

/// Up to where a node has applied the log without a gap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// The position of the last row.
    pub position: Position,
    /// That row's nonce.
    pub nonce: u64,
}

impl Cursor {
    /// The place right after a row.
    pub fn of(row: &LogRow) -> Self {
        Cursor {
            position: row.position,
            nonce: row.nonce,
        }
    }
}

/// `POSITION-NONCE`, the nonce in hexadecimal. To those who get it the text is opaque.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:x}", self.position.0, self.nonce)
    }
}

/// A text that is not a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotACursor;

impl FromStr for Cursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let (position, nonce) = text.split_once('-').ok_or(NotACursor)?;
        let cursor = Cursor {
            position: Position(position.parse().map_err(|_| NotACursor)?),
            nonce: u64::from_str_radix(nonce, 16).map_err(|_| NotACursor)?,
        };
        // One cursor has one text.
        (cursor.to_string() == text)
            .then_some(cursor)
            .ok_or(NotACursor)
    }
}

/// What a node knows of the change log.
///
/// Invariant: every record at or below `cursor` whose position is above `low` is in the floor of its key or parent, so a copy of
/// `timeline` that was read at or above `low`, and that no floor refuses, reflects all records at or below `cursor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Knowledge {
    /// The database's history.
    pub hist: Hist,
    /// The log's timeline at the cursor.
    pub timeline: Timeline,
    /// Up to where the log has been applied.
    pub cursor: Cursor,
    /// The low mark: a copy read below it is suspect.
    pub low: Position,
    /// How often everything became suspect.
    pub generation: Generation,
}

/// What a node remembers across a restart, besides its floors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Checkpoint {
    /// The database's history.
    pub hist: Hist,
    /// The log's timeline at the cursor.
    pub timeline: Timeline,
    /// Up to where the log had been applied.
    pub cursor: Cursor,
    /// The low mark.
    pub low: Position,
}

/// Why a node starts to follow the log anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResyncReason {
    /// There is nothing to go on from.
    Start,
    /// The log has a new timeline: a standby has taken over, perhaps without the last commits.
    Timeline,
    /// Rows that this node has not applied have been pruned.
    Pruned,
}

impl ResyncReason {
    /// The word in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            ResyncReason::Start => "start",
            ResyncReason::Timeline => "timeline",
            ResyncReason::Pruned => "pruned",
        }
    }
}

/// What a poll means for a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PollStep {
    /// Nothing: it came from a standby, or from a primary that was replaced.
    Ignored,
    /// The node has applied everything up to the head.
    UpToDate,
    /// There are rows after the cursor.
    Behind,
    /// The node's place in the log is of no use: every copy becomes suspect.
    Resync(ResyncReason),
    /// Another history: no copy of the former one will ever be found again.
    OtherHistory,
    /// The log that this node has followed is not the log that is there, although the history's name is the same: a backup was
    /// restored without renewing it. The node has to renew it itself.
    LostHistory,
}

/// Where a row of the log stands to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It was applied before.
    Behind,
    /// It is the next one: apply its records, then advance.
    Next,
    /// Rows between the cursor and it are missing: apply its records, and leave the cursor where it is.
    Ahead,
    /// It is of another history or of an older timeline, and says nothing.
    Foreign,
    /// It is of a newer timeline: the next poll will bring a resync.
    NewTimeline,
}

impl Knowledge {
    /// What a node knows after its first poll, which it asked with the cursor of `checkpoint` if it has one. With the checkpoint's
    /// floors it may go on from there exactly if the returned step is not a resync.
    pub fn start(checkpoint: Option<Checkpoint>, poll: &Poll) -> (Self, PollStep) {
        let generation = Generation::default().next();
        let anew = Self::at_head(poll, generation);
        let Some(checkpoint) = checkpoint.filter(|checkpoint| checkpoint.hist == poll.head.hist)
        else {
            return (anew, PollStep::Resync(ResyncReason::Start));
        };
        let remembered = Knowledge {
            hist: checkpoint.hist,
            timeline: checkpoint.timeline,
            cursor: checkpoint.cursor,
            low: checkpoint.low,
            generation,
        };
        match remembered.judge_poll(checkpoint.cursor, poll) {
            step @ (PollStep::UpToDate | PollStep::Behind | PollStep::LostHistory) => {
                (remembered, step)
            }
            step @ PollStep::Resync(_) => (anew, step),
            PollStep::Ignored | PollStep::OtherHistory => {
                (anew, PollStep::Resync(ResyncReason::Start))
            }
        }
    }

    fn at_head(poll: &Poll, generation: Generation) -> Self {
        let head = poll.head;
        Knowledge {
            hist: head.hist,
            timeline: head.timeline,
            cursor: Cursor {
                position: head.position,
                nonce: poll.head_nonce,
            },
            low: head.position,
            generation,
        }
    }

    /// What is remembered across a restart.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            hist: self.hist,
            timeline: self.timeline,
            cursor: self.cursor,
            low: self.low,
        }
    }

    /// Says what a poll means that was asked about the cursor `asked`.
    ///
    /// A timeline below the known one is a primary that was replaced; it is not listened to, and neither is a standby, which may lag
    /// or belong to a branch that was lost. A cursor whose row is not in the log, or is there with another nonce, is evidence of a
    /// lost history only once the log's timeline is the server's own: between a promotion and the row that opens its timeline the
    /// same sight is a failover.
    pub fn judge_poll(&self, asked: Cursor, poll: &Poll) -> PollStep {
        let head = poll.head;
        if !head.primary {
            return PollStep::Ignored;
        }
        if head.hist != self.hist {
            return PollStep::OtherHistory;
        }
        if head.timeline < self.timeline {
            return PollStep::Ignored;
        }
        if head.timeline > self.timeline {
            return PollStep::Resync(ResyncReason::Timeline);
        }
        if poll.known_nonce != Some(asked.nonce) {
            return self.judge_lost_cursor(asked, poll);
        }
        if self.cursor.position < head.position {
            PollStep::Behind
        } else {
            PollStep::UpToDate
        }
    }

    fn judge_lost_cursor(&self, asked: Cursor, poll: &Poll) -> PollStep {
        if asked.position < poll.oldest {
            PollStep::Resync(ResyncReason::Pruned)
        } else if poll.settled {
            PollStep::LostHistory
        } else {
            PollStep::Ignored
        }
    }

    /// What a node knows after a resync or in another history: nothing but the head. After this is in force, so that no copy is admitted
    /// between, its floors follow: [`crate::Floors::resync`], or [`crate::Floors::clear`] in another history.
    #[must_use]
    pub fn resynced(self, poll: &Poll) -> Self {
        Self::at_head(poll, self.generation.next())
    }

    /// Says where a row stands.
    pub fn place(&self, hist: Hist, timeline: Timeline, position: Position) -> Place {
        if hist != self.hist || timeline < self.timeline {
            Place::Foreign
        } else if timeline > self.timeline {
            Place::NewTimeline
        } else if position <= self.cursor.position {
            Place::Behind
        } else if position.0 == self.cursor.position.0 + 1 {
            Place::Next
        } else {
            Place::Ahead
        }
    }

    /// Moves the cursor to the next row, whose records have been applied.
    #[must_use]
    pub fn advanced(self, cursor: Cursor) -> Self {
        debug_assert_eq!(cursor.position.0, self.cursor.position.0 + 1);
        Knowledge { cursor, ..self }
    }

    /// Raises the low mark, because a floor was given up.
    #[must_use]
    pub fn raised(self, low: Position) -> Self {
        let low = low.max(self.low);
        Knowledge { low, ..self }
    }

    /// Makes every copy in L1 suspect, because a floor was given up that L1 has not been searched by: a parent's.
    #[must_use]
    pub fn suspected(self) -> Self {
        let generation = self.generation.next();
        Knowledge { generation, ..self }
    }

    /// Whether a poll, asked about the cursor `asked`, confirms that this node follows the log that is there; then the moment before it
    /// was sent is proved once the cursor reaches [`Claim::head`].
    pub fn claim(&self, asked: Cursor, poll: &Poll) -> Option<Claim> {
        let head = poll.head;
        let confirmed = poll.settled
            && head.primary
            && head.hist == self.hist
            && head.timeline == self.timeline
            && poll.known_nonce == Some(asked.nonce);
        confirmed.then_some(Claim {
            timeline: head.timeline,
            head: head.position,
        })
    }
}

/// What has to be reached so that a poll is a proof that the node knew, when the poll was sent, every change committed before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The timeline of the poll's head.
    pub timeline: Timeline,
    /// The poll's head.
    pub head: Position,
}

impl Claim {
    /// Whether the node has applied everything up to the head that the poll saw.
    pub fn is_reached(&self, knowledge: &Knowledge) -> bool {
        knowledge.timeline == self.timeline && knowledge.cursor.position >= self.head
    }
}

#[cfg(test)]
mod tests;
