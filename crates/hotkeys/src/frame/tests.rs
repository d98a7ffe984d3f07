//! Frames read back; damage is refused; what sampling leaves out comes back on average.

use std::collections::{BTreeMap, BTreeSet};

use hotshelf_model::Boot;
use proptest::prelude::*;

use super::*;
use crate::slices::Slices;

fn some_frame() -> Frame {
    let entry = |hash, count, unit| Entry {
        key: KeyHash::new(hash),
        count,
        unit,
    };
    Frame {
        sender: Sender {
            node: 0x0bad_cafe,
            incarnation: 0x1122_3344_5566_7788,
        },
        opened_ms: 86_400_000,
        length_ms: 101,
        tau: 4,
        reads: 70_321,
        dropped: 3,
        entries: vec![
            entry(1, 1, 0),
            entry(0x80, 64, 0),
            entry(0x0123_4567_89ab_cdef, 4, 4),
            entry(0x0123_4567_89ab_cdf0, 4, 0),
            entry(0xfedc_ba98_7654_3210, 70_000, 65_536),
            entry(u64::MAX, u32::MAX, 0),
        ],
    }
}

/// The same bytes with a right check.
fn with_check(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len() - CHECK_BYTES);
    seal(&mut bytes);
    bytes
}

#[test]
fn golden_bytes_of_format_1_read_back() {
    let bytes = some_frame().encode();
    let written: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let hex = include_str!("../../tests/golden/frame-1.hex");
    assert_eq!(
        written,
        hex.trim(),
        "what is written has changed; a new layout needs a new format number"
    );
    assert_eq!(Frame::decode(&bytes), Ok(some_frame()));
}

#[test]
fn a_newer_format_is_told_from_damage() {
    let mut bytes = some_frame().encode().to_vec();
    bytes[5] = 2;
    assert_eq!(Frame::decode(&bytes), Err(MessageError::Undecodable));
    let newer = with_check(bytes);
    assert_eq!(Frame::decode(&newer), Err(MessageError::UnknownFormat));
}

type Change<'a> = (&'a str, &'a dyn Fn(&mut Vec<u8>));

#[test]
fn frames_that_no_node_writes_are_refused() {
    let good = some_frame().encode().to_vec();
    assert!(Frame::decode(&with_check(good.clone())).is_ok());
    let bad = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        Frame::decode(&with_check(bytes))
    };
    let changes: [Change<'_>; 8] = [
        ("more bytes", &|bytes| bytes.push(0)),
        ("fewer entries", &|bytes| bytes[55] = 5),
        ("more entries", &|bytes| bytes[55] = 7),
        ("very many entries", &|bytes| bytes[52..56].fill(0xff)),
        ("the same hash twice", &|bytes| bytes[BODY_AT + 2] = 0),
        ("no reads", &|bytes| bytes[BODY_AT + 1] = 1),
        ("a tau of 0", &|bytes| bytes[32..36].fill(0)),
        ("a clock of centuries", &|bytes| bytes[20] = 1),
    ];
    for (what, change) in changes {
        assert_eq!(bad(change), Err(MessageError::Undecodable), "{what}");
    }
    let long = vec![b'H'; FRAME_BYTES_MAX + 1];
    assert_eq!(Frame::decode(&long), Err(MessageError::Undecodable));
}

fn any_entries() -> impl Strategy<Value = Vec<Entry>> {
    let entry = (
        any::<u64>(),
        0_u32..64,
        1..=u32::MAX,
        any::<u32>(),
        any::<bool>(),
    );
    prop::collection::btree_map(any::<u64>(), entry, 0..200).prop_map(|entries| {
        let mut entries: Vec<Entry> = entries
            .into_iter()
            .map(|(hash, (_, shift, count, unit, exact))| {
                let count = (count >> (shift % 32)).max(1);
                let unit = if exact { 0 } else { unit % count + 1 };
                Entry {
                    key: KeyHash::new(hash),
                    count,
                    unit,
                }
            })
            .collect();
        entries.dedup_by_key(|entry| entry.key);
        entries
    })
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let numbers = (
        any::<u32>(),
        any::<u64>(),
        0..=OPENED_MS_MAX,
        any::<u32>(),
        1..=u32::MAX,
        any::<u64>(),
        any::<u64>(),
    );
    (numbers, any_entries()).prop_map(
        |((node, incarnation, opened_ms, length_ms, tau, reads, dropped), entries)| Frame {
            sender: Sender { node, incarnation },
            opened_ms,
            length_ms,
            tau,
            reads,
            dropped,
            entries,
        },
    )
}

proptest! {
    #[test]
    fn any_frame_reads_back(frame in any_frame()) {
        prop_assert_eq!(Frame::decode(&frame.encode()), Ok(frame));
    }

    #[test]
    fn no_bytes_make_decoding_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Frame::decode(&bytes).is_err());
    }

    #[test]
    fn no_body_behind_a_right_check_makes_decoding_panic(
        body in prop::collection::vec(prop_oneof![Just(0_u8), Just(0x80), Just(0xff), any::<u8>()], 44..300)
    ) {
        let bytes = [b"HShk\x00\x01\x00\x00".as_slice(), &body, &[0; CHECK_BYTES]].concat();
        if let Ok(frame) = Frame::decode(&with_check(bytes)) {
            prop_assert!(frame.entries.len() < 150);
            prop_assert_eq!(Frame::decode(&frame.encode()), Ok(frame));
        }
    }

    #[test]
    fn a_flipped_bit_is_seen(frame in any_frame(), at: prop::sample::Index, bit in 0..8_u32) {
        let mut bytes = frame.encode().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        prop_assert_eq!(Frame::decode(&bytes), Err(MessageError::Undecodable));
    }
}

/// Of each eighth of the keys.
const READS: [u32; 8] = [1, 1, 1, 2, 3, 5, 9, 400];

/// A slice of keys with few reads each, and some with many; the first are watched.
fn wide_slice(slices: &mut Slices, ends_ms: u64) -> Slice {
    for number in 0..20_000_u64 {
        let reads = READS[usize::try_from(number % 8).unwrap()];
        slices.count(key(number), reads);
    }
    slices.close(Boot(ends_ms * 1_000_000)).unwrap()
}

fn key(number: u64) -> KeyHash {
    KeyHash::of(&format!("products//{number}"), 1)
}

const SENDER: Sender = Sender {
    node: 1,
    incarnation: 2,
};

#[test]
fn a_slice_that_fits_is_sent_whole() {
    let mut slices = Slices::new(Boot(0), 1);
    for number in 0..500 {
        slices.count(key(number), 1 + u32::try_from(number).unwrap() % 3);
    }
    slices.dropped(2);
    let slice = slices.close(Boot(100_000_000)).unwrap();
    let framed = Framer::new(SENDER, 1).frame(&slice);
    let frame = Frame::decode(&framed.bytes).unwrap();
    assert_eq!((framed.tau, framed.entries, frame.tau), (1, 500, 1));
    assert_eq!(
        (frame.opened_ms, frame.length_ms, frame.number()),
        (0, 100, 0)
    );
    assert_eq!((frame.reads, frame.dropped), (slice.reads(), 2));
    let sum: u32 = frame.entries.iter().map(|entry| entry.count).sum();
    assert_eq!(u64::from(sum), slice.reads());
    assert!(framed.bytes.len() < 500 * 10 + 64, "{}", framed.bytes.len());
}

#[test]
fn above_the_budget_counts_are_sampled_and_none_is_changed_on_average() {
    const ROUNDS: u64 = 200;
    let mut slices = Slices::new(Boot(0), 1);
    let mut framer = Framer::new(SENDER, 9);
    slices.watch((0..40).map(key));
    let class: BTreeMap<KeyHash, usize> = (0..20_000)
        .map(|number| (key(number), usize::try_from(number % 8).unwrap()))
        .collect();
    let mut sums = [0.0; 8];
    for round in 1..=ROUNDS {
        let slice = wide_slice(&mut slices, round * 100);
        let framed = framer.frame(&slice);
        slices.reuse(slice);
        let frame = Frame::decode(&framed.bytes).unwrap();
        let size = framed.bytes.len();
        let near = FRAME_BUDGET * 8 / 10..FRAME_BUDGET * 11 / 10;
        assert!(near.contains(&size), "{size}");
        for entry in &frame.entries {
            sums[class[&entry.key]] += f64::from(entry.count);
        }
        let exact = frame.entries.iter().filter(|entry| entry.unit == 0);
        let exact: BTreeSet<KeyHash> = exact.map(|entry| entry.key).collect();
        let watched = (0..40).map(key).all(|key| exact.contains(&key));
        assert!(round == 1 || watched, "watched keys are exact");
    }
    for (sum, reads) in sums.into_iter().zip(READS) {
        let mean = sum / ROUNDS as f64 / 2500.0 / f64::from(reads);
        assert!((0.9..1.1).contains(&mean), "{reads}: {mean} of them");
    }
    let all = sums.iter().sum::<f64>() / ROUNDS as f64 / 2500.0;
    let reads = f64::from(READS.iter().sum::<u32>());
    assert!((all / reads - 1.0).abs() < 0.02, "{all} of {reads}");
}

#[test]
fn watched_keys_do_not_silence_the_others() {
    let mut slices = Slices::new(Boot(0), 1);
    let mut framer = Framer::new(SENDER, 9);
    slices.watch((0..5000).map(key));
    slices.close(Boot(100_000_000)).unwrap();
    let slice = wide_slice(&mut slices, 200);
    let frame = Frame::decode(&framer.frame(&slice).bytes).unwrap();
    let others = frame.entries.len() - 5000;
    assert!(
        (150..400).contains(&others),
        "a quarter of the budget: {others}"
    );
}

#[test]
fn the_largest_frame_fits() {
    let mut slices = Slices::new(Boot(0), 1);
    let mut framer = Framer::new(SENDER, 9);
    framer.set_budget(usize::MAX);
    slices.watch((0..8192).map(key));
    slices.close(Boot(100_000_000)).unwrap();
    for number in 0..300_000 {
        slices.count(key(number), u32::MAX);
    }
    let slice = slices.close(Boot(200_000_000)).unwrap();
    let framed = framer.frame(&slice);
    assert!(
        framed.bytes.len() <= FRAME_BYTES_MAX,
        "{}",
        framed.bytes.len()
    );
    let frame = Frame::decode(&framed.bytes).unwrap();
    assert!(frame.tau > 1 && frame.entries.len() > 8192);
}
