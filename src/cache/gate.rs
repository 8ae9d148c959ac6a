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
mod tests {
    use std::time::Duration;

    use tokio_test::task::spawn;
    use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok};

    use super::super::places::{GRACE, MAX_CREDIT, PLACES};
    use super::super::turns::LOOK_AGAIN;
    use super::*;
    use crate::clock::ManualClock;

    fn gate() -> (ManualClock, Gate) {
        let clock = ManualClock::new();
        let gate = Gate::new(Clock::Manual(clock.clone()));
        (clock, gate)
    }

    const LIMIT: Duration = Duration::from_secs(30);

    async fn enter(gate: &Gate) -> Result<Entered<'_>, FetchError> {
        gate.enter(LIMIT, &AtomicBool::new(false)).await
    }

    #[test]
    fn four_enter_at_first_and_the_fifth_waits_for_one_to_leave() {
        let (_, gate) = gate();
        let mut inside: Vec<_> = (0..MAX_CREDIT)
            .map(|_| assert_ready_ok!(spawn(enter(&gate)).poll()))
            .collect();
        let mut fifth = spawn(enter(&gate));

        assert_pending!(fifth.poll());
        inside.pop();
        assert!(fifth.is_woken());
        assert_pending!(fifth.poll(), "none was answered");
        inside.clear();
        let _fifth = assert_ready_ok!(fifth.poll());
    }

    #[test]
    fn answers_open_the_gate_to_sixteen_at_once() {
        let (clock, gate) = gate();
        let mut inside = Vec::new();
        for _ in 0..100 {
            match spawn(enter(&gate)).poll() {
                Poll::Ready(entered) => inside.push(entered.unwrap()),
                Poll::Pending => gate.answered(clock.now()),
            }
        }

        assert_eq!(inside.len(), PLACES);
        assert_pending!(spawn(enter(&gate)).poll());
    }

    #[test]
    fn what_was_answered_long_ago_lets_in_no_more_than_four() {
        let (clock, gate) = gate();
        for _ in 0..100 {
            gate.answered(clock.now());
        }
        let inside: Vec<_> = (0..MAX_CREDIT)
            .map(|_| assert_ready_ok!(spawn(enter(&gate)).poll()))
            .collect();

        assert_eq!(inside.len(), 4);
        assert_pending!(spawn(enter(&gate)).poll());
    }

    #[test]
    fn a_place_that_nobody_gives_back_becomes_free_a_little_after_its_limit() {
        let (clock, gate) = gate();
        let lost: Vec<_> = (0..MAX_CREDIT)
            .map(|_| assert_ready_ok!(spawn(enter(&gate)).poll()))
            .collect();
        let mut next = spawn(enter(&gate));
        assert_pending!(next.poll());

        // Who drives a fetch notes first that it has failed.
        clock.advance(LIMIT + GRACE - Duration::from_nanos(1));
        assert_pending!(next.poll());
        clock.advance(Duration::from_nanos(1));
        assert!(next.is_woken());
        let next = assert_ready_ok!(next.poll());
        // Late, they do not take the place of another with them.
        drop(lost);
        assert_pending!(spawn(enter(&gate)).poll());
        drop(next);
    }

    #[test]
    fn a_fetch_within_a_fetch_takes_no_place() {
        let (_, gate) = gate();
        let inside: Vec<_> = (0..MAX_CREDIT)
            .map(|_| assert_ready_ok!(spawn(enter(&gate)).poll()))
            .collect();

        let is_within = AtomicBool::new(true);
        let within = || spawn(gate.enter(LIMIT, &is_within)).poll();
        assert_ready_ok!(within().map(|entered| entered.map(drop)));
        drop(inside);
        gate.close();
        assert_ready_err!(within().map(|entered| entered.map(drop)));
    }

    #[test]
    fn a_fetch_in_the_queue_that_another_comes_to_wait_for_takes_no_place() {
        let (_, gate) = gate();
        let _inside: Vec<_> = (0..MAX_CREDIT)
            .map(|_| assert_ready_ok!(spawn(enter(&gate)).poll()))
            .collect();
        let is_within = AtomicBool::new(false);
        let mut queued = spawn(gate.enter(LIMIT, &is_within));
        assert_pending!(queued.poll());

        is_within.store(true, Ordering::SeqCst);
        assert_ready_ok!(queued.poll());
    }

    #[test]
    fn a_failure_turns_away_the_queue_and_then_lets_one_in_at_a_time() {
        let (clock, gate) = gate();
        let inside: Vec<_> = (0..MAX_CREDIT)
            .map(|_| assert_ready_ok!(spawn(enter(&gate)).poll()))
            .collect();
        let mut queued = spawn(enter(&gate));
        assert_pending!(queued.poll());

        let now = clock.now();
        gate.failed(now, now, FetchError::unavailable("down"));
        let (_, until) = gate.refusal(now).unwrap();
        assert!(queued.is_woken());
        assert_ready_err!(queued.poll().map(|entered| entered.map(drop)));
        drop(inside);

        clock.advance(until.since(now));
        let _probe = assert_ready_ok!(spawn(enter(&gate)).poll());
        assert_pending!(spawn(enter(&gate)).poll());
    }

    /// One is inside, and for want of credit there is room for nobody else.
    fn narrow() -> (ManualClock, Gate) {
        let (clock, gate) = gate();
        let now = clock.now();
        gate.failed(now, now, FetchError::unavailable("down"));
        clock.advance(Duration::from_secs(1));
        (clock, gate)
    }

    #[test]
    fn a_turn_of_one_that_has_lost_its_driver_is_offered_to_all() {
        let (_clock, gate) = narrow();
        let inside = assert_ready_ok!(spawn(enter(&gate)).poll());
        let (mut first, mut second) = (spawn(enter(&gate)), spawn(enter(&gate)));
        assert_pending!(first.poll());
        assert_pending!(second.poll());

        drop(inside);
        assert!(first.is_woken() && !second.is_woken());
        gate.turns().lost_its_driver();
        assert!(second.is_woken());
        assert_ready_ok!(second.poll().map(|entered| entered.map(drop)));
    }

    #[test]
    fn one_that_has_lost_its_driver_is_not_in_the_queue() {
        let (_clock, gate) = narrow();
        let inside = assert_ready_ok!(spawn(enter(&gate)).poll());
        let (mut first, mut second) = (spawn(enter(&gate)), spawn(enter(&gate)));
        assert_pending!(first.poll());
        assert_pending!(second.poll());

        gate.turns().lost_its_driver();
        // Nobody polls the first.
        assert_pending!(second.poll());
        drop(inside);
        assert!(second.is_woken());
        assert_ready_ok!(second.poll().map(|entered| entered.map(drop)));
    }

    #[test]
    fn a_turn_of_one_that_is_held_and_not_polled_waits_for_a_second_at_most() {
        let (clock, gate) = narrow();
        let inside = assert_ready_ok!(spawn(enter(&gate)).poll());
        let (mut first, mut second) = (spawn(enter(&gate)), spawn(enter(&gate)));
        assert_pending!(first.poll());
        assert_pending!(second.poll());
        // After they have begun to wait.
        gate.turns().has_no_driver();
        assert_pending!(first.poll());
        assert_pending!(second.poll());

        drop(inside);
        assert!(first.is_woken() && !second.is_woken());
        clock.advance(LOOK_AGAIN - Duration::from_nanos(1));
        assert_pending!(second.poll());
        clock.advance(Duration::from_nanos(1));
        assert_ready_ok!(second.poll().map(|entered| entered.map(drop)));
    }

    /// How often those in the queue are woken until all of them have entered and left.
    fn wakes_to_empty_the_queue(gate: &Gate, clock: &ManualClock, tasks: usize) -> usize {
        let mut inside = Vec::new();
        let mut queue: Vec<_> = (0..tasks).map(|_| spawn(enter(gate))).collect();
        queue.retain_mut(|task| match task.poll() {
            Poll::Ready(entered) => {
                inside.push(entered.unwrap());
                false
            }
            Poll::Pending => true,
        });

        let mut wakes = 0;
        while !queue.is_empty() {
            gate.answered(clock.now());
            drop(inside.pop().expect("no turn is lost"));
            queue.retain_mut(|task| {
                if !task.is_woken() {
                    return true;
                }
                wakes += 1;
                match task.poll() {
                    Poll::Ready(entered) => {
                        inside.push(entered.unwrap());
                        false
                    }
                    Poll::Pending => true,
                }
            });
        }
        wakes
    }

    #[test]
    fn each_in_the_queue_is_woken_for_its_turn_and_for_nobody_elses() {
        let (clock, gate) = gate();
        assert_eq!(wakes_to_empty_the_queue(&gate, &clock, 504), 500);
    }

    #[test]
    fn also_if_others_have_lost_their_drivers() {
        let (clock, gate) = gate();
        gate.turns().has_no_driver();
        gate.turns().lost_its_driver();
        assert_eq!(wakes_to_empty_the_queue(&gate, &clock, 504), 500);
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
        let inside: Vec<_> = (0..MAX_CREDIT)
            .map(|_| assert_ready_ok!(spawn(enter(&gate)).poll()))
            .collect();
        let mut queued = spawn(enter(&gate));
        assert_pending!(queued.poll());

        gate.close();
        let error = assert_ready_err!(queued.poll().map(|entered| entered.map(drop)));
        assert_eq!(error.kind(), FetchErrorKind::Closed);
        drop(inside);
        clock.advance(Duration::from_secs(3600));
        assert_ready_err!(spawn(enter(&gate)).poll().map(|entered| entered.map(drop)));
    }
}
