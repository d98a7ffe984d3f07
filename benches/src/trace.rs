//! Traces of real requests, kept outside the repository, and a generated one where they are missing.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::zipf;

/// Requests in order, each a key's number; keys are numbered by their first request.
#[derive(Clone, Debug)]
pub struct Trace {
    /// Where it comes from.
    pub name: String,
    /// Key numbers in the order of the requests.
    pub requests: Vec<u32>,
    /// How many keys there are.
    pub keys: usize,
}

impl Trace {
    fn numbered<K: std::hash::Hash + Eq>(name: &str, raw: impl Iterator<Item = K>) -> Self {
        let mut numbers = HashMap::new();
        let number = |key| {
            let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
            *numbers.entry(key).or_insert(next)
        };
        let requests: Vec<u32> = raw.map(number).collect();
        Trace {
            name: name.to_owned(),
            requests,
            keys: numbers.len(),
        }
    }

    /// Zipf-like requests, for a machine without real ones.
    pub fn generated(keys: usize, requests: usize) -> Self {
        let name = format!("generated, Zipf {}", zipf::EXPONENT);
        Self::numbered(&name, zipf::sequence(keys, requests, 42).into_iter())
    }

    /// The first requests of one of the cache2k traces: xz around big-endian 32-bit numbers.
    ///
    /// # Errors
    /// When the file cannot be read as such.
    pub fn read(name: &str, requests_max: usize) -> anyhow::Result<Self> {
        let path = folder().join("traces").join(format!("{name}.trace.xz"));
        let numbers = unpack(&path).with_context(|| format!("reading the trace `{name}`"))?;
        let raw = numbers.as_chunks::<4>().0.iter().take(requests_max);
        Ok(Self::numbered(name, raw.copied().map(u32::from_be_bytes)))
    }
}

fn unpack(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut packed = BufReader::new(File::open(path)?);
    let mut numbers = Vec::new();
    lzma_rs::xz_decompress(&mut packed, &mut numbers)
        .map_err(|error| anyhow::anyhow!("not an xz file: {error:?}"))?;
    Ok(numbers)
}

/// `HOTSHELF_DATA`, or the folder `shared/data` beside the checkout.
fn folder() -> PathBuf {
    match std::env::var_os("HOTSHELF_DATA") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_numbered_by_their_first_request() {
        let trace = Trace::numbered("x", [70, 7, 70, 8].into_iter());
        assert_eq!(trace.requests, [0, 1, 0, 2]);
        assert_eq!(trace.keys, 3);
    }
}
