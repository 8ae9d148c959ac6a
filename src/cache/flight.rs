//! A fetch under way: one future, shared by all who wait for it and belonging to none of them.
//!
//! `futures_util::future::Shared` does nearly this. It wakes those who wait while it holds its lock, so
//! that a provider which waits for its own fetch would block a thread for ever instead of running into
//! its time limit.

use std::any::Any;
use std::cell::Cell;
use std::future::Future;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::turns::Turns;
use crate::clock::{Clock, Deadline};
use crate::error::{BoxError, FetchError, FetchErrorKind, discard};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::runtime::{self, Handle};
use crate::sync::{HashMap, Mutex, MutexGuard, PoisonError, TryLockError, thread_local};
use crate::token::AccessToken;

/// What a fetch has come to.
pub(crate) type Outcome = Result<Landing, FetchError>;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Landing {
    /// Its token is the current one.
    Installed,
    /// The token that was rejected while the fetch was under way. It was dropped; ask again.
    Superseded,
}

#[derive(Clone)]
pub(crate) struct Flight {
    shared: Arc<Shared>,
    /// A token was rejected after the fetch had begun, so the fetch may bring that one.
    pub(crate) began_before_rejection: bool,
}

struct Shared {
    /// Locked to poll, and only tried: whoever finds it locked is woken when there is something to do.
    fetch: Mutex<Option<BoxFuture<'static, Outcome>>>,
    waiters: Arc<Waiters>,
    /// Where the fetch was started.
    runtime: Option<Handle>,
    /// Tells the fetches of one cache from others.
    family: usize,
    /// Set once another fetch of the family waits for this one, which then needs no place of its own.
    is_within: Arc<AtomicBool>,
    /// Told when nobody polls the fetch any more.
    turns: Arc<Turns>,
}

/// Those who wait. The fetch's waker: apart from the fetch, which may hold it.
#[derive(Default)]
struct Waiters {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    outcome: Option<Outcome>,
    waiting: HashMap<u64, Waker>,
    joined: u64,
    /// The runtimes on which a task drives the fetch.
    drivers: Vec<runtime::Id>,
}

impl Flight {
    pub(crate) fn new(
        fetch: impl Future<Output = Outcome> + Send + 'static,
        family: usize,
        is_within: Arc<AtomicBool>,
        turns: Arc<Turns>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                fetch: Mutex::new(Some(Box::pin(fetch))),
                waiters: Arc::default(),
                runtime: Handle::try_current().ok(),
                family,
                is_within,
                turns,
            }),
            began_before_rejection: false,
        }
    }

    /// Has a task drive the fetch, if there is a runtime and no task does so on it already.
    ///
    /// Called by everyone who joins: a fetch survives as long as one of their runtimes does.
    pub(crate) fn drive(&self) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let id = runtime.id();
        {
            let mut state = self.shared.waiters.lock();
            if state.outcome.is_some() || state.drivers.contains(&id) {
                return;
            }
            state.drivers.push(id);
        }
        let driver = Driver {
            shared: Arc::clone(&self.shared),
            runtime: id,
        };
        let join = self.join();
        runtime.spawn(async move {
            let _driver = driver;
            // Whatever it is, those who wait are told.
            let _outcome = join.await;
        });
    }

    /// Whether it has come to an end. One that has landed is in no slot; one that has panicked may be.
    pub(crate) fn is_over(&self) -> bool {
        self.shared.waiters.lock().outcome.is_some()
    }

    /// Waits for the fetch, and drives it meanwhile.
    pub(crate) fn join(&self) -> Join {
        let mut state = self.shared.waiters.lock();
        state.joined += 1;
        Join {
            shared: Arc::clone(&self.shared),
            number: state.joined,
        }
    }
}

/// A caller's wait for a fetch. Dropping it leaves the fetch alone.
pub(crate) struct Join {
    shared: Arc<Shared>,
    number: u64,
}

impl Future for Join {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        self.shared.poll(self.number, cx)
    }
}

impl Drop for Join {
    fn drop(&mut self) {
        let (waker, is_left_alone) = {
            let mut state = self.shared.waiters.lock();
            let waker = state.waiting.remove(&self.number);
            let is_left_alone = state.outcome.is_none() && state.waiting.is_empty();
            if is_left_alone {
                // Under the lock: who wakes the fetch finds the waker before this, or the note after it.
                self.shared.turns.abandon();
            }
            (waker, is_left_alone)
        };
        if waker.is_none() {
            // It was woken, and has not looked: somebody else must.
            self.shared.waiters.wake_all();
            if is_left_alone {
                // It may have been for its turn.
                self.shared.turns.offer();
            }
        }
    }
}

/// Dropped when the driving task ends, be it with its runtime.
struct Driver {
    shared: Arc<Shared>,
    runtime: runtime::Id,
}

impl Drop for Driver {
    fn drop(&mut self) {
        let mut state = self.shared.waiters.lock();
        state.drivers.retain(|id| *id != self.runtime);
        let is_over = state.outcome.is_some();
        drop(state);
        if !is_over {
            self.shared.waiters.wake_all();
        }
    }
}

impl Shared {
    fn poll(&self, number: u64, cx: &mut Context<'_>) -> Poll<Outcome> {
        self.let_in();
        // Somebody else's code, as is what drops it: outside of the lock.
        let waker = cx.waker().clone();
        let (replaced, starter_lives) = {
            let mut state = self.waiters.lock();
            if let Some(outcome) = &state.outcome {
                return Poll::Ready(outcome.clone());
            }
            let replaced = state.waiting.insert(number, waker);
            let starter = self.runtime.as_ref().map(Handle::id);
            let starter_lives = starter.is_some_and(|id| state.drivers.contains(&id));
            (replaced, starter_lives)
        };
        // It may be the last of a task that waits for this very fetch.
        drop(replaced);

        let mut fetch = match self.fetch.try_lock() {
            Ok(fetch) => fetch,
            Err(TryLockError::Poisoned(fetch)) => fetch.into_inner(),
            Err(TryLockError::WouldBlock) => return Poll::Pending,
        };
        let Some(running) = fetch.as_mut() else {
            // It came to its end in between.
            let outcome = self.waiters.lock().outcome.clone();
            return Poll::Ready(outcome.expect("a fetch is dropped with its outcome"));
        };
        let polled = {
            let _entered = self.enter(starter_lives);
            let _within = Within::enter(self.family);
            let waker = Waker::from(Arc::clone(&self.waiters));
            let mut cx = Context::from_waker(&waker);
            catch_unwind(AssertUnwindSafe(|| running.poll_unpin(&mut cx)))
        };
        let outcome = match polled {
            Ok(Poll::Ready(outcome)) => outcome,
            Ok(Poll::Pending) => return Poll::Pending,
            // Not the provider, which is contained, but what is told of its failure.
            Err(payload) => Err(panicked(payload)),
        };
        self.waiters.lock().outcome = Some(outcome.clone());
        discard(fetch.take());
        drop(fetch);
        self.waiters.wake_all();
        Poll::Ready(outcome)
    }

    /// If a fetch of the family waits for this one, it must not wait for the other's place.
    fn let_in(&self) {
        if is_within(self.family) && !self.is_within.swap(true, Ordering::SeqCst) {
            // Whoever polls it at this moment may have looked before.
            self.waiters.wake_all();
        }
    }

    /// A fetch runs where it was started, as long as that runtime lives, whoever polls it: the timers and
    /// connections that it uses are from there. After that, on that of whoever polls it.
    fn enter(&self, starter_lives: bool) -> Option<runtime::EnterGuard<'_>> {
        let starter = self.runtime.as_ref()?;
        (starter_lives || Handle::try_current().is_err()).then(|| starter.enter())
    }
}

impl Waiters {
    fn wake_all(&self) {
        let waiting = mem::take(&mut self.lock().waiting);
        waiting.into_values().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Waiters {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}

thread_local! {
    static WITHIN: Cell<usize> = const { Cell::new(0) };
}

/// Whether this thread is polling a fetch of that family.
fn is_within(family: usize) -> bool {
    WITHIN.with(|within| within.get() == family)
}

struct Within {
    before: usize,
}

impl Within {
    fn enter(family: usize) -> Self {
        Self {
            before: WITHIN.with(|within| within.replace(family)),
        }
    }
}

impl Drop for Within {
    fn drop(&mut self) {
        WITHIN.with(|within| within.set(self.before));
    }
}

/// Runs a provider's future: within a time limit, and a panic is a failure.
pub(crate) async fn contain(
    fetch: impl Future<Output = Result<AccessToken, BoxError>> + Send,
    clock: &Clock,
    limit: Duration,
) -> Result<AccessToken, FetchError> {
    // The limit is inside, so that a panic in the destructor of what it drops is caught as well.
    let limited = async move {
        let mut limit = Deadline::new(clock, clock.now().after(limit));
        let mut fetch = std::pin::pin!(fetch);
        std::future::poll_fn(|cx| {
            // Caught here too: were it dropped while it unwinds, another panic would end the process.
            match catch_unwind(AssertUnwindSafe(|| fetch.as_mut().poll(cx))) {
                Ok(Poll::Ready(result)) => Poll::Ready(result.map_err(FetchError::from_provider)),
                Ok(Poll::Pending) => limit
                    .poll_reached(cx)
                    .map(|()| Err(FetchError::new(FetchErrorKind::TimedOut))),
                Err(payload) => Poll::Ready(Err(panicked(payload))),
            }
        })
        .await
    };
    let result = AssertUnwindSafe(limited).catch_unwind().await;
    result.unwrap_or_else(|payload| Err(panicked(payload)))
}

fn panicked(payload: Box<dyn Any + Send>) -> FetchError {
    // It may hold a secret.
    discard(payload);
    FetchError::new(FetchErrorKind::Panicked)
}

#[cfg(test)]
mod tests {
    use tokio_test::task::{Spawn, spawn};
    use tokio_test::{assert_pending, assert_ready_ok};

    use super::*;
    use crate::sync::Notified;

    #[test]
    fn a_waiter_that_goes_after_it_was_woken_has_another_look() {
        let turns = Arc::new(Turns::new());
        let flight = Flight::new(std::future::pending(), 1, Arc::default(), turns);
        let (mut first, mut second) = (spawn(flight.join()), spawn(flight.join()));
        assert_pending!(first.poll());
        flight.shared.waiters.wake_all();
        assert!(first.is_woken());
        assert_pending!(second.poll());
        assert!(!second.is_woken());

        drop(first);
        assert!(second.is_woken());
    }

    /// Two others that are in the queue.
    fn queued(turns: &Turns) -> [Spawn<Pin<Box<Notified<'_>>>>; 2] {
        [0, 1].map(|_| {
            let mut told = spawn(Box::pin(turns.next()));
            assert_pending!(told.poll());
            told
        })
    }

    #[test]
    fn once_nobody_waits_for_a_fetch_that_is_not_over_the_next_turn_is_offered_to_all() {
        let turns = Arc::new(Turns::new());
        let never = std::future::pending();
        let flight = Flight::new(never, 1, Arc::default(), Arc::clone(&turns));
        let (mut first, mut second) = (spawn(flight.join()), spawn(flight.join()));
        assert_pending!(first.poll());
        assert_pending!(second.poll());

        drop(first);
        let [ahead, behind] = queued(&turns);
        turns.offer();
        assert!(ahead.is_woken() && !behind.is_woken());

        let [ahead, _behind] = queued(&turns);
        drop(second);
        assert!(!behind.is_woken() && !ahead.is_woken());
        turns.offer();
        assert!(behind.is_woken() && ahead.is_woken());
    }

    #[test]
    fn who_was_woken_and_goes_as_the_last_offers_what_may_have_been_its_turn() {
        let turns = Arc::new(Turns::new());
        let never = std::future::pending();
        let flight = Flight::new(never, 1, Arc::default(), Arc::clone(&turns));
        let mut waits = spawn(flight.join());
        assert_pending!(waits.poll());
        let told = queued(&turns);

        flight.shared.waiters.wake_all();
        drop(waits);
        assert!(told.iter().all(|told| told.is_woken()));
    }

    #[test]
    fn who_goes_after_the_end_tells_the_queue_nothing() {
        let turns = Arc::new(Turns::new());
        let fetched = std::future::ready(Ok(Landing::Installed));
        let flight = Flight::new(fetched, 1, Arc::default(), Arc::clone(&turns));
        let [ahead, behind] = queued(&turns);

        assert_ready_ok!(spawn(flight.join()).poll());
        drop(flight.join());
        assert!(!ahead.is_woken());
        turns.offer();
        assert!(ahead.is_woken() && !behind.is_woken());
    }
}
