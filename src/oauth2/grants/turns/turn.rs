use std::collections::HashMap;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_timer::Delay;
use futures_util::future::{self, BoxFuture};
use tokio::runtime::Handle;

use super::{Keep, lock};
use crate::error::discard;

/// How long an orphan may take: once more what a fetch may, unless set.
const ORPHAN_LIMIT: Duration = Duration::from_secs(30);

/// A job under way.
pub(super) struct Turn {
    /// Locked to poll, and only tried: whoever finds it locked is woken when there is something to do.
    pub(super) job: Mutex<Option<BoxFuture<'static, ()>>>,
    is_over: AtomicBool,
    /// Whether the one whose job it is has gone.
    is_orphan: AtomicBool,
    keep: Keep,
    /// Whether a task drives it, being an orphan.
    pub(super) has_task: AtomicBool,
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

impl Turn {
    pub(super) fn new(job: impl Future<Output = ()> + Send + 'static, keep: Keep) -> Self {
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

    pub(super) fn is_over(&self) -> bool {
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
pub(super) struct Wait {
    turn: Arc<Turn>,
    role: Role,
    number: u64,
}

/// Who waits.
#[derive(Clone, Copy)]
pub(super) enum Role {
    Owner,
    /// Somebody whose turn is another.
    Next,
    /// The task that drives an orphan.
    Task,
}

impl Wait {
    pub(super) fn new(turn: Arc<Turn>, role: Role) -> Self {
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

pub(super) async fn drive(task: Wait, limit: impl Future + Unpin) {
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
