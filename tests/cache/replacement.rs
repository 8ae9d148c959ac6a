//! What a client with a transport of its own gets after a 401: another token, or why there is none.

use std::error::Error;

use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok};
use tower_bearer::rejection::{NotRetried, NotRetriedReason};
use tower_bearer::testing::ManualClock;
use tower_bearer::{FetchError, FetchErrorKind, TokenCache};

use crate::support::{at_once, by_hand, install, key, now, secs, tasks_run, token};

/// The kind of the failure that kept a request from being sent again.
#[track_caller]
fn failure(error: &NotRetried) -> FetchErrorKind {
    match error.reason() {
        NotRetriedReason::FetchFailed(error) => error.kind(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn all_who_were_rejected_with_one_token_get_the_same_other_one_of_one_fetch() {
    let (cache, _, mut desk) = by_hand();
    let a = install(&cache, &mut desk, "a");
    let mut callers: Vec<_> = (0..100).map(|_| spawn(cache.replacement_for(&a))).collect();
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
fn who_comes_late_gets_the_newer_token_and_causes_no_fetch() {
    let (cache, _, mut desk) = by_hand();
    let a = install(&cache, &mut desk, "a");
    cache.invalidate(&a);
    install(&cache, &mut desk, "b");

    for _ in 0..100 {
        let other = now(cache.replacement_for(&a)).unwrap();
        assert_eq!(other.expose_secret(), "b");
    }
    assert_eq!(cache.cached().unwrap().expose_secret(), "b");
    assert_eq!(desk.calls(), 2);
}

#[test]
fn a_token_that_others_have_invalidated_is_waited_for_as_well() {
    let (cache, _, mut desk) = by_hand();
    let a = install(&cache, &mut desk, "a");
    cache.invalidate(&a);
    let mut caller = spawn(cache.replacement_for(&a));
    assert_pending!(caller.poll());
    desk.now().fail(FetchError::denied("no"));

    // And what is put back into use is none to send again.
    let error = assert_ready_err!(caller.poll());
    assert_eq!(failure(&error), FetchErrorKind::Denied);
    assert_eq!(cache.cached().as_ref(), Some(&a));
    assert_eq!(desk.calls(), 2);
}

#[test]
fn the_same_token_again_is_no_other() {
    let (cache, _, mut desk) = by_hand();
    let a = install(&cache, &mut desk, "a");
    let mut caller = spawn(cache.replacement_for(&a));
    assert_pending!(caller.poll());
    desk.now().answer(token("a", 3600));

    let error = assert_ready_err!(caller.poll());
    assert!(matches!(error.reason(), NotRetriedReason::SameToken));
    assert_eq!(
        error.to_string(),
        "rejected request not sent again: the issuer returned the same token"
    );
    assert!(error.source().is_none());
    assert_eq!(cache.cached().as_ref(), Some(&a));
}

#[test]
fn a_failure_is_told_and_the_token_stays_in_use_without_being_sent_again() {
    let (cache, _, mut desk) = by_hand();
    let a = install(&cache, &mut desk, "a");
    let mut caller = spawn(cache.replacement_for(&a));
    assert_pending!(caller.poll());
    desk.now().fail(FetchError::unavailable("down for hunter2"));

    let error = assert_ready_err!(caller.poll());
    assert_eq!(failure(&error), FetchErrorKind::Unavailable);
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    // Once in the chain, since our text has that of the fetch in it.
    assert_eq!(error.source().unwrap().to_string(), "down for hunter2");
    assert_eq!(cache.cached().as_ref(), Some(&a));

    // During the pause at once, and without another fetch.
    let error = now(cache.replacement_for(&a)).unwrap_err();
    assert_eq!(failure(&error), FetchErrorKind::Unavailable);
    assert_eq!(cache.cached().as_ref(), Some(&a));
    assert_eq!(desk.calls(), 2);
}

#[test]
fn a_token_that_has_expired_is_replaced_and_not_put_back() {
    let (cache, clock, mut desk) = by_hand();
    let a = install(&cache, &mut desk, "a");
    clock.advance(secs(3600));
    let mut caller = spawn(cache.replacement_for(&a));
    assert_pending!(caller.poll());
    desk.now().fail(FetchError::unavailable("down"));

    let error = assert_ready_err!(caller.poll());
    assert_eq!(failure(&error), FetchErrorKind::Unavailable);
    assert!(cache.cached().is_none());
}

#[test]
fn rejections_cause_three_fetches_at_once_and_then_the_caller_is_told_so() {
    let (provider, calls) = at_once(|i, _| Ok(token(&format!("t{i}"), 86_400)));
    let cache = TokenCache::builder(provider).with_clock(ManualClock::new());
    let cache = cache.build();
    let mut current = now(cache.token()).unwrap();
    for _ in 0..3 {
        current = now(cache.replacement_for(&current)).unwrap();
    }
    for _ in 0..100 {
        let error = now(cache.replacement_for(&current)).unwrap_err();
        assert!(matches!(error.reason(), NotRetriedReason::BudgetSpent));
    }

    assert_eq!(calls.get(), 1 + 3);
    assert_eq!(cache.cached(), Some(current));
}

#[test]
fn a_handle_replaces_the_token_of_its_own_request_only() {
    let (provider, calls) = at_once(|i, _| Ok(token(&format!("t{i}"), 3600)));
    let cache = TokenCache::new(provider);
    let one = cache.for_request(&key("one"));
    let first = now(one.token()).unwrap();
    let default = now(cache.token()).unwrap();

    // Which it does not know, and so there is nothing to replace.
    assert_eq!(now(cache.replacement_for(&first)).unwrap(), default);
    assert_eq!(one.cached(), Some(first));
    assert_eq!(calls.get(), 2);
}

#[tokio::test]
async fn a_caller_that_goes_away_cancels_nothing() {
    let (cache, _, mut desk) = by_hand();
    let a = {
        let mut caller = spawn(cache.token());
        assert_pending!(caller.poll());
        tasks_run().await;
        desk.now().answer(token("a", 3600));
        tasks_run().await;
        assert_ready_ok!(caller.poll())
    };
    drop(cache.replacement_for(&a));
    assert_eq!(cache.cached().as_ref(), Some(&a));

    let mut caller = spawn(cache.replacement_for(&a));
    assert_pending!(caller.poll());
    tasks_run().await;
    drop(caller);
    desk.now().answer(token("b", 3600));
    tasks_run().await;
    assert_eq!(cache.cached().unwrap().expose_secret(), "b");
    assert_eq!(desk.calls(), 2);
}
