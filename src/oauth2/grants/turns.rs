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

use std::collections::HashMap;
use std::future::Future;
use std::mem;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_timer::Delay;
use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use tokio::runtime::Handle;

use crate::error::{FetchError, FetchErrorKind, discard};
use crate::token::AccessToken;

/// How long an orphan may take: once more what a fetch may, unless set.
const ORPHAN_LIMIT: Duration = Duration::from_secs(30);

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

struct Turn {
    /// Locked to poll, and only tried: whoever finds it locked is woken when there is something to do.
    job: Mutex<Option<BoxFuture<'static, ()>>>,
    is_over: AtomicBool,
    /// Whether the one whose job it is has gone.
    is_orphan: AtomicBool,
    keep: Keep,
    /// Whether a task drives it, being an orphan.
    has_task: AtomicBool,
    waiting: Arc<Waiting>,
    /// Where it was begun: its timers and connections are from there.
    runtime: Option<Handle>,
}

/// Those who wait, by number. The job's waker.
#[derive(Default)]
struct Waiting {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    wakers: HashMap<u64, Waker>,
    joined: u64,
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

impl Turn {
    fn new(job: impl Future<Output = ()> + Send + 'static, keep: Keep) -> Self {
        Self {
            job: Mutex::new(Some(Box::pin(job))),
            is_over: AtomicBool::new(false),
            is_orphan: AtomicBool::new(false),
            keep,
            has_task: AtomicBool::new(false),
            waiting: Arc::default(),
            runtime: Handle::try_current().ok(),
        }
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    fn poll(&self, number: u64, cx: &mut Context<'_>) -> Poll<()> {
        // Somebody else's code, as is what drops it: outside of the lock.
        let waker = cx.waker().clone();
        let replaced = lock(&self.waiting.state).wakers.insert(number, waker);
        drop(replaced);
        // Looked at after the waker is there, so that an end in between is not missed.
        if self.is_over() {
            return Poll::Ready(());
        }
        let Some(mut job) = self.try_lock() else {
            return Poll::Pending;
        };
        let Some(running) = job.as_mut() else {
            // It is being dropped. Who does that wakes us.
            return Poll::Pending;
        };
        let polled = {
            let runtime = self.runtime.as_ref();
            let _entered = runtime
                .filter(|_| Handle::try_current().is_err())
                .map(Handle::enter);
            let waker = Waker::from(Arc::clone(&self.waiting));
            running.as_mut().poll(&mut Context::from_waker(&waker))
        };
        if polled.is_pending() && !self.is_left() {
            return Poll::Pending;
        }
        self.end(job);
        Poll::Ready(())
    }

    /// Whether nobody is interested in the job.
    fn is_left(&self) -> bool {
        self.is_orphan.load(Ordering::SeqCst) && !self.keep.get()
    }

    /// Lets the next one have its turn.
    fn end(&self, mut job: MutexGuard<'_, Option<BoxFuture<'static, ()>>>) {
        let over = job.take();
        drop(job);
        // First, so that nothing of it is left when the next job begins.
        discard(over);
        self.is_over.store(true, Ordering::SeqCst);
        self.waiting.wake_all();
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, Option<BoxFuture<'static, ()>>>> {
        match self.job.try_lock() {
            Ok(job) => Some(job),
            Err(TryLockError::Poisoned(job)) => Some(job.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// Waits for a turn to end, and drives it meanwhile.
struct Wait {
    turn: Arc<Turn>,
    role: Role,
    number: u64,
}

/// Who waits.
#[derive(Clone, Copy)]
enum Role {
    Owner,
    /// Somebody whose turn is another.
    Next,
    /// The task that drives an orphan.
    Task,
}

impl Wait {
    fn new(turn: Arc<Turn>, role: Role) -> Self {
        let number = {
            let mut state = lock(&turn.waiting.state);
            state.joined += 1;
            state.joined
        };
        Self { turn, role, number }
    }
}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.turn.poll(self.number, cx)
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let turn = &*self.turn;
        let waker = lock(&turn.waiting.state).wakers.remove(&self.number);
        if turn.is_over() {
            return;
        }
        let is_given_up = match self.role {
            Role::Owner => {
                turn.is_orphan.store(true, Ordering::SeqCst);
                turn.is_left()
            }
            Role::Next => {
                let is_orphan = turn.is_orphan.load(Ordering::SeqCst);
                is_orphan && !turn.has_task.load(Ordering::SeqCst)
            }
            Role::Task => {
                turn.has_task.store(false, Ordering::SeqCst);
                true
            }
        };
        if is_given_up {
            match turn.try_lock() {
                Some(job) => return turn.end(job),
                // Somebody drives it at this moment, who may have looked before.
                None => turn.waiting.wake_all(),
            }
        } else if waker.is_none() {
            // It was woken, and has not looked: somebody else must.
            turn.waiting.wake_all();
        }
        if let (Role::Owner, false) = (self.role, is_given_up) {
            self.leave_to_a_task();
        }
    }
}

impl Wait {
    fn leave_to_a_task(&self) {
        let runtime = Handle::try_current().ok();
        if let Some(runtime) = runtime.or_else(|| self.turn.runtime.clone()) {
            self.turn.has_task.store(true, Ordering::SeqCst);
            let task = Wait::new(Arc::clone(&self.turn), Role::Task);
            runtime.spawn(drive(task, Delay::new(ORPHAN_LIMIT)));
        }
    }
}

async fn drive(task: Wait, limit: impl Future + Unpin) {
    future::select(task, limit).await;
}

impl Waiting {
    fn wake_all(&self) {
        let wakers = mem::take(&mut lock(&self.state).wakers);
        wakers.into_values().for_each(Waker::wake);
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}

/// What is locked here is whole between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
