use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};

type FrameOf<B> = Result<Frame<<B as Body>::Data>, <B as Body>::Error>;

/// A frame of a byte takes a hundred to keep, and one may be empty.
const MAX_FRAMES: usize = 256;

/// The body of a response from [`ReadAhead`](super::ReadAhead): what was read of it, and then the rest.
pub struct ReadAheadBody<B: Body> {
    read: VecDeque<FrameOf<B>>,
    /// How much data was read ahead.
    length: usize,
    /// `None` when its end has been read.
    rest: Option<B>,
}

impl<B: Body> ReadAheadBody<B> {
    pub(super) fn new(body: B) -> Self {
        Self {
            read: VecDeque::new(),
            length: 0,
            rest: Some(body),
        }
    }

    /// Reads until the body is at its end, or more than `limit` bytes or very many frames have been read.
    pub(super) fn poll_read_ahead(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<()>
    where
        B: Unpin,
    {
        while self.length <= limit && self.read.len() < MAX_FRAMES {
            let Some(frame) = ready!(self.poll_rest(cx)) else {
                break;
            };
            let length = frame.as_ref().map_or(0, length_of);
            self.length = self.length.saturating_add(length);
            self.read.push_back(frame);
        }
        Poll::Ready(())
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Option<FrameOf<B>>>
    where
        B: Unpin,
    {
        let Some(rest) = &mut self.rest else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(rest).poll_frame(cx));
        // Once it has ended its connection is not its own any more.
        if !matches!(frame, Some(Ok(_))) {
            self.rest = None;
        }
        Poll::Ready(frame)
    }
}

fn length_of<D: Buf>(frame: &Frame<D>) -> usize {
    frame.data_ref().map_or(0, Buf::remaining)
}

impl<B: Body + Unpin> Body for ReadAheadBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = &mut *self;
        match this.read.pop_front() {
            Some(frame) => Poll::Ready(Some(frame)),
            None => this.poll_rest(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty() && self.rest.as_ref().is_none_or(B::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let rest = match &self.rest {
            Some(rest) => rest.size_hint(),
            None => SizeHint::with_exact(0),
        };
        let read = self.read.iter().flatten().map(length_of).sum::<usize>() as u64;
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(read));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(read)) {
            hint.set_upper(upper);
        }
        hint
    }
}

// What was read is never pinned.
impl<B: Body + Unpin> Unpin for ReadAheadBody<B> {}

impl<B: Body> fmt::Debug for ReadAheadBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadAheadBody").finish_non_exhaustive()
    }
}
