//! Messages about hot keys of any content are a message or refused, never a panic, and a message survives being written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xxhash_rust::xxh3::xxh3_64;

use hotshelf_hotkeys::HotMessage;

/// Where the layout of `message` puts what [`framed`] writes.
const BEGINNING: &[u8] = b"HShm\x00\x01\x00";

fuzz_target!(|input: &[u8]| {
    check(input);
    check(&framed(input));
});

fn check(bytes: &[u8]) {
    if let Ok((hist, message)) = HotMessage::decode(bytes) {
        assert_eq!(
            HotMessage::decode(&message.encode(hist)),
            Ok((hist, message))
        );
    }
}

/// The input with a right beginning and a right check: mutation alone would never get past them.
fn framed(input: &[u8]) -> Vec<u8> {
    let mut bytes = [BEGINNING, input].concat();
    let check = xxh3_64(&bytes);
    bytes.extend(check.to_be_bytes());
    bytes
}
