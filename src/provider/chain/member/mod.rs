use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Instant};
use crate::error::{FetchError, discard};
use crate::pause::{Pause, is_of_one_key};
use crate::provider::{FetchContext, TokenProvider, TokenRequest};
use crate::token::AccessToken;

#[cfg(test)]
mod tests;

/// What an issuer may ask for with `Retry-After` (RFC 9110 §10.2.3) at most, as in the cache.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// How many rejected tokens are remembered, one a key. To forget one costs a needless 401.
const MAX_REJECTED: usize = 1024;

/// One provider of several, which is left alone after a failure, and whose rejected tokens do not come back.
///
/// The cache sees to both where there is one provider. Of this one's failures it may never hear, and of its
/// tokens it hears no more once another's is in use.
pub(super) struct Member<P> {
    provider: P,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pause: Pause,
    /// Until when its issuer asked to be left alone.
    asked_until: Option<Instant>,
    /// Whether somebody asks whether it works again.
    is_probed: bool,
    /// By key, the keyed hash of a token that was rejected, after which another provider had one.
    rejected: HashMap<TokenRequest, u64>,
}

pub(super) enum Answer {
    Token(AccessToken),
    /// The token that was rejected.
    Again(AccessToken),
    Failed(FetchError),
    /// It was not asked, because of this failure earlier.
    LeftAlone(FetchError),
}

/// Asks whether it works again. Dropping it lets another do so.
struct Probe<'a>(&'a Mutex<State>);

impl<P: TokenProvider> Member<P> {
    pub(super) fn new(provider: P) -> Self {
        Self::with_clock(provider, Clock::System)
    }

    /// Asks, unless it is to be left alone.
    pub(super) async fn ask(&self, cx: &FetchContext) -> Answer {
        match self.enter(self.clock.now()) {
            Ok(_probe) => self.fetch(cx).await,
            Err(refusal) => refusal,
        }
    }

    /// Asks, unless its issuer wants to be left alone.
    pub(super) async fn ask_all_the_same(&self, cx: &FetchContext) -> Answer {
        match self.lock().asked_refusal(self.clock.now()) {
            None => {}
            Some(refusal) => return refusal,
        }
        self.fetch(cx).await
    }

    async fn fetch(&self, cx: &FetchContext) -> Answer {
        let began = self.clock.now();
        match self.provider.fetch_token(cx.clone()).await {
            Ok(token) => {
                self.answered(began);
                self.judge(cx, token)
            }
            Err(error) => {
                let error = FetchError::from_provider(error);
                match is_of_one_key(&error) {
                    true => self.answered(began),
                    false => self.failed(began, &error),
                }
                Answer::Failed(error)
            }
        }
    }
}

impl<P> Member<P> {
    fn with_clock(provider: P, clock: Clock) -> Self {
        Self {
            provider,
            clock,
            state: Mutex::default(),
        }
    }

    /// Another provider had a token in place of this one's that was rejected: while this one has no other, it
    /// is passed over for what `cx` asks for.
    pub(super) fn pass_over(&self, cx: &FetchContext) {
        let (request, Some(rejected)) = (cx.token_request(), cx.rejected_token()) else {
            return;
        };
        let mut state = self.lock();
        if state.rejected.len() >= MAX_REJECTED && !state.rejected.contains_key(request) {
            // Any of them: they are in no order.
            if let Some(other) = state.rejected.keys().next().cloned() {
                state.rejected.remove(&other);
            }
        }
        let hash = rejected.keyed_hash();
        state.rejected.insert(request.clone(), hash);
    }

    fn judge(&self, cx: &FetchContext, token: AccessToken) -> Answer {
        if cx.rejected_token() == Some(&token) {
            return Answer::Again(token);
        }
        let mut state = self.lock();
        match state.rejected.get(cx.token_request()) {
            Some(rejected) if *rejected == token.keyed_hash() => {
                let error = "a server rejected its token, and it has no other";
                Answer::Failed(FetchError::denied(error).local())
            }
            Some(_) => {
                state.rejected.remove(cx.token_request());
                Answer::Token(token)
            }
            None => Answer::Token(token),
        }
    }

    /// After a failure, one at a time finds out whether it is over.
    fn enter(&self, now: Instant) -> Result<Option<Probe<'_>>, Answer> {
        let mut state = self.lock();
        if let Some(refusal) = state.refusal(now) {
            return Err(refusal);
        }
        if !state.pause.is_failing() {
            return Ok(None);
        }
        state.is_probed = true;
        Ok(Some(Probe(&self.state)))
    }

    fn answered(&self, began: Instant) {
        let over = self.lock().pause.succeed(began);
        // Outside of the lock: the destructor of an error is not ours.
        discard(over);
    }

    fn failed(&self, began: Instant, error: &FetchError) {
        let now = self.clock.now();
        let replaced = {
            let mut state = self.lock();
            if let Some(asked) = error.retry_after() {
                let until = now.after(asked.min(MAX_RETRY_AFTER));
                // A shorter time does not cut a longer one short.
                state.asked_until = state.asked_until.max(Some(until));
            }
            state.pause.fail(began, now, error.clone())
        };
        discard(replaced);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn refusal(&self, now: Instant) -> Option<Answer> {
        if let Some(refusal) = self.asked_refusal(now) {
            return Some(refusal);
        }
        let (error, until) = self.last_failure()?;
        (now < until || self.is_probed).then(|| Answer::LeftAlone(error.clone()))
    }

    /// While the issuer asked to be left alone.
    fn asked_refusal(&self, now: Instant) -> Option<Answer> {
        let until = self.asked_until.filter(|until| now < *until)?;
        let (error, _) = self.last_failure()?;
        let error = error.clone().with_retry_after(until.since(now));
        Some(Answer::Failed(error))
    }

    /// The one that no success has followed, and the end of its pause, which may be over.
    fn last_failure(&self) -> Option<(&FetchError, Instant)> {
        self.pause.at(Instant::from_nanos(0))
    }
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        lock(self.0).is_probed = false;
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
