//! The lane: plain reads over HTTP/1.1, answered without hyper.
//!
//! A connection begins here. As long as every request on it is ordinary ([`head`] says what that is: a GET or HEAD of a namespace's
//! documents, without a body and without anything that is about the connection), it is parsed in place with the parser that hyper
//! uses, and an L1 hit is written with one system call, from one piece of memory if it is short. A read that is no hit goes through the same router as everywhere, and only
//! its answer is written here. The first request that is not ordinary hands the connection to hyper for the rest of its life, with
//! the bytes that have come; so a bad, odd or large head never gets an answer from here.
//!
//! One request is under way at a time: the next head is looked at when the answer is written, so pipelined requests are answered in
//! their order. The bounds on slow clients are those of [`crate::watch`], as for every connection.

mod answer;
mod head;

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::front::Front;
use crate::prefixed::Prefixed;
use crate::read::{self, Rendered};
use crate::watch::{Order, Watch, WatchedIo};
use answer::AnswerHead;
use head::Parsed;

pub(crate) use head::Ordinary;

/// Room for the requests that have come. A head that does not fit goes to hyper, which has its own bound.
const ROOM_BYTES: usize = 4096;

/// A body that is no longer than this goes out with its head, from one piece of memory, which costs the kernel less than two. Each
/// connection keeps room for it.
const COPIED_BYTES_MAX: usize = 4096;

/// One connection while its requests are ordinary.
#[derive(Debug)]
pub(crate) struct Lane<I> {
    io: WatchedIo<I>,
    watch: Arc<Watch>,
    front: Front,
    room: Box<[u8]>,
    /// What of `room` has come and was not answered yet.
    start: usize,
    end: usize,
    head: AnswerHead,
    /// Where the text of the key that is looked for is made.
    key: String,
}

/// What to do next.
enum Step {
    /// Send the head and this.
    Send(Bytes),
    /// Ask the router about the head of this length.
    Route(usize),
    Read,
    /// Hand the connection over.
    Leave,
}

/// What the router made of a head.
enum Routed {
    /// The head of the answer is made; this is its body.
    Answered(Bytes),
    /// The `http` crate does not accept the head of the request, which hyper says.
    Refused,
    /// The body broke off, so that its length is not what the answer's head says.
    Broken,
}

impl<I: AsyncRead + AsyncWrite + Unpin> Lane<I> {
    pub(crate) fn new(io: WatchedIo<I>, watch: Arc<Watch>, front: Front) -> Self {
        Lane {
            io,
            watch,
            front,
            room: vec![0; ROOM_BYTES].into(),
            start: 0,
            end: 0,
            head: AnswerHead::new(),
            key: String::new(),
        }
    }

    /// Answers until something comes that is not ordinary, and gives the connection back with it; `None` when the connection has ended.
    pub(crate) async fn run(mut self) -> Option<Prefixed<WatchedIo<I>>> {
        loop {
            let body = match self.step() {
                Step::Send(body) => body,
                Step::Route(length) => match self.route(length).await {
                    Routed::Answered(body) => body,
                    Routed::Refused => return Some(self.leave()),
                    Routed::Broken => return None,
                },
                Step::Read => {
                    if self.read().await? == 0 {
                        return None;
                    }
                    continue;
                }
                Step::Leave => return Some(self.leave()),
            };
            self.write(body).await.ok()?;
            if self.head.is_last() {
                poll_fn(|ctx| Pin::new(&mut self.io).poll_shutdown(ctx))
                    .await
                    .ok();
                return None;
            }
        }
    }

    fn step(&mut self) -> Step {
        let came = &self.room[self.start..self.end];
        if came.is_empty() {
            return Step::Read;
        }
        let (length, ordinary) = match head::look(came) {
            Parsed::Ordinary(length, ordinary) => (length, ordinary),
            Parsed::Partial if came.len() < self.room.len() => return Step::Read,
            Parsed::Partial | Parsed::Foreign => return Step::Leave,
        };
        self.head.begin(&self.watch);
        let hit = self.front.hit(&ordinary, &self.watch, &mut self.key);
        let Some((answer, started)) = hit else {
            let is_read = self.front.reads(ordinary.path);
            return if is_read {
                Step::Route(length)
            } else {
                Step::Leave
            };
        };
        let Rendered { status, body } = read::render(&answer, &ordinary.asked, &mut self.head);
        self.front.count(status, started);
        self.head.end(status, body.len());
        self.start += length;
        if ordinary.asked.is_head {
            return Step::Send(Bytes::new());
        }
        if body.len() > COPIED_BYTES_MAX {
            return Step::Send(body.into_owned());
        }
        self.head.put_body(&body);
        Step::Send(Bytes::new())
    }

    /// Asks the router, now that L1 has said that it has nothing.
    async fn route(&mut self, length: usize) -> Routed {
        let Some(request) = head::request(&self.room[self.start..self.start + length]) else {
            return Routed::Refused;
        };
        let is_head = request.method() == http::Method::HEAD;
        self.start += length;
        let Ok(answer) = self.front.route_watched(request, &self.watch).await;
        let (parts, body) = answer.into_parts();
        let Ok(body) = body.collect().await else {
            return Routed::Broken;
        };
        let body = body.to_bytes();
        self.head.begin(&self.watch);
        self.head.put_all(&parts.headers);
        self.head.end(parts.status, body.len());
        Routed::Answered(if is_head { Bytes::new() } else { body })
    }

    /// Reads what has come; 0 at the end, and when the connection is idle and to be closed.
    async fn read(&mut self) -> Option<usize> {
        self.room.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end > 0 {
            self.watch.awaits_head();
        }
        let read = poll_fn(|ctx| {
            if self.end == 0 && self.watch.order() != Order::Serve {
                return Poll::Ready(Ok(0));
            }
            let mut buffer = ReadBuf::new(&mut self.room[self.end..]);
            ready!(Pin::new(&mut self.io).poll_read(ctx, &mut buffer))?;
            Poll::Ready(io::Result::Ok(buffer.filled().len()))
        });
        let count = read.await.ok()?;
        self.end += count;
        Some(count)
    }

    async fn write(&mut self, mut body: Bytes) -> io::Result<()> {
        poll_fn(|ctx| {
            while self.head.has_remaining() || body.has_remaining() {
                let io = Pin::new(&mut self.io);
                let mut written = ready!(if body.has_remaining() {
                    let parts = [IoSlice::new(self.head.chunk()), IoSlice::new(&body)];
                    io.poll_write_vectored(ctx, &parts)
                } else {
                    io.poll_write(ctx, self.head.chunk())
                })?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                let of_head = written.min(self.head.remaining());
                self.head.advance(of_head);
                written -= of_head;
                body.advance(written);
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    fn leave(self) -> Prefixed<WatchedIo<I>> {
        let came = Bytes::copy_from_slice(&self.room[self.start..self.end]);
        Prefixed::new(came, self.io)
    }
}
