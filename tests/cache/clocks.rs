//! Hosts that were suspended, and wall clocks that are set.

use std::time::{Duration, SystemTime};

use tower_bearer::testing::ManualClock;
use tower_bearer::{AccessToken, TokenCache, TokenProvider};

use crate::support::{Calls, at_once, now, secs, tasks_run, token};

const HOUR: Duration = Duration::from_secs(3600);

/// A cache whose tokens are called by their number and live for an hour, and which has the first.
fn with_a_token() -> (TokenCache<impl TokenProvider>, ManualClock, Calls) {
    let clock = ManualClock::new();
    let (provider, calls) = at_once(|i, _| Ok(token(&format!("t{i}"), 3600)));
    let cache = TokenCache::builder(provider)
        .with_clock(clock.clone())
        .build();
    assert_eq!(text(&cache), "t0");
    // The wall clock is looked at about once a second.
    clock.advance(secs(2));
    (cache, clock, calls)
}

fn text(cache: &TokenCache<impl TokenProvider>) -> String {
    now(cache.token()).unwrap().expose_secret().to_owned()
}

#[tokio::test]
async fn a_host_that_slept_past_the_end_of_a_token_does_not_use_it() {
    let (cache, clock, _) = with_a_token();
    clock.advance(HOUR);

    assert!(cache.cached().is_none());
    assert_eq!(text(&cache), "t1");
}

#[tokio::test]
async fn nor_if_only_the_wall_clock_counted_the_sleep() {
    for jump in [HOUR, 24 * HOUR, 500 * 365 * 24 * HOUR] {
        let (cache, clock, calls) = with_a_token();
        clock.set_wall_time(clock.wall_time() + jump);

        assert!(cache.cached().is_none());
        assert_eq!(text(&cache), "t1");
        // One that was got under the new time is as good as any, and nothing is fetched in a loop.
        for _ in 0..1000 {
            clock.advance(secs(2));
            assert_eq!(text(&cache), "t1");
            tasks_run().await;
        }
        assert_eq!(calls.get(), 2);
    }
}

#[tokio::test]
async fn a_wall_clock_set_into_the_window_has_the_token_replaced_and_nobody_waits() {
    let (cache, clock, calls) = with_a_token();
    clock.set_wall_time(clock.wall_time() + HOUR - secs(10));

    assert_eq!(text(&cache), "t0");
    tasks_run().await;
    assert_eq!(text(&cache), "t1");
    assert_eq!(calls.get(), 2);
}

#[tokio::test]
async fn a_wall_clock_that_is_set_back_lets_no_token_live_longer() {
    for back in [HOUR, 500_000 * HOUR] {
        let (cache, clock, calls) = with_a_token();
        clock.set_wall_time(clock.wall_time().checked_sub(back).unwrap());

        for _ in 0..1700 {
            clock.advance(secs(2));
            assert_eq!(text(&cache), "t0");
        }
        assert_eq!(calls.get(), 1);
        clock.advance(secs(200));
        assert!(cache.cached().is_none());
    }
}

#[tokio::test]
async fn an_end_by_the_wall_clock_is_where_that_clock_says_or_sooner() {
    let clock = ManualClock::new();
    let end = clock.wall_time() + HOUR;
    let (provider, _) = at_once(move |_, _| Ok(AccessToken::new("a")?.with_expires_at(end)));
    let cache = TokenCache::builder(provider)
        .with_clock(clock.clone())
        .build();
    now(cache.token()).unwrap();
    clock.advance(secs(2));

    // What was taken for an hour is not made longer by a clock that is set back.
    clock.set_wall_time(SystemTime::UNIX_EPOCH);
    clock.advance(HOUR - secs(3));
    assert!(cache.cached().is_some());
    clock.advance(secs(1));
    assert!(cache.cached().is_none());

    let (provider, _) = at_once(move |_, _| Ok(AccessToken::new("a")?.with_expires_at(end)));
    clock.set_wall_time(end - HOUR);
    let cache = TokenCache::builder(provider)
        .with_clock(clock.clone())
        .build();
    now(cache.token()).unwrap();
    clock.advance(secs(2));
    clock.set_wall_time(end);
    assert!(cache.cached().is_none());
}

#[tokio::test]
async fn a_time_limit_is_no_matter_of_the_wall_clock() {
    let clock = ManualClock::new();
    let (issuer, mut desk) = crate::support::issuer();
    let cache = TokenCache::builder(issuer)
        .with_clock(clock.clone())
        .build();
    let mut caller = tokio_test::task::spawn(cache.token());
    tokio_test::assert_pending!(caller.poll());
    clock.set_wall_time(clock.wall_time() + HOUR / 2);
    tokio_test::assert_pending!(caller.poll());

    desk.now().answer(token("a", 3600));
    let held = tokio_test::assert_ready_ok!(caller.poll());
    assert_eq!(held.expose_secret(), "a");
}

#[tokio::test]
async fn a_token_that_ended_by_the_wall_clock_while_it_was_fetched_is_fetched_again() {
    let clock = ManualClock::new();
    let (issuer, mut desk) = crate::support::issuer();
    let cache = TokenCache::builder(issuer)
        .with_clock(clock.clone())
        .build();
    let mut caller = tokio_test::task::spawn(cache.token());
    tokio_test::assert_pending!(caller.poll());
    clock.set_wall_time(clock.wall_time() + HOUR);
    desk.now().answer(token("a", 3600));
    tokio_test::assert_pending!(caller.poll());

    desk.now().answer(token("b", 3600));
    let held = tokio_test::assert_ready_ok!(caller.poll());
    assert_eq!(held.expose_secret(), "b");
}
