//! The reads that a file tells of, whichever log it is.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;

use hotshelf_model::{Error, ErrorKind};

use crate::block::{self, BlockReader, Skipped};
use crate::input::{self, Input};
use crate::lines::{Line, Lines};
use crate::parse::{Event, Format, KeyPattern, Malformed, Parser};

/// So many problems are kept with their lines; all are counted.
pub const PROBLEMS_KEPT: usize = 3;

type Bytes = Box<dyn Read + Send>;

/// The events of a file, in its order. What cannot be read is skipped and counted; so is the rest of a file that cannot be read further.
pub struct Events {
    source: Source,
    format: Format,
    tally: Tally,
    failed: bool,
}

enum Source {
    Lines {
        lines: Box<Lines<Bytes>>,
        parser: Box<Parser>,
    },
    Blocks(Box<BlockReader<Bytes>>),
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("format", &self.format)
            .field("tally", &self.tally)
            .finish_non_exhaustive()
    }
}

/// What became of a file's lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Lines or records that were reads of a key.
    pub events: u64,
    /// Lines of other requests.
    pub other: u64,
    /// Malformed lines, or damaged places between blocks.
    pub skipped: u64,
    /// The first of them, [`PROBLEMS_KEPT`] at most.
    pub problems: Vec<Problem>,
}

/// Something that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The number of its line, from 1; a place between blocks has none.
    pub line: Option<u64>,
    /// Why.
    pub reason: String,
}

impl Events {
    /// Opens a file, plain or gzip. Without a format it is guessed from the file's beginning.
    ///
    /// # Errors
    /// When the file cannot be read, or no format fits it.
    pub fn open(path: &Path, format: Option<Format>, pattern: KeyPattern) -> Result<Self, Error> {
        let input = input::open(path).map_err(|error| {
            Error::new(
                ErrorKind::Unavailable,
                format!("reading {}", path.display()),
            )
            .with_source(error)
        })?;
        let format = format
            .or_else(|| Format::guess(&input.beginning))
            .ok_or_else(|| {
                let context = format!(
                    "{}: no known format fits its first lines; say which it is",
                    path.display()
                );
                Error::new(ErrorKind::Invalid, context)
            })?;
        Ok(Self::new(input, format, pattern))
    }

    fn new(input: Input, format: Format, pattern: KeyPattern) -> Self {
        let has_blocks = block::is_in(&input.beginning);
        let source = match format {
            Format::Hotshelf if has_blocks => {
                Source::Blocks(Box::new(BlockReader::new(input.reader)))
            }
            format => Source::Lines {
                lines: Box::new(Lines::new(input.reader)),
                parser: Box::new(Parser::new(format, pattern)),
            },
        };
        Events {
            source,
            format,
            tally: Tally::default(),
            failed: false,
        }
    }

    /// The format, as told or guessed.
    pub fn format(&self) -> Format {
        self.format
    }

    /// What became of the lines so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    fn advance(&mut self) -> io::Result<Option<Event>> {
        let event = match &mut self.source {
            Source::Lines { lines, parser } => next_of_lines(lines, parser, &mut self.tally)?,
            Source::Blocks(reader) => next_of_blocks(reader, &mut self.tally)?,
        };
        self.tally.events += u64::from(event.is_some());
        Ok(event)
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        if self.failed {
            return None;
        }
        self.advance().unwrap_or_else(|error| {
            self.failed = true;
            let reason = format!("cannot be read further: {error}");
            self.tally.skip(1, None, &reason);
            None
        })
    }
}

/// The events of several files, in the order of time as far as each file is in it.
#[derive(Debug)]
pub struct InTime {
    files: Vec<(Option<Event>, Events)>,
}

impl InTime {
    /// Opens all files, as [`Events::open`] does.
    ///
    /// # Errors
    /// When one of them cannot be read, or no format fits it.
    pub fn open(
        paths: &[impl AsRef<Path>],
        format: Option<Format>,
        pattern: &KeyPattern,
    ) -> Result<Self, Error> {
        let open = |path: &_| {
            let mut events = Events::open(AsRef::as_ref(path), format, pattern.clone())?;
            Ok((events.next(), events))
        };
        let files = paths.iter().map(open).collect::<Result<_, Error>>()?;
        Ok(InTime { files })
    }

    /// What became of each file's lines so far; files are read one event ahead.
    pub fn tallies(&self) -> impl Iterator<Item = &Tally> {
        self.files.iter().map(|(_, events)| events.tally())
    }
}

impl Iterator for InTime {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let has_next = self.files.iter_mut().filter(|(next, _)| next.is_some());
        let earliest = has_next.min_by_key(|(next, _)| next.as_ref().map(|event| event.at_ms));
        let (next, events) = earliest?;
        std::mem::replace(next, events.next())
    }
}

fn next_of_lines(
    lines: &mut Lines<Bytes>,
    parser: &mut Parser,
    tally: &mut Tally,
) -> io::Result<Option<Event>> {
    loop {
        let parsed = match lines.next()? {
            None => return Ok(None),
            // Rotation and people leave empty lines.
            Some(Line::Whole([])) => continue,
            Some(Line::Whole(line)) => parser.parse(line),
            Some(Line::TooLong) => Err(Malformed("is too long")),
        };
        match parsed {
            Ok(Some(event)) => return Ok(Some(event)),
            Ok(None) => tally.other += 1,
            Err(problem) => tally.skip(1, Some(lines.count()), problem.0),
        }
    }
}

fn next_of_blocks(reader: &mut BlockReader<Bytes>, tally: &mut Tally) -> io::Result<Option<Event>> {
    let before = reader.skipped();
    let event = reader.next()?.map(|record| Event {
        at_ms: record.at_ms,
        reads: record.reads,
        key: record.key.to_key(),
    });
    let Skipped { damaged, newer, .. } = reader.skipped();
    tally.skip(damaged - before.damaged, None, "a torn or damaged block");
    tally.skip(
        newer - before.newer,
        None,
        "a block of a format that a newer hotshelf writes",
    );
    Ok(event)
}

impl Tally {
    fn skip(&mut self, count: u64, line: Option<u64>, reason: &str) {
        if count == 0 {
            return;
        }
        self.skipped += count;
        if self.problems.len() < PROBLEMS_KEPT {
            let reason = reason.to_owned();
            self.problems.push(Problem { line, reason });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::block::{BlockBuilder, frame};
    use crate::samples::{key, record};

    fn line(id: &str) -> String {
        format!(
            "::1 - - [21/Nov/2026:15:39:23 +0000] \"GET /v1/products/{id} HTTP/1.1\" 200 1 \"-\" \"-\"\n"
        )
    }

    fn pattern() -> KeyPattern {
        crate::samples::own_paths()
    }

    fn read(bytes: &[u8]) -> (Vec<String>, Tally, Format) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let mut events = Events::open(file.path(), None, pattern()).unwrap();
        let ids = events.by_ref().map(|event| event.key.id().to_owned());
        let ids = ids.collect();
        (ids, events.tally().clone(), events.format())
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn malformed_lines_are_counted_and_the_first_told_with_their_numbers() {
        let other = line("A").replace("/v1/", "/v2/");
        let text = [
            &line("A"),
            "x\n",
            &other,
            "\n",
            "y\n",
            &line("B"),
            "z\n",
            "w",
        ]
        .concat();
        for bytes in [text.clone().into_bytes(), gzip(text.as_bytes())] {
            let (ids, tally, format) = read(&bytes);
            assert_eq!(
                (ids, format),
                (vec!["A".to_owned(), "B".to_owned()], Format::Nginx)
            );
            assert_eq!((tally.events, tally.other, tally.skipped), (2, 1, 4));
            let lines: Vec<_> = tally.problems.iter().map(|problem| problem.line).collect();
            assert_eq!(lines, [Some(2), Some(5), Some(7)]);
        }
    }

    #[test]
    fn gzip_files_one_after_another_are_one() {
        let bytes = [gzip(line("A").as_bytes()), gzip(line("B").as_bytes())].concat();
        assert_eq!(read(&bytes).0, ["A", "B"]);
    }

    #[test]
    fn several_files_are_one_in_the_order_of_time() {
        let at = |id: &str, time: &str| line(id).replace("15:39:23", time);
        let texts = [
            at("A", "10:00:00") + &at("D", "10:00:03"),
            String::from("x\n")
                + &at("B", "10:00:01")
                + &at("C", "10:00:02")
                + &at("E", "10:00:09"),
        ];
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a.log", "b.log"].map(|name| folder.path().join(name));
        for (path, text) in paths.iter().zip(texts) {
            std::fs::write(path, text).unwrap();
        }
        let mut events = InTime::open(&paths, None, &pattern()).unwrap();
        let ids: String = events
            .by_ref()
            .map(|event| event.key.id().to_owned())
            .collect();
        assert_eq!(ids, "ABCDE");
        let skipped: Vec<_> = events.tallies().map(|tally| tally.skipped).collect();
        assert_eq!(skipped, [0, 1]);
        let missing = [folder.path().join("c.log")];
        assert!(InTime::open(&missing, None, &pattern()).is_err());
    }

    #[test]
    fn a_torn_gzip_file_gives_what_is_whole_and_then_says_so() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text: String = (0..30_000)
            .map(|n| line(&format!("{n}-{}", n * 7919 % 10_007)))
            .collect();
        let bytes = gzip(text.as_bytes());
        std::fs::write(file.path(), &bytes[..bytes.len() - 20]).unwrap();
        let mut events = Events::open(file.path(), None, pattern()).unwrap();
        assert!(events.by_ref().count() > 1000);
        let tally = events.tally();
        let problem = tally.problems.last().unwrap();
        assert!(
            problem.reason.contains("cannot be read further"),
            "{problem:?}"
        );
    }

    #[test]
    fn blocks_and_json_lines_of_our_own_are_told_apart() {
        let keys = [key("A"), key("B")];
        let (mut builder, mut text) = (BlockBuilder::new(), Vec::new());
        for key in &keys {
            builder.push(&record(key));
            crate::json::push_line(&record(key), &mut text);
        }
        let block = frame(&builder.take_content()).unwrap();
        let torn = [&block[..20], &block, &block[..30]].concat();
        let (ids, tally, format) = read(&torn);
        assert_eq!(
            (ids, format),
            (vec!["A".to_owned(), "B".to_owned()], Format::Hotshelf)
        );
        assert_eq!(
            (tally.events, tally.skipped, tally.problems.len()),
            (2, 2, 2)
        );
        for bytes in [text.clone(), gzip(&block)] {
            let (ids, tally, format) = read(&bytes);
            assert_eq!((ids.len(), tally.skipped, format), (2, 0, Format::Hotshelf));
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_or_understood_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.log");
        let missing = Events::open(&path, None, pattern()).unwrap_err();
        assert!(missing.to_string().contains("some.log"), "{missing}");
        std::fs::write(&path, "a,b\n1,2\n").unwrap();
        let unknown = Events::open(&path, None, pattern()).unwrap_err();
        assert!(unknown.to_string().contains("no known format"), "{unknown}");
        let told = Events::open(&path, Some(Format::Envoy), pattern()).unwrap();
        assert_eq!(told.count(), 0);
    }
}
