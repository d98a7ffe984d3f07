//! Stored bytes of any content are an entry or a miss, never a panic, and an entry survives being written again.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use xxhash_rust::xxh3::xxh3_64;

use hotshelf_model::envelope::{self, EncodeOptions, PREFIX_BYTES};
use hotshelf_model::{Id, Key, NamespaceName, Position, Stamp, Timeline, Variant, Version};

const DOCUMENT_BYTES_MAX: usize = 1 << 20;

/// Where the layout of `envelope` puts what [`with_checks`] writes.
const FORMAT: std::ops::Range<usize> = 0..4;
const BODY_CHECK: std::ops::Range<usize> = 44..52;
const PARENTS: std::ops::Range<usize> = 52..56;
const PARENT_BYTES: usize = 16;
const PARENTS_MAX: usize = 8;
const CHECK_BYTES: usize = 8;

/// Bytes of an entry stored under [`key`].
const GOLDEN: &str = include_str!("../../crates/model/tests/golden/entry-1-present.hex");

fuzz_target!(|input: &[u8]| {
    check(Bytes::copy_from_slice(input));
    for bytes in [input.to_vec(), after_the_key(input)] {
        if let Some(bytes) = with_checks(bytes) {
            check(bytes);
        }
    }
});

fn check(bytes: Bytes) {
    let key = key();
    let stamp = Stamp {
        timeline: Timeline(7),
        version: Version(11),
        position: Position(13),
    };
    if let Ok(restamped) = envelope::restamp(&bytes, stamp) {
        assert_eq!(envelope::stamp(&restamped), Ok(stamp));
    }
    let Ok(entry) = envelope::decode(&bytes, &key, DOCUMENT_BYTES_MAX) else {
        return;
    };
    let written = envelope::encode(&key, &entry, EncodeOptions::PLAIN);
    let read = envelope::decode(&written, &key, DOCUMENT_BYTES_MAX);
    let read = read.expect("what was just written can be read");
    assert_eq!(read.stamp, entry.stamp);
    assert_eq!(read.body().identity, entry.body().identity);
}

fn key() -> Key {
    let namespace = NamespaceName::new("products").expect("a good name");
    let variant = Variant::parse("locale=en").expect("a good variant");
    Key::new(&namespace, &Id::new("A-1").expect("a good id"), &variant)
}

/// A good entry up to its key, then the input in the place of lengths, facts and document.
fn after_the_key(input: &[u8]) -> Vec<u8> {
    let hex: Vec<u8> = GOLDEN.bytes().filter(u8::is_ascii_hexdigit).collect();
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("a hex digit") as u8;
    let mut bytes: Vec<u8> = hex
        .chunks(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect();
    let key = key();
    let key = key.as_str().as_bytes();
    let at = bytes.windows(key.len()).position(|window| window == key);
    bytes.truncate(at.expect("the golden bytes hold their key") + key.len());
    bytes.extend_from_slice(input);
    bytes
}

/// The bytes with right checks: mutation alone would never get past them, to the details and the body.
fn with_checks(mut bytes: Vec<u8>) -> Option<Bytes> {
    let count = usize::from(*bytes.get(PARENTS.end - 1)?) % (PARENTS_MAX + 1);
    let header_end = PREFIX_BYTES + count * PARENT_BYTES;
    let tail_start = header_end + CHECK_BYTES;
    let body_check = xxh3_64(bytes.get(tail_start..)?);
    bytes[FORMAT].copy_from_slice(&1_u32.to_be_bytes());
    bytes[BODY_CHECK].copy_from_slice(&body_check.to_be_bytes());
    bytes[PARENTS].copy_from_slice(&u32::try_from(count).ok()?.to_be_bytes());
    let header_check = xxh3_64(&bytes[..header_end]);
    bytes[header_end..tail_start].copy_from_slice(&header_check.to_be_bytes());
    Some(bytes.into())
}
