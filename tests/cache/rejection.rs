//! A rejected token goes, that one and no other, and is not asked for without end.

use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok};
use tower_bearer::testing::ManualClock;
use tower_bearer::{FetchError, TokenCache};

use crate::support::{at_once, by_hand, install, issuer, key, millis, now, secs, tasks_run, token};

#[test]
fn a_rejected_token_is_replaced_and_the_provider_is_told_which_it_was() {
    let (cache, _, mut desk) = by_hand();
    let a = install(&cache, &mut desk, "a");

    cache.invalidate(&a);
    assert!(cache.cached().is_none());
    let mut callers = [spawn(cache.token()), spawn(cache.token())];
    for caller in &mut callers {
        assert_pending!(caller.poll());
    }
    let asked = desk.now();
    assert_eq!(asked.cx.rejected_token(), Some(&a));
    asked.answer(token("b", 3600));
    for caller in &mut callers {
        assert_eq!(assert_ready_ok!(caller.poll()).expose_secret(), "b");
    }
    assert_eq!(desk.calls(), 2);
}

#[test]
fn a_fetch_for_another_reason_is_told_of_no_rejected_token() {
    let (cache, clock, mut desk) = by_hand();
    let a = install(&cache, &mut desk, "a");
    cache.invalidate(&a);
    install(&cache, &mut desk, "b");

    clock.advance(secs(3600));
    assert_pending!(spawn(cache.token()).poll());
    assert_eq!(desk.now().cx.rejected_token(), None);
}

#[test]
fn a_late_rejection_of_a_replaced_token_does_nothing_to_its_successor() {
    let (cache, _, mut desk) = by_hand();
    let a = install(&cache, &mut desk, "a");
    install(&cache, &mut desk, "b");

    for _ in 0..100 {
        cache.invalidate(&a);
        assert_eq!(now(cache.token()).unwrap().expose_secret(), "b");
    }
    // Nor does it spend what is there for real ones.
    let mut current = cache.cached().unwrap();
    for text in ["c", "d", "e"] {
        cache.invalidate(&current);
        assert!(cache.cached().is_none());
        current = install(&cache, &mut desk, text);
    }
    assert_eq!(desk.calls(), 5);
}

#[test]
fn many_who_were_rejected_with_the_same_token_cause_one_fetch() {
    let (cache, _, mut desk) = by_hand();
    let a = install(&cache, &mut desk, "a");
    let mut callers = Vec::new();
    for _ in 0..100 {
        cache.invalidate(&a);
        callers.push(spawn(cache.token()));
        assert_pending!(callers.last_mut().unwrap().poll());
    }
    desk.now().answer(token("b", 3600));
    for caller in &mut callers {
        assert_eq!(assert_ready_ok!(caller.poll()).expose_secret(), "b");
        cache.invalidate(&a);
    }
    assert_eq!(cache.cached().unwrap().expose_secret(), "b");
    assert_eq!(desk.calls(), 2);
}

#[test]
fn a_token_that_was_never_cached_invalidates_nothing() {
    let (cache, _, mut desk) = by_hand();
    cache.invalidate(&token("x", 60));
    install(&cache, &mut desk, "a");
    cache.invalidate(&token("x", 60));

    assert_eq!(cache.cached().unwrap().expose_secret(), "a");
}

#[test]
fn a_fetch_that_began_before_the_rejection_cannot_bring_the_token_back() {
    let (cache, _, mut desk) = by_hand();
    let a = install(&cache, &mut desk, "a");
    let mut refresher = spawn(cache.refresh());
    assert_pending!(refresher.poll());
    let before = desk.now();
    assert_eq!(before.cx.rejected_token(), None);

    cache.invalidate(&a);
    let mut caller = spawn(cache.token());
    assert_pending!(caller.poll());
    before.answer(token("a", 3600));
    assert_pending!(caller.poll());
    assert_pending!(refresher.poll());
    assert!(cache.cached().is_none());

    let after = desk.now();
    assert_eq!(after.cx.rejected_token(), Some(&a));
    after.answer(token("b", 3600));
    assert_eq!(assert_ready_ok!(caller.poll()).expose_secret(), "b");
    assert_eq!(assert_ready_ok!(refresher.poll()).expose_secret(), "b");
    assert_eq!(desk.calls(), 3);
}

#[tokio::test]
async fn nor_can_it_when_nobody_waits() {
    let (cache, clock, mut desk) = by_hand();
    let a = install(&cache, &mut desk, "a");
    clock.advance(secs(3571));
    now(cache.token()).unwrap();
    tasks_run().await;
    let before = desk.now();

    cache.invalidate(&a);
    before.answer(token("a", 3600));
    tasks_run().await;
    assert!(cache.cached().is_none());
}

#[test]
fn a_fetch_that_began_before_the_rejection_may_bring_another_token() {
    let (cache, _, mut desk) = by_hand();
    let a = install(&cache, &mut desk, "a");
    let mut refresher = spawn(cache.refresh());
    assert_pending!(refresher.poll());
    cache.invalidate(&a);
    let mut caller = spawn(cache.token());
    assert_pending!(caller.poll());
    desk.now().answer(token("b", 3600));

    assert_eq!(assert_ready_ok!(caller.poll()).expose_secret(), "b");
    assert_ready_ok!(refresher.poll());
    assert_eq!(desk.calls(), 2);
}

#[test]
fn a_token_that_the_issuer_returns_again_stays_in_use() {
    let (cache, _, mut desk) = by_hand();
    let a = install(&cache, &mut desk, "a");
    cache.invalidate(&a);
    let again = install(&cache, &mut desk, "a");

    assert_eq!(again, a);
    assert_eq!(now(cache.token()).unwrap(), a);
    assert_eq!(desk.calls(), 2);
}

#[test]
fn two_revocations_in_a_row_are_healed_at_once() {
    let (cache, _, mut desk) = by_hand();
    let mut current = install(&cache, &mut desk, "a");
    for text in ["b", "c"] {
        cache.invalidate(&current);
        let mut caller = spawn(cache.token());
        assert_pending!(caller.poll());
        desk.now().answer(token(text, 3600));
        current = assert_ready_ok!(caller.poll());
        assert_eq!(current.expose_secret(), text);
    }
}

#[test]
fn rejections_cause_three_fetches_at_once_and_then_the_token_stays_in_use() {
    let (provider, calls) = at_once(|i, _| Ok(token(&format!("t{i}"), 86_400)));
    let cache = TokenCache::builder(provider).with_clock(ManualClock::new());
    let cache = cache.build();
    for _ in 0..100 {
        let got = now(cache.token()).unwrap();
        cache.invalidate(&got);
    }

    assert_eq!(calls.get(), 1 + 3);
    assert_eq!(cache.cached().unwrap().expose_secret(), "t3");
}

#[test]
#[cfg_attr(miri, ignore = "it takes minutes")]
fn an_hour_of_nothing_but_rejections_costs_at_most_63_fetches_and_no_caller_fails() {
    for same_again in [false, true] {
        let clock = ManualClock::new();
        let (provider, calls) = at_once(move |i, _| {
            let text = if same_again { 0 } else { i };
            Ok(token(&format!("t{text}"), 86_400))
        });
        let cache = TokenCache::builder(provider)
            .with_clock(clock.clone())
            .build();
        for _ in 0..36_000 {
            let got = now(cache.token()).unwrap();
            cache.invalidate(&got);
            clock.advance(millis(100));
        }
        assert!(calls.get() <= 1 + 63, "{}", calls.get());
        assert!(calls.get() > 1 + 3, "{}: never again", calls.get());
    }
}

#[test]
fn the_budget_is_each_keys_own() {
    let (provider, _) = at_once(|i, _| Ok(token(&format!("t{i}"), 86_400)));
    let cache = TokenCache::new(provider);
    for _ in 0..10 {
        cache.invalidate(&now(cache.token()).unwrap());
    }
    assert!(cache.cached().is_some());

    let other = cache.for_request(&crate::support::key("other"));
    other.invalidate(&now(other.token()).unwrap());
    assert!(other.cached().is_none());
}

#[test]
fn a_rejected_token_is_put_back_when_no_other_is_to_be_had() {
    let (cache, clock, mut desk) = by_hand();
    let a = install(&cache, &mut desk, "a");
    cache.invalidate(&a);
    let mut caller = spawn(cache.token());
    assert_pending!(caller.poll());
    desk.now().fail(FetchError::unavailable("down"));

    // Whoever waited gets it too, since it may have been rejected by one route of many.
    assert_eq!(assert_ready_ok!(caller.poll()), a);
    assert_eq!(now(cache.token()).unwrap(), a);
    // During the pause it also stays when it is rejected.
    cache.invalidate(&a);
    assert_eq!(cache.cached(), Some(a));
    assert_eq!(desk.calls(), 2);

    // But not beyond its end.
    clock.advance(secs(3600));
    assert!(cache.cached().is_none());
}

#[tokio::test]
async fn a_token_that_was_put_back_is_replaced_after_the_pause() {
    let (cache, clock, mut desk) = by_hand();
    let a = install(&cache, &mut desk, "a");
    cache.invalidate(&a);
    let mut caller = spawn(cache.token());
    assert_pending!(caller.poll());
    desk.now().fail(FetchError::unavailable("down"));
    assert_ready_ok!(caller.poll());

    clock.advance(secs(1));
    assert_eq!(now(cache.token()).unwrap(), a);
    tasks_run().await;
    desk.now().answer(token("b", 3600));
    tasks_run().await;
    assert_eq!(now(cache.token()).unwrap().expose_secret(), "b");
}

#[test]
fn a_rejected_token_that_has_expired_is_not_put_back() {
    let (cache, clock, mut desk) = by_hand();
    let a = install(&cache, &mut desk, "a");
    clock.advance(secs(3550));
    cache.invalidate(&a);
    let mut caller = spawn(cache.token());
    assert_pending!(caller.poll());
    // The fetch takes until the limit, and the token ends meanwhile.
    clock.advance(secs(25));
    assert_pending!(caller.poll());
    clock.advance(secs(25));

    assert_ready_err!(caller.poll());
    assert!(cache.cached().is_none());
    assert!(desk.now().is_dropped());

    // The next fetch is still told of it.
    clock.advance(secs(1));
    assert_pending!(spawn(cache.token()).poll());
    assert_eq!(desk.now().cx.rejected_token(), Some(&a));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejections_that_race_with_refreshes_never_bring_a_revoked_token_back() {
    // The issuer's own state: tokens below this number are revoked.
    let newest = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (provider, _) = at_once({
        let newest = std::sync::Arc::clone(&newest);
        move |_, _| {
            let newest = newest.load(std::sync::atomic::Ordering::SeqCst);
            Ok(token(&newest.to_string(), 3600))
        }
    });
    let cache = TokenCache::new(provider);
    for round in 1..=2 {
        let old = cache.token().await.unwrap();
        newest.store(round, std::sync::atomic::Ordering::SeqCst);
        let mut tasks = tokio::task::JoinSet::new();
        for i in 0..200 {
            let (cache, old) = (cache.clone(), old.clone());
            tasks.spawn(async move {
                if i % 2 == 0 {
                    cache.refresh().await.unwrap();
                }
                cache.invalidate(&old);
                let got = cache.token().await.unwrap();
                assert_ne!(got, old);
            });
        }
        while let Some(result) = tasks.join_next().await {
            result.unwrap();
        }
    }
}

#[test]
fn a_rejection_waits_for_a_fetch_under_way_though_another_key_has_paused_the_cache() {
    let (issuer, mut desk) = issuer();
    let cache = TokenCache::new(issuer);
    let mut caller = spawn(cache.token());
    assert_pending!(caller.poll());
    desk.now().answer(token("a", 3600));
    let a = assert_ready_ok!(caller.poll());

    let mut refresh = spawn(cache.refresh());
    assert_pending!(refresh.poll());
    let under_way = desk.now();
    let other = cache.for_request(&key("other"));
    let mut other = spawn(other.token());
    assert_pending!(other.poll());
    desk.now().fail(FetchError::unavailable("down"));
    assert_ready_err!(other.poll());

    cache.invalidate(&a);
    assert!(cache.cached().is_none());
    under_way.answer(token("b", 3600));
    assert_ready_ok!(refresh.poll());
    assert_eq!(cache.cached().unwrap().expose_secret(), "b");
}
