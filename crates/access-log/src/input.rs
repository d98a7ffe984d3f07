//! Files as they are found: plain or gzip, told by their first bytes.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

const GZIP: [u8; 2] = [0x1f, 0x8b];
/// As much is read first, for whoever wants to guess from it.
const BEGINNING_BYTES: u64 = 64 * 1024;

/// The bytes of a file, decompressed, and its beginning beside them.
pub(crate) struct Input {
    pub(crate) beginning: Vec<u8>,
    pub(crate) reader: Box<dyn Read + Send>,
}

/// Opens a file.
///
/// # Errors
/// When its beginning cannot be read.
pub(crate) fn open(path: &Path) -> io::Result<Input> {
    let mut file = File::open(path)?;
    let mut first = Vec::new();
    Read::by_ref(&mut file)
        .take(GZIP.len() as u64)
        .read_to_end(&mut first)?;
    let is_gzip = first == GZIP;
    let whole = Cursor::new(first).chain(file);
    let mut reader: Box<dyn Read + Send> = match is_gzip {
        true => Box::new(MultiGzDecoder::new(BufReader::new(whole))),
        false => Box::new(whole),
    };
    let mut beginning = Vec::new();
    Read::by_ref(&mut reader)
        .take(BEGINNING_BYTES)
        .read_to_end(&mut beginning)?;
    let reader = Box::new(Cursor::new(beginning.clone()).chain(reader));
    Ok(Input { beginning, reader })
}
