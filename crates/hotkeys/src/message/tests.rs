//! Every kind of message reads back; damage and what no node writes are refused.

use proptest::prelude::*;

use super::*;
use crate::poisson::Window;

const HIST: Hist = Hist(0x1122_3344_5566_7788);

fn key(id: &str) -> Key {
    Key::parse(&format!("products//{id}")).unwrap()
}

fn hashes() -> Vec<KeyHash> {
    [1, 0x80, 0x0123_4567_89ab_cdef, u64::MAX]
        .map(KeyHash::new)
        .to_vec()
}

fn told(id: &str, why: PromotionReason) -> Told {
    Told {
        key: key(id),
        bytes: 4096,
        rate: 12_345.6,
        share: 0.25,
        onset_ms: 400,
        decided_ms: 3,
        why,
    }
}

/// One of each kind, with each of their choices.
fn messages() -> Vec<HotMessage> {
    let from = Sender {
        node: 0x0bad_cafe,
        incarnation: 7,
    };
    let cursor = HotCursor {
        term: 1_790_000_000_000,
        number: 41,
    };
    let surge = PromotionReason::Surge {
        window: Window::Half,
        sigmas: 7.25,
    };
    vec![
        HotMessage::Decided(Decided {
            first: cursor,
            decisions: vec![
                Announced::Promoted(told("lamp", surge)),
                Announced::Promoted(told("chair", PromotionReason::Rule)),
                Announced::Demoted(key("table"), DemotionReason::Room),
            ],
        }),
        HotMessage::State(State {
            from,
            seat: 2,
            cursor: Some(cursor),
            health: Health::Late,
            lag: Duration::from_millis(612),
            nodes: 100,
        }),
        HotMessage::Snapshot(Snapshot {
            cursor,
            part: 1,
            parts: 3,
            keys: vec![told("lamp", PromotionReason::Snapshot)],
        }),
        HotMessage::Want(from),
        HotMessage::Questions(hashes()),
        HotMessage::Names(vec![Name {
            key: key("lamp"),
            bytes: 4096,
        }]),
        HotMessage::Rates(hashes().into_iter().map(|hash| (hash, 512.5)).collect()),
        HotMessage::Watched(hashes()),
        HotMessage::Held(Held {
            from,
            cursor,
            missing: hashes(),
        }),
    ]
}

/// The same bytes with a right check.
fn with_check(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len() - CHECK_BYTES);
    seal(&mut bytes);
    bytes
}

#[test]
fn golden_bytes_of_format_1_read_back() {
    let mut written = String::new();
    for message in messages() {
        let bytes = message.encode(HIST);
        written.extend(bytes.iter().map(|byte| format!("{byte:02x}")));
        written.push('\n');
        assert_eq!(HotMessage::decode(&bytes), Ok((HIST, message)));
    }
    assert_eq!(
        written,
        include_str!("../../tests/golden/message-1.hex"),
        "what is written has changed; a new layout needs a new format number"
    );
}

#[test]
fn a_newer_format_and_an_unknown_kind_are_refused() {
    let bytes = messages()[0].encode(HIST).to_vec();
    let at = |at: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        HotMessage::decode(&with_check(bytes))
    };
    assert_eq!(at(5, 2), Err(MessageError::UnknownFormat));
    assert_eq!(at(7, 10), Err(MessageError::Undecodable));
    assert_eq!(at(0, b'X'), Err(MessageError::Undecodable));
}

#[test]
fn damage_is_found_wherever_it_is() {
    for message in messages() {
        let bytes = message.encode(HIST).to_vec();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert_eq!(HotMessage::decode(&damaged), Err(MessageError::Undecodable));
            let cut = with_check(bytes[..at.max(CHECK_BYTES)].to_vec());
            assert!(HotMessage::decode(&cut).is_err(), "{message:?} cut at {at}");
        }
    }
}

#[test]
fn the_largest_messages_are_carried_by_every_bus() {
    let id = "x".repeat(128);
    let largest = Told {
        key: key(&id),
        bytes: u32::MAX,
        onset_ms: u64::MAX,
        decided_ms: u64::MAX,
        ..told("lamp", PromotionReason::Rule)
    };
    let cursor = HotCursor {
        term: u64::MAX,
        number: u64::MAX,
    };
    let parts = Snapshot::parts_of(cursor, &vec![largest; HASHES_MAX + 1]);
    assert_eq!(parts.len(), usize::try_from(PARTS_MAX).unwrap());
    for part in parts {
        let bytes = HotMessage::Snapshot(part.clone()).encode(HIST);
        assert_eq!(
            HotMessage::decode(&bytes),
            Ok((HIST, HotMessage::Snapshot(part)))
        );
    }
    let step = u64::MAX / HASHES_MAX as u64;
    let even = (1..=HASHES_MAX as u64).map(|place| KeyHash::new(place * step));
    let rates = even.map(|hash| (hash, 1e8)).collect();
    let bytes = HotMessage::Rates(rates).encode(HIST);
    assert!(HotMessage::decode(&bytes).is_ok());
}

#[test]
fn an_empty_hot_set_is_one_part() {
    let cursor = HotCursor { term: 1, number: 0 };
    let parts = Snapshot::parts_of(cursor, &[]);
    assert_eq!((parts.len(), parts[0].parts), (1, 1));
}

proptest! {
    #[test]
    fn any_bytes_are_a_message_or_refused(kind in 0_u16..12, body: Vec<u8>) {
        let mut bytes = Writer::new(MAGIC, FORMAT, kind, HIST).bytes;
        bytes.extend(body);
        seal(&mut bytes);
        if let Ok((hist, message)) = HotMessage::decode(&bytes) {
            prop_assert_eq!(HotMessage::decode(&message.encode(hist)), Ok((hist, message)));
        }
    }
}
