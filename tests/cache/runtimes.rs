//! Fetches outlive the runtime that started them, and need none.

use std::cell::Cell;
use std::future::pending;
use std::net::TcpListener;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::AsyncReadExt;
use tokio::runtime::{Builder, Runtime};
use tokio_test::assert_pending;
use tokio_test::task::spawn;
use tower_bearer::testing::ManualClock;
use tower_bearer::{FetchErrorKind, TokenCache, TokenProvider, token_fn};

use crate::support::{Answer, issuer, millis, returns, secs, token};

fn single() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}

fn multi() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    let builder = builder.worker_threads(1).enable_all();
    builder.build().expect("a runtime")
}

fn start<P: TokenProvider>(runtime: &Runtime, cache: &TokenCache<P>) {
    runtime.block_on(async { assert_pending!(spawn(cache.token()).poll()) });
}

/// Counts the calls of a provider of which the first is meant to fail.
fn is_first(calls: &AtomicUsize) -> bool {
    calls.fetch_add(1, Ordering::SeqCst) == 0
}

#[test]
fn a_waiter_gets_the_token_though_the_runtime_that_started_the_fetch_is_gone() {
    for (first, second) in [
        (single(), single()),
        (multi(), single()),
        (single(), multi()),
    ] {
        returns(move || {
            let (issuer, mut desk) = issuer();
            let cache = TokenCache::new(issuer);
            start(&first, &cache);
            let asked = first.block_on(desk.next());

            let mut waiter = spawn(cache.token());
            {
                let _inside = second.enter();
                assert_pending!(waiter.poll());
            }
            drop(first);
            asked.answer(token("one", 3600));

            let got = second.block_on(waiter).unwrap();
            assert_eq!(got.expose_secret(), "one");
            assert_eq!(desk.calls(), 1);
        });
    }
}

#[test]
fn a_caller_that_comes_when_the_runtime_is_gone_completes_its_fetch() {
    returns(|| {
        let (issuer, mut desk) = issuer();
        let cache = TokenCache::new(issuer);
        let first = single();
        start(&first, &cache);
        first.shutdown_background();
        desk.now().answer(token("one", 3600));

        single().block_on(cache.token()).unwrap();
        assert_eq!(desk.calls(), 1);
    });
}

/// The next runtime also takes over the driving.
#[test]
fn callers_may_leave_the_fetch_of_a_dead_runtime_to_their_own() {
    returns(|| {
        let (issuer, mut desk) = issuer();
        let cache = TokenCache::new(issuer);
        let first = single();
        start(&first, &cache);
        drop(first);

        let second = single();
        start(&second, &cache);
        desk.now().answer(token("one", 3600));
        second.block_on(crate::support::tasks_run());
        assert!(cache.cached().is_some());
    });
}

/// Whoever waits while `runtime` is dropped gets an error, and the next caller a token.
fn fails_with_its_runtime<P: TokenProvider>(runtime: Runtime, provider: P) {
    returns(move || {
        let clock = ManualClock::new();
        let cache = TokenCache::builder(provider)
            .with_clock(clock.clone())
            .build();
        start(&runtime, &cache);

        let other = single();
        let mut waiter = spawn(cache.token());
        {
            let _inside = other.enter();
            assert_pending!(waiter.poll());
        }
        drop(runtime);
        let error = other.block_on(waiter).expect_err("its runtime is gone");
        assert_ne!(error.kind(), FetchErrorKind::Closed);

        clock.advance(secs(1));
        let got = other.block_on(cache.token()).expect("recovered");
        assert_eq!(got.expose_secret(), "two");
    });
}

#[test]
fn a_fetch_that_sleeps_on_a_runtime_that_is_gone_fails_and_the_next_works() {
    for runtime in [single(), multi()] {
        let calls = AtomicUsize::new(0);
        let provider = token_fn(move |_| {
            let first = is_first(&calls);
            async move {
                if first {
                    tokio::time::sleep(secs(3600)).await;
                }
                Ok(token("two", 3600))
            }
        });
        fails_with_its_runtime(runtime, provider);
    }
}

#[test]
fn a_fetch_that_reads_from_a_runtime_that_is_gone_fails_and_the_next_works() {
    // Accepts connections in its backlog, and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for runtime in [single(), multi()] {
        let calls = AtomicUsize::new(0);
        let provider = token_fn(move |_| {
            let first = is_first(&calls);
            async move {
                if first {
                    let mut stream = tokio::net::TcpStream::connect(address).await?;
                    stream.read_u8().await?;
                }
                Ok(token("two", 3600))
            }
        });
        fails_with_its_runtime(runtime, provider);
    }
}

#[test]
fn a_fetch_that_waits_for_a_task_of_a_runtime_that_is_gone_fails_and_the_next_works() {
    for runtime in [single(), multi()] {
        let calls = AtomicUsize::new(0);
        let provider = token_fn(move |_| {
            let first = is_first(&calls);
            async move {
                if first {
                    tokio::spawn(pending::<()>()).await?;
                }
                Ok(token("two", 3600))
            }
        });
        fails_with_its_runtime(runtime, provider);
    }
}

#[test]
fn a_fetch_that_hangs_on_a_runtime_that_is_gone_is_ended_by_its_limit() {
    returns(|| {
        let clock = ManualClock::new();
        let (issuer, mut desk) = issuer();
        let cache = TokenCache::builder(issuer)
            .with_clock(clock.clone())
            .build();
        let first = single();
        start(&first, &cache);

        let second = single();
        let mut waiter = spawn(cache.token());
        {
            let _inside = second.enter();
            assert_pending!(waiter.poll());
        }
        drop(first);
        clock.advance(secs(30));
        assert!(waiter.is_woken());
        let error = second.block_on(waiter).unwrap_err();
        assert_eq!(error.kind(), FetchErrorKind::TimedOut);
        assert!(desk.now().is_dropped());

        clock.advance(secs(1));
        let mut next = spawn(cache.token());
        assert_pending!(next.poll());
        desk.now().answer(token("two", 3600));
        second.block_on(next).unwrap();
    });
}

#[test]
fn no_runtime_is_needed() {
    returns(|| {
        let cache = TokenCache::new(token_fn(|_| async { Ok(token("one", 3600)) }));

        futures_executor::block_on(async {
            assert_eq!(cache.token().await.unwrap().expose_secret(), "one");
            cache.refresh().await.unwrap();
            cache.close().await;
        });
    });
}

#[test]
fn without_a_runtime_a_fetch_that_hangs_is_ended_by_its_limit_all_the_same() {
    returns(|| {
        let cache = TokenCache::builder(token_fn(|_| pending::<Answer>()))
            .with_fetch_timeout(millis(20))
            .build();

        let error = futures_executor::block_on(cache.token()).unwrap_err();
        assert_eq!(error.kind(), FetchErrorKind::TimedOut);
    });
}

/// Binds to the timer and to the reactor of a runtime, and needs neither to be driven.
async fn on_a_runtime() -> Answer {
    tokio::time::timeout(secs(3600), async {}).await?;
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let _bound = tokio::net::TcpListener::bind(address).await?;
    Ok(token("one", 3600))
}

#[test]
fn a_caller_outside_of_any_runtime_drives_a_fetch_that_needs_the_one_it_was_started_on() {
    returns(|| {
        let (gate, desk) = issuer();
        let gate = std::sync::Arc::new(gate);
        let cache = TokenCache::new(token_fn(move |cx| {
            let gate = std::sync::Arc::clone(&gate);
            async move {
                gate.fetch_token(cx).await?;
                on_a_runtime().await
            }
        }));
        // Nobody runs its tasks from here on.
        let parked = single();
        start(&parked, &cache);

        let mut waiter = spawn(cache.token());
        assert_pending!(waiter.poll());
        let mut desk = desk;
        desk.now().answer(token("gate", 1));
        let got = futures_executor::block_on(waiter).unwrap();
        assert_eq!(got.expose_secret(), "one");
    });
}

thread_local! {
    static PANICS: Cell<usize> = const { Cell::new(0) };
}

/// Panics on this thread so far, also those that a task swallowed.
fn panics() -> usize {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let default = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.with(|panics| panics.set(panics.get() + 1));
            default(info);
        }));
    });
    PANICS.with(Cell::get)
}

#[test]
fn a_runtime_without_timer_and_reactor_will_do() {
    returns(|| {
        let before = panics();
        let bare = Builder::new_current_thread().build().unwrap();
        let cache = TokenCache::new(token_fn(|_| async {
            tokio::task::yield_now().await;
            Ok(token("one", 3600))
        }));

        bare.block_on(async {
            assert_eq!(cache.token().await.unwrap().expose_secret(), "one");
            cache.refresh().await.unwrap();
            cache.close().await;
        });
        assert_eq!(panics(), before);
    });
}

#[test]
fn on_a_runtime_without_a_timer_a_fetch_that_hangs_is_ended_by_its_limit() {
    returns(|| {
        let before = panics();
        let bare = || Builder::new_current_thread().build().unwrap();
        let hangs = || token_fn(|_| pending::<Answer>());

        let cache = TokenCache::builder(hangs())
            .with_fetch_timeout(millis(20))
            .build();
        let error = bare().block_on(cache.token()).unwrap_err();
        assert_eq!(error.kind(), FetchErrorKind::TimedOut);

        let clock = ManualClock::new();
        let cache = TokenCache::builder(hangs())
            .with_clock(clock.clone())
            .build();
        let error = bare().block_on(async {
            let mut waiter = spawn(cache.token());
            assert_pending!(waiter.poll());
            clock.advance(secs(30));
            waiter.await.unwrap_err()
        });
        assert_eq!(error.kind(), FetchErrorKind::TimedOut);
        assert_eq!(panics(), before);
    });
}
