//! Bytes of any content are records or are skipped, never a panic; lines of any content are a read, something else, or malformed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xxhash_rust::xxh3::xxh3_64;

use hotshelf_access_log::block::MAGIC;
use hotshelf_access_log::parse::OWN_PATHS;
use hotshelf_access_log::{BlockReader, Format, KeyPattern, Parser};
use hotshelf_model::NamespaceName;

const FORMAT: u16 = 1;

fuzz_target!(|input: &[u8]| {
    read(input);
    let compressed = zstd::bulk::compress(input, 1).expect("memory");
    read(&framed(&compressed));
    let namespace = NamespaceName::new("products").expect("a good name");
    let pattern = KeyPattern::new(OWN_PATHS, &namespace).expect("a good pattern");
    for format in Format::ALL {
        Parser::new(format, pattern.clone()).parse(input).ok();
    }
});

fn read(bytes: &[u8]) {
    let mut reader = BlockReader::new(bytes);
    while reader.next().expect("memory can be read").is_some() {}
}

/// A block with a right check: mutation alone would never get past it.
fn framed(body: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(FORMAT.to_be_bytes());
    bytes.extend(u32::try_from(body.len()).expect("short").to_be_bytes());
    bytes.extend(body);
    bytes.extend(xxh3_64(&bytes).to_be_bytes());
    bytes
}
