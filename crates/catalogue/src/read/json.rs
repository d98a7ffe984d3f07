//! JSON lines, and one array of objects: rows are cut out first, so that a bad one does not end the file.

use super::input::{Bounded, Input};
use crate::row::{Row, RowProblem};

/// One object on each line.
#[derive(Debug)]
pub(super) struct JsonLines {
    input: Input,
    row: Bounded,
}

impl JsonLines {
    pub(super) fn new(mut input: Input, row_bytes_max: usize) -> Self {
        input.skip_mark();
        JsonLines {
            input,
            row: Bounded::new(row_bytes_max),
        }
    }

    pub(super) fn next_row(&mut self) -> Option<Result<Row, RowProblem>> {
        self.row.clear();
        self.input.skip_blanks();
        let line = self.input.line();
        loop {
            match self.input.next() {
                Some(b'\n') => break,
                Some(byte) => self.row.push(byte),
                None => match self.input.failure() {
                    Some(failure) => return Some(Err(failure)),
                    None => break,
                },
            }
        }
        if self.row.is_empty() {
            return None;
        }
        if let Some(problem) = self.row.overflow(line) {
            return Some(Err(problem));
        }
        Some(Row::from_json(line, &self.row.bytes))
    }
}

/// One array of objects.
#[derive(Debug)]
pub(super) struct JsonArray {
    input: Input,
    row: Bounded,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the `[`.
    Before,
    /// Before the first row, or the end of an empty array.
    First,
    /// Before a row.
    Row,
    /// Behind the array, or behind a failure.
    End,
}

/// What ended a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RowEnd {
    Comma,
    Bracket,
    File,
}

impl JsonArray {
    pub(super) fn new(mut input: Input, row_bytes_max: usize) -> Self {
        input.skip_mark();
        JsonArray {
            input,
            row: Bounded::new(row_bytes_max),
            place: Place::Before,
        }
    }

    pub(super) fn next_row(&mut self) -> Option<Result<Row, RowProblem>> {
        let next = self.input.skip_blanks();
        if next.is_none()
            && let Some(failure) = self.input.failure()
        {
            self.place = Place::End;
            return Some(Err(failure));
        }
        match (self.place, next) {
            (Place::Before, Some(b'[')) => {
                self.input.next();
                self.place = Place::First;
                self.next_row()
            }
            (Place::Before, _) => Some(self.end("is not a JSON array: it must begin with `[`")),
            (Place::First, Some(b']')) => {
                self.input.next();
                self.place = Place::End;
                self.next_row()
            }
            (Place::First | Place::Row, None) => {
                Some(self.end("ends inside the array: the `]` is missing"))
            }
            (Place::First | Place::Row, Some(_)) => Some(self.row()),
            (Place::End, None) => None,
            (Place::End, Some(_)) => {
                let problem = self.end("goes on behind the array; what follows is not read");
                while self.input.next().is_some() {}
                Some(problem)
            }
        }
    }

    fn end(&mut self, reason: &str) -> Result<Row, RowProblem> {
        self.place = Place::End;
        Err(RowProblem::new(self.input.line(), "file", reason))
    }

    fn row(&mut self) -> Result<Row, RowProblem> {
        let line = self.input.line();
        match self.cut() {
            RowEnd::Comma => self.place = Place::Row,
            RowEnd::Bracket => self.place = Place::End,
            RowEnd::File => {
                self.place = Place::End;
                let reason = "ends in the middle of the row that begins on this line";
                let cut = || RowProblem::new(line, "file", reason);
                return Err(self.input.failure().unwrap_or_else(cut));
            }
        }
        match self.row.overflow(line) {
            Some(problem) => Err(problem),
            None => Row::from_json(line, &self.row.bytes),
        }
    }

    /// Takes bytes up to the comma or bracket that ends the row, which is neither inside a string nor inside brackets.
    fn cut(&mut self) -> RowEnd {
        self.row.clear();
        let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
        while let Some(byte) = self.input.next() {
            if in_string {
                in_string = escaped || byte != b'"';
                escaped = !escaped && byte == b'\\';
            } else {
                match byte {
                    b'"' => in_string = true,
                    b'{' | b'[' => depth += 1,
                    b',' if depth == 0 => return RowEnd::Comma,
                    b']' if depth == 0 => return RowEnd::Bracket,
                    b'}' | b']' => depth = depth.saturating_sub(1),
                    _ => {}
                }
            }
            self.row.push(byte);
        }
        RowEnd::File
    }
}
