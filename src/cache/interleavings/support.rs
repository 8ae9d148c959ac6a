//! A cache to be shared by the threads of a scenario, and the schedulers.

use std::cell::Cell;
use std::future::Future;
use std::io::Write;
use std::panic;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use shuttle::scheduler::{DfsScheduler, PctScheduler, RandomScheduler, Scheduler};
use shuttle::thread::JoinHandle;
use shuttle::{Config, Runner};

pub(super) use shuttle::future::block_on;
pub(super) use shuttle::thread::spawn;

use super::super::engine::Verdict;
use super::super::{Acquire, TokenCache, Witness};
use crate::clock::{Clock, ManualClock};
use crate::error::{BoxError, FetchError};
use crate::provider::{BoxTokenProvider, FetchContext, TokenRequest, token_fn};
use crate::sync::Mutex;
use crate::token::AccessToken;

pub(super) type Answer = Result<AccessToken, BoxError>;

/// Schedules per scenario and scheduler, unless set.
const INTERLEAVINGS: usize = 10_000;

/// Many faults need two or three threads to be interrupted at the wrong moment.
const INTERRUPTIONS: usize = 3;

/// The default is little for a panic's backtrace.
const STACK: usize = 1 << 18;

const SEED: u64 = 7;

thread_local! {
    /// Of this scenario. The cache contains panics, and with them those of the scheduler that say that a
    /// thread waits for itself.
    static PANICS: Cell<usize> = const { Cell::new(0) };
}

/// Runs `scenario` under one schedule after another.
pub(super) fn interleave(scenario: impl Fn() + Send + Sync + 'static) {
    count_panics();
    let each = std::env::var("INTERLEAVINGS").map_or(INTERLEAVINGS, |each| {
        each.parse().expect("INTERLEAVINGS is a number")
    });
    let scenario = Arc::new(scenario);
    let random = run(RandomScheduler::new_from_seed(SEED, each), &scenario);
    let pct = PctScheduler::new_from_seed(SEED, INTERRUPTIONS, each);
    let pct = run(pct, &scenario);
    let dfs = run(DfsScheduler::new(Some(each), false), &scenario);
    let all = if dfs < each { " (all there are)" } else { "" };
    let thread = std::thread::current();
    // Not `eprintln`, which a test that passes keeps to itself.
    let _ = writeln!(
        std::io::stderr(),
        "{}: {random} random schedules, {pct} of few interruptions, {dfs} in order{all}",
        thread.name().unwrap_or("?"),
    );
}

/// Repeats the schedule that a failure has printed.
#[allow(dead_code)] // Until something fails.
pub(super) fn replay(scenario: impl Fn() + Send + Sync + 'static, schedule: &str) {
    shuttle::replay(scenario, schedule);
}

fn run(
    scheduler: impl Scheduler + 'static,
    scenario: &Arc<impl Fn() + Send + Sync + 'static>,
) -> usize {
    let scenario = Arc::clone(scenario);
    let mut config = Config::new();
    config.stack_size = STACK;
    // All draw the same: what is random but not the schedule's could not be repeated.
    Runner::new(scheduler, config).run(move || {
        fastrand::seed(SEED);
        PANICS.set(0);
        scenario();
        assert_eq!(PANICS.get(), 0, "something panicked, and it was contained");
    })
}

fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            hook(info);
        }));
    });
}

/// A provider's panic, which is not counted, since no hook is told.
pub(super) fn panic_on_purpose() -> ! {
    panic::resume_unwind(Box::new("on purpose"))
}

/// A cache and its issuer. Clones are the same cache.
#[derive(Clone)]
pub(super) struct World {
    pub(super) cache: TokenCache<BoxTokenProvider>,
    pub(super) clock: ManualClock,
    calls: Arc<AtomicUsize>,
}

impl World {
    /// The issuer answers at the second look; `answer` is given the number of the call, from zero.
    pub(super) fn new(
        answer: impl Fn(usize, FetchContext) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::with_keys(100, answer)
    }

    pub(super) fn with_keys(
        max_keys: usize,
        answer: impl Fn(usize, FetchContext) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let answer = Arc::new(answer);
        Self::of(max_keys, move |call, cx| {
            let answer = Arc::clone(&answer);
            async move {
                // Whoever polls is woken at once, from within.
                shuttle::future::yield_now().await;
                answer(call, cx)
            }
        })
    }

    pub(super) fn of<F: Future<Output = Answer> + Send + 'static>(
        max_keys: usize,
        fetch: impl Fn(usize, FetchContext) -> F + Send + Sync + 'static,
    ) -> Self {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let provider = token_fn(move |cx| fetch(counted.fetch_add(1, Ordering::SeqCst), cx));
        let clock = ManualClock::new();
        let mut builder =
            TokenCache::builder(BoxTokenProvider::new(provider)).with_max_keys(max_keys);
        builder.clock = Clock::Manual(clock.clone());
        Self {
            cache: builder.build(),
            clock,
            calls,
        }
    }

    /// The same for another key.
    pub(super) fn key(&self, scope: &str) -> Self {
        let request = TokenRequest::default().with_scope(scope);
        Self {
            cache: self.cache.for_request(&request),
            ..self.clone()
        }
    }

    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub(super) fn token(&self) -> Result<AccessToken, FetchError> {
        block_on(self.cache.token())
    }

    pub(super) fn refresh(&self) -> Result<AccessToken, FetchError> {
        block_on(self.cache.refresh())
    }

    pub(super) fn generation(&self) -> u64 {
        let current = self.cache.slot().current();
        current.as_ref().expect("there is a token").generation
    }

    /// As the layer does.
    pub(super) fn reject(&self, generation: u64) -> Verdict {
        let engine = self.cache.engine();
        engine.reject(self.cache.slot(), generation, Vec::new, Witness::OfAll)
    }

    /// As the layer does, after a rejection.
    pub(super) async fn another_than(&self, rejected: u64) -> Result<AccessToken, FetchError> {
        let mut acquire = Acquire::default();
        let (engine, slot) = (self.cache.engine(), self.cache.slot());
        let held =
            std::future::poll_fn(|cx| acquire.poll(cx, engine, slot, Some(rejected))).await?;
        Ok(held.token.clone())
    }

    /// Runs `f` with this world on a thread of its own.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let world = self.clone();
        spawn(move || f(&world))
    }

    /// Waits for the fetch that is under way, if there is one.
    pub(super) fn settle(&self) {
        let flight = self.cache.slot().lock().under_way().cloned();
        if let Some(flight) = flight {
            let _outcome = block_on(flight.join());
        }
    }
}

/// An issuer at the other end of a connection: another thread lets it answer.
#[derive(Clone, Default)]
pub(super) struct Distant {
    asked: Latch,
    may_answer: Latch,
}

impl Distant {
    pub(super) fn answer(&self) {
        self.may_answer.open();
    }

    /// For the provider.
    pub(super) async fn answered(&self) {
        self.asked.open();
        self.may_answer.opened().await;
    }

    /// Waits until a fetch waits for it.
    pub(super) fn wait_until_asked(&self) {
        block_on(self.asked.opened());
    }
}

#[derive(Clone, Default)]
struct Latch {
    state: Arc<Mutex<(bool, Option<Waker>)>>,
}

impl Latch {
    fn open(&self) {
        let waker = {
            let mut state = self.state.lock().unwrap();
            state.0 = true;
            state.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    async fn opened(&self) {
        std::future::poll_fn(|cx| {
            let mut state = self.state.lock().unwrap();
            if state.0 {
                return Poll::Ready(());
            }
            state.1 = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// The token of a call.
pub(super) fn token(call: usize) -> AccessToken {
    AccessToken::new(&format!("t{call}"))
        .expect("visible ASCII")
        .with_expires_in(HOUR)
}

pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// Looks at a future and drops it, woken or not.
pub(super) async fn look_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Looks at a future so many times and drops it, though it was woken.
pub(super) async fn give_up_after<T>(looks: usize, future: impl Future<Output = T>) -> Option<T> {
    GiveUp {
        looks,
        future: pin!(future),
    }
    .await
}

struct GiveUp<'a, F> {
    looks: usize,
    future: Pin<&'a mut F>,
}

impl<F: Future> Future for GiveUp<'_, F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.looks == 0 {
            return Poll::Ready(None);
        }
        self.looks -= 1;
        self.future.as_mut().poll(cx).map(Some)
    }
}
