//! Errors, panics and fetches that hang.

use std::future::{Future, pending, ready};
use std::panic::panic_any;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok};
use tower_bearer::testing::ManualClock;
use tower_bearer::{FetchContext, FetchErrorKind, TokenCache, TokenProvider, token_fn};

use crate::support::{Answer, Calls, at_once, issuer, key, millis, now, secs, tasks_run, token};

type Fetch = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// The first call does `first`, the second returns a token.
struct Once<F> {
    first: F,
    calls: Calls,
}

impl<F: Fn() -> Fetch + Send + Sync + 'static> TokenProvider for Once<F> {
    fn fetch_token(&self, _: FetchContext) -> impl Future<Output = Answer> + Send {
        match self.calls.add() {
            0 => (self.first)(),
            _ => Box::pin(ready(Ok(token("two", 3600)))),
        }
    }
}

/// Has the first fetch fail as `kind`, twice asked, and the second work.
fn fails_then_works(kind: FetchErrorKind, first: impl Fn() -> Fetch + Send + Sync + 'static) {
    let clock = ManualClock::new();
    let calls = Calls::default();
    let cache = TokenCache::builder(Once {
        first,
        calls: calls.clone(),
    })
    .with_clock(clock.clone())
    .build();

    let mut callers = [spawn(cache.token()), spawn(cache.token())];
    let outcomes: Vec<_> = callers.iter_mut().map(|caller| caller.poll()).collect();
    let errors: Vec<_> = if outcomes.iter().any(Poll::is_pending) {
        clock.advance(secs(30));
        let polled = callers.iter_mut().map(|caller| caller.poll());
        polled.map(|outcome| assert_ready_err!(outcome)).collect()
    } else {
        let polled = outcomes.into_iter();
        polled.map(|outcome| assert_ready_err!(outcome)).collect()
    };
    for error in errors {
        assert_eq!(error.kind(), kind);
        assert!(std::error::Error::source(&error).is_none());
        assert!(!format!("{error} {error:?} {error:#?}").contains("hunter2"));
    }
    assert_eq!(calls.get(), 1);

    clock.advance(secs(1));
    let got = now(cache.token()).expect("recovered");
    assert_eq!(got.expose_secret(), "two");
}

#[test]
fn a_panic_while_the_fetch_runs_is_a_failure_without_its_payload() {
    fails_then_works(FetchErrorKind::Panicked, || {
        Box::pin(async { panic!("the password is hunter2") })
    });
}

#[test]
fn a_panic_before_there_is_a_future_is_a_failure() {
    fails_then_works(FetchErrorKind::Panicked, || {
        panic!("the password is hunter2")
    });
}

#[test]
fn a_panic_whose_payload_panics_when_dropped_is_a_failure() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("hunter2");
        }
    }
    fails_then_works(FetchErrorKind::Panicked, || {
        Box::pin(async { panic_any(Bomb) })
    });
}

/// Never completes, and panics when it is dropped.
struct PanicsWhenDropped;

impl Future for PanicsWhenDropped {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Answer> {
        Poll::Pending
    }
}

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("hunter2");
    }
}

#[test]
fn a_future_that_panics_when_its_limit_ends_it_is_a_failure() {
    fails_then_works(FetchErrorKind::Panicked, || Box::pin(PanicsWhenDropped));
}

#[test]
fn a_fetch_that_hangs_is_ended_after_thirty_seconds_and_no_sooner() {
    let clock = ManualClock::new();
    let (issuer, mut desk) = issuer();
    let cache = TokenCache::builder(issuer)
        .with_clock(clock.clone())
        .build();
    let mut callers = [spawn(cache.token()), spawn(cache.token())];
    for caller in &mut callers {
        assert_pending!(caller.poll());
    }
    let asked = desk.now();

    clock.advance(millis(29_900));
    for caller in &mut callers {
        assert_pending!(caller.poll());
    }
    assert!(!asked.is_dropped());

    clock.advance(millis(100));
    for caller in &mut callers {
        assert!(caller.is_woken());
        let error = assert_ready_err!(caller.poll());
        assert_eq!(error.kind(), FetchErrorKind::TimedOut);
    }
    assert!(asked.is_dropped());
}

#[tokio::test]
async fn a_fetch_that_hangs_is_ended_also_when_nobody_waits_for_it() {
    let clock = ManualClock::new();
    let (issuer, mut desk) = issuer();
    let cache = TokenCache::builder(issuer)
        .with_clock(clock.clone())
        .build();
    cache.warm_up();
    tasks_run().await;
    let asked = desk.now();

    clock.advance(secs(30));
    tasks_run().await;
    assert!(asked.is_dropped());
}

#[test]
fn the_limit_can_be_set_to_anything() {
    let clock = ManualClock::new();
    let hangs = || token_fn(|_| pending::<Answer>());
    let cache = |limit| {
        let builder = TokenCache::builder(hangs()).with_fetch_timeout(limit);
        builder.with_clock(clock.clone()).build()
    };

    let error = now(cache(secs(0)).token()).unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::TimedOut);

    let patient = cache(std::time::Duration::MAX);
    let mut caller = spawn(patient.token());
    assert_pending!(caller.poll());
    clock.advance(secs(1_000_000));
    assert_pending!(caller.poll());

    // By the system's clock too, whose timers overflow more easily.
    let patient = TokenCache::builder(hangs())
        .with_fetch_timeout(std::time::Duration::MAX)
        .build();
    assert_pending!(spawn(patient.token()).poll());

    // What is there at once is in time.
    let (provider, _) = at_once(|_, _| Ok(token("one", 60)));
    let hasty = TokenCache::builder(provider).with_fetch_timeout(secs(0));
    assert!(now(hasty.build().token()).is_ok());
}

#[test]
fn the_time_in_the_queue_does_not_count_towards_the_limit() {
    let clock = ManualClock::new();
    let (issuer, mut desk) = issuer();
    let cache = TokenCache::builder(issuer)
        .with_clock(clock.clone())
        .build();
    let handles: Vec<_> = (0..5).map(|i| cache.for_request(&key(i))).collect();
    let mut callers: Vec<_> = handles.iter().map(|handle| spawn(handle.token())).collect();
    for caller in &mut callers {
        assert_pending!(caller.poll());
    }
    assert_eq!(desk.calls(), 4);

    clock.advance(secs(29));
    desk.now().answer(token("one", 3600));
    assert_ready_ok!(callers[0].poll());
    assert!(callers[4].is_woken());
    assert_pending!(callers[4].poll());
    assert_eq!(desk.calls(), 5);
    for asked in [desk.now(), desk.now(), desk.now()] {
        asked.answer(token("one", 3600));
    }
    for caller in &mut callers[1..4] {
        assert_ready_ok!(caller.poll());
    }

    clock.advance(secs(29));
    assert_pending!(callers[4].poll());
    desk.now().answer(token("one", 3600));
    assert_ready_ok!(callers[4].poll());
}

#[test]
fn a_limit_that_is_reached_as_the_answer_comes_loses_no_token() {
    let clock = ManualClock::new();
    let (issuer, mut desk) = issuer();
    let cache = TokenCache::builder(issuer)
        .with_clock(clock.clone())
        .build();
    let mut caller = spawn(cache.token());
    assert_pending!(caller.poll());

    let asked = desk.now();
    clock.advance(secs(30));
    asked.answer(token("one", 3600));
    assert_ready_ok!(caller.poll());
}

/// A provider may look into the cache that it serves, and ask it for another key.
#[test]
fn a_provider_may_use_the_cache_that_it_serves_for_another_key() {
    let handle: Arc<std::sync::OnceLock<TokenCache>> = Arc::default();
    let provider = token_fn({
        let handle = Arc::clone(&handle);
        move |cx: FetchContext| {
            let cache = handle.get().expect("set below").clone();
            async move {
                if cx.token_request() == &key("base") {
                    return Ok(token("base", 3600));
                }
                assert!(cache.cached().is_none());
                let base = cache.for_request(&key("base")).token().await?;
                Ok(token(
                    &format!("derived-from-{}", base.expose_secret()),
                    3600,
                ))
            }
        }
    });
    let cache = TokenCache::new(tower_bearer::BoxTokenProvider::new(provider));
    assert!(handle.set(cache.clone()).is_ok());

    let got = now(cache.token()).unwrap();
    assert_eq!(got.expose_secret(), "derived-from-base");
}
