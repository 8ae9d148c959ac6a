//! What is held for one key: the current token, to be read without waiting, and beside it, under a lock,
//! what happens to it.

use std::sync::Arc;

use arc_swap::Guard;

use super::budget::Budget;
use super::flight::Flight;
use super::freshness::Schedule;
use super::generations::Generations;
use super::held::Held;
use crate::clock::{Instant, Moment};
use crate::pause::Pause;
use crate::provider::TokenRequest;
use crate::rejection::Challenge;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{ArcSwapOption, Mutex, MutexGuard, PoisonError};
use crate::token::AccessToken;

// In this order: what a hit by key reads is within 64 bytes, with the counts of the `Arc` before it. With a million
// keys each cache line more is one more miss.
#[repr(C)]
pub(crate) struct Slot {
    request: TokenRequest,
    current: ArcSwapOption<Held>,
    /// The newest generation that a server has accepted.
    proven: AtomicU64,
    /// When the token was last used, to about a second.
    last_used: AtomicU64,
    /// Whether rejections have slowed the budget down since a server last accepted a token.
    is_slowed: AtomicBool,
    /// Twice as often as another became the current one, or none.
    version: AtomicU64,
    state: Mutex<State>,
}

/// The cold side. Never held across an `.await` or somebody else's code.
pub(crate) struct State {
    pub(super) flight: Option<Flight>,
    /// The current token's predecessor, if a server rejected it and no other has come since.
    pub(crate) condemned: Option<Arc<Held>>,
    generations: Generations,
    /// What the server said that rejected the last token, until another has come.
    pub(super) challenges: Vec<Challenge>,
    /// The last generation of which a rejection was counted as one of a token that never worked.
    slowed_by: u64,
    pub(crate) budget: Budget,
    pub(crate) pause: Pause,
}

impl Slot {
    pub(crate) fn new(request: TokenRequest) -> Self {
        Self {
            request,
            current: ArcSwapOption::empty(),
            version: AtomicU64::new(0),
            proven: AtomicU64::new(0),
            is_slowed: AtomicBool::new(false),
            last_used: AtomicU64::new(0),
            state: Mutex::new(State {
                flight: None,
                condemned: None,
                generations: Generations::default(),
                challenges: Vec::new(),
                slowed_by: 0,
                budget: Budget::full(),
                pause: Pause::default(),
            }),
        }
    }

    pub(crate) fn request(&self) -> &TokenRequest {
        &self.request
    }

    /// The current token, which may have expired.
    #[inline]
    pub(crate) fn current(&self) -> Guard<Option<Arc<Held>>> {
        self.current.load()
    }

    /// The current token, unless it has expired.
    pub(crate) fn usable(&self, now: Instant) -> Option<Arc<Held>> {
        self.current.load_full().filter(|held| held.is_usable(now))
    }

    pub(crate) fn is_usable(&self, now: Instant) -> bool {
        self.current()
            .as_ref()
            .is_some_and(|held| held.is_usable(now))
    }

    /// The generation of `token`, if it is the current one, or the one that was condemned last.
    pub(crate) fn generation_of(&self, token: &AccessToken) -> Option<u64> {
        let state = self.lock();
        let current = self.current.load();
        let mut held = current.iter().chain(&state.condemned);
        Some(held.find(|held| held.token == *token)?.generation)
    }

    /// Notes that the token is used at `now`. About once a second it writes, and returns true: then the
    /// wall clock is to be [compared](Self::compare_wall_clock).
    #[inline]
    pub(crate) fn touch(&self, now: Instant) -> bool {
        let now = now.as_nanos() >> 30;
        let is_first = self.last_used.load(Ordering::Relaxed) != now;
        if is_first {
            self.last_used.store(now, Ordering::Relaxed);
        }
        is_first
    }

    /// Brings the end of the current token forward to what the wall clock says, if that is sooner: the
    /// host may have been suspended while its other clock stood still, or one of the two been wrong.
    #[cold]
    pub(crate) fn compare_wall_clock(&self, now: Moment) {
        let state = self.lock();
        for held in self.current.load().iter().chain(&state.condemned) {
            held.compare_wall_clock(now);
        }
        drop(state);
    }

    pub(crate) fn last_used(&self) -> u64 {
        self.last_used.load(Ordering::Relaxed)
    }

    /// Whether nothing would be lost with this slot but its token.
    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        let mut state = self.lock();
        state.under_way().is_none() && state.pause.at(now).is_none() && state.budget.is_full(now)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes `token` the current one and forgets the condemned one. The lock proves that nobody else
    /// does so at the same time.
    pub(crate) fn install(
        &self,
        state: &mut State,
        token: AccessToken,
        schedule: Schedule,
        now: Moment,
    ) -> Arc<Held> {
        state.condemned = None;
        let generation = state.generations.of(&token);
        let held = Arc::new(Held::new(token, generation, schedule));
        // The host may have been suspended since it was asked for.
        held.compare_wall_clock(now);
        state.challenges = Vec::new();
        self.set_current(Some(Arc::clone(&held)));
        held
    }

    /// Takes the current token out of use, unless it has been replaced already.
    pub(crate) fn condemn(&self, state: &mut State, held: Arc<Held>, challenges: Vec<Challenge>) {
        self.set_current(None);
        state.challenges = challenges;
        state.condemned = Some(held);
        if let Some(flight) = &mut state.flight {
            flight.began_before_rejection = true;
        }
    }

    /// Puts the condemned token back, since no other is to be had: it may have been rejected by one
    /// route of many, and where it is of no use the caller learns so from the server.
    ///
    /// A hit tries again from `retry_at` on.
    pub(crate) fn reprieve(&self, state: &mut State, now: Instant, retry_at: Instant) {
        let Some(held) = state.condemned.take_if(|held| held.is_usable(now)) else {
            return;
        };
        held.mark_rejected();
        held.put_off(retry_at);
        self.set_current(Some(held));
    }

    /// The lock is held.
    fn set_current(&self, held: Option<Arc<Held>>) {
        // Odd meanwhile: who sees the new one by `current` must not see the old one by its version.
        self.version.fetch_add(1, Ordering::AcqRel);
        self.current.store(held);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Another number after each change of what is [current](Self::current), and odd while it changes.
    #[inline]
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Notes that a server accepted the token of `generation`.
    #[inline]
    pub(crate) fn prove(&self, generation: u64, now: impl FnOnce() -> Instant) {
        let is_new = generation > self.proven.load(Ordering::Relaxed);
        if is_new || self.is_slowed.load(Ordering::Relaxed) {
            self.note_proof(generation, now());
        }
    }

    #[cold]
    fn note_proof(&self, generation: u64, now: Instant) {
        let mut state = self.lock();
        self.proven.fetch_max(generation, Ordering::Relaxed);
        self.is_slowed.store(false, Ordering::Relaxed);
        state.budget.speed_up(now);
    }

    /// Draws on the budget for replacing `held`, which a server rejected.
    pub(crate) fn afford(
        &self,
        state: &mut State,
        held: &Held,
        now: Instant,
        witness: Witness,
    ) -> bool {
        let never_worked = match witness {
            Witness::OfAll => held.generation > self.proven.load(Ordering::Relaxed),
            Witness::OfRejections => false,
        };
        if never_worked && state.slowed_by != held.generation {
            state.slowed_by = held.generation;
            self.is_slowed.store(true, Ordering::Relaxed);
            state.budget.slow_down(now);
        }
        state.budget.take(now)
    }
}

impl State {
    /// The fetch that is under way.
    pub(crate) fn under_way(&self) -> Option<&Flight> {
        self.flight.as_ref().filter(|flight| !flight.is_over())
    }
}

/// What those who tell of a rejection have seen.
#[derive(Clone, Copy)]
pub(crate) enum Witness {
    /// Also whether the token worked before.
    OfAll,
    /// Nothing else.
    OfRejections,
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(0).after(Duration::from_secs(seconds))
    }

    fn wall(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
    }

    fn install(slot: &Slot, text: &str) -> Arc<Held> {
        let schedule = Schedule {
            refresh_at: at(70),
            expires_at: at(100),
            wall_end: Some(wall(100)),
            asked_at: at(0),
        };
        let now = Moment {
            at: at(0),
            wall: wall(0),
        };
        slot.install(
            &mut slot.lock(),
            AccessToken::new(text).unwrap(),
            schedule,
            now,
        )
    }

    #[test]
    fn another_text_is_another_generation_and_the_same_text_is_not() {
        let slot = Slot::new(TokenRequest::default());

        let a = install(&slot, "a").generation;
        assert_eq!(install(&slot, "a").generation, a);
        let b = install(&slot, "b");
        assert!(b.generation > a);

        // Also across a rejection.
        let generation = b.generation;
        slot.condemn(&mut slot.lock(), b, Vec::new());
        assert_eq!(install(&slot, "b").generation, generation);
    }

    #[test]
    fn a_token_put_off_still_expires() {
        let slot = Slot::new(TokenRequest::default());
        let held = install(&slot, "a");
        assert!(held.is_fresh(at(69)) && !held.is_fresh(at(70)));

        held.put_off(at(10));
        assert!(held.is_fresh(at(69)) && !held.is_fresh(at(70)));
        held.put_off(Instant::NEVER);
        assert!(held.is_fresh(at(99)) && !held.is_fresh(at(100)));
        held.put_back();
        assert!(!held.is_fresh(at(70)));
    }

    #[test]
    fn the_clock_that_is_stricter_says_when_a_token_ends() {
        let slot = Slot::new(TokenRequest::default());
        let held = install(&slot, "a");
        let compare = |now, wall| slot.compare_wall_clock(Moment { at: at(now), wall });

        // Set back, it says nothing.
        compare(10, SystemTime::UNIX_EPOCH);
        compare(10, wall(10));
        assert!(held.is_fresh(at(69)) && held.is_usable(at(99)));
        // Set forward, all that is planned is so much sooner.
        held.put_off(at(80));
        compare(10, wall(40));
        assert!(held.is_fresh(at(49)) && !held.is_fresh(at(50)));
        assert!(held.is_usable(at(69)) && !held.is_usable(at(70)));
        held.put_back();
        assert!(held.is_fresh(at(39)) && !held.is_fresh(at(40)));
        held.put_off(Instant::NEVER);
        assert!(held.is_fresh(at(69)) && !held.is_fresh(at(70)));
        // And stays so, should it be set back again.
        compare(20, wall(20));
        assert!(!held.is_usable(at(70)));
        compare(30, wall(1_000_000));
        assert!(!held.is_usable(at(30)) && !held.is_fresh(at(30)));
    }

    #[test]
    fn the_wall_clock_is_compared_once_a_second() {
        let slot = Slot::new(TokenRequest::default());
        let tenth = |i: u64| at(100).after(Duration::from_millis(100 * i));
        let compared = (0..600).filter(|i| slot.touch(tenth(*i))).count();

        assert!((55..=60).contains(&compared), "{compared}");
    }

    #[test]
    fn a_condemned_token_is_reprieved_unless_it_has_expired() {
        let slot = Slot::new(TokenRequest::default());
        let held = install(&slot, "a");
        slot.condemn(&mut slot.lock(), held, Vec::new());
        assert!(slot.usable(at(10)).is_none());

        slot.reprieve(&mut slot.lock(), at(100), at(120));
        assert!(slot.usable(at(10)).is_none());

        slot.reprieve(&mut slot.lock(), at(10), at(20));
        let held = slot.usable(at(10)).unwrap();
        assert!(held.is_fresh(at(19)) && !held.is_fresh(at(20)));
        assert!(held.was_rejected());
        // Also after the next failure, and not only when it would have been stale anyway.
        held.put_off(at(30));
        assert!(held.is_fresh(at(29)) && !held.is_fresh(at(30)));
        held.put_back();
        assert!(!held.is_fresh(at(0)));
    }

    #[test]
    fn a_token_that_never_worked_slows_the_budget_down_once() {
        let slot = Slot::new(TokenRequest::default());
        let held = install(&slot, "a");
        let mut state = slot.lock();
        while slot.afford(&mut state, &held, at(0), Witness::OfAll) {}

        assert!(!slot.afford(&mut state, &held, at(119), Witness::OfAll));
        assert!(slot.afford(&mut state, &held, at(120), Witness::OfAll));
    }

    #[test]
    fn who_cannot_know_whether_a_token_worked_does_not_slow_the_budget_down() {
        let slot = Slot::new(TokenRequest::default());
        let held = install(&slot, "a");
        let mut state = slot.lock();
        let witness = Witness::OfRejections;
        while slot.afford(&mut state, &held, at(0), witness) {}

        assert!(slot.afford(&mut state, &held, at(60), witness));
    }

    #[test]
    fn a_success_restores_the_interval_also_if_its_token_came_back_after_another() {
        let slot = Slot::new(TokenRequest::default());
        let first = install(&slot, "a");
        slot.prove(first.generation, || at(0));
        let bad = install(&slot, "b");
        let mut state = slot.lock();
        while slot.afford(&mut state, &bad, at(0), Witness::OfAll) {}
        drop(state);
        let back = install(&slot, "a");
        slot.prove(back.generation, || at(0));

        assert!(slot.afford(&mut slot.lock(), &back, at(60), Witness::OfAll));
    }

    #[test]
    fn a_token_that_worked_does_not_slow_the_budget_down() {
        let slot = Slot::new(TokenRequest::default());
        let held = install(&slot, "a");
        slot.prove(held.generation, || at(0));
        let mut state = slot.lock();
        while slot.afford(&mut state, &held, at(0), Witness::OfAll) {}

        assert!(slot.afford(&mut state, &held, at(60), Witness::OfAll));
    }
}
