//! What the two bodies of a request and the one that decides about them share.
//!
//! Nothing of other people's runs under the lock: the body is taken out to be read, and what is dropped or
//! woken is so afterwards.

use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};

use super::recorded::Recorded;
use crate::error::BoxError;

pub(super) type Read = Result<Frame<Bytes>, BoxError>;
pub(super) type PolledFrame = Poll<Option<Read>>;

pub(super) struct Shared<B> {
    pub(super) limit: usize,
    /// Whether the body said how long it is at most.
    pub(super) is_sized: bool,
    pub(super) state: Mutex<State<B>>,
}

pub(super) struct State<B> {
    pub(super) phase: Phase,
    pub(super) recorded: Recorded,
    /// What the first body holds back: it was read, but does not fit in.
    pub(super) held_back: Option<Read>,
    pub(super) unread: Unread<B>,
    /// Of what is unread.
    pub(super) hint: SizeHint,
    /// Who waits: the first body for the unread rest, or for what becomes of what it holds back; the second
    /// for the first to have read.
    pub(super) first: Option<Waker>,
    pub(super) second: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Phase {
    Recording,
    Offered,
    Alone,
    TakenOver,
}

pub(super) enum Unread<B> {
    Here(Pin<Box<B>>),
    /// The first body is reading it just now.
    BeingRead,
    /// Also if it has failed, or if nobody will read it any more.
    Ended,
    Panicked,
}

impl<B> Shared<B> {
    pub(super) fn state(&self) -> MutexGuard<'_, State<B>> {
        // Nothing in here panics half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a frame, as `Bytes`.
pub(super) fn read<B>(body: Pin<&mut B>, cx: &mut Context<'_>) -> PolledFrame
where
    B: Body<Error: Into<BoxError>>,
{
    body.poll_frame(cx).map(|read| {
        let frame = read?.map_err(Into::into);
        Some(frame.map(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))))
    })
}

/// What is read of a body that has panicked, lest it look complete.
pub(super) fn panicked() -> BoxError {
    "the request's body has panicked".into()
}
