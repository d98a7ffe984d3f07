//! CSV as RFC 4180 has it, and as programs write it: quoted fields over several lines, three kinds of line end.
//!
//! It is read here and not by a library because a row must be bounded before it is in memory, an open quote must be told from a large
//! row, and a problem must name the line on which its row begins.

use super::input::{Bounded, Input};
use crate::row::{CELLS_MAX, Row, RowProblem, clip};

/// The rows of a CSV file with a header.
#[derive(Debug)]
pub(super) struct CsvRows {
    input: Input,
    delimiter: u8,
    header: Option<Vec<String>>,
    /// All fields of the row that is being read, one behind another.
    row: Bounded,
    /// Where each field ends in `row`.
    ends: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    FieldStart,
    Plain,
    Quoted,
    /// Behind a quote inside a quoted field: its end, or the first half of a doubled one.
    QuoteSeen,
}

impl CsvRows {
    pub(super) fn new(mut input: Input, row_bytes_max: usize) -> Self {
        input.skip_mark();
        let delimiter = guess_delimiter(input.buffered());
        CsvRows {
            input,
            delimiter,
            header: None,
            row: Bounded::new(row_bytes_max),
            ends: Vec::new(),
        }
    }

    /// The header's columns, once the first row was asked for.
    pub(super) fn columns(&self) -> Option<&[String]> {
        self.header.as_deref()
    }

    pub(super) fn next_row(&mut self) -> Option<Result<Row, RowProblem>> {
        if self.header.is_none()
            && let Err(problem) = self.read_header()
        {
            return Some(Err(problem));
        }
        let line = match self.record()? {
            Ok(line) => line,
            Err(problem) => return Some(Err(problem)),
        };
        Some(self.named(line))
    }

    fn read_header(&mut self) -> Result<(), RowProblem> {
        let problem = |line, reason: &str| RowProblem::new(line, "file", reason);
        let line = match self.record() {
            None => {
                return Err(problem(
                    1,
                    "is empty; a CSV file begins with the names of its columns",
                ));
            }
            Some(Err(bad)) => {
                return Err(problem(
                    bad.line,
                    &format!("has no readable header: {}", bad.reason),
                ));
            }
            Some(Ok(line)) => line,
        };
        let names = self.fields().map(|field| {
            let name = std::str::from_utf8(field)
                .map_err(|_| problem(line, "has a header that is not UTF-8"));
            name.map(|name| name.trim().to_owned())
        });
        self.header = Some(names.collect::<Result<_, _>>()?);
        Ok(())
    }

    /// The row just read with the names of its columns.
    fn named(&self, line: u64) -> Result<Row, RowProblem> {
        let header = self.header.as_deref().unwrap_or_default();
        if self.ends.len() != header.len() {
            let reason = format!(
                "has {} columns, the header has {}; a delimiter or a quote is missing or too much",
                self.ends.len(),
                header.len()
            );
            return Err(RowProblem::new(line, "row", reason));
        }
        let mut texts = Vec::with_capacity(header.len());
        for (name, field) in header.iter().zip(self.fields()) {
            let Ok(text) = std::str::from_utf8(field) else {
                return Err(RowProblem::new(
                    line,
                    clip(name),
                    "is not UTF-8; save the file as UTF-8",
                ));
            };
            texts.push((name.as_str(), text.to_owned()));
        }
        Ok(Row::from_texts(line, texts.into_iter()))
    }

    fn fields(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, &end)| &self.row.bytes[start..end])
    }

    /// Reads one record into `row` and `ends`; gives the line on which it begins. Empty lines are passed over.
    fn record(&mut self) -> Option<Result<u64, RowProblem>> {
        loop {
            self.row.clear();
            self.ends.clear();
            let line = self.input.line();
            if let Err(problem) = self.scan(line) {
                return Some(Err(problem));
            }
            if let Some(problem) = self.row.overflow(line) {
                return Some(Err(problem));
            }
            if self.ends.len() > CELLS_MAX {
                let reason = format!("has more than {CELLS_MAX} columns");
                return Some(Err(RowProblem::new(line, "row", reason)));
            }
            let is_blank = self.ends.len() <= 1 && self.row.is_empty();
            if !is_blank {
                return Some(Ok(line));
            }
            self.input.peek()?;
        }
    }

    /// Takes the bytes of one record, which begins on that line.
    fn scan(&mut self, line: u64) -> Result<(), RowProblem> {
        let mut state = State::FieldStart;
        let mut opened = self.input.line();
        while let Some(byte) = self.input.next() {
            state = match (state, byte) {
                (State::Quoted, b'"') => State::QuoteSeen,
                (State::Quoted, _) => {
                    self.row.push(byte);
                    State::Quoted
                }
                (State::QuoteSeen, b'"') => {
                    self.row.push(byte);
                    State::Quoted
                }
                (_, b'\n') => {
                    self.end_field();
                    return Ok(());
                }
                (_, b'\r') => {
                    if self.input.peek() == Some(b'\n') {
                        self.input.next();
                    }
                    self.end_field();
                    return Ok(());
                }
                (_, byte) if byte == self.delimiter => {
                    self.end_field();
                    State::FieldStart
                }
                (State::FieldStart, b'"') => {
                    opened = self.input.line();
                    State::Quoted
                }
                (State::FieldStart | State::Plain | State::QuoteSeen, _) => {
                    self.row.push(byte);
                    State::Plain
                }
            };
        }
        self.end_field();
        if let Some(failure) = self.input.failure() {
            return Err(failure);
        }
        if state == State::Quoted {
            let reason = format!(
                "a quote opened on line {opened} is never closed, so the rest of the file belongs to it"
            );
            return Err(RowProblem::new(line, "row", reason));
        }
        Ok(())
    }

    fn end_field(&mut self) {
        // One more than may be is enough to know that there are too many.
        if self.ends.len() <= CELLS_MAX {
            self.ends.push(self.row.bytes.len());
        }
    }
}

/// The delimiter that the header has most of.
fn guess_delimiter(start: &[u8]) -> u8 {
    let (mut counts, mut quoted) = ([0_usize; 4], false);
    let candidates = *b",;\t|";
    for &byte in start {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' | b'\r' if !quoted => break,
            _ if quoted => {}
            _ => {
                for (count, candidate) in counts.iter_mut().zip(candidates) {
                    *count += usize::from(byte == candidate);
                }
            }
        }
    }
    let most = counts.iter().copied().max().unwrap_or_default();
    let first = counts.iter().position(|&count| count == most);
    first
        .and_then(|index| candidates.get(index))
        .copied()
        .unwrap_or(b',')
}
