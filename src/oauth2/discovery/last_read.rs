//! Keeps what was read last, and says when to read it again.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::runtime::Handle;

use crate::clock::{Clock, Instant};
use crate::error::{FetchError, FetchErrorKind, discard};
use crate::oauth2::error::TokenEndpointError;
use crate::telemetry;

/// For how long a read may take without which there is nothing to go on with, or which nobody waits for. A
/// token request has to fit into the fetch as well, whose limit is 30 seconds unless set.
const LIMIT: Duration = Duration::from_secs(10);

/// For how long a fetch waits that could go on without, as where there is no runtime to read beside it.
const LIMIT_WITHIN: Duration = Duration::from_secs(1);

/// How soon after a failure to try again, while there is a value.
const PAUSE: Duration = Duration::from_secs(60);

/// A `Retry-After` counts up to here, as everywhere.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// A value that is read from elsewhere, now and then.
///
/// - While there is none, each who needs it reads it: nobody waits for somebody else's read, so that one
///   that is dropped, or panics, concerns nobody else. A cache has four fetches at once until one succeeds.
/// - A value that is too old is read again by a task beside one who needs it, and used meanwhile. The next
///   attempt is put off *before* the read begins, so that a read that is dropped has failed as well.
/// - A value that is doubted is read again before it is used again, once a minute at most.
/// - A failure never takes a value away.
pub(super) struct LastRead<V> {
    max_age: Duration,
    clock: Clock,
    state: Mutex<State<V>>,
}

struct State<V> {
    held: Option<Held<V>>,
    /// From when on a doubt has it read again.
    doubts_from: Instant,
    /// Why it could not be read again, if that was the last attempt.
    failure: Option<TokenEndpointError>,
}

struct Held<V> {
    value: V,
    read_again: Instant,
    is_doubted: bool,
}

enum Plan<V> {
    Use(V),
    Read,
    /// And if that fails, use this.
    ReadOrUse(V),
    /// At the same time.
    ReadAndUse(V),
}

impl<V: Clone + Send + 'static> LastRead<V> {
    pub(super) fn new(max_age: Duration) -> Self {
        Self::with_clock(max_age, Clock::System)
    }

    fn with_clock(max_age: Duration, clock: Clock) -> Self {
        let state = State {
            held: None,
            doubts_from: clock.now(),
            failure: None,
        };
        Self {
            max_age,
            clock,
            state: Mutex::new(state),
        }
    }

    /// The value, by `read` if need be, which is given its time limit.
    pub(super) async fn get<F>(
        self: &Arc<Self>,
        read: impl FnOnce(Duration) -> F,
    ) -> Result<V, TokenEndpointError>
    where
        F: Future<Output = Result<V, TokenEndpointError>> + Send + 'static,
    {
        let (last, read) = match self.plan() {
            Plan::Use(value) => return Ok(value),
            Plan::Read => return self.keep_first(read(LIMIT).await),
            Plan::ReadOrUse(last) => (last, read(LIMIT)),
            Plan::ReadAndUse(last) => match Handle::try_current() {
                Ok(runtime) => {
                    self.read_beside(&runtime, read(LIMIT));
                    return Ok(last);
                }
                Err(_) => (last, read(LIMIT_WITHIN)),
            },
        };
        Ok(self.keep(read.await).unwrap_or(last))
    }

    /// Has it read again before it is used again, if it is still one that `is_meant`.
    pub(super) fn doubt(&self, is_meant: impl FnOnce(&V) -> bool) {
        if let Some(held) = &mut self.lock().held {
            held.is_doubted = held.is_doubted || is_meant(&held.value);
        }
    }

    /// Why the last attempt to read it again has failed, if it has.
    pub(super) fn failure(&self) -> Option<TokenEndpointError> {
        self.lock().failure.clone()
    }

    fn plan(&self) -> Plan<V> {
        let now = self.clock.now();
        let mut state = self.lock();
        let state = &mut *state;
        let Some(held) = &mut state.held else {
            return Plan::Read;
        };
        let last = held.value.clone();
        if held.is_doubted && state.doubts_from <= now {
            held.is_doubted = false;
            held.read_again = now.after(PAUSE);
            state.doubts_from = held.read_again;
            Plan::ReadOrUse(last)
        } else if held.read_again <= now {
            held.read_again = now.after(PAUSE);
            Plan::ReadAndUse(last)
        } else {
            Plan::Use(last)
        }
    }

    fn read_beside<F>(self: &Arc<Self>, runtime: &Handle, read: F)
    where
        F: Future<Output = Result<V, TokenEndpointError>> + Send + 'static,
    {
        let this = Arc::clone(self);
        runtime.spawn(async move {
            match AssertUnwindSafe(read).catch_unwind().await {
                Ok(read) => drop(this.keep(read)),
                Err(payload) => {
                    discard(payload);
                    telemetry::metadata_not_read_again(FetchErrorKind::Panicked);
                }
            }
        });
    }

    /// What others have read meanwhile stays, and is better than a failure.
    fn keep_first(&self, read: Result<V, TokenEndpointError>) -> Result<V, TokenEndpointError> {
        let mut state = self.lock();
        let held = state.held.as_ref().map(|held| held.value.clone());
        if let (None, Ok(value)) = (&held, &read) {
            state.held = Some(self.fresh(value.clone()));
        }
        drop(state);
        read.or_else(|error| held.ok_or(error))
    }

    fn keep(&self, read: Result<V, TokenEndpointError>) -> Option<V> {
        match read {
            Ok(value) => {
                let mut state = self.lock();
                state.held = Some(self.fresh(value.clone()));
                let failure = state.failure.take();
                drop(state);
                // It may hold what is foreign.
                drop(failure);
                Some(value)
            }
            Err(error) => {
                self.put_off(&error);
                telemetry::metadata_not_read_again(FetchError::from(error).kind());
                None
            }
        }
    }

    fn fresh(&self, value: V) -> Held<V> {
        Held {
            value,
            read_again: self.clock.now().after(self.max_age),
            is_doubted: false,
        }
    }

    fn put_off(&self, error: &TokenEndpointError) {
        let asked = error.retry_after().unwrap_or_default();
        let next = self.clock.now().after(asked.clamp(PAUSE, LONGEST_PAUSE));
        let mut state = self.lock();
        state.doubts_from = next;
        if let Some(held) = &mut state.held {
            held.read_again = next;
        }
        let failure = state.failure.replace(error.clone());
        drop(state);
        drop(failure);
    }

    fn lock(&self) -> MutexGuard<'_, State<V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
