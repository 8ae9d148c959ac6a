//! Whether a fetch may begin: not while there is a pause, and not before there is a place.
//!
//! One gate a cache. After a failure it lets in one at a time.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::places::Places;
use super::turns::Turns;
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
            }),
            turns: Arc::new(Turns::new()),
        }
    }

    /// To be told of a fetch that no task drives.
    pub(crate) fn turns(&self) -> Arc<Turns> {
        Arc::clone(&self.turns)
    }

    /// Waits until a fetch may begin that takes no longer than `limit`. One for which another fetch waits
    /// need not wait for a place: the two take one.
    ///
    /// # Errors
    ///
    /// If the cache is closed or a pause has begun in the meantime.
    pub(crate) async fn enter(
        &self,
        limit: Duration,
        is_within: &AtomicBool,
    ) -> Result<Entered<'_>, FetchError> {
        let mut lapse: Option<Deadline> = None;
        loop {
            // Made before the state is read, so that no change in between is missed.
            let mut changed = pin!(self.turns.next());
            let (now, lapses_at) = {
                let now = self.clock.now();
                let mut state = self.lock();
                if let Some((error, _)) = state.refusal(now) {
                    return Err(error);
                }
                let entered = match is_within.load(Ordering::SeqCst) {
                    true => Ok(None),
                    false => state.places.take(now, limit).map(Some),
                };
                drop(state);
                match entered {
                    Ok(number) => {
                        if number.is_none() {
                            // It may have been its turn, of which it has no need.
                            self.turns.offer();
                        }
                        return Ok(Entered { gate: self, number });
                    }
                    Err(lapses_at) => (now, lapses_at),
                }
            };
            let look_again = self.turns.look_again().map(|look| now.after(look));
            let look_at = look_again.map_or(lapses_at, |look| look.min(lapses_at));
            // A timer that runs is kept: to look too soon costs less than another timer.
            let lapse = match &mut lapse {
                Some(lapse) if now < lapse.at() && lapse.at() <= look_at => lapse,
                lapse => lapse.insert(Deadline::new(&self.clock, look_at)),
            };
            std::future::poll_fn(|cx| match changed.as_mut().poll(cx) {
                _ if is_within.load(Ordering::SeqCst) => Poll::Ready(()),
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => lapse.poll_reached(cx),
            })
            .await;
        }
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
