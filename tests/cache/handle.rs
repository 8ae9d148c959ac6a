//! What the handle does, and what becomes of the rest when it is dropped.

use std::sync::Arc;

use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok};
use tower_bearer::testing::ManualClock;
use tower_bearer::{FetchErrorKind, TokenCache, TokenRequest};

use crate::support::{at_once, issuer, key, now, secs, tasks_run, token};

#[test]
fn clones_and_handles_for_a_request_share_one_cache() {
    let (provider, calls) = at_once(|_, _| Ok(token("one", 3600)));
    let cache = TokenCache::new(provider);
    let (clone, handle) = (cache.clone(), cache.for_request(&TokenRequest::default()));
    let got = now(cache.token()).unwrap();
    assert_eq!(now(clone.token()).unwrap(), got);
    assert_eq!(handle.cached(), Some(got.clone()));

    handle.invalidate(&got);
    assert!(cache.cached().is_none() && clone.cached().is_none());
    assert_eq!(calls.get(), 1);
}

#[test]
fn a_handle_for_a_request_is_about_that_request() {
    let (provider, _) = at_once(|_, cx| {
        let scopes: Vec<_> = cx.token_request().scopes().collect();
        Ok(token(&format!("for-{}", scopes.join("+")), 3600))
    });
    let cache = TokenCache::new(provider);
    let a = cache.for_request(&key("a"));
    // Of which another can be made.
    let b = a.for_request(&key("b"));
    for _ in 0..2 {
        assert_eq!(now(a.token()).unwrap().expose_secret(), "for-a");
        assert_eq!(now(b.refresh()).unwrap().expose_secret(), "for-b");
    }
    assert_eq!(b.cached().unwrap().expose_secret(), "for-b");
    assert!(cache.cached().is_none());
}

#[tokio::test]
async fn dropping_a_clone_leaves_the_others_working() {
    let clock = ManualClock::new();
    let (provider, calls) = at_once(|i, _| Ok(token(&format!("t{i}"), 60)));
    let cache = TokenCache::builder(provider)
        .with_clock(clock.clone())
        .build();
    let first = cache.for_request(&key("x"));
    drop(cache.clone());
    drop(cache);
    first.token().await.unwrap();

    drop(first.clone());
    clock.advance(secs(50));
    assert_eq!(now(first.token()).unwrap().expose_secret(), "t0");
    tasks_run().await;
    assert_eq!(now(first.token()).unwrap().expose_secret(), "t1");
    assert_eq!(calls.get(), 2);
}

#[tokio::test]
async fn a_clone_dropped_while_its_fetch_runs_leaves_it_to_the_others() {
    let (issuer, mut desk) = issuer();
    let cache = TokenCache::new(issuer);
    let clone = cache.clone();
    clone.warm_up();
    tasks_run().await;
    drop(clone);

    let asked = desk.now();
    assert!(!asked.is_dropped());
    asked.answer(token("one", 3600));
    cache.token().await.unwrap();
    assert_eq!(desk.calls(), 1);
}

#[tokio::test]
async fn the_last_handle_ends_what_has_not_begun_and_what_has_runs_to_its_end() {
    let (issuer, mut desk) = issuer();
    let issuer = Arc::new(issuer);
    let alive = Arc::downgrade(&issuer);
    let cache = TokenCache::new(issuer);
    for i in 0..6 {
        cache.for_request(&key(i)).warm_up();
    }
    tasks_run().await;
    assert_eq!(desk.calls(), 4); // two are in the queue

    drop(cache);
    tasks_run().await;
    let running = [desk.now(), desk.now(), desk.now(), desk.now()];
    for asked in running {
        assert!(!asked.is_dropped());
        asked.answer(token("one", 3600));
        tasks_run().await;
    }
    assert_eq!(desk.calls(), 4);
    assert!(alive.upgrade().is_none());
}

#[tokio::test]
async fn after_the_last_handle_a_fetch_that_hangs_still_has_its_limit() {
    let clock = ManualClock::new();
    let (issuer, mut desk) = issuer();
    let issuer = Arc::new(issuer);
    let alive = Arc::downgrade(&issuer);
    let cache = TokenCache::builder(issuer)
        .with_clock(clock.clone())
        .build();
    cache.warm_up();
    tasks_run().await;
    drop(cache);
    tasks_run().await;
    let asked = desk.now();
    assert!(!asked.is_dropped() && alive.upgrade().is_some());

    clock.advance(secs(30));
    tasks_run().await;
    assert!(asked.is_dropped() && alive.upgrade().is_none());
}

#[test]
fn the_provider_goes_with_the_last_handle() {
    // Unused, used, failed, in another key, and with a fetch that no runtime ever drove.
    for stage in 0..6 {
        let (issuer, mut desk) = issuer();
        let issuer = Arc::new(issuer);
        let alive = Arc::downgrade(&issuer);
        let cache = TokenCache::new(issuer);
        let handle = cache.for_request(&key("x"));
        let mut caller = spawn(handle.token());
        if stage > 0 {
            assert_pending!(caller.poll());
        }
        match stage {
            2 => {
                desk.now().answer(token("one", 3600));
                let got = assert_ready_ok!(caller.poll());
                handle.invalidate(&got);
            }
            3 => {
                desk.now().fail("no");
                assert_ready_err!(caller.poll());
            }
            4 => drop(desk.now()),
            5 => {
                let close = spawn(cache.close());
                drop(close);
            }
            _ => {}
        }
        drop(caller);
        drop(cache);
        assert!(alive.upgrade().is_some(), "{stage}");
        drop(handle);
        assert!(alive.upgrade().is_none(), "{stage}");
    }
}

#[test]
fn the_provider_goes_with_the_last_handle_also_if_a_runtime_that_is_gone_drove_its_fetch() {
    let (issuer, mut desk) = issuer();
    let issuer = Arc::new(issuer);
    let alive = Arc::downgrade(&issuer);
    let cache = TokenCache::new(issuer);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        cache.warm_up();
        tasks_run().await;
    });
    drop(runtime);
    assert!(!desk.now().is_dropped());

    drop(cache);
    assert!(alive.upgrade().is_none());
}

#[tokio::test]
async fn close_waits_for_what_has_begun_and_refuses_what_has_not() {
    let (issuer, mut desk) = issuer();
    let cache = TokenCache::new(issuer);
    let handles: Vec<_> = (0..5).map(|i| cache.for_request(&key(i))).collect();
    let mut callers: Vec<_> = handles.iter().map(|handle| spawn(handle.token())).collect();
    for caller in &mut callers {
        assert_pending!(caller.poll());
    }
    let mut close = spawn(cache.close());
    assert_pending!(close.poll());

    // The fifth was in the queue.
    tasks_run().await;
    let error = assert_ready_err!(callers[4].poll());
    assert_eq!(error.kind(), FetchErrorKind::Closed);
    for caller in &mut callers[..4] {
        assert_pending!(close.poll());
        desk.now().answer(token("one", 3600));
        assert_ready_ok!(caller.poll());
    }
    close.await;

    for handle in [&cache, &cache.clone(), &cache.for_request(&key("new"))] {
        for result in [handle.token().await, handle.refresh().await] {
            assert_eq!(result.unwrap_err().kind(), FetchErrorKind::Closed);
        }
        handle.warm_up();
    }
    tasks_run().await;
    assert_eq!(desk.calls(), 4);
    // And again there is nothing to wait for.
    now(cache.close());
}

#[tokio::test]
async fn a_closed_cache_serves_its_tokens_until_they_expire() {
    let clock = ManualClock::new();
    let (provider, calls) = at_once(|_, _| Ok(token("one", 60)));
    let cache = TokenCache::builder(provider)
        .with_clock(clock.clone())
        .build();
    let got = cache.token().await.unwrap();
    cache.close().await;

    clock.advance(secs(59));
    assert!(now(cache.token()).is_ok());
    // One that nobody can replace also stays when it is rejected.
    cache.invalidate(&got);
    cache.reset_backoff();
    assert!(now(cache.token()).is_ok());

    clock.advance(secs(1));
    let error = now(cache.token()).unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::Closed);
    tasks_run().await;
    assert_eq!(calls.get(), 1);
}

#[test]
fn closing_ends_no_fetch_when_the_one_who_closes_goes() {
    let (issuer, mut desk) = issuer();
    let cache = TokenCache::new(issuer);
    let mut caller = spawn(cache.token());
    assert_pending!(caller.poll());
    let mut close = spawn(cache.close());
    assert_pending!(close.poll());
    drop(close);

    desk.now().answer(token("one", 3600));
    assert_ready_ok!(caller.poll());
    assert!(now(cache.refresh()).is_err());
}

#[test]
fn close_drives_a_fetch_that_nobody_drives() {
    let (issuer, mut desk) = issuer();
    let cache = TokenCache::new(issuer);
    cache.warm_up();
    desk.assert_idle(); // no runtime, nobody waits
    let mut caller = spawn(cache.token());
    assert_pending!(caller.poll());
    drop(caller);

    let mut close = spawn(cache.close());
    assert_pending!(close.poll());
    desk.now().answer(token("one", 3600));
    assert!(close.is_woken());
    assert!(close.poll().is_ready());
    assert!(cache.cached().is_some());
}

#[tokio::test]
async fn warm_up_fetches_before_the_first_caller_comes() {
    let (provider, calls) = at_once(|_, _| Ok(token("one", 3600)));
    let cache = TokenCache::new(provider);
    cache.warm_up();
    cache.warm_up();
    tasks_run().await;
    assert!(cache.cached().is_some());

    cache.warm_up();
    tasks_run().await;
    assert_eq!(calls.get(), 1);
}

#[tokio::test]
async fn looking_starts_nothing() {
    let (issuer, mut desk) = issuer();
    let cache = TokenCache::new(issuer);
    assert!(cache.cached().is_none());
    cache.invalidate(&token("x", 60));
    cache.reset_backoff();
    drop(cache.refresh());
    drop(cache.token());
    tasks_run().await;
    desk.assert_idle();
}
