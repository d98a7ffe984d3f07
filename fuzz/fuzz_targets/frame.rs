//! Frames from the bus of any content are a frame or refused, never a panic, and a frame survives being written again and merged.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xxhash_rust::xxh3::xxh3_64;

use hotshelf_hotkeys::{Detector, Frame, Limits, Rules};
use hotshelf_model::Boot;

/// Where the layout of `frame` puts what [`framed`] writes.
const BEGINNING: &[u8] = b"HShk\x00\x01\x00\x00";

fuzz_target!(|input: &[u8]| {
    check(input);
    check(&framed(input));
});

fn check(bytes: &[u8]) {
    let Ok(frame) = Frame::decode(bytes) else {
        return;
    };
    let written = frame.encode();
    assert_eq!(Frame::decode(&written), Ok(frame.clone()));
    let now = Boot(1 << 50);
    let mut detector = Detector::new(Rules::default(), Limits::default(), now);
    assert!(detector.frame(&frame, now).is_ok(), "the first of its node");
    detector.tick(Boot(now.0 + 200_000_000));
}

/// The input with a right beginning and a right check: mutation alone would never get past them.
fn framed(input: &[u8]) -> Vec<u8> {
    let mut bytes = [BEGINNING, input].concat();
    let check = xxh3_64(&bytes);
    bytes.extend(check.to_be_bytes());
    bytes
}
