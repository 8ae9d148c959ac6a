//! How many fetches run at once, and whether any may begin.
//!
//! One gate a cache. It opens wider as fetches succeed and closes to one at a time when one fails, so
//! that a dead issuer sees few requests however many keys are wanted.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::clock::{Clock, Instant};
use super::pause::Pause;
use crate::error::{FetchError, FetchErrorKind};

/// At most so many fetches run at once.
const WIDEST: usize = 16;

/// So many before the first has succeeded. Four that fail together and one a pause are less than a
/// dozen in the first minute.
const AT_FIRST: usize = 4;

pub(crate) struct Gate {
    clock: Clock,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    running: usize,
    width: usize,
    pause: Pause,
    closed: bool,
}

/// A running fetch. Dropping it makes room for another.
pub(crate) struct Entered<'a> {
    gate: &'a Gate,
}

impl Gate {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            state: Mutex::new(State {
                running: 0,
                width: AT_FIRST,
                pause: Pause::default(),
                closed: false,
            }),
            changed: Notify::new(),
        }
    }

    /// Waits until a fetch may begin.
    ///
    /// # Errors
    ///
    /// If the cache is closed or a pause has begun in the meantime.
    pub(crate) async fn enter(&self) -> Result<Entered<'_>, FetchError> {
        loop {
            // Made before the state is read, so that no change in between is missed.
            let changed = self.changed.notified();
            {
                let mut state = self.lock();
                if let Some((error, _)) = state.refusal(self.clock.now()) {
                    return Err(error);
                }
                if state.running < state.width {
                    state.running += 1;
                    return Ok(Entered { gate: self });
                }
            }
            changed.await;
        }
    }

    /// Why no fetch may begin at `now`, and until when.
    pub(crate) fn refusal(&self, now: Instant) -> Option<(FetchError, Instant)> {
        self.lock().refusal(now)
    }

    /// A fetch that began at `began` succeeded: what was wrong before is over.
    pub(crate) fn succeeded(&self, began: Instant) {
        let over = {
            let mut state = self.lock();
            let over = state.pause.succeed(began);
            if !state.pause.is_failing() {
                state.width = WIDEST.min(state.width + 1);
            }
            over
        };
        drop(over);
        // For the wider gate; whoever leaves makes room for another.
        self.changed.notify_one();
    }

    /// A fetch that began at `began` failed, and the failure concerns every key. Returns the end of
    /// the pause.
    pub(crate) fn failed(&self, began: Instant, now: Instant, error: FetchError) -> Instant {
        let (replaced, until) = {
            let mut state = self.lock();
            state.width = 1;
            let replaced = state.pause.fail(began, now, error);
            let until = state.pause.at(now).map_or(now, |(_, until)| until);
            (replaced, until)
        };
        drop(replaced);
        // Whoever is in the queue gets the failure now.
        self.changed.notify_waiters();
        until
    }

    /// Ends the pause by hand.
    pub(crate) fn reset(&self) {
        let over = self.lock().pause.end();
        drop(over);
        self.changed.notify_waiters();
    }

    /// Lets no further fetch begin.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_waiters();
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
        self.gate.lock().running -= 1;
        self.gate.changed.notify_one();
    }
}

impl fmt::Debug for Entered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entered").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio_test::task::spawn;
    use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok};

    use super::super::clock::ManualClock;
    use super::*;

    fn gate() -> (ManualClock, Gate) {
        let clock = ManualClock::new();
        let gate = Gate::new(Clock::Manual(clock.clone()));
        (clock, gate)
    }

    #[test]
    fn four_enter_at_first_and_the_fifth_waits_for_one_to_leave() {
        let (_, gate) = gate();
        let mut inside: Vec<_> = (0..AT_FIRST)
            .map(|_| assert_ready_ok!(spawn(gate.enter()).poll()))
            .collect();
        let mut fifth = spawn(gate.enter());

        assert_pending!(fifth.poll());
        inside.pop();
        assert!(fifth.is_woken());
        let _fifth = assert_ready_ok!(fifth.poll());
    }

    #[test]
    fn success_opens_the_gate_to_sixteen() {
        let (clock, gate) = gate();
        for _ in 0..100 {
            gate.succeeded(clock.now());
        }
        let inside: Vec<_> = (0..WIDEST)
            .map(|_| assert_ready_ok!(spawn(gate.enter()).poll()))
            .collect();

        assert_eq!(inside.len(), 16);
        assert_pending!(spawn(gate.enter()).poll());
    }

    #[test]
    fn a_failure_turns_away_the_queue_and_then_lets_one_in_at_a_time() {
        let (clock, gate) = gate();
        let inside: Vec<_> = (0..AT_FIRST)
            .map(|_| assert_ready_ok!(spawn(gate.enter()).poll()))
            .collect();
        let mut queued = spawn(gate.enter());
        assert_pending!(queued.poll());

        let now = clock.now();
        let until = gate.failed(now, now, FetchError::unavailable("down"));
        assert!(queued.is_woken());
        assert_ready_err!(queued.poll().map(|entered| entered.map(drop)));
        drop(inside);

        clock.advance(until.since(now));
        let _probe = assert_ready_ok!(spawn(gate.enter()).poll());
        assert_pending!(spawn(gate.enter()).poll());
    }

    #[test]
    fn a_reset_ends_the_pause() {
        let (clock, gate) = gate();
        let now = clock.now();
        gate.failed(now, now, FetchError::denied("no"));
        assert!(gate.refusal(clock.now()).is_some());

        gate.reset();
        assert!(gate.refusal(clock.now()).is_none());
    }

    #[test]
    fn a_closed_gate_turns_everyone_away() {
        let (clock, gate) = gate();
        let inside: Vec<_> = (0..AT_FIRST)
            .map(|_| assert_ready_ok!(spawn(gate.enter()).poll()))
            .collect();
        let mut queued = spawn(gate.enter());
        assert_pending!(queued.poll());

        gate.close();
        let error = assert_ready_err!(queued.poll().map(|entered| entered.map(drop)));
        assert_eq!(error.kind(), FetchErrorKind::Closed);
        drop(inside);
        clock.advance(Duration::from_secs(3600));
        assert_ready_err!(spawn(gate.enter()).poll().map(|entered| entered.map(drop)));
    }
}
