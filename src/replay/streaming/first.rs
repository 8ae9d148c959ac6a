use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body::{Body, SizeHint};

use super::TakenOver;
use super::shared::{Phase, PolledFrame, Read, Shared, Unread, panicked, read};
use crate::error::BoxError;

/// The body of the first request.
pub(super) struct First<B> {
    source: Source<B>,
}

enum Source<B> {
    Shared {
        shared: Arc<Shared<B>>,
        /// Of what it has yet to pass on.
        hint: SizeHint,
        ended: bool,
    },
    /// Since nobody else will read it.
    Own(Pin<Box<B>>),
    None,
}

/// What the first body may do.
enum Turn<B> {
    Read(Reading<B>),
    /// Read for itself alone, after what it held back.
    Keep(Option<Read>, Unread<B>),
    Wait,
    TakenOver,
    Panicked,
    End,
}

impl<B> First<B> {
    pub(super) fn new(shared: Arc<Shared<B>>, hint: SizeHint, ended: bool) -> Self {
        let source = Source::Shared {
            shared,
            hint,
            ended,
        };
        Self { source }
    }
}

impl<B> First<B>
where
    B: Body<Error: Into<BoxError>>,
{
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> PolledFrame {
        let (shared, hint, ended) = match &mut self.source {
            Source::Shared {
                shared,
                hint,
                ended,
            } => (shared, hint, ended),
            Source::Own(body) => return read(body.as_mut(), cx),
            Source::None => return Poll::Ready(None),
        };
        match turn(shared, cx) {
            Turn::Read(mut reading) => {
                let polled = reading.poll(cx);
                let (polled, hint_now, ended_now) = reading.end(polled, cx);
                if polled.is_ready() {
                    (*hint, *ended) = (hint_now, ended_now);
                }
                polled
            }
            Turn::Keep(held_back, unread) => {
                self.source = match unread {
                    Unread::Here(body) => Source::Own(body),
                    _ => Source::None,
                };
                match held_back {
                    Some(read) => Poll::Ready(Some(read)),
                    None => self.poll_frame(cx),
                }
            }
            Turn::Wait => Poll::Pending,
            Turn::TakenOver => Poll::Ready(Some(Err(TakenOver.into()))),
            Turn::Panicked => Poll::Ready(Some(Err(panicked()))),
            Turn::End => Poll::Ready(None),
        }
    }

    #[allow(clippy::clone_on_copy)] // Since http-body 1.1.
    pub(super) fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Shared { hint, .. } => hint.clone(),
            Source::Own(body) => body.size_hint(),
            Source::None => SizeHint::with_exact(0),
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Shared { ended, .. } => *ended,
            Source::Own(body) => body.is_end_stream(),
            Source::None => true,
        }
    }
}

fn turn<B>(shared: &Arc<Shared<B>>, cx: &Context<'_>) -> Turn<B> {
    let waker = cx.waker().clone();
    let mut guard = shared.state();
    let state = &mut *guard;
    match (state.phase, &mut state.unread) {
        (Phase::TakenOver, _) => Turn::TakenOver,
        (_, Unread::Panicked) => Turn::Panicked,
        (Phase::Alone, unread) => {
            let unread = mem::replace(unread, Unread::Ended);
            Turn::Keep(state.held_back.take(), unread)
        }
        _ if state.held_back.is_some() => {
            let before = state.first.replace(waker);
            drop(guard);
            drop(before);
            Turn::Wait
        }
        (_, Unread::Ended | Unread::BeingRead) => Turn::End,
        (_, unread @ Unread::Here(_)) => match mem::replace(unread, Unread::BeingRead) {
            Unread::Here(body) => Turn::Read(Reading {
                shared: Arc::clone(shared),
                body: Some(body),
            }),
            _ => unreachable!("it is here"),
        },
    }
}

/// The unread rest, taken out to be read. Dropped, as by a panic, it is lost.
struct Reading<B> {
    shared: Arc<Shared<B>>,
    body: Option<Pin<Box<B>>>,
}

impl<B> Reading<B>
where
    B: Body<Error: Into<BoxError>>,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> PolledFrame {
        match &mut self.body {
            Some(body) => read(body.as_mut(), cx),
            None => Poll::Ready(None),
        }
    }

    /// Puts it back, and what was read to where it belongs. Returns what the first body passes on, and what
    /// is left of it after that.
    #[allow(clippy::clone_on_copy)] // Since http-body 1.1.
    fn end(mut self, polled: PolledFrame, cx: &Context<'_>) -> (PolledFrame, SizeHint, bool) {
        // These may panic too. It is taken out afterwards, so that it is known to be lost.
        let body = self.body.as_ref().expect("read once");
        let ended = match polled {
            Poll::Ready(None) => true,
            Poll::Ready(Some(_)) => body.is_end_stream(),
            // Whatever it says: it is the one that will wake.
            Poll::Pending => false,
        };
        let hint = match ended {
            true => SizeHint::with_exact(0),
            false => body.size_hint(),
        };
        let body = self.body.take().expect("read once");
        let waker = cx.waker().clone();

        let mut state = self.shared.state();
        state.hint = hint.clone();
        if !matches!(state.unread, Unread::BeingRead) {
            // The second body, which took it over, has been dropped meanwhile.
            drop(state);
            drop((body, polled));
            return (Poll::Ready(Some(Err(TakenOver.into()))), hint, ended);
        }
        // What is left of it is dropped here at the end, after the lock.
        let _ended = if ended || matches!(polled, Poll::Ready(Some(Err(_)))) {
            state.unread = Unread::Ended;
            Some(body)
        } else {
            state.unread = Unread::Here(body);
            None
        };
        let mut no_longer_recorded = None;
        let (polled, before) = match (state.phase, polled) {
            (Phase::Alone, polled @ Poll::Ready(_)) => (polled, None),
            (Phase::TakenOver, polled) => {
                if let Poll::Ready(read) = polled {
                    state.held_back = read;
                }
                (Poll::Ready(Some(Err(TakenOver.into()))), None)
            }
            (_, Poll::Pending) => (Poll::Pending, state.first.replace(waker)),
            (_, Poll::Ready(None)) => (Poll::Ready(None), None),
            (phase, Poll::Ready(Some(read))) => match &read {
                Ok(frame) if state.recorded.add(frame, self.shared.limit) => {
                    (Poll::Ready(Some(read)), None)
                }
                _ if phase == Phase::Offered => {
                    state.held_back = Some(read);
                    (Poll::Pending, state.first.replace(waker))
                }
                _ => {
                    state.phase = Phase::Alone;
                    no_longer_recorded = Some(mem::take(&mut state.recorded));
                    (Poll::Ready(Some(read)), None)
                }
            },
        };
        let second = state.second.take();
        drop(state);
        drop((before, no_longer_recorded));
        if let Some(second) = second {
            second.wake();
        }
        (polled, hint, ended)
    }
}

impl<B> Drop for Reading<B> {
    fn drop(&mut self) {
        if self.body.is_none() {
            return;
        }
        let mut state = self.shared.state();
        state.unread = Unread::Panicked;
        if state.phase == Phase::Recording {
            state.phase = Phase::Alone;
        }
        let second = state.second.take();
        drop(state);
        if let Some(second) = second {
            second.wake();
        }
    }
}
