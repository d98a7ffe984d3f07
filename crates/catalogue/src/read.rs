//! Reading a file of products as a stream: plain or gzip, CSV or JSON, one row in memory at a time.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;
use hotshelf_model::product::Product;
use hotshelf_model::{Error, ErrorKind};
use xxhash_rust::xxh3::xxh3_64;

use crate::mapping::{Field, Mapping};
use crate::product::{IdFrom, product};
use crate::row::{Row, RowProblem, clip};

mod csv;
mod input;
mod json;

use csv::CsvRows;
use input::Input;
use json::{JsonArray, JsonLines};

/// How a file is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadSettings {
    /// Which column feeds which field, where that is not to be guessed.
    pub mapping: Mapping,
    /// The currency of prices that do not say theirs.
    pub currency: String,
    /// The format; guessed from the first bytes when it is not said.
    pub format: Option<Format>,
    /// The largest row in bytes, 1 at least; a larger one is a problem and is skipped.
    pub row_bytes_max: usize,
    /// Pieces on hand where a file says that there are some, and not how many.
    pub stock_assumed: i64,
}

impl Default for ReadSettings {
    fn default() -> Self {
        ReadSettings {
            mapping: Mapping::default(),
            currency: "USD".to_owned(),
            format: None,
            row_bytes_max: 1 << 20,
            stock_assumed: 100,
        }
    }
}

/// The format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Columns with a header; the delimiter (`,` `;` `|` or tab) is guessed from it.
    Csv,
    /// One array of objects.
    JsonArray,
    /// One object on each line.
    JsonLines,
}

/// More ids than these are no longer checked for being given twice: 24 bytes each.
const IDS_REMEMBERED_MAX: usize = 2_000_000;

/// Opens a file of products.
///
/// # Errors
/// When the file cannot be opened, or its first bytes cannot be read.
pub fn open(path: &Path, settings: ReadSettings) -> Result<Rows, Error> {
    let failed = |error: io::Error| {
        let context = format!("opening the catalogue {}", path.display());
        Error::new(ErrorKind::Unavailable, context).with_source(error)
    };
    let file = File::open(path).map_err(failed)?;
    read(file, settings).map_err(failed)
}

/// The products in `input`: plain or gzip, told by its first bytes and not by any name.
///
/// # Errors
/// When the first bytes cannot be read.
pub fn read(input: impl Read + Send + 'static, settings: ReadSettings) -> io::Result<Rows> {
    let bytes_read = Arc::new(AtomicU64::new(0));
    let mut counted = Counted {
        inner: input,
        bytes: Arc::clone(&bytes_read),
    };
    let mut magic = Vec::new();
    counted.by_ref().take(2).read_to_end(&mut magic)?;
    let is_gzip = magic == [0x1f, 0x8b];
    let whole = Cursor::new(magic).chain(counted);
    let input: Box<dyn Read + Send> = if is_gzip {
        Box::new(MultiGzDecoder::new(io::BufReader::with_capacity(
            64 * 1024,
            whole,
        )))
    } else {
        Box::new(whole)
    };
    let mut input = Input::new(input);
    let format = settings.format.unwrap_or_else(|| guess(&mut input));
    let row_bytes_max = settings.row_bytes_max.max(1);
    let source = match format {
        Format::Csv => Source::Csv(CsvRows::new(input, row_bytes_max)),
        Format::JsonArray => Source::Array(JsonArray::new(input, row_bytes_max)),
        Format::JsonLines => Source::Lines(JsonLines::new(input, row_bytes_max)),
    };
    Ok(Rows {
        source,
        settings,
        format,
        bytes_read,
        begun: None,
        lines_by_id: HashMap::new(),
        ended: false,
    })
}

/// An array begins with `[`, an object with `{`; what begins otherwise is CSV.
fn guess(input: &mut Input) -> Format {
    input.skip_mark();
    let first = input
        .buffered()
        .iter()
        .find(|byte| !byte.is_ascii_whitespace());
    match first {
        Some(b'[') => Format::JsonArray,
        Some(b'{') => Format::JsonLines,
        _ => Format::Csv,
    }
}

/// Counts what is read of the file itself, so that progress can be told against the file's length.
struct Counted<R> {
    inner: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        // Relaxed: a display reads it, nothing is decided by it.
        self.bytes
            .fetch_add(u64::try_from(count).unwrap_or_default(), Ordering::Relaxed);
        Ok(count)
    }
}

#[derive(Debug)]
enum Source {
    Csv(CsvRows),
    Array(JsonArray),
    Lines(JsonLines),
}

impl Source {
    fn next_row(&mut self) -> Option<Result<Row, RowProblem>> {
        match self {
            Source::Csv(rows) => rows.next_row(),
            Source::Array(rows) => rows.next_row(),
            Source::Lines(rows) => rows.next_row(),
        }
    }

    /// The columns that every row has; JSON has none such.
    fn columns(&self) -> Option<&[String]> {
        match self {
            Source::Csv(rows) => rows.columns(),
            Source::Array(_) | Source::Lines(_) => None,
        }
    }
}

/// What the first row of a file decides.
#[derive(Debug)]
struct Begun {
    id_from: IdFrom,
    fed: Vec<(Field, String)>,
}

/// The products of a file, or what is wrong with a row, in order. A bad row costs that row; after a problem of the field `file`
/// nothing follows.
#[derive(Debug)]
pub struct Rows {
    source: Source,
    settings: ReadSettings,
    format: Format,
    bytes_read: Arc<AtomicU64>,
    begun: Option<Begun>,
    /// A hash of each id with the line on which it was first given.
    lines_by_id: HashMap<u64, u64>,
    ended: bool,
}

impl Rows {
    /// The format, said or guessed.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Bytes of the file read so far, before decompression.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// Which column feeds which field, in the first row. Empty before the first row was read. `@image` for an id means the file name in
    /// the address of the image.
    pub fn columns(&self) -> &[(Field, String)] {
        self.begun.as_ref().map_or(&[], |begun| &begun.fed)
    }

    fn begin(&mut self, first: &Row) -> Result<IdFrom, RowProblem> {
        let mapping = &self.settings.mapping;
        if let Some(columns) = self.source.columns()
            && let Some((field, absent)) = mapping.absent_columns(columns).next()
        {
            let reason = format!(
                "there is no column `{}` for {}; the columns are {}",
                clip(absent),
                field.as_str(),
                columns.join(", ")
            );
            self.ended = true;
            return Err(RowProblem::new(1, "file", reason));
        }
        // A CSV's first row may have empty cells, which are left out of it; its header has them all.
        let header = self.source.columns().map(|columns| {
            let texts = columns
                .iter()
                .map(|column| (column.as_str(), "x".to_owned()));
            Row::from_texts(1, texts)
        });
        let shape = header.as_ref().unwrap_or(first);
        let id_from = IdFrom::of(mapping, shape);
        let picked = mapping.pick(shape);
        let mut fed = Vec::new();
        for field in Field::ALL {
            for pick in picked.all(field) {
                fed.extend(
                    shape
                        .cells
                        .get(pick.index)
                        .map(|(name, _)| (field, name.clone())),
                );
            }
        }
        if id_from == IdFrom::ImageName {
            fed.insert(0, (Field::Id, "@image".to_owned()));
        }
        self.begun = Some(Begun { id_from, fed });
        Ok(id_from)
    }

    fn product(&mut self, row: &Row) -> Result<Product, RowProblem> {
        let id_from = match &self.begun {
            Some(begun) => begun.id_from,
            None => self.begin(row)?,
        };
        let product = product(row, &self.settings, id_from)?;
        let hash = xxh3_64(product.id.as_bytes());
        if let Some(line) = self.lines_by_id.get(&hash) {
            let reason = format!(
                "`{}` was given before, on line {line}; the first one is kept",
                clip(&product.id)
            );
            return Err(RowProblem::new(row.line, Field::Id.as_str(), reason));
        }
        if self.lines_by_id.len() < IDS_REMEMBERED_MAX {
            self.lines_by_id.insert(hash, row.line);
        }
        Ok(product)
    }
}

impl Iterator for Rows {
    type Item = Result<Product, RowProblem>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let product = match self.source.next_row() {
            None => {
                self.ended = true;
                return None;
            }
            Some(Err(problem)) => {
                self.ended = problem.field == "file";
                Err(problem)
            }
            Some(Ok(row)) => self.product(&row),
        };
        Some(product)
    }
}

#[cfg(test)]
mod tests;
