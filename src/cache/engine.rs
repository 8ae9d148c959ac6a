//! What [`TokenCache`](super::TokenCache) does: see there for the states and transitions.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::flight::{self, Flight, Landing, Outcome};
use super::freshness::Freshness;
use super::gate::Gate;
use super::held::Held;
use super::slot::{Slot, State, Witness};
use super::slots::Slots;
use crate::clock::{Clock, Instant, Moment};
use crate::error::{FetchError, FetchErrorKind, discard};
use crate::pause::is_of_one_key;
use crate::provider::{FetchContext, TokenProvider, TokenRequest};
use crate::rejection::{Challenge, NotRetriedReason};
use crate::sync::MutexGuard;
use crate::sync::atomic::AtomicBool;
use crate::sync::runtime::Handle;
use crate::telemetry::{self, Reason, Waiter};
use crate::token::AccessToken;

pub(crate) struct Engine<P> {
    provider: P,
    clock: Clock,
    freshness: Freshness,
    fetch_timeout: Duration,
    gate: Gate,
    slots: Slots,
}

/// How often hits on a stale token look after the fetch that replaces it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// So often a caller asks, if the token that it waited for is of no use when it gets to see it. Others may
/// have had it invalidated, as often as the budget's burst allows.
pub(super) const MAX_ROUNDS: u8 = 5;

/// What a caller without a token is to do.
pub(super) enum Step {
    Use(Arc<Held>),
    Wait(Flight),
    Fail(FetchError),
}

/// What is to be done about a rejected token.
pub(crate) enum Verdict {
    /// Get another and send the request again.
    Replace,
    /// The token stays, and the caller gets the rejection.
    Keep(NotRetriedReason),
}

impl<P> Engine<P> {
    pub(crate) fn new(
        provider: P,
        clock: Clock,
        freshness: Freshness,
        fetch_timeout: Duration,
        max_keys: usize,
    ) -> Self {
        Self {
            provider,
            gate: Gate::new(clock.clone()),
            clock,
            freshness,
            fetch_timeout,
            slots: Slots::new(max_keys),
        }
    }

    #[inline]
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// The current token of a slot, unless it has expired by either clock.
    pub(crate) fn usable(&self, slot: &Slot) -> Option<Arc<Held>> {
        let now = self.now();
        self.touch(slot, now);
        slot.usable(now)
    }

    /// Notes that a slot's token is about to be used.
    #[inline]
    pub(crate) fn touch(&self, slot: &Slot, now: Instant) {
        if slot.touch(now) {
            slot.compare_wall_clock(self.clock.moment());
        }
    }

    pub(crate) fn slot(&self, request: &TokenRequest) -> Arc<Slot> {
        self.slots.get(request, || self.now())
    }

    /// A server rejected the token of `generation`. What it said is read if the provider is to be told.
    pub(crate) fn reject(
        &self,
        slot: &Slot,
        generation: u64,
        challenges: impl FnOnce() -> Vec<Challenge>,
        witness: Witness,
    ) -> Verdict {
        let verdict = self.judge(slot, generation, challenges, witness);
        match &verdict {
            Verdict::Keep(NotRetriedReason::FetchFailed(error)) => telemetry::suppressed_by(error),
            Verdict::Keep(_) => telemetry::suppressed_by_budget(),
            Verdict::Replace => {}
        }
        verdict
    }

    fn judge(
        &self,
        slot: &Slot,
        generation: u64,
        challenges: impl FnOnce() -> Vec<Challenge>,
        witness: Witness,
    ) -> Verdict {
        let now = self.now();
        let mut state = slot.lock();
        let current = match slot.current().as_ref() {
            Some(held) if held.generation == generation && held.is_usable(now) => Arc::clone(held),
            // Replaced, condemned by somebody else or expired since.
            _ => return Verdict::Replace,
        };
        // A fetch that is under way may still bring another.
        if state.under_way().is_none() {
            if let Some((error, _)) = self.refusal(&state, now) {
                return Verdict::Keep(NotRetriedReason::FetchFailed(error));
            }
        }
        if !slot.afford(&mut state, &current, now, witness) {
            return Verdict::Keep(NotRetriedReason::BudgetSpent);
        }
        slot.condemn(&mut state, current, challenges());
        Verdict::Replace
    }

    /// Ends every pause by hand, and lets stale tokens be replaced at their next use.
    pub(crate) fn reset_backoff(&self) {
        self.gate.reset();
        for slot in self.slots.all() {
            let over = {
                let mut state = slot.lock();
                if let (Some(held), None) = (slot.current().as_ref(), state.under_way()) {
                    held.put_back();
                }
                state.pause.end()
            };
            discard(over);
        }
    }

    /// Lets no fetch begin from now on, and waits for those that have begun.
    pub(crate) async fn close(&self) {
        self.gate.close();
        let flights = self.slots.all().into_iter().filter_map(|slot| {
            let flight = slot.lock().under_way()?.clone();
            flight.drive();
            Some(flight.join())
        });
        // Those who wait are told what they came to.
        let _outcomes = join_all(flights).await;
    }

    /// Ends what has not begun and lets go of what has: a task that drives it still does.
    pub(crate) fn abandon(&self) {
        self.gate.close();
        for slot in self.slots.all() {
            // Taken out first: dropping it may drop the provider's future, which is not our code.
            let flight = slot.lock().flight.take();
            discard(flight);
        }
    }

    /// Tells its fetches from those of other caches.
    fn family(&self) -> usize {
        std::ptr::from_ref(&self.gate).addr()
    }

    /// Why no fetch may begin for a slot, and until when.
    fn refusal(&self, state: &State, now: Instant) -> Option<(FetchError, Instant)> {
        let own = state.pause.at(now);
        own.map(|(error, until)| (error.clone(), until))
            .or_else(|| self.gate.refusal(now))
    }

    /// As [`refusal`](Self::refusal), without the error, which is not ours to drop under a lock.
    fn refused_until(&self, state: &State, now: Instant) -> Option<Instant> {
        let own = state.pause.at(now).map(|(_, until)| until);
        own.or_else(|| self.gate.refused_until(now))
    }

    /// Brings the outcome of a fetch into the slot.
    fn land(&self, slot: &Slot, began: Moment, result: Result<AccessToken, FetchError>) -> Outcome {
        let result = result.and_then(|token| {
            let now = self.clock.moment();
            let schedule = self.freshness.schedule(began, now, token.lifetime());
            if schedule.expires_at <= now.at {
                return Err(FetchError::new(FetchErrorKind::Expired));
            }
            Ok((token, schedule, now))
        });
        match result {
            Ok((token, schedule, now)) => {
                self.gate.answered(began.at);
                let mut state = slot.lock();
                let over = state.pause.succeed(began.at);
                let flight = state.flight.take();
                let rejected_since = flight.as_ref().is_some_and(|f| f.began_before_rejection);
                let is_rejected_one = state.condemned.as_ref().is_some_and(|c| c.token == token);
                let landing = if rejected_since && is_rejected_one {
                    Landing::Superseded
                } else {
                    slot.install(&mut state, token, schedule, now);
                    Landing::Installed
                };
                drop(state);
                discard((over, flight));
                Ok(landing)
            }
            Err(error) => {
                self.note_failure(slot, began.at, &error);
                Err(error)
            }
        }
    }

    fn note_failure(&self, slot: &Slot, began: Instant, error: &FetchError) {
        let now = self.now();
        let of_one_key = is_of_one_key(error);
        if of_one_key {
            self.gate.answered(began);
        } else {
            self.gate.failed(began, now, error.clone());
        }
        let mut state = slot.lock();
        let replaced = of_one_key
            .then(|| state.pause.fail(began, now, error.clone()))
            .flatten();
        let flight = self.stand_down(slot, &mut state, now);
        drop(state);
        discard((replaced, flight));
    }

    /// No fetch is under way for the slot any more, and none brought a token: what is still good stays
    /// in use until the end of the pause. Returns what the caller drops outside of the lock.
    fn stand_down(&self, slot: &Slot, state: &mut State, now: Instant) -> Option<Flight> {
        let flight = state.flight.take();
        let retry_at = self.refused_until(state, now).unwrap_or(now);
        match slot.current().as_ref() {
            Some(held) => held.put_off(retry_at),
            None => slot.reprieve(state, now, retry_at),
        }
        flight
    }
}

impl<P: TokenProvider> Engine<P> {
    /// Has a stale token replaced in the background, once.
    #[cold]
    pub(crate) fn refresh_stale(self: &Arc<Self>, slot: &Arc<Slot>, held: &Held) {
        if Handle::try_current().is_err() {
            // Nobody would drive it. At the end of the token its callers do.
            return;
        }
        let now = self.now();
        let mut state = slot.lock();
        let is_current = slot
            .current()
            .as_ref()
            .is_some_and(|current| std::ptr::eq(&**current, held));
        if !is_current || held.is_fresh(now) {
            return;
        }
        if let Some((error, until)) = self.refusal(&state, now) {
            held.put_off(until);
            drop(state);
            telemetry::suppressed_by(&error);
            return;
        }
        // A later hit looks whether the fetch is still driven.
        held.put_off(now.after(LOOK_AGAIN.min(held.left(now) / 4)));
        let flight = match state.under_way() {
            Some(flight) => flight.clone(),
            None => self.begin(slot, &mut state, Reason::Stale),
        };
        drop(state);
        flight.drive();
    }

    /// Joins the fetch that is under way, or begins one, whether or not the current token is good.
    pub(crate) async fn refresh(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
    ) -> Result<Arc<Held>, FetchError> {
        for _ in 0..MAX_ROUNDS {
            let wanted = {
                let mut state = slot.lock();
                match state.under_way().cloned() {
                    Some(flight) => Ok(flight),
                    None => match self.refusal(&state, self.now()) {
                        Some((error, _)) => Err(error),
                        None => Ok(self.begin(slot, &mut state, Reason::Requested)),
                    },
                }
            };
            let flight = wanted.inspect_err(telemetry::suppressed_by)?;
            flight.drive();
            let _waiter = Waiter::new();
            let landing = flight.join().await?;
            // As in `Acquire`.
            if let (Landing::Installed, Some(held)) = (landing, self.usable(slot)) {
                return Ok(held);
            }
        }
        Err(FetchError::new(FetchErrorKind::Expired))
    }

    /// Begins a fetch if there is neither a usable token nor a fetch under way, and does not wait.
    pub(crate) fn warm_up(self: &Arc<Self>, slot: &Arc<Slot>) {
        match self.step(slot, None) {
            Step::Wait(flight) => flight.drive(),
            Step::Fail(error) => telemetry::suppressed_by(&error),
            Step::Use(_) => {}
        }
    }

    pub(super) fn step(self: &Arc<Self>, slot: &Arc<Slot>, rejected: Option<u64>) -> Step {
        let now = self.now();
        self.touch(slot, now);
        let mut state = slot.lock();
        if let Some(held) = slot.usable(now) {
            if rejected == Some(held.generation) {
                // Back again, because nothing better is to be had.
                if let Some((error, _)) = self.refusal(&state, now) {
                    return Step::Fail(error);
                }
            }
            return Step::Use(held);
        }
        if let Some(flight) = state.under_way() {
            return Step::Wait(flight.clone());
        }
        if let Some((error, until)) = self.refusal(&state, now) {
            slot.reprieve(&mut state, now, until);
            let usable = slot.usable(now);
            // The error is not ours to drop under the lock.
            drop(state);
            // Who was rejected with the reprieved token has no use for it.
            return match usable {
                Some(held) if rejected != Some(held.generation) => Step::Use(held),
                _ => Step::Fail(error),
            };
        }
        let reason = match slot.current().is_some() {
            true => Reason::Expired,
            false => Reason::Missing,
        };
        Step::Wait(self.begin(slot, &mut state, reason))
    }

    /// Puts a fetch under way. The caller has it [driven](Flight::drive) once the lock is released.
    fn begin(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        state: &mut MutexGuard<'_, State>,
        reason: Reason,
    ) -> Flight {
        let family = self.family();
        let is_within = Arc::<AtomicBool>::default();
        let fetch = fetch(
            Arc::clone(self),
            Arc::clone(slot),
            reason,
            Arc::clone(&is_within),
        );
        let flight = Flight::new(fetch, family, is_within, self.gate.turns());
        state.flight = Some(flight.clone());
        flight
    }

    /// What the provider is told, now that it is called: the fetch may have been in the queue for a while.
    fn context(&self, slot: &Slot, reason: Reason) -> (FetchContext, Reason) {
        let mut state = slot.lock();
        if let Some(flight) = &mut state.flight {
            flight.began_before_rejection = false;
        }
        let cx = FetchContext::new(slot.request().clone());
        let rejected = match slot.current().as_ref() {
            Some(held) => held.was_rejected().then(|| held.token.clone()),
            None => state.condemned.as_ref().map(|held| held.token.clone()),
        };
        match rejected {
            None => (cx, reason),
            Some(token) => {
                let challenges = state.challenges.clone();
                let cx = cx.with_rejected_token(token).with_challenges(challenges);
                (cx, Reason::Rejected)
            }
        }
    }
}

/// The whole of one fetch, from the queue to the slot.
async fn fetch<P: TokenProvider>(
    engine: Arc<Engine<P>>,
    slot: Arc<Slot>,
    reason: Reason,
    is_within: Arc<AtomicBool>,
) -> Outcome {
    let entered = match engine.gate.enter(engine.fetch_timeout, &is_within).await {
        Ok(entered) => entered,
        Err(refused) => {
            let now = engine.now();
            let flight = engine.stand_down(&slot, &mut slot.lock(), now);
            discard(flight);
            telemetry::suppressed_by(&refused);
            return Err(refused);
        }
    };
    let began = engine.clock.moment();
    let (cx, reason) = engine.context(&slot, reason);
    let provider = &engine.provider;
    // Called within, so that a panic of the call itself is a failure too.
    let asked = async move {
        telemetry::within_span(reason, async move { provider.fetch_token(cx).await }).await
    };
    let result = flight::contain(asked, &engine.clock, engine.fetch_timeout).await;
    let outcome = engine.land(&slot, began, result);
    drop(entered);
    // At last, since whoever listens may panic.
    let told = outcome.as_ref().map(|landing| match landing {
        Landing::Installed => "ok",
        Landing::Superseded => "superseded",
    });
    telemetry::fetched(reason, told, engine.now().since(began.at));
    outcome
}
