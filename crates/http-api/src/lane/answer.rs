//! The head of an answer, written as text.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use bytes::{Buf, BufMut};
use http::header::{CONNECTION, CONTENT_LENGTH};
use http::{HeaderMap, HeaderName, StatusCode};
use httpdate::HttpDate;

use crate::headers::{HeaderSink, put_decimal};
use crate::watch::{Order, Watch};

/// Kept free before the headers for the status line, which is known last: `HTTP/1.1 431 Request Header Fields Too Large`.
const STATUS_ROOM: usize = 56;
/// What a hit's head takes, so that it is allocated once.
const HEAD_BYTES: usize = 512;
const END_OF_LINE: &[u8] = b"\r\n";

/// A head that is being written, with the body when that is short, and then what of it was not sent yet.
#[derive(Debug)]
pub(super) struct AnswerHead {
    text: Vec<u8>,
    /// Where what is left to send begins.
    at: usize,
    has_length: bool,
    is_last: bool,
    /// `Date` and its second.
    date: String,
    date_seconds: u64,
}

impl AnswerHead {
    pub(super) fn new() -> Self {
        AnswerHead {
            text: Vec::with_capacity(HEAD_BYTES),
            at: 0,
            has_length: false,
            is_last: false,
            date: String::new(),
            date_seconds: 0,
        }
    }

    /// Whether the connection ends with this answer.
    pub(super) fn is_last(&self) -> bool {
        self.is_last
    }

    /// Begins the next head; it is the connection's last when the connection is to end.
    pub(super) fn begin(&mut self, watch: &Watch) {
        self.text.clear();
        self.text.resize(STATUS_ROOM, b' ');
        self.has_length = false;
        self.is_last = watch.order() != Order::Serve;
        let seconds = watch.unix_seconds();
        if seconds != self.date_seconds || self.date.is_empty() {
            let date = HttpDate::from(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
            self.date.clear();
            // Writing to a string does not fail.
            write!(self.date, "{date}").ok();
            self.date_seconds = seconds;
        }
    }

    /// Puts what a route answered. A route that wants the connection closed gets its way.
    pub(super) fn put_all(&mut self, headers: &HeaderMap) {
        for (name, value) in headers {
            if name == CONNECTION {
                self.is_last |= value.as_bytes().eq_ignore_ascii_case(b"close");
                continue;
            }
            self.has_length |= name == CONTENT_LENGTH;
            self.put_written(name, |text| text.put_slice(value.as_bytes()));
        }
    }

    /// Ends the head of an answer whose body, also when it is not sent, has `length` bytes.
    pub(super) fn end(&mut self, status: StatusCode, length: usize) {
        let has_body = status != StatusCode::NOT_MODIFIED && status != StatusCode::NO_CONTENT;
        if has_body && !self.has_length {
            let length = u64::try_from(length).unwrap_or(u64::MAX);
            self.put_written(&CONTENT_LENGTH, |text| put_decimal(text, length));
        }
        if self.is_last {
            self.put(&CONNECTION, "close");
        }
        self.text.put_slice(b"date: ");
        self.text.put_slice(self.date.as_bytes());
        self.text.put_slice(b"\r\n\r\n");
        self.put_status(status);
    }

    /// Puts a short body behind the head that has ended.
    pub(super) fn put_body(&mut self, body: &[u8]) {
        self.text.put_slice(body);
    }

    /// Puts the status line right before the headers.
    fn put_status(&mut self, status: StatusCode) {
        let reason = status.canonical_reason().unwrap_or_default().as_bytes();
        let parts = [
            b"HTTP/1.1 ",
            status.as_str().as_bytes(),
            b" ",
            reason,
            END_OF_LINE,
        ];
        let mut at = STATUS_ROOM;
        for part in parts.into_iter().rev() {
            let end = at;
            at = at.saturating_sub(part.len());
            self.text[at..end].copy_from_slice(&part[..end - at]);
        }
        self.at = at;
    }
}

impl HeaderSink for AnswerHead {
    type Text = Vec<u8>;

    fn put(&mut self, name: &HeaderName, value: &'static str) {
        self.put_written(name, |text| text.put_slice(value.as_bytes()));
    }

    fn put_written(&mut self, name: &HeaderName, write: impl FnOnce(&mut Vec<u8>)) {
        self.text.put_slice(name.as_str().as_bytes());
        self.text.put_slice(b": ");
        write(&mut self.text);
        self.text.put_slice(END_OF_LINE);
    }
}

/// What is left to send.
impl Buf for AnswerHead {
    fn remaining(&self) -> usize {
        self.text.len() - self.at
    }

    fn chunk(&self) -> &[u8] {
        &self.text[self.at..]
    }

    fn advance(&mut self, count: usize) {
        self.at += count;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::watch::Ticks;

    fn watch() -> Arc<Watch> {
        Watch::new(Arc::new(Ticks::new(784_111_777)))
    }

    fn text(head: &AnswerHead) -> &str {
        std::str::from_utf8(head.chunk()).unwrap()
    }

    #[test]
    fn a_head_is_written_again_and_again_in_one_room() {
        let (mut head, watch) = (AnswerHead::new(), watch());
        for status in [200, 304, 431, 599] {
            let status = StatusCode::from_u16(status).unwrap();
            head.begin(&watch);
            head.put(&http::header::VARY, "Accept-Encoding");
            head.end(status, 7);
            let reason = status.canonical_reason().unwrap_or_default();
            let length = if status == 304 {
                ""
            } else {
                "content-length: 7\r\n"
            };
            let expected = format!(
                "HTTP/1.1 {} {reason}\r\nvary: Accept-Encoding\r\n{length}date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n",
                status.as_u16()
            );
            assert_eq!(text(&head), expected);
            assert!(!head.is_last());
            head.advance(expected.len());
            assert!(!head.has_remaining());
        }
    }

    #[test]
    fn a_route_decides_about_length_and_connection() {
        let (mut head, watch) = (AnswerHead::new(), watch());
        head.begin(&watch);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, 12.into());
        headers.insert(CONNECTION, http::HeaderValue::from_static("Close"));
        head.put_all(&headers);
        head.end(StatusCode::OK, 0);
        assert!(head.is_last());
        assert!(
            text(&head)
                .starts_with("HTTP/1.1 200 OK\r\ncontent-length: 12\r\nconnection: close\r\n"),
            "{}",
            text(&head)
        );
    }

    #[test]
    fn the_longest_status_line_fits_its_room() {
        let lengths = (100..1000).filter_map(|code| {
            let reason = StatusCode::from_u16(code).ok()?.canonical_reason()?;
            Some("HTTP/1.1 200 \r\n".len() + reason.len())
        });
        assert!(lengths.max().unwrap() <= STATUS_ROOM);
    }
}
