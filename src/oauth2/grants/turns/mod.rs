//! One job at a time: driven by whoever waits, and belonging to none of them.
//!
//! An asynchronous mutex would do, were every fetch polled to its end. One that nobody polls any more,
//! since its runtime or its callers are gone, would hold such a mutex for ever; and one that is dropped
//! at its time limit would take along an answer that is on its way.
//!
//! ```text
//!  waits its turn ──▶ under way ──▶ over
//!        │                │ its owner is dropped
//!        ▼                ├──────────────────────▶ dropped, unless it is kept
//!     dropped             ▼ kept
//!                      orphan: driven by a task, and by those who wait for their turn
//!                         ├──▶ over, or no longer kept
//!                         └──▶ dropped at a time limit; without a runtime, with one who waited for it
//! ```
//!
//! The task is not for the answer's sake alone. What a job holds, such as the permit of a
//! `ConcurrencyLimit` below it, is not to be held until somebody needs a token again.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;

use self::turn::{Role, Turn, Wait};
use crate::error::{FetchError, FetchErrorKind, discard};
use crate::token::AccessToken;

#[cfg(test)]
mod tests;
mod turn;

pub(super) type Outcome = Result<AccessToken, FetchError>;

/// Says whether a job is to outlive its owner.
#[derive(Clone, Default)]
pub(super) struct Keep {
    is_kept: Arc<AtomicBool>,
}

impl Keep {
    pub(super) fn set(&self, is_kept: bool) {
        self.is_kept.store(is_kept, Ordering::SeqCst);
    }

    fn get(&self) -> bool {
        self.is_kept.load(Ordering::SeqCst)
    }
}

/// Gives turns to jobs.
#[derive(Default)]
pub(super) struct Turns {
    current: Mutex<Option<Arc<Turn>>>,
}

impl Turns {
    /// Runs `job` once no other runs. A panic in it is an error; the payload is dropped.
    ///
    /// # Cancel safety
    ///
    /// The job is dropped too, except while it is kept. Then a task drives it to its end, or for 30 s at
    /// most. Without a runtime the next to call this does, before its own job begins, and should that one
    /// be dropped as well, so is the job: it may wait for something that never comes.
    pub(super) async fn run<F>(&self, job: impl FnOnce(Keep) -> F) -> Outcome
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let keep = Keep::default();
        let job = job(keep.clone());
        let outcome = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&outcome);
        let mut mine = Some(async move {
            match AssertUnwindSafe(job).catch_unwind().await {
                Ok(outcome) => *lock(&slot) = Some(outcome),
                Err(payload) => discard(payload),
            }
        });
        loop {
            let (turn, is_mine) = {
                let mut current = lock(&self.current);
                match &*current {
                    Some(turn) if !turn.is_over() => (Arc::clone(turn), false),
                    _ => {
                        let job = mine.take().expect("a job has one turn");
                        let turn = Arc::new(Turn::new(job, keep.clone()));
                        *current = Some(Arc::clone(&turn));
                        (turn, true)
                    }
                }
            };
            let role = if is_mine { Role::Owner } else { Role::Next };
            Wait::new(turn, role).await;
            if is_mine {
                let outcome = lock(&outcome).take();
                return outcome.unwrap_or_else(|| Err(FetchError::new(FetchErrorKind::Panicked)));
            }
        }
    }
}

/// What is locked here is whole between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
