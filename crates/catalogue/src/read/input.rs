//! Bytes one after another, with the line that they stand on; a failure ends them and is kept.

use std::fmt;
use std::io::{self, Read};

use crate::row::RowProblem;

const BUFFER_BYTES: usize = 64 * 1024;

/// A stream of bytes. After a failure it has ended, and [`Input::failure`] says why.
pub(super) struct Input {
    reader: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// The line of the next byte, from 1.
    line: u64,
    failure: Option<io::Error>,
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input")
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}

impl Input {
    pub(super) fn new(reader: Box<dyn Read + Send>) -> Self {
        Input {
            reader,
            buffer: vec![0; BUFFER_BYTES],
            start: 0,
            end: 0,
            line: 1,
            failure: None,
        }
    }

    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// What is in the buffer; read first if nothing is.
    pub(super) fn buffered(&mut self) -> &[u8] {
        if self.start == self.end {
            self.refill();
        }
        &self.buffer[self.start..self.end]
    }

    /// Fills the whole buffer, so that the first one shows enough of the file to guess from.
    fn refill(&mut self) {
        (self.start, self.end) = (0, 0);
        while self.failure.is_none() && self.end < self.buffer.len() {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => return,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.failure = Some(error),
            }
        }
    }

    /// Skips the mark of UTF-8 that some programs write first.
    pub(super) fn skip_mark(&mut self) {
        if self.buffered().starts_with(&[0xef, 0xbb, 0xbf]) {
            self.start += 3;
        }
    }

    pub(super) fn peek(&mut self) -> Option<u8> {
        self.buffered().first().copied()
    }

    pub(super) fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.start += 1;
        // A line ends in LF, CR LF, or CR alone.
        let ends = byte == b'\n' || (byte == b'\r' && self.peek() != Some(b'\n'));
        self.line += u64::from(ends);
        Some(byte)
    }

    /// Skips blanks and line ends; gives the byte after them without taking it.
    pub(super) fn skip_blanks(&mut self) -> Option<u8> {
        while self.peek()?.is_ascii_whitespace() {
            self.next();
        }
        self.peek()
    }

    /// Why the bytes ended, if it was not the end of the file; to be asked when [`Input::next`] gave nothing. Said once.
    pub(super) fn failure(&mut self) -> Option<RowProblem> {
        let error = self.failure.take()?;
        let reason = match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                "ends in the middle of its gzip data; the rows before this line are whole"
                    .to_owned()
            }
            _ => format!("cannot be read further: {error}"),
        };
        Some(RowProblem::new(self.line, "file", reason))
    }
}

/// The bytes of one row as they come, no more than a row may have.
#[derive(Debug)]
pub(super) struct Bounded {
    pub(super) bytes: Vec<u8>,
    bytes_max: usize,
    /// How many there were, kept or not.
    seen: usize,
}

impl Bounded {
    pub(super) fn new(bytes_max: usize) -> Self {
        Bounded {
            bytes: Vec::new(),
            bytes_max,
            seen: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.seen = 0;
    }

    pub(super) fn push(&mut self, byte: u8) {
        self.seen += 1;
        if self.seen <= self.bytes_max {
            self.bytes.push(byte);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.seen == 0
    }

    /// The problem of a row that was larger than a row may be.
    pub(super) fn overflow(&self, line: u64) -> Option<RowProblem> {
        if self.seen <= self.bytes_max {
            return None;
        }
        let reason = format!(
            "has {} bytes; at most {} are taken",
            self.seen, self.bytes_max
        );
        Some(RowProblem::new(line, "row", reason))
    }
}
