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
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use futures_timer::Delay;
use futures_util::FutureExt;
use futures_util::future::select;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

use crate::error::{FetchError, FetchErrorKind, discard};
use crate::token::AccessToken;

#[cfg(test)]
mod tests;

/// How long an orphan may take: once more what a fetch may, unless set.
const ORPHAN_LIMIT: Duration = Duration::from_secs(30);

/// When an orphan that has not ended cannot, since nobody drives it.
const LOST_AFTER: Duration = Duration::from_secs(31);

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
    // Held for no longer than it takes to look.
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Default)]
struct State {
    /// The number of the turn that is taken.
    taken: Option<u64>,
    /// Since when its job is an orphan.
    orphan_since: Option<Instant>,
    last: u64,
}

/// A turn, until it is dropped.
struct Turn {
    turns: Arc<Turns>,
    number: u64,
}

/// Drops a fetch's interest in its turn.
struct Interest<'a> {
    turns: &'a Turns,
    number: u64,
}

impl Turn {
    /// Whether somebody else has it, since the runtime was not driven for too long.
    fn is_lost(&self) -> bool {
        self.turns.state().taken != Some(self.number)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        if state.taken == Some(self.number) {
            state.taken = None;
            drop(state);
            self.turns.freed.notify_waiters();
        }
    }
}

impl Drop for Interest<'_> {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        if state.taken == Some(self.number) {
            state.orphan_since = Some(Instant::now());
            drop(state);
            // So that they wait no longer than its time limit.
            self.turns.freed.notify_waiters();
        }
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
        let _interest = Interest {
            turns: self,
            number: turn.number,
        };
        let task = async move {
            // Dropped after the job, so that nothing of it is left when the next one begins.
            let turn = turn;
            let new_limit = || Delay::new(ORPHAN_LIMIT);
            drive(job, sent, tell, || turn.is_lost(), new_limit).await;
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
            let freed = pin!(self.freed.notified());
            match self.take() {
                Ok(turn) => return turn,
                Err(None) => freed.await,
                Err(Some(rest)) => drop(select(freed, Delay::new(rest)).await),
            }
        }
    }

    /// Takes the turn, if it is free or its job an orphan that should have ended: one whose runtime is not
    /// driven, such as that of a `block_on` which is over, cannot. The error is when to look again.
    fn take(self: &Arc<Self>) -> Result<Turn, Option<Duration>> {
        let mut state = self.state();
        if state.taken.is_some() {
            let since = state.orphan_since.ok_or(None)?;
            let rest = LOST_AFTER.saturating_sub(since.elapsed());
            if !rest.is_zero() {
                return Err(Some(rest));
            }
        }
        state.last += 1;
        state.taken = Some(state.last);
        state.orphan_since = None;
        Ok(Turn {
            turns: Arc::clone(self),
            number: state.last,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drives `job` to its end, or for as long as somebody waits to be told or something is on its way.
async fn drive<L: Future<Output = ()> + Unpin>(
    job: impl Future<Output = Outcome>,
    sent: Sent,
    mut tell: oneshot::Sender<Outcome>,
    is_lost: impl Fn() -> bool,
    new_limit: impl Fn() -> L,
) {
    let mut job = Box::pin(AssertUnwindSafe(job).catch_unwind());
    let mut limit = None;
    let ended = poll_fn(|cx| {
        let is_orphan = tell.poll_closed(cx).is_ready();
        if is_orphan && (!sent.get() || is_lost()) {
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
