use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, SizeHint};

use super::shared::{PolledFrame, Shared, Unread, panicked, read};
use crate::error::BoxError;

/// The body of the second request.
pub(super) struct Second<B> {
    /// `None` if not all is there that was sent first.
    shared: Option<Arc<Shared<B>>>,
    /// Once all else is sent.
    own: Option<Pin<Box<B>>>,
}

impl<B> Second<B> {
    pub(super) fn new(shared: Arc<Shared<B>>) -> Self {
        let shared = Some(shared);
        Self { shared, own: None }
    }

    /// Of what was not recorded, or not to its end.
    pub(super) fn lost() -> Self {
        Self {
            shared: None,
            own: None,
        }
    }
}

impl<B> Second<B>
where
    B: Body<Error: Into<BoxError>>,
{
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> PolledFrame {
        if let Some(body) = &mut self.own {
            return read(body.as_mut(), cx);
        }
        let Some(shared) = &self.shared else {
            let error = "the request's body is not kept, and cannot be sent again";
            return Poll::Ready(Some(Err(error.into())));
        };
        let waker = cx.waker().clone();
        let mut state = shared.state();
        if let Some(frame) = state.recorded.next() {
            return Poll::Ready(Some(Ok(frame)));
        }
        if let Some(read) = state.held_back.take() {
            return Poll::Ready(Some(read));
        }
        let unread = match state.unread {
            // Not for long: the first body ends when it has been read this once.
            Unread::BeingRead => {
                let before = state.second.replace(waker);
                drop(state);
                drop(before);
                return Poll::Pending;
            }
            _ => mem::replace(&mut state.unread, Unread::Ended),
        };
        drop(state);
        match unread {
            Unread::Here(body) => read(self.own.insert(body).as_mut(), cx),
            Unread::Panicked => Poll::Ready(Some(Err(panicked()))),
            Unread::Ended | Unread::BeingRead => Poll::Ready(None),
        }
    }

    /// Where the first body did not say how long it is, this does not either, however much is known by now:
    /// it is sent by the same transfer coding then, and with its trailers.
    pub(super) fn size_hint(&self) -> SizeHint {
        let Some(shared) = &self.shared else {
            return SizeHint::default();
        };
        let (known, unread) = match &self.own {
            Some(body) => (0, body.size_hint()),
            None => left(shared),
        };
        let mut hint = SizeHint::new();
        hint.set_lower(unread.lower().saturating_add(known));
        let upper = unread.upper().filter(|_| shared.is_sized);
        if let Some(upper) = upper.and_then(|upper| upper.checked_add(known)) {
            hint.set_upper(upper);
        }
        hint
    }

    pub(super) fn is_end_stream(&self) -> bool {
        if let Some(body) = &self.own {
            return body.is_end_stream();
        }
        let Some(shared) = &self.shared else {
            return false;
        };
        let state = shared.state();
        let ended = matches!(state.unread, Unread::Ended);
        ended && state.recorded.is_empty() && state.held_back.is_none()
    }
}

/// How many bytes have been read, and how many may follow.
#[allow(clippy::clone_on_copy)] // Since http-body 1.1.
fn left<B>(shared: &Shared<B>) -> (u64, SizeHint) {
    let state = shared.state();
    let held_back = match &state.held_back {
        Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
        _ => 0,
    };
    (state.recorded.data() + held_back as u64, state.hint.clone())
}

impl<B> Drop for Second<B> {
    fn drop(&mut self) {
        let Some(shared) = &self.shared else {
            return;
        };
        let mut state = shared.state();
        // The first body may be kept for long. If it reads just now, it sees this afterwards.
        let unread = mem::replace(&mut state.unread, Unread::Ended);
        let rest = (mem::take(&mut state.recorded), state.held_back.take());
        drop(state);
        drop((unread, rest));
    }
}
