//! Any number of callers, one fetch, which belongs to none of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok};
use tower_bearer::{FetchErrorKind, TokenCache, token_fn};

use crate::support::{issuer, now, tasks_run, token};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(miri, ignore = "it takes minutes")]
async fn ten_thousand_callers_on_a_cold_cache_cause_one_fetch() {
    const CALLERS: u32 = 10_000;
    let (issuer, mut desk) = issuer();
    let cache = TokenCache::new(issuer);
    let came = Arc::new(Semaphore::new(0));

    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (cache, came) = (cache.clone(), Arc::clone(&came));
        callers.spawn(async move {
            came.add_permits(1);
            cache.token().await
        });
    }
    let asked = desk.next().await;
    let _all = came.acquire_many(CALLERS).await.unwrap();
    asked.answer(token("one", 3600));

    while let Some(result) = callers.join_next().await {
        assert_eq!(result.unwrap().unwrap().expose_secret(), "one");
    }
    assert_eq!(desk.calls(), 1);
}

#[test]
#[cfg_attr(miri, ignore = "it takes minutes")]
fn everyone_who_waits_is_woken_and_gets_the_same_token() {
    let (issuer, mut desk) = issuer();
    let cache = TokenCache::new(issuer);
    let mut callers: Vec<_> = (0..10_000).map(|_| spawn(cache.token())).collect();
    for caller in &mut callers {
        assert_pending!(caller.poll());
    }

    desk.now().answer(token("one", 3600));
    for caller in &mut callers {
        assert!(caller.is_woken());
        assert_eq!(assert_ready_ok!(caller.poll()).expose_secret(), "one");
    }
    assert_eq!(desk.calls(), 1);
}

#[test]
fn dropping_the_caller_that_started_the_fetch_leaves_the_others_with_it() {
    let (issuer, mut desk) = issuer();
    let cache = TokenCache::new(issuer);
    let mut first = spawn(cache.token());
    let mut second = spawn(cache.token());
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    let asked = desk.now();

    drop(first);
    assert!(!asked.is_dropped());
    asked.answer(token("one", 3600));

    assert!(second.is_woken());
    assert_ready_ok!(second.poll());
    assert_eq!(desk.calls(), 1);
}

/// As with a rotated refresh token: a result that is lost cannot be had again.
#[tokio::test]
async fn a_fetch_that_every_caller_has_left_completes_and_its_token_is_kept() {
    let spent = Arc::new(AtomicU64::new(0));
    let (posted, wait_for_post) = oneshot::channel::<()>();
    let (release, released) = oneshot::channel::<()>();
    let gates = std::sync::Mutex::new(Some((posted, released)));
    let provider = token_fn({
        let spent = Arc::clone(&spent);
        move |_| {
            let gates = gates.lock().expect("not poisoned").take();
            let spent = Arc::clone(&spent);
            async move {
                let (posted, released) = gates.ok_or("the refresh token was used before")?;
                spent.fetch_add(1, Ordering::SeqCst);
                let _ = posted.send(());
                released.await?;
                Ok(token("rotated", 3600))
            }
        }
    });
    let cache = TokenCache::new(provider);

    let mut callers: Vec<_> = (0..3).map(|_| spawn(cache.token())).collect();
    for caller in &mut callers {
        assert_pending!(caller.poll());
    }
    wait_for_post.await.unwrap();
    drop(callers);
    release.send(()).unwrap();
    tasks_run().await;

    assert_eq!(cache.cached().unwrap().expose_secret(), "rotated");
    assert_eq!(now(cache.token()).unwrap().expose_secret(), "rotated");
    assert_eq!(spent.load(Ordering::SeqCst), 1);
}

#[test]
fn without_a_runtime_the_next_caller_completes_the_fetch_that_all_have_left() {
    let (issuer, mut desk) = issuer();
    let cache = TokenCache::new(issuer);
    let mut left = spawn(cache.token());
    assert_pending!(left.poll());
    drop(left);
    let asked = desk.now();
    assert!(!asked.is_dropped());
    asked.answer(token("one", 3600));

    assert_eq!(now(cache.token()).unwrap().expose_secret(), "one");
    assert_eq!(desk.calls(), 1);
}

#[tokio::test]
async fn a_caller_may_go_at_any_stage() {
    let (issuer, mut desk) = issuer();
    let cache = TokenCache::new(issuer);

    // Before it was polled, when nothing has begun.
    drop(spawn(cache.token()));
    tasks_run().await;
    desk.assert_idle();

    // While it waits, and when it has been woken but not yet polled.
    let (mut waiting, mut woken, mut stays) = (
        spawn(cache.token()),
        spawn(cache.token()),
        spawn(cache.token()),
    );
    assert_pending!(waiting.poll());
    assert_pending!(woken.poll());
    assert_pending!(stays.poll());
    let asked = desk.now();
    drop(waiting);
    asked.answer(token("one", 3600));
    assert!(woken.is_woken());
    drop(woken);

    assert_ready_ok!(stays.poll());
    assert_eq!(desk.calls(), 1);
}

#[test]
fn refresh_joins_the_fetch_under_way_and_is_joined() {
    let (issuer, mut desk) = issuer();
    let cache = TokenCache::new(issuer);
    let mut caller = spawn(cache.token());
    assert_pending!(caller.poll());
    let mut refresher = spawn(cache.refresh());
    assert_pending!(refresher.poll());
    desk.now().answer(token("one", 3600));
    assert_ready_ok!(caller.poll());
    assert_ready_ok!(refresher.poll());

    let mut refreshers = [spawn(cache.refresh()), spawn(cache.refresh())];
    for refresher in &mut refreshers {
        assert_pending!(refresher.poll());
    }
    // Meanwhile the current token is used.
    assert_eq!(now(cache.token()).unwrap().expose_secret(), "one");
    desk.now().answer(token("two", 3600));
    for refresher in &mut refreshers {
        assert_eq!(assert_ready_ok!(refresher.poll()).expose_secret(), "two");
    }
    assert_eq!(desk.calls(), 2);
}

#[test]
fn a_failed_fetch_is_one_failure_for_all_who_waited() {
    let (issuer, mut desk) = issuer();
    let cache = TokenCache::new(issuer);
    let mut callers: Vec<_> = (0..100).map(|_| spawn(cache.token())).collect();
    for caller in &mut callers {
        assert_pending!(caller.poll());
    }

    desk.now().fail("no luck");
    let errors: Vec<_> = callers
        .iter_mut()
        .map(|caller| assert_ready_err!(caller.poll()))
        .collect();
    let sources: Vec<_> = errors
        .iter()
        .map(|error| std::error::Error::source(error).unwrap() as *const _ as *const ())
        .collect();
    assert!(errors.iter().all(|e| e.kind() == FetchErrorKind::Other));
    assert!(sources.iter().all(|source| *source == sources[0]));
    assert_eq!(desk.calls(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(miri, ignore = "it takes minutes")]
async fn callers_that_come_and_go_while_fetches_land_never_hang() {
    let (issuer, mut desk) = issuer();
    let cache = TokenCache::new(issuer);
    let mut callers = JoinSet::new();
    for i in 0..2_000 {
        let cache = cache.clone();
        callers.spawn(async move {
            if i % 3 == 0 {
                let mut given_up = spawn(cache.token());
                let _ = given_up.poll();
            } else if i % 7 == 0 {
                cache.refresh().await.unwrap();
            } else {
                let token = cache.token().await.unwrap();
                cache.invalidate(&token);
            }
        });
    }
    let desk = tokio::spawn(async move {
        for i in 0.. {
            desk.next().await.answer(token(&format!("t{i}"), 3600));
        }
    });

    while let Some(result) = callers.join_next().await {
        result.unwrap();
    }
    desk.abort();
}
