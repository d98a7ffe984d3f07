//! Bytes from the bus of any content are a message or refused, never a panic, and a message survives being written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xxhash_rust::xxh3::xxh3_64;

use hotshelf_model::message::{self, Message};

/// Where the layout of `message` puts what [`framed`] writes.
const MAGIC_AND_FORMAT: &[u8] = b"HSms\x00\x01";

fuzz_target!(|input: &[u8]| {
    check(input);
    check(&framed(input));
});

fn check(bytes: &[u8]) {
    let Ok(message) = message::decode(bytes) else {
        return;
    };
    let written = match &message {
        Message::Row(row) => message::encode_row(row),
        Message::Hint(hint) => message::encode_hint(hint),
        Message::Ping(ping) => message::encode_ping(ping),
        Message::Ask(ask) => message::encode_ask(ask),
        Message::Answers(answers) => message::encode_answers(answers),
    };
    assert_eq!(message::decode(&written), Ok(message));
}

/// The input as kind, history and body, with a right beginning and a right check: mutation alone would never get past them.
fn framed(input: &[u8]) -> Vec<u8> {
    let mut bytes = [MAGIC_AND_FORMAT, input].concat();
    let check = xxh3_64(&bytes);
    bytes.extend(check.to_be_bytes());
    bytes
}
