//! The bytes of messages between nodes: rows of the change log, hints, polls that one node makes for others, and the bus's self-test.
//!
//! ```text
//!  0  magic   u32  `HSms`
//!  4  format  u16  1
//!  6  kind    u16  1 row, 2 hint, 3 ping, 4 ask, 5 answers
//!  8  hist    u64  the database's history; 0 in a ping and an ask
//! 16  body         bincode
//!  …  check   u64  XXH3 of all bytes before it
//! ```
//!
//! The fixed numbers are big-endian. The magic, the format and the check at the end stay where they are in every format, so that a
//! newer format is told from damage. A changed layout or a new kind gets a new format number; golden bytes of every format lie in
//! `tests/golden/`. There are keys, versions and positions in a message, never a document.

use bytes::{BufMut, Bytes};

use crate::bincoded::{self, BorrowDecode, Encode};
use crate::clock::DbTime;
use crate::key::{Id, NamespaceName};
use crate::log::{Hint, LogRow, RECORDS_MAX, Record};
use crate::sealed::{CHECK_BYTES, number, opened, seal};
use crate::seams::{Head, Poll};
use crate::version::{Hist, Position, Timeline, Version};

/// The longest message, in bytes: a row of [`RECORDS_MAX`] records with the longest names and ids is shorter.
pub const MESSAGE_BYTES_MAX: usize = 128 * 1024;
/// Most asks that one message answers.
pub const ASKS_MAX: usize = 512;

const MAGIC: [u8; 4] = *b"HSms";
const FORMAT: u16 = 1;
const KIND_AT: usize = 6;
const HIST_AT: usize = 8;
const BODY_AT: usize = 16;

const ROW: u16 = 1;
const HINT: u16 = 2;
const PING: u16 = 3;
const ASK: u16 = 4;
const ANSWERS: u16 = 5;

/// What a node tells the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A row of the change log.
    Row(LogRow),
    /// What a writer says before its change has a position.
    Hint(Hint),
    /// A node asks whether the bus brings it its own messages.
    Ping(Ping),
    /// A node asks the one that leads to poll for it.
    Ask(Ask),
    /// What came of a poll that was made for others.
    Answers(Answers),
}

/// A node asks the one that leads to poll the change log for it, as it would itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Who asks: a random number for each process.
    pub asker: u64,
    /// Which of its asks this is.
    pub number: u64,
    /// The position that the asker has followed the log to.
    pub known: Position,
}

/// What a poll said that was sent after some asks had come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answers {
    /// The poll, which is settled; its `known_nonce` and `sequenced` are nobody's.
    pub poll: Poll,
    /// Whom it answers, at most [`ASKS_MAX`].
    pub answered: Vec<Answered>,
}

/// What is different for each who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct Answered {
    /// Who asked.
    pub asker: u64,
    /// Which ask of its this answers.
    pub number: u64,
    /// The nonce of the row at the position that it named.
    pub known_nonce: Option<u64>,
}

impl Answers {
    /// The poll as `asker` would have made it, if it answers the ask of that number.
    pub fn of(&self, asker: u64, number: u64) -> Option<Poll> {
        let mut answered = self.answered.iter();
        let own = answered.find(|own| (own.asker, own.number) == (asker, number))?;
        Some(Poll {
            known_nonce: own.known_nonce,
            ..self.poll
        })
    }
}

/// The bus's self-test: a node that hears its own knows that it hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping {
    /// The node that asks.
    pub node: u32,
    /// A random number, by which it knows its own.
    pub nonce: u64,
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum MessageError {
    /// They were damaged on their way, or are none of ours. What they said is found in the database.
    #[error("the bytes are damaged, or no message of hotshelf")]
    Undecodable,
    /// A newer hotshelf wrote them. What they said cannot be known.
    #[error("the message has a format that a newer hotshelf writes")]
    UnknownFormat,
}

impl MessageError {
    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            MessageError::Undecodable => "undecodable",
            MessageError::UnknownFormat => "unknown_format",
        }
    }
}

/// The bytes of a row.
///
/// # Panics
/// When it holds more than [`RECORDS_MAX`] records.
pub fn encode_row(row: &LogRow) -> Bytes {
    assert!(
        row.records.len() <= RECORDS_MAX,
        "a row has at most 512 records"
    );
    let body = RowBody {
        timeline: row.timeline.0,
        position: row.position.0,
        nonce: row.nonce,
        records: row.records.iter().map(RecordBody::of).collect(),
    };
    framed(ROW, row.hist, &body)
}

/// The bytes of a hint.
pub fn encode_hint(hint: &Hint) -> Bytes {
    let body = HintBody {
        namespace: hint.namespace.as_str(),
        id: hint.id.as_str(),
        version: hint.version.0,
    };
    framed(HINT, hint.hist, &body)
}

/// The bytes of a ping.
pub fn encode_ping(ping: &Ping) -> Bytes {
    let body = PingBody {
        node: ping.node,
        nonce: ping.nonce,
    };
    framed(PING, Hist(0), &body)
}

/// The bytes of an ask.
pub fn encode_ask(ask: &Ask) -> Bytes {
    let body = AskBody {
        asker: ask.asker,
        number: ask.number,
        known: ask.known.0,
    };
    framed(ASK, Hist(0), &body)
}

/// The bytes of answers.
///
/// # Panics
/// When they answer more than [`ASKS_MAX`] asks, or the poll is not settled.
pub fn encode_answers(answers: &Answers) -> Bytes {
    assert!(answers.answered.len() <= ASKS_MAX, "asks are bounded");
    let poll = &answers.poll;
    assert!(poll.settled && poll.head.primary, "it would prove nothing");
    framed(ANSWERS, poll.head.hist, &AnswersBody::of(answers))
}

/// Reads a message. Any bytes are allowed.
///
/// # Errors
/// Says why the bytes are no message.
pub fn decode(bytes: &[u8]) -> Result<Message, MessageError> {
    let (kind, hist, body) = unframed(bytes)?;
    let message = match kind {
        ROW => row(hist, body).map(Message::Row),
        HINT => hint(hist, body).map(Message::Hint),
        PING => ping(hist, body).map(Message::Ping),
        ASK => ask(hist, body).map(Message::Ask),
        ANSWERS => answers(hist, body).map(Message::Answers),
        _ => None,
    };
    message.ok_or(MessageError::Undecodable)
}

fn framed(kind: u16, hist: Hist, body: &impl Encode) -> Bytes {
    let body = bincoded::to_bytes(body);
    let mut bytes = Vec::with_capacity(BODY_AT + body.len() + CHECK_BYTES);
    bytes.put_slice(&MAGIC);
    bytes.put_u16(FORMAT);
    bytes.put_u16(kind);
    bytes.put_u64(hist.0);
    bytes.put_slice(&body);
    seal(&mut bytes);
    debug_assert!(
        bytes.len() <= MESSAGE_BYTES_MAX,
        "names and ids are bounded"
    );
    bytes.into()
}

/// The kind, the history and the body.
fn unframed(bytes: &[u8]) -> Result<(u16, Hist, &[u8]), MessageError> {
    let checked = opened(bytes, MAGIC, FORMAT, MESSAGE_BYTES_MAX)?;
    let parts = || {
        let kind = number(checked, KIND_AT).map(u16::from_be_bytes)?;
        let hist = number(checked, HIST_AT).map(u64::from_be_bytes)?;
        Some((kind, Hist(hist), checked.get(BODY_AT..)?))
    };
    parts().ok_or(MessageError::Undecodable)
}

fn row(hist: Hist, body: &[u8]) -> Option<LogRow> {
    let body: RowBody<'_> = bincoded::read_all::<_, MESSAGE_BYTES_MAX>(body)?;
    if body.records.len() > RECORDS_MAX {
        return None;
    }
    let mut records: Vec<Record> = Vec::with_capacity(body.records.len());
    for record in &body.records {
        records.push(record.read(records.last())?);
    }
    Some(LogRow {
        hist,
        timeline: Timeline(body.timeline),
        position: Position(body.position),
        nonce: body.nonce,
        records,
    })
}

fn hint(hist: Hist, body: &[u8]) -> Option<Hint> {
    let body: HintBody<'_> = bincoded::read_all::<_, MESSAGE_BYTES_MAX>(body)?;
    Some(Hint {
        hist,
        namespace: NamespaceName::new(body.namespace).ok()?,
        id: Id::new(body.id).ok()?,
        version: Version(body.version),
    })
}

fn ping(hist: Hist, body: &[u8]) -> Option<Ping> {
    let body: PingBody = bincoded::read_all::<_, MESSAGE_BYTES_MAX>(body)?;
    (hist == Hist(0)).then_some(Ping {
        node: body.node,
        nonce: body.nonce,
    })
}

fn ask(hist: Hist, body: &[u8]) -> Option<Ask> {
    let body: AskBody = bincoded::read_all::<_, MESSAGE_BYTES_MAX>(body)?;
    (hist == Hist(0)).then_some(Ask {
        asker: body.asker,
        number: body.number,
        known: Position(body.known),
    })
}

fn answers(hist: Hist, body: &[u8]) -> Option<Answers> {
    let body: AnswersBody = bincoded::read_all::<_, MESSAGE_BYTES_MAX>(body)?;
    let head = Head {
        hist,
        timeline: Timeline(body.timeline),
        position: Position(body.position),
        now: DbTime(body.now),
        primary: true,
    };
    let poll = Poll {
        head,
        head_nonce: body.head_nonce,
        known_nonce: None,
        oldest: Position(body.oldest),
        version_max: Version(body.version_max),
        settled: true,
        sequenced: None,
    };
    (body.answered.len() <= ASKS_MAX).then_some(Answers {
        poll,
        answered: body.answered,
    })
}

#[derive(Encode, BorrowDecode)]
struct RowBody<'a> {
    timeline: u32,
    position: u64,
    nonce: u64,
    records: Vec<RecordBody<'a>>,
}

#[derive(Encode, BorrowDecode)]
struct RecordBody<'a> {
    namespace: &'a str,
    /// None in a record of the whole namespace.
    id: Option<&'a str>,
    version: u64,
}

#[derive(Encode, BorrowDecode)]
struct HintBody<'a> {
    namespace: &'a str,
    id: &'a str,
    version: u64,
}

#[derive(Encode, BorrowDecode)]
struct PingBody {
    node: u32,
    nonce: u64,
}

#[derive(Encode, BorrowDecode)]
struct AskBody {
    asker: u64,
    number: u64,
    known: u64,
}

#[derive(Encode, BorrowDecode)]
struct AnswersBody {
    timeline: u32,
    position: u64,
    now: u64,
    head_nonce: u64,
    oldest: u64,
    version_max: u64,
    answered: Vec<Answered>,
}

impl AnswersBody {
    fn of(answers: &Answers) -> Self {
        let poll = &answers.poll;
        AnswersBody {
            timeline: poll.head.timeline.0,
            position: poll.head.position.0,
            now: poll.head.now.0,
            head_nonce: poll.head_nonce,
            oldest: poll.oldest.0,
            version_max: poll.version_max.0,
            answered: answers.answered.clone(),
        }
    }
}

impl<'a> RecordBody<'a> {
    fn of(record: &'a Record) -> Self {
        match record {
            Record::Key {
                namespace,
                id,
                version,
            } => RecordBody {
                namespace: namespace.as_str(),
                id: Some(id.as_str()),
                version: version.0,
            },
            Record::Parent { namespace, version } => RecordBody {
                namespace: namespace.as_str(),
                id: None,
                version: version.0,
            },
        }
    }

    /// `previous` often has the same namespace, whose name is then shared.
    fn read(&self, previous: Option<&Record>) -> Option<Record> {
        let namespace = match previous.map(namespace) {
            Some(same) if same.as_str() == self.namespace => same.clone(),
            _ => NamespaceName::new(self.namespace).ok()?,
        };
        let version = Version(self.version);
        Some(match self.id {
            Some(id) => Record::Key {
                namespace,
                id: Id::new(id).ok()?,
                version,
            },
            None => Record::Parent { namespace, version },
        })
    }
}

fn namespace(record: &Record) -> &NamespaceName {
    match record {
        Record::Key { namespace, .. } | Record::Parent { namespace, .. } => namespace,
    }
}

#[cfg(test)]
mod tests;
