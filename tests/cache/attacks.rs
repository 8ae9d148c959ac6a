//! What broke once: fetches that nobody drives, callers that look late, code of others that panics.

use std::error::Error;
use std::fmt;
use std::panic::panic_any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::runtime::{Builder, Runtime};
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok};
use tower_bearer::testing::ManualClock;
use tower_bearer::{
    BoxTokenProvider, FetchContext, FetchError, FetchErrorKind, TokenCache, TokenProvider, token_fn,
};

use crate::support::{
    Desk, Issuer, at_once, by_hand, issuer, key, millis, now, returns, secs, tasks_run, token,
};

fn single() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}

/// One fetch at a time from here on.
fn narrow(cache: &TokenCache<Issuer>, clock: &ManualClock, desk: &mut Desk) {
    let mut caller = spawn(cache.token());
    assert_pending!(caller.poll());
    desk.now().fail(FetchError::unavailable("down"));
    assert_ready_err!(caller.poll());
    clock.advance(secs(1));
}

/// It holds a place at the gate for ever, and its limit is looked at by nobody.
#[test]
fn a_running_fetch_that_nobody_drives_does_not_keep_other_keys_waiting_for_ever() {
    let (cache, clock, mut desk) = by_hand();
    narrow(&cache, &clock, &mut desk);

    let runtime = single();
    let (a, b) = (cache.for_request(&key("a")), cache.for_request(&key("b")));
    runtime.block_on(async {
        a.warm_up();
        tasks_run().await;
    });
    drop(runtime);
    let _running = desk.now();

    let other = single();
    let _inside = other.enter();
    let mut caller = spawn(b.token());
    let _ = caller.poll();
    for _ in 0..600 {
        clock.advance(secs(1));
        other.block_on(tasks_run());
    }
    assert!(caller.poll().is_ready() || desk.calls() > 2, "silence");
}

/// The one place that becomes free is offered to a fetch that nobody polls.
#[test]
fn a_queued_fetch_that_nobody_drives_does_not_keep_those_behind_it_waiting_for_ever() {
    let (cache, clock, mut desk) = by_hand();
    narrow(&cache, &clock, &mut desk);

    let (a, b, c) = (
        cache.for_request(&key("a")),
        cache.for_request(&key("b")),
        cache.for_request(&key("c")),
    );
    let (mut first, mut left, mut last) = (spawn(a.token()), spawn(b.token()), spawn(c.token()));
    assert_pending!(first.poll());
    assert_pending!(left.poll());
    drop(left);
    assert_pending!(last.poll());

    desk.now()
        .fail(FetchError::invalid_request("invalid_scope"));
    assert_ready_err!(first.poll());
    assert!(last.is_woken(), "its turn has come");
    assert_pending!(last.poll());
    desk.now().answer(token("c", 60));
    assert_ready_ok!(last.poll());
}

/// `Shared` wakes while it holds its lock, and the provider's waker is its own. Whoever wakes the
/// fetch then waits for ever: a worker thread, or the one thread of all timers.
#[test]
fn a_provider_that_waits_for_itself_is_ended_and_blocks_no_thread() {
    returns(|| {
        let clock = ManualClock::new();
        let handle: Arc<OnceLock<TokenCache>> = Arc::default();
        let asked = Arc::new(AtomicBool::new(false));
        let provider = token_fn({
            let (handle, asked) = (Arc::clone(&handle), Arc::clone(&asked));
            move |_| {
                let cache = handle.get().expect("set below").clone();
                let first = !asked.swap(true, Ordering::SeqCst);
                async move {
                    match first {
                        true => Ok(cache.token().await?),
                        false => Ok(token("two", 3600)),
                    }
                }
            }
        });
        let cache = TokenCache::builder(BoxTokenProvider::new(provider))
            .with_clock(clock.clone())
            .build();
        assert!(handle.set(cache.clone()).is_ok());

        let mut caller = spawn(cache.token());
        let mut outcome = caller.poll();
        if outcome.is_pending() {
            clock.advance(secs(30));
            outcome = caller.poll();
        }
        assert_ready_err!(outcome);
        clock.advance(secs(1));
        assert!(now(cache.token()).is_ok());
    });
}

/// The one fetch that may run after a failure waits for another that may not.
#[test]
fn a_provider_that_asks_for_another_key_of_its_cache_recovers_from_a_failure() {
    let clock = ManualClock::new();
    let handle: Arc<OnceLock<TokenCache>> = Arc::default();
    let failed = Arc::new(AtomicBool::new(false));
    let provider = token_fn({
        let handle = Arc::clone(&handle);
        move |cx: FetchContext| {
            let cache = handle.get().expect("set below").clone();
            let fails = !failed.swap(true, Ordering::SeqCst);
            async move {
                if fails {
                    return Err("once".into());
                }
                if cx.token_request() != &key("base") {
                    cache.for_request(&key("base")).token().await?;
                }
                Ok(token("t", 3600))
            }
        }
    });
    let cache = TokenCache::builder(BoxTokenProvider::new(provider))
        .with_clock(clock.clone())
        .build();
    assert!(handle.set(cache.clone()).is_ok());
    assert!(now(cache.token()).is_err());

    let recovered = (0..100).any(|_| {
        clock.advance(secs(60));
        let mut caller = spawn(cache.token());
        let mut outcome = caller.poll();
        if outcome.is_pending() {
            clock.advance(secs(30));
            outcome = caller.poll();
        }
        matches!(outcome, std::task::Poll::Ready(Ok(_)))
    });
    assert!(recovered);
}

#[test]
fn a_waiter_that_is_polled_late_gets_no_expired_token() {
    let (cache, clock, mut desk) = by_hand();
    let (mut prompt, mut late) = (spawn(cache.token()), spawn(cache.token()));
    assert_pending!(prompt.poll());
    assert_pending!(late.poll());
    desk.now().answer(token("a", 60));
    assert_ready_ok!(prompt.poll());

    clock.advance(secs(60));
    assert!(cache.cached().is_none());
    assert_pending!(late.poll());
    desk.now().answer(token("b", 60));
    assert_eq!(assert_ready_ok!(late.poll()).expose_secret(), "b");
}

#[test]
fn a_waiter_that_is_polled_late_again_and_again_gets_an_error() {
    let (cache, clock, mut desk) = by_hand();
    let mut late = spawn(cache.token());
    assert_pending!(late.poll());
    for _ in 0..4 {
        let mut prompt = spawn(cache.token());
        assert_pending!(prompt.poll());
        desk.now().answer(token("a", 60));
        assert_ready_ok!(prompt.poll());
        clock.advance(secs(60));
        assert_pending!(late.poll());
    }
    let mut prompt = spawn(cache.token());
    assert_pending!(prompt.poll());
    desk.now().answer(token("a", 60));
    assert_ready_ok!(prompt.poll());
    clock.advance(secs(60));
    let error = assert_ready_err!(late.poll());
    assert_eq!(error.kind(), FetchErrorKind::Expired);
}

#[test]
fn a_waiter_that_is_polled_late_gets_no_token_that_was_rejected_meanwhile() {
    let (cache, _, mut desk) = by_hand();
    let (mut prompt, mut late) = (spawn(cache.token()), spawn(cache.token()));
    assert_pending!(prompt.poll());
    assert_pending!(late.poll());
    desk.now().answer(token("a", 60));
    let a = assert_ready_ok!(prompt.poll());

    cache.invalidate(&a);
    assert_pending!(late.poll());
    desk.now().answer(token("b", 60));
    assert_eq!(assert_ready_ok!(late.poll()).expose_secret(), "b");
}

#[test]
fn a_waiter_that_is_polled_late_outlasts_what_others_may_invalidate_at_once() {
    let (cache, _, mut desk) = by_hand();
    let mut late = spawn(cache.token());
    assert_pending!(late.poll());
    for text in ["a", "b", "c"] {
        let mut prompt = spawn(cache.token());
        assert_pending!(prompt.poll());
        desk.now().answer(token(text, 3600));
        cache.invalidate(&assert_ready_ok!(prompt.poll()));
        assert_pending!(late.poll());
    }

    desk.now().answer(token("d", 3600));
    assert_eq!(assert_ready_ok!(late.poll()).expose_secret(), "d");
}

/// Rejects `a`, has the fetch of another fail, and so `a` put back.
fn put_back(cache: &TokenCache<Issuer>, desk: &mut Desk) {
    let mut caller = spawn(cache.refresh());
    assert_pending!(caller.poll());
    desk.now().answer(token("a", 3600));
    let a = assert_ready_ok!(caller.poll());
    cache.invalidate(&a);
    let mut caller = spawn(cache.token());
    assert_pending!(caller.poll());
    desk.now().fail(FetchError::unavailable("down"));
    assert_eq!(assert_ready_ok!(caller.poll()), a);
}

#[tokio::test]
async fn a_token_that_was_put_back_is_tried_to_be_replaced_after_every_pause() {
    let (cache, clock, mut desk) = by_hand();
    put_back(&cache, &mut desk);
    for _ in 0..4 {
        clock.advance(secs(60));
        now(cache.token()).unwrap();
        tasks_run().await;
        // `expect` here: after the second failure it is taken for fresh again, for an hour.
        desk.now().fail(FetchError::unavailable("down"));
        tasks_run().await;
    }
}

#[tokio::test]
async fn a_reset_lets_a_token_that_was_put_back_be_replaced_at_its_next_use() {
    let (cache, _, mut desk) = by_hand();
    put_back(&cache, &mut desk);
    cache.reset_backoff();
    now(cache.token()).unwrap();
    tasks_run().await;
    assert_eq!(desk.calls(), 3);
}

#[tokio::test]
async fn when_a_token_that_was_put_back_is_replaced_the_provider_is_told_that_it_was_rejected() {
    let (cache, clock, mut desk) = by_hand();
    put_back(&cache, &mut desk);
    clock.advance(secs(1));
    let a = now(cache.token()).unwrap();
    tasks_run().await;
    assert_eq!(desk.now().cx.rejected_token(), Some(&a));
}

/// A hit without a runtime begins the refresh and nobody drives it; no later hit looks.
#[test]
fn a_stale_hit_outside_of_any_runtime_does_not_make_others_wait_at_the_end() {
    let clock = ManualClock::new();
    let (provider, _) = at_once(|i, _| Ok(token(&format!("t{i}"), 60)));
    let cache = TokenCache::builder(provider)
        .with_clock(clock.clone())
        .build();
    now(cache.token()).unwrap();
    clock.advance(secs(50));
    now(cache.token()).unwrap();

    single().block_on(async {
        for _ in 0..9 {
            clock.advance(secs(1));
            now(cache.token()).unwrap();
            tasks_run().await;
        }
        assert_eq!(cache.cached().unwrap().expose_secret(), "t1");
    });
}

#[test]
fn a_background_refresh_whose_runtime_is_gone_is_taken_over_at_the_next_use() {
    let (cache, clock, mut desk) = by_hand();
    let mut caller = spawn(cache.refresh());
    assert_pending!(caller.poll());
    desk.now().answer(token("a", 60));
    assert_ready_ok!(caller.poll());
    clock.advance(secs(50));
    let runtime = single();
    runtime.block_on(async {
        now(cache.token()).unwrap();
        tasks_run().await;
    });
    drop(runtime);
    desk.now().answer(token("b", 60));

    single().block_on(async {
        for _ in 0..9 {
            clock.advance(secs(1));
            now(cache.token()).unwrap();
            tasks_run().await;
        }
    });
    assert_eq!(cache.cached().unwrap().expose_secret(), "b");
}

/// Who joined while the first runtime lived has not started a task on the second.
#[test]
fn a_fetch_whose_runtime_goes_is_driven_on_by_the_runtime_of_one_who_waited_and_left() {
    let (cache, _, mut desk) = by_hand();
    let (first, second) = (single(), single());
    first.block_on(async { assert_pending!(spawn(cache.token()).poll()) });
    let mut waiter = spawn(cache.token());
    {
        let _inside = second.enter();
        assert_pending!(waiter.poll());
        drop(first);
        second.block_on(tasks_run());
        // Should it be polled again, it can take over.
        assert_pending!(waiter.poll());
    }
    drop(waiter);
    desk.now().answer(token("one", 60));
    second.block_on(tasks_run());
    assert!(cache.cached().is_some());
}

/// Whoever polls lends its runtime, though the one on which the fetch was started is there.
#[test]
fn a_waiter_on_a_runtime_without_a_timer_does_not_fail_a_fetch_that_was_started_on_one_with() {
    let (gate, mut desk) = issuer();
    let gate = Arc::new(gate);
    let cache = TokenCache::new(token_fn(move |cx| {
        let gate = Arc::clone(&gate);
        async move {
            gate.fetch_token(cx).await?;
            Ok(tokio::time::timeout(secs(60), async { token("one", 60) }).await?)
        }
    }));
    let (with, without) = (single(), Builder::new_current_thread().build().unwrap());
    with.block_on(async { assert_pending!(spawn(cache.token()).poll()) });
    let mut waiter = spawn(cache.token());
    let _inside = without.enter();
    assert_pending!(waiter.poll());
    desk.now().answer(token("gate", 60));
    assert_ready_ok!(waiter.poll());
}

/// Panics when dropped, so many times over.
struct Bomb(u32);

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.0 > 0 {
            panic_any(Bomb(self.0 - 1));
        }
    }
}

#[test]
fn a_panic_whose_payload_panics_with_such_a_payload_is_a_failure() {
    let cache = TokenCache::new(token_fn(|_| async { panic_any(Bomb(2)) }));
    let error = now(cache.token()).unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::Panicked);
}

#[derive(Debug)]
struct PanicsWhenDropped;

impl fmt::Display for PanicsWhenDropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("on purpose")
    }
}

impl Error for PanicsWhenDropped {}

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("on purpose");
    }
}

/// The last failure is dropped by the fetch that succeeds, before it has landed.
#[test]
fn an_error_that_panics_when_dropped_does_not_end_the_cache() {
    let clock = ManualClock::new();
    let (provider, _) = at_once(|i, _| match i {
        0 => Err(Box::new(PanicsWhenDropped)),
        _ => Ok(token("two", 60)),
    });
    let cache = TokenCache::builder(provider)
        .with_clock(clock.clone())
        .build();
    drop(now(cache.token()).map_err(|error| error.kind()));
    clock.advance(secs(1));

    // The first may be told of the panic; from then on it must work.
    let caught = |_| std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| now(cache.token())));
    let outcomes: Vec<_> = (0..3).map(caught).collect();
    assert!(matches!(outcomes[2], Ok(Ok(_))));
}

/// `Retry-After` is what the endpoint says about itself.
#[test]
fn an_issuer_that_asks_us_to_stay_away_is_asked_for_no_other_key() {
    let (provider, calls) = at_once(|_, _| {
        Err(FetchError::invalid_request("busy")
            .with_retry_after(secs(60))
            .into())
    });
    let cache = TokenCache::new(provider);
    assert!(now(cache.token()).is_err());
    assert!(now(cache.for_request(&key("other")).token()).is_err());
    assert_eq!(calls.get(), 1);
}

/// As for a cold cache, where four may run at first; here sixteen fail together.
#[test]
fn also_when_it_worked_before_a_dead_endpoint_gets_at_most_twelve_requests_in_a_minute() {
    let (cache, clock, mut desk) = by_hand();
    let handles: Vec<_> = (0..1000).map(|i| cache.for_request(&key(i))).collect();
    for handle in &handles {
        let mut caller = spawn(handle.token());
        assert_pending!(caller.poll());
        desk.now().answer(token("one", 60));
        assert_ready_ok!(caller.poll());
    }
    clock.advance(secs(60));
    for _ in 0..600 {
        let mut callers: Vec<_> = handles.iter().map(|handle| spawn(handle.token())).collect();
        callers.retain_mut(|caller| caller.poll().is_pending());
        clock.advance(millis(10));
        while !callers.is_empty() {
            desk.now().fail(FetchError::unavailable("down"));
            callers.retain_mut(|caller| caller.poll().is_pending());
        }
        clock.advance(millis(90));
    }
    let requests = desk.calls() - 1000;
    assert!(requests <= 12, "{requests}");
}
