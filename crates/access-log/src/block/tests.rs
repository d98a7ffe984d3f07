//! Records read back, and damage of any kind costs no more than the blocks that it hit.

use std::io::Read;

use hotshelf_model::{Key, KeyRef, Version};
use proptest::prelude::*;

use super::*;
use crate::record::TEXT_BYTES_MAX;
use crate::samples::{key, record};

/// Every record as a line, and what was skipped. Reads few bytes at a time, as a pipe gives them.
fn read(bytes: &[u8]) -> (Vec<String>, Skipped) {
    struct Drops<'a>(&'a [u8]);
    impl Read for Drops<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let few = into.len().min(97);
            self.0.read(&mut into[..few])
        }
    }
    let mut reader = BlockReader::new(Drops(bytes));
    let mut lines = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        lines.push(line(&record));
    }
    (lines, reader.skipped())
}

fn line(record: &AccessRecord<'_>) -> String {
    let mut text = Vec::new();
    crate::json::push_line(record, &mut text);
    String::from_utf8(text).unwrap()
}

fn block<'a>(records: impl IntoIterator<Item = AccessRecord<'a>>) -> Vec<u8> {
    let mut builder = BlockBuilder::new();
    records.into_iter().for_each(|record| builder.push(&record));
    frame(&builder.take_content()).unwrap()
}

/// A block of a few records whose ids begin with `name`.
fn named(name: &str) -> Vec<u8> {
    let keys: Vec<Key> = (0..5).map(|n| key(&format!("{name}-{n}"))).collect();
    block(keys.iter().map(record))
}

fn framed(format: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(format.to_be_bytes());
    bytes.extend(u32::try_from(body.len()).unwrap().to_be_bytes());
    bytes.extend(body);
    bytes.extend(xxh3_64(&bytes).to_be_bytes());
    bytes
}

fn golden_records(keys: &[Key; 2]) -> [AccessRecord<'_>; 3] {
    let first = record(&keys[0]);
    let absent = AccessRecord {
        at_ms: first.at_ms - 2,
        tier: TierName::Origin,
        outcome: ReadOutcome::Absent,
        version: Version::NONE,
        latency_ns: None,
        bytes: 0,
        request_id: "",
        caller: "",
        ..record(&keys[1])
    };
    let again = AccessRecord {
        at_ms: first.at_ms + 1000,
        tier: TierName::L1,
        outcome: ReadOutcome::Hit,
        ..first
    };
    [first, absent, again]
}

#[test]
fn golden_bytes_of_format_1_read_back() {
    let keys = [key("A-1"), Key::parse("products//LAMP/1").unwrap()];
    let records = golden_records(&keys);
    let mut builder = BlockBuilder::new();
    records.iter().for_each(|record| builder.push(record));
    let content = builder.take_content();
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    assert_eq!(
        hex(&content),
        include_str!("../../tests/golden/block-1-content.hex").trim(),
        "what is written has changed; a new layout needs a new format number"
    );
    // The frame is not compared: another zstd may find another one for the same content.
    let golden = include_str!("../../tests/golden/block-1.hex").trim();
    let bytes: Vec<u8> = golden
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    let wanted: Vec<String> = records.iter().map(line).collect();
    assert_eq!(
        read(&bytes),
        (wanted, Skipped::default()),
        "{}",
        hex(&frame(&content).unwrap())
    );
}

#[test]
fn a_key_and_a_caller_are_written_once_in_a_block() {
    let key = key("LAMP-1");
    let mut builder = BlockBuilder::new();
    builder.push(&record(&key));
    let one = builder.take_content().len();
    (0..100).for_each(|_| builder.push(&record(&key)));
    let hundred = builder.take_content().len();
    assert!(hundred < one + 99 * 24, "{one}, {hundred}");
}

#[test]
fn a_builder_is_full_before_a_block_is_too_large() {
    let (mut builder, mut records) = (BlockBuilder::new(), 0_u64);
    let variant = ["dimension=value-of-thirty-two-bytes-max"; 8].join(";");
    while !builder.is_full() {
        let key = format!(
            "products/{variant}/{}",
            "x".repeat(120) + &records.to_string()
        );
        let key = Key::parse(&key).unwrap();
        let (id, caller) = ("r".repeat(500), format!("{records}-{}", "c".repeat(500)));
        builder.push(&AccessRecord {
            request_id: &id,
            caller: &caller,
            ..record(&key)
        });
        records += 1;
    }
    assert_eq!(u64::from(builder.records()), records);
    let content = builder.take_content();
    assert!(content.len() <= BLOCK_BYTES_MAX);
    assert_eq!(read(&frame(&content).unwrap()).0.len() as u64, records);
}

#[test]
fn long_texts_are_cut_between_characters() {
    let (key, long) = (key("A"), "é".repeat(TEXT_BYTES_MAX));
    let record = AccessRecord {
        request_id: &long[..TEXT_BYTES_MAX + 2],
        caller: &long,
        ..record(&key)
    };
    let mut reader_bytes = &block([record])[..];
    let mut reader = BlockReader::new(&mut reader_bytes);
    let back = reader.next().unwrap().unwrap();
    assert_eq!(back.request_id, "é".repeat(TEXT_BYTES_MAX / 2));
    assert_eq!(back.caller, back.request_id);
}

#[test]
fn a_block_torn_at_any_byte_costs_only_itself() {
    let (first, torn, last) = (named("first"), named("torn"), named("last"));
    let (first_lines, last_lines) = (read(&first).0, read(&last).0);
    for length in 1..torn.len() {
        let (lines, skipped) = read(&[&first, &torn[..length]].concat());
        assert_eq!(lines, first_lines, "{length}");
        let one = Skipped {
            damaged: 1,
            damaged_bytes: length as u64,
            newer: 0,
        };
        assert_eq!(skipped, one, "{length}");
        // As after `cat` of a torn file and a whole one.
        let (lines, skipped) = read(&[&first, &torn[..length], &last].concat());
        assert_eq!(lines, [&first_lines[..], &last_lines].concat(), "{length}");
        assert_eq!(skipped, one, "{length}");
    }
}

#[test]
fn a_changed_bit_anywhere_costs_only_its_block() {
    let (first, last) = (named("first"), named("last"));
    let (hit, whole) = (named("hit"), [named("first"), named("last")].concat());
    let wanted = read(&whole).0;
    for at in 0..hit.len() {
        let mut hit = hit.clone();
        hit[at] ^= 1 << (at % 8);
        let (lines, skipped) = read(&[&first[..], &hit, &last].concat());
        assert_eq!(lines, wanted, "{at}");
        assert_eq!(
            (skipped.damaged, skipped.damaged_bytes),
            (1, hit.len() as u64),
            "{at}"
        );
    }
}

#[test]
fn a_block_of_a_newer_format_is_stepped_over_and_told_from_damage() {
    let newer = framed(2, b"whatever it may be, even HSal");
    let (lines, skipped) = read(&[&newer[..], &named("A")].concat());
    assert_eq!((lines.len(), skipped.newer, skipped.damaged), (5, 1, 0));
}

#[test]
fn a_frame_that_decompresses_to_too_much_is_damage() {
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 1).unwrap();
    assert!(bomb.len() < BLOCK_BYTES_MAX);
    let (lines, skipped) = read(&[&framed(FORMAT, &bomb)[..], &named("A")].concat());
    assert_eq!((lines.len(), skipped.damaged), (5, 1));
}

#[test]
fn content_that_lies_is_damage_and_what_came_before_it_stays() {
    let keys = [key("A"), key("B")];
    let mut builder = BlockBuilder::new();
    keys.iter().for_each(|key| builder.push(&record(key)));
    let content = builder.take_content();
    for length in 0..content.len() {
        let body = zstd::bulk::compress(&content[..length], 1).unwrap();
        let (lines, skipped) = read(&[&framed(FORMAT, &body)[..], &named("C")].concat());
        assert_eq!(skipped.damaged, 1, "{length}");
        assert!((5..7).contains(&lines.len()), "{length}");
    }
}

prop_compose! {
    fn any_record()(
        at_ms: u64, id in "\\PC{1,20}", n in 0_usize..16, version: u64, latency: Option<u64>, bytes: u64,
        request_id in "\\PC{0,20}", caller in "[a-c]{0,1}"
    ) -> (Key, u64, usize, u64, Option<u64>, u64, String, String) {
        let key = Key::parse(&format!("products//{id}")).unwrap_or_else(|| key("A"));
        // The largest latency is told from none by one.
        (key, at_ms, n, version, latency.map(|ns| ns / 2), bytes, request_id, caller)
    }
}

proptest! {
    #[test]
    fn any_records_read_back(records in proptest::collection::vec(any_record(), 0..40), reads: u32) {
        let records: Vec<AccessRecord<'_>> = records.iter().map(|(key, at_ms, n, version, latency_ns, bytes, request_id, caller)| {
            AccessRecord {
                at_ms: *at_ms, reads, key: KeyRef::from(key),
                tier: TierName::ALL[n % 4], outcome: ReadOutcome::ALL[n / 4],
                version: Version(*version), latency_ns: *latency_ns, bytes: *bytes, request_id, caller,
            }
        }).collect();
        let (lines, skipped) = read(&block(records.iter().copied()));
        prop_assert_eq!(lines, records.iter().map(line).collect::<Vec<_>>());
        prop_assert_eq!(skipped, Skipped::default());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let (lines, skipped) = read(&bytes);
        prop_assert!(lines.is_empty());
        prop_assert_eq!(skipped.damaged_bytes, bytes.len() as u64);
    }

    #[test]
    fn arbitrary_bytes_with_a_right_check_never_panic(
        body in proptest::collection::vec(any::<u8>(), 0..200), format in 0_u16..3, compress: bool
    ) {
        let body = if compress { zstd::bulk::compress(&body, 1).unwrap() } else { body };
        let (lines, _) = read(&[&framed(format, &body)[..], &named("A")].concat());
        prop_assert!(lines.len() >= 5);
    }

    #[test]
    fn pieces_of_blocks_in_any_order_never_panic(cuts in proptest::collection::vec(any::<(prop::sample::Index, prop::sample::Index)>(), 0..8)) {
        let whole = named("A");
        let mut bytes = Vec::new();
        for (from, to) in cuts {
            let (from, to) = (from.index(whole.len()), to.index(whole.len()));
            bytes.extend_from_slice(&whole[from.min(to)..from.max(to)]);
        }
        bytes.extend(named("last"));
        let (lines, _) = read(&bytes);
        prop_assert!(lines.len() >= 5);
    }
}
