//! The body of every answer: bytes that are whole, or what an axum route returned.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};

use crate::watch::{OpenRequest, StreamedAnswer};

/// A body. The first form is not boxed, because every L1 hit has one.
#[derive(Debug)]
pub enum AnswerBody {
    /// Bytes that are there already.
    Whole(Full<Bytes>),
    /// A route's body.
    Routed(axum::body::Body),
    /// A route's body that comes bit by bit, while its connection is not idle.
    Streamed(axum::body::Body, StreamedAnswer),
}

impl From<Bytes> for AnswerBody {
    fn from(bytes: Bytes) -> Self {
        AnswerBody::Whole(Full::new(bytes))
    }
}

impl AnswerBody {
    /// The same, noted in the connection's watch for as long as it lasts if it comes bit by bit.
    pub(crate) fn noted(self, request: OpenRequest) -> Self {
        match self {
            AnswerBody::Routed(body) if body.size_hint().exact().is_none() => {
                AnswerBody::Streamed(body, request.streamed())
            }
            whole => whole,
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match self.get_mut() {
            AnswerBody::Whole(body) => Pin::new(body)
                .poll_frame(ctx)
                .map(|frame| frame.map(|frame| frame.map_err(|never: Infallible| match never {}))),
            AnswerBody::Routed(body) | AnswerBody::Streamed(body, _) => {
                Pin::new(body).poll_frame(ctx)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            AnswerBody::Whole(body) => body.is_end_stream(),
            AnswerBody::Routed(body) | AnswerBody::Streamed(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            AnswerBody::Whole(body) => body.size_hint(),
            AnswerBody::Routed(body) | AnswerBody::Streamed(body, _) => body.size_hint(),
        }
    }
}
