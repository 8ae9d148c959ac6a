//! Whether a fetch may begin: not while there is a pause, and not before there is a place.
//!
//! One gate a cache. After a failure it lets in one at a time.

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::places::Places;
use super::turns::{LOOK_AGAIN, Turns};
use crate::clock::{Clock, Deadline, Instant};
use crate::error::{FetchError, FetchErrorKind, discard};
use crate::pause::Pause;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) struct Gate {
    clock: Clock,
    state: Mutex<State>,
    turns: Arc<Turns>,
}

struct State {
    places: Places,
    pause: Pause,
    closed: bool,
    /// When who finds a turn that was lost tells all again.
    tells_all_from: Instant,
}

/// A running fetch. Dropping it makes room for another.
pub(crate) struct Entered<'a> {
    gate: &'a Gate,
    number: Option<u64>,
}

impl Gate {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            state: Mutex::new(State {
                places: Places::new(),
                pause: Pause::default(),
                closed: false,
                tells_all_from: Instant::from_nanos(0),
            }),
            turns: Arc::new(Turns::new()),
        }
    }

    /// To be told of a fetch that nobody polls any more.
    pub(crate) fn turns(&self) -> Arc<Turns> {
        Arc::clone(&self.turns)
    }

    /// Waits until a fetch may begin that takes no longer than `limit`. One for which another fetch waits
    /// need not wait for a place: the two take one.
    ///
    /// Those who wait get their turn [one after another](super::turns). The order is not strict: who comes
    /// when there is room enters, also if somebody was woken for it, who then queues again.
    ///
    /// # Errors
    ///
    /// If the cache is closed or a pause has begun in the meantime.
    pub(crate) async fn enter(
        &self,
        limit: Duration,
        is_within: &AtomicBool,
    ) -> Result<Entered<'_>, FetchError> {
        let mut timer: Option<Deadline> = None;
        loop {
            let mut turn = pin!(self.turns.next());
            // Before the look, so that each of two places that become free in between has its own turn.
            turn.as_mut().enable();
            let mut is_told = true;
            loop {
                let now = self.clock.now();
                let lapses_at = match self.look(now, limit, is_within, is_told)? {
                    Ok(entered) => return Ok(entered),
                    Err(lapses_at) => lapses_at,
                };
                let look_at = now.after(LOOK_AGAIN).min(lapses_at);
                // A timer that runs is kept: to look too soon costs less than another timer.
                let timer = match &mut timer {
                    Some(timer) if now < timer.at() && timer.at() <= look_at => timer,
                    timer => timer.insert(Deadline::new(&self.clock, look_at)),
                };
                is_told = poll_fn(|cx| match turn.as_mut().poll(cx) {
                    _ if is_within.load(Ordering::SeqCst) => Poll::Ready(true),
                    Poll::Ready(()) => Poll::Ready(true),
                    Poll::Pending => timer.poll_reached(cx).map(|()| false),
                })
                .await;
                if is_told {
                    break;
                }
                // By its timer: it keeps its place in the queue.
            }
        }
    }

    /// Enters, or says when a place becomes free at the latest.
    fn look(
        &self,
        now: Instant,
        limit: Duration,
        is_within: &AtomicBool,
        is_told: bool,
    ) -> Result<Result<Entered<'_>, Instant>, FetchError> {
        let mut state = self.lock();
        if let Some((error, _)) = state.refusal(now) {
            return Err(error);
        }
        if is_within.load(Ordering::SeqCst) {
            drop(state);
            // It may have been its turn, of which it has no need.
            self.turns.offer();
            return Ok(Ok(Entered {
                gate: self,
                number: None,
            }));
        }
        let number = match state.places.take(now, limit) {
            Ok(number) => number,
            Err(lapses_at) => return Ok(Err(lapses_at)),
        };
        // Somebody was told and did not look, as may others who are before those that do. Or else the two
        // have looked at the same time, which must not have all look each time.
        let is_lost = !is_told && state.tells_all_from <= now;
        if is_lost {
            state.tells_all_from = now.after(LOOK_AGAIN);
        }
        drop(state);
        if is_lost {
            self.turns.tell_all();
        }
        Ok(Ok(Entered {
            gate: self,
            number: Some(number),
        }))
    }

    /// Why no fetch may begin at `now`, and until when.
    pub(crate) fn refusal(&self, now: Instant) -> Option<(FetchError, Instant)> {
        self.lock().refusal(now)
    }

    /// Until when none may.
    pub(crate) fn refused_until(&self, now: Instant) -> Option<Instant> {
        let state = self.lock();
        if state.closed {
            return Some(Instant::NEVER);
        }
        state.pause.at(now).map(|(_, until)| until)
    }

    /// A fetch that began at `began` was answered, be it by an error that concerns one key: what was
    /// wrong before is over.
    pub(crate) fn answered(&self, began: Instant) {
        let (over, has_room) = {
            let mut state = self.lock();
            let over = state.pause.succeed(began);
            if !state.pause.is_failing() {
                state.places.answered();
            }
            (over, !state.places.are_all_taken())
        };
        discard(over);
        // Whoever leaves makes room for one; there may be room for another.
        if has_room {
            self.turns.offer();
        }
    }

    /// A fetch that began at `began` failed, and the failure concerns every key.
    pub(crate) fn failed(&self, began: Instant, now: Instant, error: FetchError) {
        let replaced = {
            let mut state = self.lock();
            state.places.failed();
            state.pause.fail(began, now, error)
        };
        discard(replaced);
        // Whoever is in the queue gets the failure now.
        self.turns.tell_all();
    }

    /// Ends the pause by hand.
    pub(crate) fn reset(&self) {
        let over = self.lock().pause.end();
        discard(over);
        self.turns.tell_all();
    }

    /// Lets no further fetch begin.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.turns.tell_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn refusal(&self, now: Instant) -> Option<(FetchError, Instant)> {
        if self.closed {
            return Some((FetchError::new(FetchErrorKind::Closed), Instant::NEVER));
        }
        let (error, until) = self.pause.at(now)?;
        Some((error.clone(), until))
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let Some(number) = self.number else {
            return;
        };
        self.gate.lock().places.leave(number);
        self.gate.turns.offer();
    }
}

impl fmt::Debug for Entered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entered").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
