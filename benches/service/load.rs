//! The load: one thread, some keep-alive connections, one request under way on each, the next as soon as the answer is whole.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;

use anyhow::{Context, bail, ensure};
use hdrhistogram::Histogram;
use hotshelf_benches::time::Stopwatch;
use rustix::buffer::spare_capacity;
use rustix::event::epoll;

const BUFFER_BYTES: usize = 32 << 10;
/// Longer ones count as this.
pub(crate) const LATENCY_MAX_NS: u64 = 60_000_000_000;
const CONTENT_LENGTH: &[u8] = b"content-length:";
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// What a run measured.
#[derive(Debug)]
pub(crate) struct Run {
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

    /// Sends a request for each of `reads` and waits for all answers.
    pub(crate) fn run(&self, port: u16, reads: &[u32]) -> anyhow::Result<Run> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut reads = reads.iter().map(|&read| &self.requests[read as usize]);
        let mut connections = (0..self.connections)
            .map(|number| Connection::open(port, &poll, number as u64))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let mut run = Run {
            wall_ns: 0.0,
            latencies: Histogram::new_with_max(LATENCY_MAX_NS, 3)?,
        };
        let stopwatch = Stopwatch::start();
        let mut open = 0;
        for (connection, request) in connections.iter_mut().zip(&mut reads) {
            connection.send(request)?;
            open += 1;
        }
        let mut events = Vec::with_capacity(self.connections);
        let mut buffer = vec![0; BUFFER_BYTES];
        while open > 0 {
            wait(&poll, &mut events)?;
            for event in events.drain(..) {
                let number = usize::try_from(event.data.u64())?;
                let connection = &mut connections[number];
                if !connection.receive(&mut buffer)? {
                    continue;
                }
                run.latencies.saturating_record(connection.waited());
                match reads.next() {
                    Some(request) => connection.send(request)?,
                    None => open -= 1,
                }
            }
        }
        run.wall_ns = stopwatch.nanos();
        Ok(run)
    }
}

/// Waits for events, also when a debugger attaches meanwhile.
pub(crate) fn wait(poll: &OwnedFd, events: &mut Vec<epoll::Event>) -> std::io::Result<()> {
    rustix::io::retry_on_intr(|| epoll::wait(poll, spare_capacity(events), None))?;
    Ok(())
}

struct Connection {
    stream: TcpStream,
    sent: Stopwatch,
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
            sent: Stopwatch::start(),
            head: Vec::new(),
            body_left: 0,
        })
    }

    /// A request fits into an empty socket buffer.
    fn send(&mut self, request: &[u8]) -> anyhow::Result<()> {
        self.sent = Stopwatch::start();
        let written = self.stream.write(request).context("sending a request")?;
        ensure!(written == request.len(), "a request did not fit");
        Ok(())
    }

    fn waited(&self) -> u64 {
        u64::try_from(self.sent.elapsed().as_nanos()).unwrap_or(u64::MAX)
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
