//! Stored bytes read back, and damage of any kind is a miss.

use proptest::prelude::*;

use super::*;
use crate::clock::DbTime;
use crate::entry::{FillFacts, Parent, Parents};
use crate::key::{Id, NamespaceName};
use crate::variant::Variant;
use crate::version::{Position, Timeline, Version};

const MAX: usize = 1 << 20;

fn key(id: &str) -> Key {
    let variant = Variant::parse("locale=en").unwrap();
    Key::new(
        &NamespaceName::new("products").unwrap(),
        &Id::new(id).unwrap(),
        &variant,
    )
}

fn entry(document: &[u8]) -> Entry {
    let stamp = Stamp {
        timeline: Timeline(3),
        version: Version(3 << 40 | 18447),
        position: Position(901),
    };
    let body = Body {
        identity: Bytes::copy_from_slice(document),
        zstd: None,
    };
    let mut entry = Entry::present(body, stamp, DbTime(1_700_000_000_123));
    entry.valid_until = Some(DbTime(1_700_000_060_000));
    let namespace = NamespaceName::new("products").unwrap();
    entry.parents = Parents::new(&[Parent::namespace(&namespace, Version(3 << 40 | 7))]).unwrap();
    entry.facts = FillFacts {
        node: 4,
        fetch_us: 350,
    };
    entry
}

/// Entries compare without the compressed form that a tier may add.
fn plain(entry: &Entry) -> Entry {
    let mut other = match entry.kind() {
        Kind::Present => {
            let body = Body {
                identity: entry.body().identity.clone(),
                zstd: None,
            };
            Entry::present(body, entry.stamp, entry.fetched_at)
        }
        Kind::Absent => Entry::absent(entry.stamp, entry.fetched_at),
    };
    other.valid_until = entry.valid_until;
    other.parents = entry.parents.clone();
    other.facts = entry.facts;
    other
}

const COMPRESSED: EncodeOptions = EncodeOptions {
    compress_bytes_min: 64,
    zstd_level: 1,
};

#[test]
fn golden_bytes_of_format_1_read_back() {
    let golden = [
        (
            "present",
            include_str!("../../tests/golden/entry-1-present.hex"),
            entry(br#"{"id":"A-1","title":"Lamp"}"#),
        ),
        (
            "absent",
            include_str!("../../tests/golden/entry-1-absent.hex"),
            {
                let stamp = Stamp {
                    timeline: Timeline(1),
                    version: Version::NONE,
                    position: Position(12),
                };
                Entry::absent(stamp, DbTime(1_700_000_000_000))
            },
        ),
    ];
    for (name, hex, entry) in golden {
        let bytes = encode(&key("A-1"), &entry, EncodeOptions::PLAIN);
        let written: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            written,
            hex.trim(),
            "{name}: what is written has changed; a new layout needs a new format number"
        );
        assert_eq!(decode(&bytes, &key("A-1"), MAX), Ok(entry), "{name}");
    }
}

#[test]
fn a_long_document_is_compressed_and_keeps_both_forms() {
    let document = br#"{"text":"again and again "}"#.repeat(50);
    let entry = entry(&document);
    let bytes = encode(&key("A-1"), &entry, COMPRESSED);
    assert!(bytes.len() < document.len() / 2);
    let back = decode(&bytes, &key("A-1"), MAX).unwrap();
    assert_eq!(back.body().identity, document);
    let zstd = back
        .body()
        .zstd
        .clone()
        .expect("the compressed form is kept");
    assert_eq!(decompress(&zstd, document.len()).unwrap(), document);
    assert_eq!(encode(&key("A-1"), &back, COMPRESSED), bytes);
}

#[test]
fn bytes_that_do_not_decompress_leave_the_threads_context_usable() {
    let document = br#"{"text":"again and again "}"#.repeat(50);
    let whole = zstd::bulk::compress(&document, 1).unwrap();
    for (stored, len) in [
        (&b"not zstd"[..], document.len()),
        (&whole[..whole.len() / 2], document.len()),
        (&whole, document.len() - 1),
    ] {
        assert_eq!(decompress(stored, len), None);
        assert_eq!(decompress(&whole, document.len()).unwrap(), document);
    }
}

#[test]
fn a_document_that_does_not_shrink_is_stored_as_it_is() {
    let noise: Vec<u8> = (0..200_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let bytes = encode(&key("A-1"), &entry(&noise), COMPRESSED);
    assert_eq!(decode(&bytes, &key("A-1"), MAX).unwrap().body().zstd, None);
}

#[test]
fn the_bytes_of_another_key_are_a_miss() {
    let bytes = encode(&key("A-1"), &entry(b"{}"), EncodeOptions::PLAIN);
    assert_eq!(decode(&bytes, &key("A-2"), MAX), Err(MissReason::WrongKey));
}

#[test]
fn a_newer_format_is_told_from_damage() {
    let mut bytes = encode(&key("A-1"), &entry(b"{}"), EncodeOptions::PLAIN).to_vec();
    bytes[3] = 2;
    assert_eq!(
        decode(&bytes.into(), &key("A-1"), MAX),
        Err(MissReason::UnknownFormat)
    );
}

#[test]
fn a_document_over_the_limit_is_a_miss_before_it_is_decompressed() {
    let bytes = encode(&key("A-1"), &entry(&[b' '; 5000]), COMPRESSED);
    assert_eq!(decode(&bytes, &key("A-1"), 4999), Err(MissReason::Damaged));
}

#[test]
fn restamping_rewrites_the_header_only() {
    let bytes = encode(&key("A-1"), &entry(b"{\"id\":1}"), EncodeOptions::PLAIN);
    let stamp = Stamp {
        position: Position(999),
        ..entry(b"").stamp
    };
    let restamped = restamp(&bytes, stamp).unwrap();
    assert_eq!(super::stamp(&restamped), Ok(stamp));
    let back = decode(&restamped, &key("A-1"), MAX).unwrap();
    assert_eq!(
        (back.stamp, back.fetched_at),
        (stamp, entry(b"").fetched_at)
    );
    assert_eq!(back.into_body().identity, "{\"id\":1}");
}

proptest! {
    #[test]
    fn any_entry_reads_back(document in proptest::collection::vec(any::<u8>(), 0..300), id in "[A-Z]{1,9}", compress: bool) {
        let entry = entry(&document);
        let options = if compress { COMPRESSED } else { EncodeOptions::PLAIN };
        let back = decode(&encode(&key(&id), &entry, options), &key(&id), MAX).unwrap();
        prop_assert_eq!(plain(&back), entry);
    }

    #[test]
    fn any_change_of_any_byte_is_a_miss(at: prop::sample::Index, flip in 1_u8.., compress: bool) {
        let options = if compress { COMPRESSED } else { EncodeOptions::PLAIN };
        let mut bytes = encode(&key("A-1"), &entry(&[b'x'; 100]), options).to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(decode(&bytes.into(), &key("A-1"), MAX).is_err());
    }

    #[test]
    fn any_truncation_is_a_miss(at: prop::sample::Index) {
        let bytes = encode(&key("A-1"), &entry(b"{\"id\":\"A-1\"}"), EncodeOptions::PLAIN);
        prop_assert!(decode(&bytes.slice(..at.index(bytes.len())), &key("A-1"), MAX).is_err());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(decode(&bytes.into(), &key("A-1"), MAX).is_err());
    }
}
