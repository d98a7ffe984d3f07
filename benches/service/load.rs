//! The load: one thread, some keep-alive connections, one request under way on each; the next as soon as the answer is whole, or at a
//! fixed rate.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use hdrhistogram::Histogram;
use hotshelf_benches::time::Stopwatch;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

const BUFFER_BYTES: usize = 32 << 10;
/// Longer ones count as this.
pub(crate) const LATENCY_MAX_NS: u64 = 60_000_000_000;
const CONTENT_LENGTH: &[u8] = b"content-length:";
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// What a run measured.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) requests: usize,
    pub(crate) wall_ns: f64,
    /// Nanoseconds from a request to the end of its answer.
    pub(crate) latencies: Histogram<u64>,
}

/// What is sent: a request for each key, and which keys in which order.
#[derive(Debug)]
pub(crate) struct Load {
    requests: Vec<Vec<u8>>,
    connections: usize,
}

impl Load {
    pub(crate) fn new(paths: impl Iterator<Item = String>, connections: usize) -> Self {
        let request = |path: String| {
            format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\nAccept: application/json\r\n\r\n")
                .into_bytes()
        };
        Load {
            requests: paths.map(request).collect(),
            connections,
        }
    }

    /// Sends a request for each of `reads` and waits for all answers: each as soon as a connection is free, and not before it is
    /// due by `interval`.
    pub(crate) fn run(&self, port: u16, reads: &[u32], interval: Duration) -> anyhow::Result<Run> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let connections = (0..self.connections)
            .map(|number| Connection::open(port, &poll, number as u64))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let mut session = Session {
            load: self,
            idle: (0..connections.len()).collect(),
            connections,
            left: reads.iter(),
            interval,
            due: Duration::ZERO,
            stopwatch: Stopwatch::start(),
            latencies: Histogram::new_with_max(LATENCY_MAX_NS, 3)?,
        };
        let mut events = Vec::with_capacity(self.connections);
        let mut buffer = vec![0; BUFFER_BYTES];
        session.send_due()?;
        while !session.is_done() {
            wait(&poll, &mut events, session.is_waiting_for_time())?;
            for event in events.drain(..) {
                session.receive(usize::try_from(event.data.u64())?, &mut buffer)?;
            }
            session.send_due()?;
        }
        Ok(Run {
            requests: reads.len(),
            wall_ns: session.stopwatch.nanos(),
            latencies: session.latencies,
        })
    }
}

/// One run.
struct Session<'a> {
    load: &'a Load,
    connections: Vec<Connection>,
    idle: VecDeque<usize>,
    left: std::slice::Iter<'a, u32>,
    interval: Duration,
    /// When the next request is due, from the start.
    due: Duration,
    stopwatch: Stopwatch,
    latencies: Histogram<u64>,
}

impl Session<'_> {
    fn is_done(&self) -> bool {
        self.left.len() == 0 && self.idle.len() == self.connections.len()
    }

    /// Whether a free connection waits until the next request is due: too short a time to sleep.
    fn is_waiting_for_time(&self) -> bool {
        self.left.len() > 0 && !self.idle.is_empty()
    }

    fn send_due(&mut self) -> anyhow::Result<()> {
        let mut now = self.stopwatch.elapsed();
        while self.due <= now
            && let Some(&number) = self.idle.front()
            && let Some(&read) = self.left.next()
        {
            self.idle.pop_front();
            let request = &self.load.requests[read as usize];
            // A paced request that is sent late has been waiting since it was due.
            let begun = if self.interval.is_zero() {
                now
            } else {
                self.due
            };
            self.connections[number].send(request, begun)?;
            self.due += self.interval;
            now = self.stopwatch.elapsed();
        }
        Ok(())
    }

    fn receive(&mut self, number: usize, buffer: &mut [u8]) -> anyhow::Result<()> {
        let connection = &mut self.connections[number];
        if !connection.receive(buffer)? {
            return Ok(());
        }
        let waited = self.stopwatch.elapsed().saturating_sub(connection.begun);
        let waited = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
        self.latencies.saturating_record(waited);
        self.idle.push_back(number);
        if self.interval.is_zero() {
            self.send_due()?;
        }
        Ok(())
    }
}

/// Waits for events, also when a debugger attaches meanwhile.
///
/// With `only_look` it returns at once.
pub(crate) fn wait(
    poll: &OwnedFd,
    events: &mut Vec<epoll::Event>,
    only_look: bool,
) -> std::io::Result<()> {
    let none = Timespec::default();
    let timeout = only_look.then_some(&none);
    rustix::io::retry_on_intr(|| epoll::wait(poll, spare_capacity(events), timeout))?;
    Ok(())
}

struct Connection {
    stream: TcpStream,
    /// When the request was due or sent, from the start.
    begun: Duration,
    /// What has come of a head that is not whole yet.
    head: Vec<u8>,
    /// Bytes of the body that have not come yet.
    body_left: usize,
}

impl Connection {
    fn open(port: u16, poll: &OwnedFd, number: u64) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).context("connecting to the server")?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let data = epoll::EventData::new_u64(number);
        epoll::add(poll, &stream, data, epoll::EventFlags::IN)?;
        Ok(Connection {
            stream,
            begun: Duration::ZERO,
            head: Vec::new(),
            body_left: 0,
        })
    }

    /// A request fits into an empty socket buffer.
    fn send(&mut self, request: &[u8], begun: Duration) -> anyhow::Result<()> {
        self.begun = begun;
        let written = self.stream.write(request).context("sending a request")?;
        ensure!(written == request.len(), "a request did not fit");
        Ok(())
    }

    /// Reads what is there; says whether the answer is whole.
    fn receive(&mut self, buffer: &mut [u8]) -> anyhow::Result<bool> {
        let length = self.stream.read(buffer).context("reading an answer")?;
        let came = &buffer[..length];
        ensure!(length > 0, "the server closed a connection");
        if self.body_left > 0 {
            self.body_left = self.body_left.saturating_sub(length);
            return Ok(self.body_left == 0);
        }
        if self.head.is_empty()
            && let Some(left) = body_left(came)?
        {
            self.body_left = left;
            return Ok(left == 0);
        }
        self.head.extend_from_slice(came);
        let Some(left) = body_left(&self.head)? else {
            return Ok(false);
        };
        self.head.clear();
        self.body_left = left;
        Ok(left == 0)
    }
}

/// How many bytes of the body are missing from an answer; `None` when its head is not whole.
fn body_left(answer: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(end) = answer
        .windows(END_OF_HEAD.len())
        .position(|bytes| bytes == END_OF_HEAD)
    else {
        return Ok(None);
    };
    let (head, body) = answer.split_at(end + END_OF_HEAD.len());
    if !head.starts_with(b"HTTP/1.1 200") {
        bail!("the server answered {}", String::from_utf8_lossy(head));
    }
    let length = content_length(head).context("an answer has no Content-Length")?;
    Ok(Some(length.saturating_sub(body.len())))
}

fn content_length(head: &[u8]) -> Option<usize> {
    let mut lines = head.split(|&byte| byte == b'\n');
    let value = lines.find_map(|line| {
        let (name, value) = line.split_at_checked(CONTENT_LENGTH.len())?;
        name.eq_ignore_ascii_case(CONTENT_LENGTH).then_some(value)
    })?;
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

/// One whole answer, head and body, on a connection of its own.
pub(crate) fn get(port: u16, path: &str) -> anyhow::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    while body_left(&answer)? != Some(0) {
        let length = stream.read(&mut buffer)?;
        ensure!(length > 0, "the server closed the connection");
        answer.extend_from_slice(&buffer[..length]);
    }
    Ok(answer)
}
