//! What an operator decides about the HTTP listeners: every bound, with its default.

use std::time::Duration;

/// Bounds of one listener. Each is checked where it bites; none of them can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// Open connections at most, 1 at least; one more is closed at once and counted.
    pub connections_max: usize,
    /// Connections that the kernel holds before they are accepted.
    pub backlog: u32,
    /// Requests that one HTTP/2 connection may have open at once, 1 at least.
    pub streams_max: u32,
    /// Bytes of a URL's path and query; a longer one is answered 414.
    pub url_bytes_max: usize,
    /// Bytes of a request's head, 8192 at least; a longer one is answered 431.
    pub header_bytes_max: usize,
    /// Bytes of a request's body; a longer one is answered 413.
    pub body_bytes_max: usize,
    /// Ids in one batch, 1 at least; more are answered 400.
    pub batch_ids_max: usize,
    /// Writes under way at once, 1 at least; one more is answered 503.
    pub writes_max: usize,
    /// Clients that follow the changes at once, 1 at least; one more is answered 503.
    pub subscribers_max: usize,
    /// Changes that are posted at once; more are answered 400.
    pub changes_max: usize,
    /// Bytes of a batch's answer; documents that do not fit are left out of it and say so.
    pub batch_bytes_max: usize,
    /// Bytes of all answers to batches that are not written yet, at least as many as of one; a batch for which there is no room is
    /// answered 503.
    pub batches_bytes_max: usize,
    /// How long a read may take before it is answered 504.
    pub request_timeout: Duration,
    /// How long a client may take to send a request's head, from its first byte.
    pub header_timeout: Duration,
    /// How long a client may take to send a request's body; after this it is answered 408.
    pub body_timeout: Duration,
    /// How long a request may stay unanswered, whatever the cause; longer than `body_timeout` and `request_timeout` together.
    pub unanswered_timeout: Duration,
    /// How long a client may leave answers that were sent to it unread.
    pub write_timeout: Duration,
    /// How long a connection may be open without a request.
    pub idle_timeout: Duration,
    /// How long requests under way get to end when the listener stops.
    pub drain_timeout: Duration,
}

impl Default for HttpSettings {
    fn default() -> Self {
        HttpSettings {
            connections_max: 10_000,
            backlog: 1024,
            streams_max: 128,
            url_bytes_max: 8 << 10,
            header_bytes_max: 32 << 10,
            body_bytes_max: 256 << 10,
            batch_ids_max: 200,
            writes_max: 64,
            subscribers_max: 1000,
            changes_max: 10_000,
            batch_bytes_max: 16 << 20,
            batches_bytes_max: 256 << 20,
            request_timeout: Duration::from_secs(2),
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            unanswered_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(75),
            drain_timeout: Duration::from_secs(10),
        }
    }
}
