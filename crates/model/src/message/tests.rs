//! Messages read back; damage of any kind is refused, and a newer format is told from it.

use proptest::prelude::*;

use super::*;

fn products() -> NamespaceName {
    NamespaceName::new("products").unwrap()
}

fn key_record(id: &str, version: u64) -> Record {
    Record::Key {
        namespace: products(),
        id: Id::new(id).unwrap(),
        version: Version(version),
    }
}

fn some_row() -> LogRow {
    LogRow {
        hist: Hist(0x0123_4567_89ab_cdef),
        timeline: Timeline(3),
        position: Position(901),
        nonce: 0xfeed_beef_cafe_f00d,
        records: vec![
            key_record("A-1", 3 << 40 | 18447),
            key_record("лампа/7", 3 << 40 | 18448),
            Record::Parent {
                namespace: NamespaceName::new("cards").unwrap(),
                version: Version(3 << 40 | 18449),
            },
        ],
    }
}

fn some_hint() -> Hint {
    Hint {
        hist: Hist(0x0123_4567_89ab_cdef),
        namespace: products(),
        id: Id::new("A-1").unwrap(),
        version: Version(3 << 40 | 18447),
    }
}

const SOME_PING: Ping = Ping {
    node: 0x0bad_cafe,
    nonce: 0x1122_3344_5566_7788,
};

const SOME_ASK: Ask = Ask {
    asker: 0x0123_4567_89ab_cdef,
    number: 41,
    known: Position(901),
};

fn some_answers() -> Answers {
    let head = Head {
        hist: Hist(0x0123_4567_89ab_cdef),
        timeline: Timeline(3),
        position: Position(903),
        now: DbTime(1_800_000_000_123),
        primary: true,
    };
    let answered = |asker, known_nonce| Answered {
        asker,
        number: 41,
        known_nonce,
    };
    Answers {
        poll: Poll {
            head,
            head_nonce: 0xfeed_beef_cafe_f00d,
            known_nonce: None,
            oldest: Position(17),
            version_max: Version(3 << 40 | 18449),
            settled: true,
            sequenced: None,
        },
        answered: vec![answered(SOME_ASK.asker, Some(7)), answered(1, None)],
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
    let golden = [
        (
            "row",
            include_str!("../../tests/golden/message-1-row.hex"),
            encode_row(&some_row()),
            Message::Row(some_row()),
        ),
        (
            "hint",
            include_str!("../../tests/golden/message-1-hint.hex"),
            encode_hint(&some_hint()),
            Message::Hint(some_hint()),
        ),
        (
            "ping",
            include_str!("../../tests/golden/message-1-ping.hex"),
            encode_ping(&SOME_PING),
            Message::Ping(SOME_PING),
        ),
        (
            "ask",
            include_str!("../../tests/golden/message-1-ask.hex"),
            encode_ask(&SOME_ASK),
            Message::Ask(SOME_ASK),
        ),
        (
            "answers",
            include_str!("../../tests/golden/message-1-answers.hex"),
            encode_answers(&some_answers()),
            Message::Answers(some_answers()),
        ),
    ];
    for (name, hex, bytes, message) in golden {
        let written: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            written,
            hex.trim(),
            "{name}: what is written has changed; a new layout needs a new format number"
        );
        assert_eq!(decode(&bytes), Ok(message), "{name}");
    }
}

#[test]
fn the_largest_row_fits() {
    let namespace = NamespaceName::new(&"n".repeat(NamespaceName::BYTES_MAX)).unwrap();
    let record = |number: usize| Record::Key {
        namespace: namespace.clone(),
        id: Id::new(&format!("{number:0128}")).unwrap(),
        version: Version(u64::MAX),
    };
    let row = LogRow {
        hist: Hist(u64::MAX),
        timeline: Timeline(u32::MAX),
        position: Position(u64::MAX),
        nonce: u64::MAX,
        records: (0..RECORDS_MAX).map(record).collect(),
    };
    let bytes = encode_row(&row);
    assert!(bytes.len() <= MESSAGE_BYTES_MAX, "{}", bytes.len());
    assert_eq!(decode(&bytes), Ok(Message::Row(row)));
}

#[test]
fn more_records_than_a_row_has_are_refused() {
    let body = RowBody {
        timeline: 1,
        position: 1,
        nonce: 1,
        records: (0..=RECORDS_MAX)
            .map(|_| RecordBody {
                namespace: "products",
                id: Some("A"),
                version: 1,
            })
            .collect(),
    };
    let bytes = framed(ROW, Hist(1), &body);
    assert_eq!(decode(&bytes), Err(MessageError::Undecodable));
}

#[test]
fn answers_are_for_who_asked_and_for_this_ask() {
    let answers = some_answers();
    let poll = answers.of(SOME_ASK.asker, 41).unwrap();
    assert_eq!(poll.known_nonce, Some(7));
    assert_eq!(poll.head, answers.poll.head);
    assert_eq!(answers.of(1, 41).unwrap().known_nonce, None);
    assert_eq!(answers.of(SOME_ASK.asker, 40), None);
    assert_eq!(answers.of(2, 41), None);
}

#[test]
fn the_most_answers_fit_and_one_more_is_refused() {
    let answered = |asker| Answered {
        asker: u64::MAX - asker,
        number: u64::MAX,
        known_nonce: Some(u64::MAX),
    };
    let mut answers = Answers {
        answered: (0..ASKS_MAX as u64).map(answered).collect(),
        ..some_answers()
    };
    let bytes = encode_answers(&answers);
    assert!(bytes.len() <= MESSAGE_BYTES_MAX, "{}", bytes.len());
    assert_eq!(decode(&bytes), Ok(Message::Answers(answers.clone())));
    answers.answered.push(answered(0));
    let bytes = framed(ANSWERS, Hist(1), &AnswersBody::of(&answers));
    assert_eq!(decode(&bytes), Err(MessageError::Undecodable));
}

#[test]
fn a_newer_format_is_told_from_damage() {
    let mut bytes = encode_hint(&some_hint()).to_vec();
    bytes[5] = 2;
    assert_eq!(decode(&bytes), Err(MessageError::Undecodable));
    assert_eq!(
        decode(&with_check(bytes)),
        Err(MessageError::UnknownFormat),
        "its check is right"
    );
}

#[test]
fn names_that_are_none_and_bytes_after_the_end_are_refused() {
    let hint = |namespace, id| {
        let body = HintBody {
            namespace,
            id,
            version: 1,
        };
        framed(HINT, Hist(1), &body)
    };
    assert!(decode(&hint("products", "A")).is_ok());
    for (namespace, id) in [("Products", "A"), ("products", ""), ("products", " A")] {
        let refused = decode(&hint(namespace, id));
        assert_eq!(refused, Err(MessageError::Undecodable), "{namespace} {id}");
    }
    let mut longer = hint("products", "A").to_vec();
    longer.push(0);
    assert_eq!(decode(&with_check(longer)), Err(MessageError::Undecodable));
}

fn any_record() -> impl Strategy<Value = Record> {
    let name = "[a-g][a-z0-9_]{0,31}".prop_map(|name| NamespaceName::new(&name).unwrap());
    let id = prop::option::of("[^\\pC\\s]{1,32}");
    (name, id, any::<u64>()).prop_map(|(namespace, id, version)| {
        let version = Version(version);
        match id.and_then(|id| Id::new(&id).ok()) {
            Some(id) => Record::Key {
                namespace,
                id,
                version,
            },
            None => Record::Parent { namespace, version },
        }
    })
}

fn any_row() -> impl Strategy<Value = LogRow> {
    let records = prop::collection::vec(any_record(), 0..20);
    let numbers = (any::<u64>(), any::<u32>(), any::<u64>(), any::<u64>());
    (numbers, records).prop_map(|((hist, timeline, position, nonce), records)| LogRow {
        hist: Hist(hist),
        timeline: Timeline(timeline),
        position: Position(position),
        nonce,
        records,
    })
}

proptest! {
    #[test]
    fn any_row_reads_back(row in any_row()) {
        prop_assert_eq!(decode(&encode_row(&row)), Ok(Message::Row(row)));
    }

    #[test]
    fn any_hint_and_any_ping_read_back(record in any_record(), hist: u64, node: u32, nonce: u64) {
        if let Record::Key { namespace, id, version } = record {
            let hint = Hint { hist: Hist(hist), namespace, id, version };
            prop_assert_eq!(decode(&encode_hint(&hint)), Ok(Message::Hint(hint)));
        }
        let ping = Ping { node, nonce };
        prop_assert_eq!(decode(&encode_ping(&ping)), Ok(Message::Ping(ping)));
    }

    #[test]
    fn any_change_of_any_byte_is_damage(at: prop::sample::Index, flip in 1_u8..) {
        let messages = [
            encode_row(&some_row()),
            encode_hint(&some_hint()),
            encode_ping(&SOME_PING),
            encode_ask(&SOME_ASK),
            encode_answers(&some_answers()),
        ];
        for bytes in messages {
            let mut bytes = bytes.to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert_eq!(decode(&bytes), Err(MessageError::Undecodable));
        }
    }

    #[test]
    fn any_truncation_is_damage(at: prop::sample::Index) {
        let bytes = encode_row(&some_row());
        prop_assert_eq!(decode(&bytes[..at.index(bytes.len())]), Err(MessageError::Undecodable));
    }

    #[test]
    fn arbitrary_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), CHECK_BYTES..400), kind in 0_u16..7) {
        prop_assert_eq!(decode(&bytes), Err(MessageError::Undecodable));
        let mut framed = MAGIC.to_vec();
        framed.extend(FORMAT.to_be_bytes());
        framed.extend(kind.to_be_bytes());
        framed.append(&mut bytes);
        let framed = with_check(framed);
        if let Ok(message) = decode(&framed) {
            let again = match &message {
                Message::Row(row) => encode_row(row),
                Message::Hint(hint) => encode_hint(hint),
                Message::Ping(ping) => encode_ping(ping),
                Message::Ask(ask) => encode_ask(ask),
                Message::Answers(answers) => encode_answers(answers),
            };
            prop_assert_eq!(decode(&again), Ok(message));
        }
    }
}
