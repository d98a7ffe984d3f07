//! The rows that this node applied last, for those who keep copies outside of it.

use std::collections::VecDeque;
use std::sync::Arc;

use hotshelf_coherence::Cursor;
use hotshelf_model::LogRow;
use parking_lot::Mutex;
use tokio::sync::watch;

/// What comes next in the change log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A row, next to the one before.
    Row(Arc<LogRow>),
    /// What was changed since then cannot be told: every copy is to be dropped. The log goes on after this cursor.
    Reset(Cursor),
}

/// Invariant: the rows follow each other without gaps, and the first follows `start`.
#[derive(Debug, Default)]
struct Recent {
    start: Cursor,
    rows: VecDeque<Arc<LogRow>>,
    records: usize,
}

impl Recent {
    fn end(&self) -> Cursor {
        self.rows.back().map_or(self.start, |row| Cursor::of(row))
    }

    /// The row after `since`; `None` when the log did not pass there as far as is remembered.
    fn after(&self, since: Cursor) -> Option<Option<&Arc<LogRow>>> {
        let steps = since.position.0.checked_sub(self.start.position.0)?;
        let steps = usize::try_from(steps).ok()?;
        let at = match steps.checked_sub(1) {
            None => self.start,
            Some(last) => Cursor::of(self.rows.get(last)?),
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
            start: cursor,
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
            recent.start = Cursor::of(&oldest);
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
    since: Option<Cursor>,
}

impl Changes {
    pub(crate) fn new(changes: Arc<RecentChanges>, since: Option<Cursor>) -> Self {
        let moved = changes.moved.subscribe();
        Changes {
            changes,
            moved,
            since,
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
        match self.since.map(|since| recent.after(since)) {
            Some(Some(row)) => {
                let row = Arc::clone(row?);
                self.since = Some(Cursor::of(&row));
                Some(Change::Row(row))
            }
            Some(None) | None => {
                let end = recent.end();
                self.since = Some(end);
                Some(Change::Reset(end))
            }
        }
    }
}

#[cfg(test)]
mod tests;
