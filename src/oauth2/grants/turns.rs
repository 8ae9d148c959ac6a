//! One job at a time: driven by whoever waits, and belonging to none of them.
//!
//! An asynchronous mutex would do, were every fetch polled to its end. One that nobody polls any more,
//! since its runtime or its callers are gone, would hold such a mutex for ever; and one that is dropped
//! at its time limit would take along an answer that is on its way.

use std::collections::HashMap;
use std::future::Future;
use std::mem;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;

use crate::error::{FetchError, FetchErrorKind, discard};
use crate::token::AccessToken;

pub(super) type Outcome = Result<AccessToken, FetchError>;

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
    /// A job that has not begun is dropped. One that has begun stays, and the next to call this drives it
    /// before its own begins. If that one is dropped as well, so is the job, since it may wait for
    /// something that never comes.
    pub(super) async fn run(&self, job: impl Future<Output = Outcome> + Send + 'static) -> Outcome {
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
                        let turn = Arc::new(Turn::new(job));
                        *current = Some(Arc::clone(&turn));
                        (turn, true)
                    }
                }
            };
            Wait::new(turn, is_mine).await;
            if is_mine {
                let outcome = lock(&outcome).take();
                return outcome.unwrap_or_else(|| Err(FetchError::new(FetchErrorKind::Panicked)));
            }
        }
    }
}

impl Turn {
    fn new(job: impl Future<Output = ()> + Send + 'static) -> Self {
        Self {
            job: Mutex::new(Some(Box::pin(job))),
            is_over: AtomicBool::new(false),
            is_orphan: AtomicBool::new(false),
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
        if polled.is_ready() {
            self.end(job);
        }
        polled
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
    is_mine: bool,
    number: u64,
}

impl Wait {
    fn new(turn: Arc<Turn>, is_mine: bool) -> Self {
        let number = {
            let mut state = lock(&turn.waiting.state);
            state.joined += 1;
            state.joined
        };
        Self {
            turn,
            is_mine,
            number,
        }
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
        if self.is_mine {
            turn.is_orphan.store(true, Ordering::SeqCst);
        } else if turn.is_orphan.load(Ordering::SeqCst) {
            // Waited for in vain twice. Unless somebody drives it at this moment.
            if let Some(job) = turn.try_lock() {
                return turn.end(job);
            }
        }
        if waker.is_none() {
            // It was woken, and has not looked: somebody else must.
            turn.waiting.wake_all();
        }
    }
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
mod tests {
    use std::future::{pending, ready};
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::oneshot;
    use tokio_test::task::spawn;
    use tokio_test::{assert_pending, assert_ready};

    use super::*;

    fn token(text: &str) -> Outcome {
        Ok(AccessToken::new(text).unwrap())
    }

    /// A job that waits to be told to end, and counts that it did.
    fn gated(
        ended: &Arc<AtomicUsize>,
    ) -> (oneshot::Sender<()>, impl Future<Output = Outcome> + use<>) {
        let (open, gate) = oneshot::channel();
        let ended = Arc::clone(ended);
        let job = async move {
            let _ = gate.await;
            ended.fetch_add(1, Ordering::SeqCst);
            token("first")
        };
        (open, job)
    }

    #[test]
    fn a_job_begins_when_the_one_before_has_ended() {
        let (turns, ended) = (Turns::default(), Arc::default());
        let (open, job) = gated(&ended);
        let mut first = spawn(turns.run(job));
        let mut second = spawn(turns.run(async { panic!("begins, and is contained") }));
        assert_pending!(first.poll());
        assert_pending!(second.poll());

        open.send(()).unwrap();
        assert!(first.is_woken() && second.is_woken());
        assert_eq!(
            assert_ready!(first.poll()).unwrap().expose_secret(),
            "first"
        );
        let error = assert_ready!(second.poll()).unwrap_err();
        assert_eq!(error.kind(), FetchErrorKind::Panicked);
        let third = assert_ready!(spawn(turns.run(ready(token("third")))).poll());
        assert_eq!(third.unwrap().expose_secret(), "third");
    }

    #[test]
    fn a_job_that_its_owner_does_not_poll_is_driven_by_who_waits() {
        let (turns, ended) = (Turns::default(), Arc::default());
        let (open, job) = gated(&ended);
        let mut first = spawn(turns.run(job));
        assert_pending!(first.poll());
        let mut second = spawn(turns.run(ready(token("second"))));
        assert_pending!(second.poll());

        open.send(()).unwrap();
        assert!(second.is_woken());
        let outcome = assert_ready!(second.poll()).unwrap();
        assert_eq!(outcome.expose_secret(), "second");
        // Its outcome is there when it looks.
        assert_eq!(
            assert_ready!(first.poll()).unwrap().expose_secret(),
            "first"
        );
    }

    #[test]
    fn a_job_whose_owner_is_gone_is_ended_by_the_next() {
        let (turns, ended) = (Turns::default(), Arc::default());
        let (open, job) = gated(&ended);
        let mut first = spawn(turns.run(job));
        assert_pending!(first.poll());
        drop(first);
        open.send(()).unwrap();
        assert_eq!(ended.load(Ordering::SeqCst), 0);

        let second = assert_ready!(spawn(turns.run(ready(token("second")))).poll());
        assert_eq!(second.unwrap().expose_secret(), "second");
        assert_eq!(ended.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_job_that_was_waited_for_in_vain_twice_is_given_up() {
        let turns = Turns::default();
        let mut first = spawn(turns.run(pending()));
        let mut second = spawn(turns.run(pending()));
        let mut third = spawn(turns.run(ready(token("third"))));
        assert_pending!(first.poll());
        assert_pending!(second.poll());
        // Its owner still waits for it.
        drop(second);
        assert_pending!(third.poll());
        drop(first);
        assert_pending!(third.poll());

        let mut fourth = spawn(turns.run(ready(token("fourth"))));
        assert_pending!(fourth.poll());
        drop(fourth);
        assert!(third.is_woken());
        assert_eq!(
            assert_ready!(third.poll()).unwrap().expose_secret(),
            "third"
        );
    }

    #[test]
    fn one_who_goes_after_it_was_woken_has_another_look() {
        let (turns, ended) = (Turns::default(), Arc::default());
        let (open, job) = gated(&ended);
        let mut first = spawn(turns.run(job));
        let mut second = spawn(turns.run(ready(token("second"))));
        assert_pending!(first.poll());
        assert_pending!(second.poll());
        open.send(()).unwrap();
        assert!(first.is_woken() && second.is_woken());
        // It looks, and there is nothing to be seen: as if the other polled the job at this moment.
        let turn = lock(&turns.current).clone().unwrap();
        let held = turn.job.lock().unwrap();
        assert_pending!(second.poll());
        drop(held);
        assert!(!second.is_woken());

        drop(first);
        assert!(second.is_woken());
        let outcome = assert_ready!(second.poll()).unwrap();
        assert_eq!(outcome.expose_secret(), "second");
    }

    #[test]
    fn a_job_that_waits_for_itself_blocks_no_thread() {
        let turns = Arc::new(Turns::default());
        let inner = Arc::clone(&turns);
        let job = async move { inner.run(ready(token("never"))).await };
        let mut first = spawn(turns.run(job));
        assert_pending!(first.poll());
        drop(first);
        let mut second = spawn(turns.run(ready(token("second"))));
        assert_pending!(second.poll());
        drop(second);

        let third = assert_ready!(spawn(turns.run(ready(token("third")))).poll());
        assert_eq!(third.unwrap().expose_secret(), "third");
    }
}
