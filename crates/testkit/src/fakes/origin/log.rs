//! The change log of a fake origin: rows with positions, and changes that wait for one.

use std::collections::VecDeque;

use hotshelf_model::{Hist, LogRead, LogRow, Position, Record, Timeline};

use super::database::Undo;
use crate::names::random;

/// When changes get their positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sequencing {
    /// As they commit, as if another node were quick.
    #[default]
    AtOnce,
    /// By the next poll.
    ByPolls,
    /// Not until the test says otherwise.
    Held,
}

/// A change, and how to take it back.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) record: Record,
    pub(super) undo: Undo,
}

#[derive(Debug)]
struct Row {
    timeline: Timeline,
    position: Position,
    nonce: u64,
    change: Option<Change>,
}

/// Rows without gaps, the head last; there is always a head.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) sequencing: Sequencing,
    rows: VecDeque<Row>,
    pending: Vec<Change>,
}

impl Default for Log {
    fn default() -> Self {
        let first = Row {
            timeline: Timeline(1),
            position: Position(0),
            nonce: random(),
            change: None,
        };
        Log {
            sequencing: Sequencing::default(),
            rows: VecDeque::from([first]),
            pending: Vec::new(),
        }
    }
}

impl Log {
    pub(super) fn head(&self) -> (Timeline, Position, u64) {
        let head = self.rows.back();
        head.map_or_else(Default::default, |row| {
            (row.timeline, row.position, row.nonce)
        })
    }

    pub(super) fn oldest(&self) -> Position {
        self.rows.front().map_or(Position(0), |row| row.position)
    }

    pub(super) fn nonce_at(&self, position: Position) -> Option<u64> {
        let mut rows = self.rows.iter();
        rows.find(|row| row.position == position)
            .map(|row| row.nonce)
    }

    pub(super) fn is_settled(&self) -> bool {
        self.pending.is_empty()
    }

    pub(super) fn commit(&mut self, change: Change) {
        if self.sequencing == Sequencing::AtOnce {
            let (timeline, ..) = self.head();
            self.append(timeline, Some(change));
        } else {
            self.pending.push(change);
        }
    }

    /// Gives positions to what waits for one, unless that is held; answers the first and the last.
    pub(super) fn sequence(&mut self) -> Option<(Position, Position)> {
        if self.sequencing == Sequencing::Held || self.pending.is_empty() {
            return None;
        }
        let (timeline, before, _) = self.head();
        for change in std::mem::take(&mut self.pending) {
            self.append(timeline, Some(change));
        }
        Some((Position(before.0 + 1), self.head().1))
    }

    /// Opens the next timeline.
    pub(super) fn open_timeline(&mut self) {
        let (timeline, ..) = self.head();
        self.append(Timeline(timeline.0 + 1), None);
    }

    /// Loses the last `rows` rows, and all that had no position; answers what is to be taken back, the latest first.
    pub(super) fn lose(&mut self, rows: usize) -> Vec<Undo> {
        let pending = std::mem::take(&mut self.pending).into_iter().rev();
        let mut undone: Vec<Undo> = pending.map(|change| change.undo).collect();
        for _ in 0..rows.min(self.rows.len() - 1) {
            let row = self.rows.pop_back();
            undone.extend(row.and_then(|row| row.change).map(|change| change.undo));
        }
        undone
    }

    /// Removes the rows below a position; the head stays.
    pub(super) fn prune(&mut self, below: Position) {
        while self.rows.len() > 1 && self.oldest() < below {
            self.rows.pop_front();
        }
    }

    pub(super) fn read(&self, hist: Hist, after: Position, rows_max: usize) -> LogRead {
        if self.oldest().0 > after.0 + 1 {
            return LogRead::Pruned;
        }
        let rows = self.rows.iter().filter(|row| row.position > after);
        LogRead::Rows(rows.take(rows_max).map(|row| row.shown(hist)).collect())
    }

    /// The rows from the first position to the last.
    pub(super) fn rows(&self, hist: Hist, (first, last): (Position, Position)) -> Vec<LogRow> {
        let rows = self.rows.iter();
        let rows = rows.filter(|row| (first..=last).contains(&row.position));
        rows.map(|row| row.shown(hist)).collect()
    }

    fn append(&mut self, timeline: Timeline, change: Option<Change>) {
        let (_, head, _) = self.head();
        self.rows.push_back(Row {
            timeline,
            position: Position(head.0 + 1),
            nonce: random(),
            change,
        });
    }
}

impl Row {
    fn shown(&self, hist: Hist) -> LogRow {
        let record = self.change.as_ref().map(|change| change.record.clone());
        LogRow {
            hist,
            timeline: self.timeline,
            position: self.position,
            nonce: self.nonce,
            records: record.into_iter().collect(),
        }
    }
}
