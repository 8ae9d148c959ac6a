//! What keeps a fetch in the queue although there is room.

use std::sync::{Arc, Mutex, OnceLock};

use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok};
use tower_bearer::testing::ManualClock;
use tower_bearer::{BoxTokenProvider, TokenCache, TokenRequest, token_fn};

use crate::support::{Asked, Desk, Issuer, issuer, key, secs, tasks_run, token};

/// Leaves one place from now on, which a fetch has.
async fn one_place(cache: &TokenCache<Issuer>, desk: &mut Desk, clock: &ManualClock) -> Asked {
    cache.warm_up();
    desk.next().await.fail("down");
    tasks_run().await;
    clock.advance(secs(1));
    cache.warm_up();
    desk.next().await
}

/// Two turns become free, one by the answer and one by its place, and both are given to fetches whose
/// runtime ends before they look.
#[test]
fn a_runtime_that_ends_takes_no_turn_with_it() {
    let single = || Builder::new_current_thread().build().expect("a runtime");
    let (lives, ends) = (single(), single());
    let (issuer, mut desk) = issuer();
    let clock = ManualClock::new();
    let cache = TokenCache::builder(issuer)
        .with_clock(clock.clone())
        .build();
    let asked = lives.block_on(one_place(&cache, &mut desk, &clock));
    ends.block_on(async {
        cache.for_request(&key("a")).warm_up();
        cache.for_request(&key("b")).warm_up();
        tasks_run().await;
    });

    let behind = cache.for_request(&key("c"));
    let mut behind = spawn(behind.token());
    lives.block_on(async {
        assert_pending!(behind.poll());
        tasks_run().await;
        asked.answer(token("one", 3600));
        tasks_run().await;
    });
    drop(ends);
    lives.block_on(async {
        tasks_run().await;
        desk.now().answer(token("two", 3600));
        tasks_run().await;
    });
    assert_ready_ok!(behind.poll());
}

/// It is of its own cache that a fetch needs no place beside the other's.
#[test]
fn a_fetch_within_a_fetch_of_another_cache_waits_for_a_place_like_any_other() {
    let (issuer, mut desk) = issuer();
    let other = TokenCache::new(issuer);
    let mut running: Vec<_> = (0..4).map(|i| other.for_request(&key(i))).collect();
    let last = other.for_request(&key("last"));
    let mut running: Vec<_> = running.iter_mut().map(|it| spawn(it.token())).collect();
    for caller in &mut running {
        assert_pending!(caller.poll());
    }
    let outer = TokenCache::new(token_fn(move |_| {
        let last = last.clone();
        async move { Ok(last.token().await?) }
    }));

    let mut caller = spawn(outer.token());
    assert_pending!(caller.poll());
    assert_eq!(desk.calls(), 4);
    desk.now().answer(token("one", 60));
    assert_ready_ok!(running[0].poll());
    assert_pending!(caller.poll());
    assert_eq!(desk.calls(), 5);
}

/// The outer fetch has the only place. It waits for the inner one, which somebody else has begun and
/// which therefore waits for a place.
#[test]
fn with_one_place_a_fetch_within_a_fetch_waits_for_no_place() {
    let (fail, failed) = oneshot::channel::<()>();
    let (go_on, waits) = oneshot::channel::<()>();
    let calls = Mutex::new(vec![waits, failed]);
    let handle: Arc<OnceLock<TokenCache>> = Arc::default();
    let found = Arc::clone(&handle);
    let provider = token_fn(move |cx| {
        let is_inner = *cx.token_request() != TokenRequest::default();
        let waits = (!is_inner).then(|| calls.lock().unwrap().pop()).flatten();
        let inner = found.get().cloned();
        async move {
            if let Some(waits) = waits {
                waits.await?;
                inner.ok_or("it is set")?.token().await?;
            }
            Ok(token("one", 3600))
        }
    });
    let clock = ManualClock::new();
    let builder = TokenCache::builder(BoxTokenProvider::new(provider));
    let cache = builder.with_clock(clock.clone()).build();
    let inner = cache.for_request(&key("inner"));
    assert!(handle.set(inner.clone()).is_ok());
    drop(fail);
    assert_ready_err!(spawn(cache.token()).poll());
    clock.advance(secs(1));

    let mut outer = spawn(cache.token());
    assert_pending!(outer.poll());
    let mut outside = spawn(inner.token());
    assert_pending!(outside.poll());
    go_on.send(()).expect("the outer fetch waits");
    assert_ready_ok!(outer.poll());
    assert_ready_ok!(outside.poll());
}

/// Nobody drives the fetch of a caller that had no runtime and has gone.
#[test]
fn a_fetch_that_nobody_drives_does_not_have_the_others_woken_for_each_others_turns() {
    let (issuer, mut desk) = issuer();
    let cache = TokenCache::new(issuer);
    let gone = cache.for_request(&key("gone"));
    assert_pending!(spawn(gone.token()).poll());
    let callers: Vec<_> = (0..100).map(|i| cache.for_request(&key(i))).collect();
    let mut waiting: Vec<_> = callers.iter().map(|it| spawn(it.token())).collect();
    for caller in &mut waiting {
        assert_pending!(caller.poll());
    }

    let mut wakes = 0;
    while !waiting.is_empty() {
        desk.now().answer(token("one", 3600));
        waiting.retain_mut(|caller| {
            if !caller.is_woken() {
                return true;
            }
            wakes += 1;
            caller.poll().is_pending()
        });
    }
    // By the answer, and all but the first three by their turn. Once all were told, of whom two entered: the
    // one that has gone might have been in the queue.
    assert_eq!(wakes, 100 + 97 + 95);
}

#[test]
fn callers_without_a_runtime_that_give_up_do_not_have_all_others_look() {
    let (issuer, _desk) = issuer();
    let cache = TokenCache::new(issuer);
    let callers: Vec<_> = (0..100).map(|i| cache.for_request(&key(i))).collect();
    let mut waiting: Vec<_> = callers.iter().map(|it| spawn(it.token())).collect();
    for caller in &mut waiting {
        assert_pending!(caller.poll());
    }

    // All but those that run.
    while waiting.len() > 4 {
        drop(waiting.pop());
        assert!(!waiting.iter().any(|caller| caller.is_woken()));
    }
}

/// Its `block_on` has returned, and it lives.
#[test]
fn a_runtime_that_is_not_run_takes_no_turn_with_it_for_longer_than_a_second() {
    let single = || Builder::new_current_thread().build().expect("a runtime");
    let (lives, stands) = (single(), single());
    let (issuer, mut desk) = issuer();
    let clock = ManualClock::new();
    let cache = TokenCache::builder(issuer)
        .with_clock(clock.clone())
        .build();
    let asked = lives.block_on(one_place(&cache, &mut desk, &clock));
    stands.block_on(async {
        cache.for_request(&key("a")).warm_up();
        cache.for_request(&key("b")).warm_up();
        tasks_run().await;
    });

    let behind = cache.for_request(&key("c"));
    let mut behind = spawn(behind.token());
    lives.block_on(async {
        assert_pending!(behind.poll());
        tasks_run().await;
        asked.answer(token("one", 3600));
        tasks_run().await;
        assert_eq!(desk.calls(), 2);
        clock.advance(secs(1));
        tasks_run().await;
        desk.now().answer(token("two", 3600));
        tasks_run().await;
    });
    assert_ready_ok!(behind.poll());
}
