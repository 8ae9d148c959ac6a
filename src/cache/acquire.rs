use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::FutureExt;

use super::engine::{Engine, MAX_ROUNDS, Step};
use super::flight::{Join, Landing};
use super::held::Held;
use super::slot::Slot;
use crate::error::{FetchError, FetchErrorKind};
use crate::provider::TokenProvider;
use crate::telemetry::{self, Waiter};

/// A caller's wait for a token: for a fetch, or none at all.
///
/// Dropping it cancels nothing.
#[derive(Default)]
pub(crate) struct Acquire {
    join: Option<(Join, Waiter)>,
    rounds: u8,
}

impl Acquire {
    /// Waits for a usable token, and if one was `rejected`, for another than that.
    ///
    /// The token may be the rejected one all the same, if the issuer has no other.
    pub(crate) fn poll<P: TokenProvider>(
        &mut self,
        cx: &mut Context<'_>,
        engine: &Arc<Engine<P>>,
        slot: &Arc<Slot>,
        rejected: Option<u64>,
    ) -> Poll<Result<Arc<Held>, FetchError>> {
        loop {
            let Some((join, _)) = &mut self.join else {
                match engine.step(slot, rejected) {
                    Step::Use(held) => return Poll::Ready(Ok(held)),
                    Step::Fail(error) => {
                        telemetry::suppressed_by(&error);
                        return Poll::Ready(Err(error));
                    }
                    Step::Wait(flight) => {
                        flight.drive();
                        self.join = Some((flight.join(), Waiter::new()));
                        continue;
                    }
                }
            };
            let outcome = ready!(join.poll_unpin(cx));
            self.join = None;
            match outcome {
                // It may have been replaced, have expired or been rejected since.
                Ok(Landing::Installed) => {
                    if let Some(held) = engine.usable(slot) {
                        return Poll::Ready(Ok(held));
                    }
                    self.rounds += 1;
                    if self.rounds == MAX_ROUNDS {
                        let error = FetchError::new(FetchErrorKind::Expired);
                        return Poll::Ready(Err(error));
                    }
                }
                Ok(Landing::Superseded) => {}
                Err(error) => {
                    // A token that was rejected may have been reprieved.
                    let usable = engine.usable(slot);
                    return Poll::Ready(match usable {
                        Some(held) if rejected != Some(held.generation) => Ok(held),
                        _ => Err(error),
                    });
                }
            }
        }
    }
}
