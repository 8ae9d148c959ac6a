//! One job at a time, in a task that outlives the fetch which started it.
//!
//! ```text
//!                    the fetch is dropped
//!  waits its turn ───────────────────────▶ gone
//!        │
//!        ▼           the fetch is dropped, and nothing is on its way
//!    under way ──────────────────────────▶ dropped
//!        │ │         the fetch is dropped, and something is
//!        │ └─────────────────────────────▶ orphan ──▶ over, nothing is on its way, or the time limit
//!        ▼
//!      over
//! ```
//!
//! The task is for the answer, which is not to be lost, and for what a job holds: the permit of a
//! `ConcurrencyLimit` below it is not to be held until somebody needs a token again.

use std::future::{Future, poll_fn};
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use futures_timer::Delay;
use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

use crate::error::{FetchError, FetchErrorKind, discard};
use crate::token::AccessToken;

#[cfg(test)]
mod tests;

/// How long an orphan may take: once more what a fetch may, unless set.
const ORPHAN_LIMIT: Duration = Duration::from_secs(30);

pub(super) type Outcome = Result<AccessToken, FetchError>;

/// Says whether something of a job is on its way, so that it is to outlive its fetch.
#[derive(Clone, Default)]
pub(super) struct Sent {
    is_sent: Arc<AtomicBool>,
}

impl Sent {
    pub(super) fn set(&self, is_sent: bool) {
        self.is_sent.store(is_sent, Ordering::SeqCst);
    }

    fn get(&self) -> bool {
        self.is_sent.load(Ordering::SeqCst)
    }
}

/// Gives turns to jobs.
///
/// No `tokio::sync::Mutex`: that is given to whoever has waited longest, and lost on them for as long as nobody
/// polls them. Here whoever is polled looks, and takes the turn if it is free.
#[derive(Default)]
pub(super) struct Turns {
    is_taken: AtomicBool,
    freed: Notify,
}

/// A turn, until it is dropped.
struct Turn {
    turns: Arc<Turns>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.is_taken.store(false, Ordering::SeqCst);
        self.turns.freed.notify_waiters();
    }
}

impl Turns {
    /// Runs `job` once no other runs. A panic in it is an error; the payload is dropped.
    ///
    /// It runs in a task of the current runtime, and in a thread of its own where there is none.
    ///
    /// # Cancel safety
    ///
    /// The job is dropped too, except while something of it is on its way: then it goes on to its end, or for
    /// 30 s at most.
    pub(super) async fn run<F>(self: &Arc<Self>, job: impl FnOnce(Sent) -> F) -> Outcome
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let turn = self.turn().await;
        let sent = Sent::default();
        let job = job(sent.clone());
        let (tell, told) = oneshot::channel();
        let task = async move {
            // Dropped after the job, so that nothing of it is left when the next one begins.
            let _turn = turn;
            drive(job, sent, tell, || Delay::new(ORPHAN_LIMIT)).await;
        };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(task)),
            Err(_) => spawn_thread(task).map_err(FetchError::unavailable)?,
        }
        let outcome = told.await;
        outcome.unwrap_or_else(|_| {
            Err(FetchError::unavailable(
                "the runtime that a token request was sent from has ended",
            ))
        })
    }

    async fn turn(self: &Arc<Self>) -> Turn {
        loop {
            // Made before it looks, so that it is told if the turn is freed in between.
            let freed = self.freed.notified();
            if !self.is_taken.swap(true, Ordering::SeqCst) {
                return Turn {
                    turns: Arc::clone(self),
                };
            }
            freed.await;
        }
    }
}

/// Drives `job` to its end, or for as long as somebody waits to be told or something is on its way.
async fn drive<L: Future<Output = ()> + Unpin>(
    job: impl Future<Output = Outcome>,
    sent: Sent,
    mut tell: oneshot::Sender<Outcome>,
    new_limit: impl Fn() -> L,
) {
    let mut job = Box::pin(AssertUnwindSafe(job).catch_unwind());
    let mut limit = None;
    let ended = poll_fn(|cx| {
        let is_orphan = tell.poll_closed(cx).is_ready();
        if is_orphan && !sent.get() {
            return Poll::Ready(None);
        }
        if let Poll::Ready(ended) = job.as_mut().poll(cx) {
            return Poll::Ready(Some(ended));
        }
        if !is_orphan {
            return Poll::Pending;
        }
        if !sent.get() {
            return Poll::Ready(None);
        }
        let limit = limit.get_or_insert_with(&new_limit);
        limit.poll_unpin(cx).map(|()| None)
    })
    .await;
    discard(job);
    match ended {
        Some(Ok(outcome)) => drop(tell.send(outcome)),
        Some(Err(payload)) => {
            discard(payload);
            let _gone = tell.send(Err(FetchError::new(FetchErrorKind::Panicked)));
        }
        None => {}
    }
}

/// Without a runtime somebody must drive the job all the same, lest a fetch that nobody polls any more holds
/// up every other.
fn spawn_thread(task: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new().name("token-refresh".into());
    thread.spawn(move || block_on(task)).map(drop)
}

fn block_on(task: impl Future<Output = ()>) {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let mut task = pin!(task);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    while task
        .as_mut()
        .poll(&mut Context::from_waker(&waker))
        .is_pending()
    {
        thread::park();
    }
}
