//! A checkpoint reads back as it was written, and anything else is none.

use proptest::prelude::*;

use super::*;

fn saved(keys: &[(u128, u64, u64)], parents: &[(u128, u64, u64)]) -> Saved {
    let floor = |&(key, version, position): &(u128, u64, u64)| {
        let (version, position) = (Version(version), Position(position));
        (FloorKey(key), Floor { version, position })
    };
    let checkpoint = Checkpoint {
        hist: Hist(0x0123_4567_89ab_cdef),
        timeline: Timeline(3),
        cursor: Cursor {
            position: Position(1_000),
            nonce: 77,
        },
        low: Position(400),
    };
    let floors = SavedFloors {
        keys: keys.iter().map(floor).collect(),
        parents: parents.iter().map(floor).collect(),
    };
    (checkpoint, floors)
}

#[test]
fn the_format_is_what_it_was() {
    let bytes = encode(&saved(&[(1, 2, 3)], &[(4, 5, 6)]));
    let words: Vec<String> = bytes
        .chunks(8)
        .map(|chunk| chunk.iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    let expected = [
        "4853636b00000001",
        "0123456789abcdef",
        "0000000000000003",
        "00000000000003e8",
        "000000000000004d",
        "0000000000000190",
        "0000000000000001",
        "0000000000000001",
        "0000000000000000",
        "0000000000000001",
        "0000000000000002",
        "0000000000000003",
        "0000000000000000",
        "0000000000000004",
        "0000000000000005",
        "0000000000000006",
    ];
    assert_eq!(words[..16], expected);
    assert_eq!(words.len(), 17);
}

proptest! {
    #[test]
    fn a_checkpoint_reads_back_and_a_damaged_one_does_not(
        keys in prop::collection::vec(any::<(u128, u64, u64)>(), 0..20),
        parents in prop::collection::vec(any::<(u128, u64, u64)>(), 0..4),
        at in any::<prop::sample::Index>(),
        flip in 1_u8..,
    ) {
        let saved = saved(&keys, &parents);
        let mut bytes = encode(&saved);
        prop_assert_eq!(decode(&bytes), Some(saved));
        let at = at.index(bytes.len());
        prop_assert_eq!(decode(&bytes[..at]), None);
        bytes[at] ^= flip;
        prop_assert_eq!(decode(&bytes), None);
    }

    #[test]
    fn other_bytes_are_no_checkpoint(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(decode(&bytes), None);
    }
}

#[test]
fn another_format_is_no_checkpoint() {
    let mut bytes = encode(&saved(&[(1, 2, 3)], &[]));
    bytes[7] = 2;
    bytes.truncate(bytes.len() - CHECK_BYTES);
    seal(&mut bytes);
    assert_eq!(decode(&bytes), None);
}
