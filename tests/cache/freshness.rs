//! Fresh, stale, expired.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok};
use tower_bearer::testing::ManualClock;
use tower_bearer::{AccessToken, FetchError, FetchErrorKind, TokenCache, TokenProvider};

use crate::support::{
    Answer, Calls, Desk, Issuer, at_once, by_hand, issuer, millis, now, secs, tasks_run, token,
};

fn at_once_by(
    f: impl Fn(usize) -> Answer + Send + Sync + 'static,
) -> (TokenCache<impl TokenProvider>, ManualClock, Calls) {
    let clock = ManualClock::new();
    let (provider, calls) = at_once(move |i, _| f(i));
    let builder = TokenCache::builder(provider).with_clock(clock.clone());
    (builder.build(), clock, calls)
}

/// Has `token` be the current one.
fn install(cache: &TokenCache<Issuer>, desk: &mut Desk, token: AccessToken) {
    let mut caller = spawn(cache.refresh());
    assert_pending!(caller.poll());
    desk.now().answer(token);
    assert_ready_ok!(caller.poll());
}

#[tokio::test]
async fn a_fresh_token_is_used_as_it_is() {
    let (cache, clock, mut desk) = by_hand();
    install(&cache, &mut desk, token("a", 3600));
    // The window is 30 s and a quarter more at most.
    for _ in 0..3562 {
        clock.advance(secs(1));
        assert_eq!(now(cache.token()).unwrap().expose_secret(), "a");
    }
    tasks_run().await;
    assert_eq!(desk.calls(), 1);
}

#[tokio::test]
async fn a_stale_token_is_used_while_one_background_fetch_replaces_it() {
    let (cache, clock, mut desk) = by_hand();
    install(&cache, &mut desk, token("a", 3600));
    clock.advance(secs(3571));

    // Never a moment without a token, and nobody waits.
    for _ in 0..100 {
        assert_eq!(now(cache.token()).unwrap().expose_secret(), "a");
        assert!(cache.cached().is_some());
        tasks_run().await;
    }
    assert_eq!(desk.calls(), 2);
    desk.now().answer(token("b", 3600));
    tasks_run().await;
    assert_eq!(now(cache.token()).unwrap().expose_secret(), "b");
    assert_eq!(desk.calls(), 2);
}

#[tokio::test]
async fn a_caller_that_goes_leaves_the_background_fetch_running() {
    let (cache, clock, mut desk) = by_hand();
    install(&cache, &mut desk, token("a", 3600));
    clock.advance(secs(3571));

    drop(now(cache.token()));
    tasks_run().await;
    desk.now().answer(token("b", 3600));
    tasks_run().await;
    assert_eq!(cache.cached().unwrap().expose_secret(), "b");
}

#[tokio::test]
async fn a_failed_refresh_leaves_a_token_that_is_still_good() {
    let (cache, clock, calls) = at_once_by(|i| match i {
        0 => Ok(token("a", 300)),
        _ => Err(FetchError::unavailable("down").into()),
    });
    now(cache.token()).unwrap();
    clock.advance(secs(270));

    for _ in 0..29 {
        assert_eq!(now(cache.token()).unwrap().expose_secret(), "a");
        assert!(cache.refresh().await.is_err());
        assert_eq!(cache.cached().unwrap().expose_secret(), "a");
        tasks_run().await;
        clock.advance(secs(1));
    }
    // Tried again meanwhile, after a pause each.
    assert!((3..=7).contains(&calls.get()), "{}", calls.get());
}

#[tokio::test]
async fn while_requests_fall_in_every_stale_window_none_after_the_first_waits() {
    let (cache, clock, calls) = at_once_by(|i| Ok(token(&format!("t{i}"), 60)));
    cache.token().await.unwrap();
    for _ in 0..3600 {
        clock.advance(secs(1));
        now(cache.token()).unwrap();
        tasks_run().await;
    }
    // Replaced after between 41 and 46 s each.
    assert!((78..=90).contains(&calls.get()), "{}", calls.get());
}

#[test]
fn an_expired_token_is_never_returned_and_callers_wait() {
    let (cache, clock, mut desk) = by_hand();
    install(&cache, &mut desk, token("a", 60));
    clock.advance(secs(60) - Duration::from_nanos(1));
    assert!(cache.cached().is_some());

    clock.advance(Duration::from_nanos(1));
    assert!(cache.cached().is_none());
    let mut callers = [spawn(cache.token()), spawn(cache.token())];
    for caller in &mut callers {
        assert_pending!(caller.poll());
    }
    assert!(cache.cached().is_none());
    desk.now().answer(token("b", 60));
    for caller in &mut callers {
        assert_eq!(assert_ready_ok!(caller.poll()).expose_secret(), "b");
    }
}

#[test]
fn in_a_pause_an_expired_token_is_not_returned_either() {
    let (cache, clock, calls) = at_once_by(|i| match i {
        0 => Ok(token("a", 60)),
        _ => Err(FetchError::denied("no").into()),
    });
    now(cache.token()).unwrap();
    clock.advance(secs(60));

    for _ in 0..10 {
        let error = now(cache.token()).unwrap_err();
        assert_eq!(error.kind(), FetchErrorKind::Denied);
        assert!(cache.cached().is_none());
    }
    assert_eq!(calls.get(), 2);
}

#[test]
fn a_token_that_expires_while_its_refresh_runs_makes_callers_wait_for_that() {
    let (cache, clock, mut desk) = by_hand();
    install(&cache, &mut desk, token("a", 60));
    clock.advance(secs(50));
    assert!(now(cache.token()).is_ok());
    clock.advance(secs(10));

    let mut caller = spawn(cache.token());
    assert_pending!(caller.poll());
    desk.now().answer(token("b", 60));
    assert_eq!(assert_ready_ok!(caller.poll()).expose_secret(), "b");
    assert_eq!(desk.calls(), 2);
}

#[tokio::test]
async fn a_lifetime_of_one_second_works() {
    let (cache, clock, calls) = at_once_by(|i| Ok(token(&format!("t{i}"), 1)));
    cache.token().await.unwrap();
    for _ in 0..600 {
        clock.advance(millis(10));
        assert!(cache.token().await.is_ok());
        tasks_run().await;
    }
    // Replaced after between 0.68 and 0.76 s each.
    assert!((7..=10).contains(&calls.get()), "{}", calls.get());
}

#[test]
fn a_token_that_had_expired_when_it_came_is_a_failure_with_a_pause_and_no_loop() {
    let (cache, clock, calls) = at_once_by(|_| Ok(token("late", 0)));
    for _ in 0..600 {
        let error = now(cache.token()).unwrap_err();
        assert_eq!(error.kind(), FetchErrorKind::Expired);
        assert!(cache.cached().is_none());
        clock.advance(millis(100));
    }
    assert!(calls.get() <= 8, "{}", calls.get());
}

#[test]
fn a_token_that_had_expired_replaces_none_that_is_good() {
    let (cache, _, _) = at_once_by(|i| Ok(token("t", if i == 0 { 60 } else { 0 })));
    now(cache.token()).unwrap();

    let error = now(cache.refresh()).unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::Expired);
    assert!(cache.cached().is_some());
}

#[test]
fn absurd_lifetimes_are_not_for_ever_and_do_not_panic() {
    for lifetime in [secs(u64::MAX), Duration::MAX, secs(9_999_999_999_999)] {
        let (cache, clock, mut desk) = by_hand();
        let year = secs(365 * 24 * 3600);
        let absurd = AccessToken::new("a").unwrap().with_expires_in(lifetime);
        install(&cache, &mut desk, absurd);
        clock.advance(year - millis(1));
        assert!(cache.cached().is_some());
        clock.advance(millis(1));
        assert!(cache.cached().is_none());
    }
}

#[test]
fn a_token_of_unknown_lifetime_lives_five_minutes_unless_set() {
    let unknown = || AccessToken::new("a").unwrap();
    let (cache, clock, mut desk) = by_hand();
    install(&cache, &mut desk, unknown());
    clock.advance(millis(299_999));
    assert!(cache.cached().is_some());
    clock.advance(millis(1));
    assert!(cache.cached().is_none());

    let clock = ManualClock::new();
    let (issuer, mut desk) = issuer();
    let cache = TokenCache::builder(issuer)
        .with_clock(clock.clone())
        .with_default_lifetime(secs(10))
        .build();
    install(&cache, &mut desk, unknown());
    clock.advance(secs(10));
    assert!(cache.cached().is_none());
}

#[tokio::test]
async fn a_token_without_end_is_never_replaced() {
    let (cache, clock, mut desk) = by_hand();
    let unlimited = AccessToken::new("a").unwrap().with_unlimited_lifetime();
    install(&cache, &mut desk, unlimited);
    for _ in 0..100 {
        clock.advance(secs(365 * 24 * 3600));
        assert!(now(cache.token()).is_ok());
    }
    tasks_run().await;
    assert_eq!(desk.calls(), 1);
}

#[tokio::test]
async fn an_issuer_that_repeats_a_nearly_expired_token_is_not_stormed() {
    // It has one token, which ends in 5 s, and says so.
    let clock = ManualClock::new();
    let passed = Arc::new(AtomicU64::new(0));
    let (provider, calls) = at_once({
        let passed = Arc::clone(&passed);
        move |_, _| {
            let left = 5_000_u64.saturating_sub(passed.load(Ordering::SeqCst));
            Ok(AccessToken::new("same")?.with_expires_in(millis(left)))
        }
    });
    let cache = TokenCache::builder(provider)
        .with_clock(clock.clone())
        .build();
    cache.token().await.unwrap();
    for _ in 0..4_999 {
        clock.advance(millis(1));
        passed.fetch_add(1, Ordering::SeqCst);
        assert!(now(cache.token()).is_ok());
        tasks_run().await;
    }
    // Each time for a quarter of what was left before.
    assert!(calls.get() <= 12, "{}", calls.get());
}

#[test]
fn the_lifetime_counts_from_before_the_token_was_asked_for() {
    let (cache, clock, mut desk) = by_hand();
    let mut caller = spawn(cache.token());
    assert_pending!(caller.poll());
    clock.advance(secs(20));
    desk.now().answer(token("a", 60));
    assert_ready_ok!(caller.poll());

    clock.advance(millis(39_999));
    assert!(cache.cached().is_some());
    clock.advance(millis(1));
    assert!(cache.cached().is_none());
}

#[test]
fn a_token_that_expired_while_it_was_fetched_is_a_failure() {
    let (cache, clock, mut desk) = by_hand();
    let mut caller = spawn(cache.token());
    assert_pending!(caller.poll());
    clock.advance(secs(20));
    desk.now().answer(token("a", 20));

    let error = assert_ready_err!(caller.poll());
    assert_eq!(error.kind(), FetchErrorKind::Expired);
}

#[tokio::test]
async fn a_fleet_does_not_refresh_in_step() {
    let mut refreshed = 0;
    for _ in 0..100 {
        let (cache, clock, mut desk) = by_hand();
        install(&cache, &mut desk, token("a", 3600));
        clock.advance(millis(3_566_250)); // in the middle of the jitter
        now(cache.token()).unwrap();
        tasks_run().await;
        refreshed += desk.calls() - 1;
    }
    assert!((10..=90).contains(&refreshed), "{refreshed}");
}

#[tokio::test]
async fn the_window_can_be_set_and_is_a_part_of_the_lifetime_at_most() {
    for (window, early, late) in [(secs(600), 2849, 3000), (Duration::MAX, 2474, 2700)] {
        let clock = ManualClock::new();
        let (issuer, mut desk) = issuer();
        let cache = TokenCache::builder(issuer)
            .with_clock(clock.clone())
            .with_refresh_window(window)
            .build();
        install(&cache, &mut desk, token("a", 3600));
        clock.advance(secs(early));
        now(cache.token()).unwrap();
        tasks_run().await;
        assert_eq!(desk.calls(), 1);

        clock.advance(secs(late - early));
        now(cache.token()).unwrap();
        tasks_run().await;
        assert_eq!(desk.calls(), 2);
    }
}

#[test]
fn at_the_end_of_time_nothing_panics() {
    let (cache, clock, _) = at_once_by(|i| Ok(token(&format!("t{i}"), 60)));
    let got = now(cache.token()).unwrap();
    clock.advance(Duration::MAX);
    assert!(now(cache.token()).is_err());
    cache.invalidate(&got);
    assert!(cache.cached().is_none());
}
