//! A fetch under way: one future, shared by all who wait for it and belonging to none of them.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_timer::Delay;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::runtime::Handle;

use super::clock::{Clock, Instant};
use super::slot::Held;
use crate::error::{BoxError, FetchError, FetchErrorKind};
use crate::token::AccessToken;

/// What a fetch has come to.
pub(crate) type Outcome = Result<Landing, FetchError>;

#[derive(Clone)]
pub(crate) enum Landing {
    /// The token that is now current.
    Installed(Arc<Held>),
    /// The token that was rejected while the fetch was under way. It was dropped; ask again.
    Superseded,
}

#[derive(Clone)]
pub(crate) struct Flight {
    fetch: Shared<BoxFuture<'static, Outcome>>,
    /// Whether a task drives the fetch, besides those who wait.
    driven: Arc<AtomicBool>,
    /// A token was rejected after the fetch had begun, so the fetch may bring that one.
    pub(crate) began_before_rejection: bool,
}

impl Flight {
    pub(crate) fn new(fetch: impl Future<Output = Outcome> + Send + 'static) -> Self {
        let fetch = OnRuntime {
            runtime: Handle::try_current().ok(),
            fetch: Box::pin(fetch),
        };
        Self {
            fetch: fetch.boxed().shared(),
            driven: Arc::new(AtomicBool::new(false)),
            began_before_rejection: false,
        }
    }

    /// Has a task drive the fetch, if there is a runtime and no task does so already.
    ///
    /// Called by everyone who joins: the runtime on which the last task ran may be gone.
    pub(crate) fn drive(&self) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if self.driven.swap(true, Ordering::Relaxed) {
            return;
        }
        let driver = Driver(Arc::clone(&self.driven));
        let fetch = self.fetch.clone();
        runtime.spawn(async move {
            let _driver = driver;
            // Whatever it is, those who wait are told.
            let _outcome = fetch.await;
        });
    }

    /// Waits for the fetch, and drives it meanwhile.
    pub(crate) fn join(self) -> Join {
        Join(self.fetch)
    }
}

/// Dropped when the driving task ends, be it with its runtime.
struct Driver(Arc<AtomicBool>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// A caller's wait for a fetch. Dropping it leaves the fetch alone.
pub(crate) struct Join(Shared<BoxFuture<'static, Outcome>>);

impl Future for Join {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        self.0.poll_unpin(cx)
    }
}

/// Polls the fetch within the runtime on which it was started, if whoever polls has none: a caller
/// outside of any runtime may drive a fetch that needs one.
struct OnRuntime {
    runtime: Option<Handle>,
    fetch: BoxFuture<'static, Outcome>,
}

impl Future for OnRuntime {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let this = &mut *self;
        let _entered = match &this.runtime {
            Some(runtime) if Handle::try_current().is_err() => Some(runtime.enter()),
            _ => None,
        };
        this.fetch.poll_unpin(cx)
    }
}

/// Runs a provider's future: within a time limit, and a panic is a failure.
pub(crate) async fn contain(
    fetch: impl Future<Output = Result<AccessToken, BoxError>> + Send,
    clock: Clock,
    limit: Duration,
) -> Result<AccessToken, FetchError> {
    // The limit is inside, so that a panic in the destructor of what it drops is caught as well.
    let limited = async move {
        let mut limit = Limit::new(clock, limit);
        let mut fetch = std::pin::pin!(fetch);
        std::future::poll_fn(|cx| {
            if let Poll::Ready(result) = fetch.as_mut().poll(cx) {
                return Poll::Ready(result.map_err(FetchError::from_provider));
            }
            limit
                .poll_reached(cx)
                .map(|()| Err(FetchError::new(FetchErrorKind::TimedOut)))
        })
        .await
    };
    match AssertUnwindSafe(limited).catch_unwind().await {
        Ok(result) => result,
        Err(payload) => {
            // It may hold a secret, and its destructor may panic again.
            let _dropped = catch_unwind(AssertUnwindSafe(|| drop(payload)));
            Err(FetchError::new(FetchErrorKind::Panicked))
        }
    }
}

/// A timer's end is an `std::time::Instant`, which overflows with a panic.
const LONGEST_TIMER: Duration = Duration::from_secs(60 * 60);

/// A time limit that needs no runtime: the clock is read at every poll, and a timer of its own sees to
/// it that there is one in time.
///
/// Not tokio's timer, which panics on a runtime without one and when its runtime is gone.
struct Limit {
    clock: Clock,
    deadline: Instant,
    timer: Option<Delay>,
}

impl Limit {
    fn new(clock: Clock, limit: Duration) -> Self {
        Self {
            deadline: clock.now().after(limit),
            timer: clock
                .is_running()
                .then(|| Delay::new(limit.min(LONGEST_TIMER))),
            clock,
        }
    }

    fn poll_reached(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.clock.wake_when_turned(cx.waker());
        let mut now = self.clock.now();
        while now < self.deadline {
            let Some(timer) = &mut self.timer else {
                return Poll::Pending;
            };
            if timer.poll_unpin(cx).is_pending() {
                return Poll::Pending;
            }
            // The limit is longer than a timer runs, or the two clocks differ by a little.
            now = self.clock.now();
            let left = self.deadline.since(now);
            timer.reset(left.clamp(Duration::from_millis(1), LONGEST_TIMER));
        }
        Poll::Ready(())
    }
}
