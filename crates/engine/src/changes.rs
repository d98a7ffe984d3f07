//! The rows that this node applied last, for those who keep copies outside of it.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use hotshelf_coherence::Cursor;
use hotshelf_model::{LogRow, Position};
use parking_lot::Mutex;
use tokio::sync::watch;

/// A place in the change log: up to where somebody knows every change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The position of the last row.
    pub position: Position,
    /// That row's nonce, which tells apart rows that took the same position in two branches of a history.
    pub nonce: u64,
}

impl Mark {
    /// The place right after a row.
    pub fn of(row: &LogRow) -> Self {
        Mark {
            position: row.position,
            nonce: row.nonce,
        }
    }
}

/// `POSITION-NONCE`, the nonce in hexadecimal. To those who get it the text is opaque.
impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:x}", self.position.0, self.nonce)
    }
}

/// A text that is not a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAMark;

impl FromStr for Mark {
    type Err = NotAMark;

    fn from_str(text: &str) -> Result<Self, NotAMark> {
        let (position, nonce) = text.split_once('-').ok_or(NotAMark)?;
        let mark = Mark {
            position: Position(position.parse().map_err(|_| NotAMark)?),
            nonce: u64::from_str_radix(nonce, 16).map_err(|_| NotAMark)?,
        };
        // One mark has one text.
        (mark.to_string() == text).then_some(mark).ok_or(NotAMark)
    }
}

/// What comes next in the change log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A row, next to the one before.
    Row(Arc<LogRow>),
    /// What was changed since then cannot be told: every copy is to be dropped. The log goes on after this mark.
    Reset(Mark),
}

/// Invariant: the rows follow each other without gaps, and the first follows `start`.
#[derive(Debug, Default)]
struct Recent {
    start: Mark,
    rows: VecDeque<Arc<LogRow>>,
    records: usize,
}

impl Recent {
    fn end(&self) -> Mark {
        self.rows.back().map_or(self.start, |row| Mark::of(row))
    }

    /// The row after `since`; `None` when the log did not pass there as far as is remembered.
    fn after(&self, since: Mark) -> Option<Option<&Arc<LogRow>>> {
        let steps = since.position.0.checked_sub(self.start.position.0)?;
        let steps = usize::try_from(steps).ok()?;
        let at = match steps.checked_sub(1) {
            None => self.start,
            Some(last) => Mark::of(self.rows.get(last)?),
        };
        (at == since).then(|| self.rows.get(steps))
    }
}

fn cost(row: &LogRow) -> usize {
    row.records.len() + 1
}

/// The rows that were applied last, at most so many records.
#[derive(Debug)]
pub(crate) struct RecentChanges {
    recent: Mutex<Recent>,
    moved: watch::Sender<()>,
    records_max: usize,
}

impl RecentChanges {
    pub(crate) fn new(records_max: usize) -> Self {
        RecentChanges {
            recent: Mutex::default(),
            moved: watch::Sender::new(()),
            records_max,
        }
    }

    /// The log is followed anew from `cursor` on.
    pub(crate) fn restart(&self, cursor: Cursor) {
        *self.recent.lock() = Recent {
            start: Mark {
                position: cursor.position,
                nonce: cursor.nonce,
            },
            ..Recent::default()
        };
        self.moved.send_replace(());
    }

    /// Notes the next row.
    pub(crate) fn push(&self, row: LogRow) {
        let mut recent = self.recent.lock();
        debug_assert_eq!(recent.end().position.0 + 1, row.position.0);
        recent.records += cost(&row);
        recent.rows.push_back(Arc::new(row));
        while recent.records > self.records_max
            && let Some(oldest) = recent.rows.pop_front()
        {
            recent.records -= cost(&oldest);
            recent.start = Mark::of(&oldest);
        }
        drop(recent);
        self.moved.send_replace(());
    }
}

/// The change log as this node applies it, from some place on.
#[derive(Debug)]
pub struct Changes {
    changes: Arc<RecentChanges>,
    moved: watch::Receiver<()>,
    /// `None` when the first answer is a reset.
    mark: Option<Mark>,
}

impl Changes {
    pub(crate) fn new(changes: Arc<RecentChanges>, since: Option<Mark>) -> Self {
        let moved = changes.moved.subscribe();
        Changes {
            changes,
            moved,
            mark: since,
        }
    }

    /// Waits for what comes next. Who takes rows too slowly, or asks for ones that are forgotten, gets a reset.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn next(&mut self) -> Change {
        loop {
            self.moved.borrow_and_update();
            if let Some(change) = self.try_next() {
                return change;
            }
            if self.moved.changed().await.is_err() {
                // The sender lives as long as `changes` does.
                std::future::pending::<()>().await;
            }
        }
    }

    /// What comes next, if it is there.
    pub fn try_next(&mut self) -> Option<Change> {
        let recent = self.changes.recent.lock();
        match self.mark.map(|mark| recent.after(mark)) {
            Some(Some(row)) => {
                let row = Arc::clone(row?);
                self.mark = Some(Mark::of(&row));
                Some(Change::Row(row))
            }
            Some(None) | None => {
                let end = recent.end();
                self.mark = Some(end);
                Some(Change::Reset(end))
            }
        }
    }
}

#[cfg(test)]
mod tests;
