//! Lines of bounded length out of a stream of bytes.

use std::io::{self, Read};
use std::ops::Range;

use memchr::memchr;

/// The longest line that is read, in bytes; a longer one is skipped.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

const BUFFER_BYTES: usize = 4 * LINE_BYTES_MAX;

/// A line without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// It has more than [`LINE_BYTES_MAX`] bytes.
    TooLong,
}

/// Gives the lines of a stream. What comes after the last line end is a line too.
#[derive(Debug)]
pub struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    ended: bool,
    count: u64,
}

impl<R: Read> Lines<R> {
    /// Reads what `input` holds.
    pub fn new(input: R) -> Self {
        Lines {
            input,
            buffer: vec![0; BUFFER_BYTES],
            start: 0,
            end: 0,
            ended: false,
            count: 0,
        }
    }

    /// How many lines were given so far: the number of the last one, from 1.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The next line.
    ///
    /// # Errors
    /// When the input cannot be read further.
    #[expect(
        clippy::should_implement_trait,
        reason = "a line is borrowed from the reader, which an iterator cannot say"
    )]
    #[inline]
    pub fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let found = memchr(b'\n', &self.buffer[self.start..self.end]);
        let found = match found {
            Some(length) => {
                let line = self.start..self.start + length;
                self.start = line.end + 1;
                Found::Line(line)
            }
            None => self.across_reads()?,
        };
        self.count += u64::from(!matches!(found, Found::End));
        Ok(match found {
            Found::End => None,
            Found::Line(line) if line.len() <= LINE_BYTES_MAX => {
                Some(Line::Whole(without_return(&self.buffer[line])))
            }
            Found::Line(_) | Found::TooLong => Some(Line::TooLong),
        })
    }

    /// A line whose end is not in the buffer yet.
    fn across_reads(&mut self) -> io::Result<Found> {
        let mut skipped = false;
        loop {
            let seen = self.end - self.start;
            if seen > LINE_BYTES_MAX {
                // Its beginning is not needed any more.
                skipped = true;
                self.start = self.end;
            }
            if !self.read_more()? {
                let line = self.start..self.end;
                self.start = self.end;
                return Ok(match skipped {
                    true => Found::TooLong,
                    false if line.is_empty() => Found::End,
                    false => Found::Line(line),
                });
            }
            let from = if skipped {
                self.start
            } else {
                self.start + seen
            };
            if let Some(at) = memchr(b'\n', &self.buffer[from..self.end]) {
                let line = self.start..from + at;
                self.start = line.end + 1;
                return Ok(match skipped {
                    true => Found::TooLong,
                    false => Found::Line(line),
                });
            }
        }
    }

    /// Moves what is left to the front and reads behind it; `false` at the end of the input.
    fn read_more(&mut self) -> io::Result<bool> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        while !self.ended {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(count) => {
                    self.end += count;
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}

/// Where a line was found.
enum Found {
    Line(Range<usize>),
    TooLong,
    End,
}

/// A line that ended in CR LF.
pub(crate) fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8], step: usize) -> Vec<Option<Vec<u8>>> {
        struct Steps<'a>(&'a [u8], usize);
        impl Read for Steps<'_> {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                let few = into.len().min(self.1);
                self.0.read(&mut into[..few])
            }
        }
        let mut lines = Lines::new(Steps(bytes, step));
        let mut read = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            read.push(match line {
                Line::Whole(line) => Some(line.to_vec()),
                Line::TooLong => None,
            });
        }
        assert_eq!(lines.count(), read.len() as u64);
        read
    }

    #[test]
    fn lines_are_whole_with_and_without_a_last_end() {
        let wanted = vec![Some(b"a".to_vec()), Some(Vec::new()), Some(b"b".to_vec())];
        for text in ["a\n\nb\n", "a\n\nb", "a\r\n\r\nb\r\n"] {
            assert_eq!(read(text.as_bytes(), 2), wanted, "{text:?}");
        }
        assert!(read(b"", 1).is_empty());
    }

    #[test]
    fn a_line_over_the_limit_is_skipped_and_the_next_one_read() {
        for over in [1, LINE_BYTES_MAX, 3 * BUFFER_BYTES] {
            for step in [1000, 7 * LINE_BYTES_MAX] {
                for end in ["\nafter\n", "\nafter"] {
                    let text = "x".repeat(LINE_BYTES_MAX + over) + end;
                    assert_eq!(read(text.as_bytes(), step), [None, Some(b"after".to_vec())]);
                }
                let unended = "x".repeat(LINE_BYTES_MAX + over);
                assert_eq!(read(unended.as_bytes(), step), [None]);
            }
        }
        let longest = "x".repeat(LINE_BYTES_MAX) + "\n";
        assert!(read(longest.as_bytes(), 999)[0].is_some());
    }

    proptest! {
        #[test]
        fn all_lines_come_in_order(text in "[ab\n]{0,200}", step in 1_usize..50) {
            let wanted: Vec<_> = text.lines().map(|line| Some(line.as_bytes().to_vec())).collect();
            prop_assert_eq!(read(text.as_bytes(), step), wanted);
        }
    }
}
