//! Bodies that fail or panic: never sent again as if they were complete.

use std::panic::{AssertUnwindSafe, catch_unwind};

use http::Request;
use tower_bearer::replay::{Replay, Streaming};

use super::support::{Feed, LIMIT, again, fed, rejected, send};

#[test]
fn a_body_that_fails_is_not_sent_again_and_the_failure_is_passed_on() {
    let (feeder, body) = fed();
    feeder.data("ab");
    feeder.feed(Feed::Fail("cut"));
    let (mut first, mut kept) = send(body, LIMIT);
    assert_eq!(first.data(), "ab");
    assert_eq!(first.read().unwrap().unwrap_err().to_string(), "cut");
    assert!(!rejected(&mut kept));
    first.ends();
}

#[test]
fn a_body_that_fails_while_it_is_offered_fails_when_it_is_sent_again() {
    let (feeder, body) = fed();
    let (mut first, mut kept) = send(body, LIMIT);
    assert!(rejected(&mut kept));
    feeder.data("ab");
    feeder.feed(Feed::Fail("cut"));
    assert_eq!(first.data(), "ab");
    first.waits();

    let mut second = again(kept);
    first.ends_taken_over();
    assert_eq!(second.data(), "ab");
    assert_eq!(second.read().unwrap().unwrap_err().to_string(), "cut");
    second.ends();
}

#[test]
fn a_body_that_panics_is_not_sent_again() {
    let (feeder, body) = fed();
    feeder.feed(Feed::Panic);
    let (mut first, mut kept) = send(body, LIMIT);

    let panicked = catch_unwind(AssertUnwindSafe(|| first.poll().is_ready()));

    panicked.unwrap_err();
    assert!(!rejected(&mut kept));
    assert!(feeder.is_dropped());
    first.read().expect("as if complete").unwrap_err();
}

#[test]
fn a_body_that_panics_when_asked_for_its_length_is_not_sent_again() {
    let (feeder, body) = fed();
    feeder.feed(Feed::PanicInHint);
    let (mut first, mut kept) = send(body, LIMIT);
    catch_unwind(AssertUnwindSafe(|| first.poll().is_ready())).unwrap_err();
    assert!(!rejected(&mut kept));

    // Nor is it waited for, if it was to be.
    let (feeder, body) = fed();
    let (mut first, mut kept) = send(body, LIMIT);
    assert!(rejected(&mut kept));
    feeder.feed(Feed::PanicInHint);
    catch_unwind(AssertUnwindSafe(|| first.poll().is_ready())).unwrap_err();
    let mut second = again(kept);
    second.read().expect("as if complete").unwrap_err();
}

#[test]
fn a_body_that_panics_while_it_is_offered_fails_when_it_is_sent_again() {
    let (feeder, body) = fed();
    let (mut first, mut kept) = send(body, LIMIT);
    assert!(rejected(&mut kept));
    feeder.data("ab");
    feeder.feed(Feed::Panic);
    assert_eq!(first.data(), "ab");
    catch_unwind(AssertUnwindSafe(|| first.poll().is_ready())).unwrap_err();

    let mut second = again(kept);
    assert_eq!(second.data(), "ab");
    second.read().expect("as if complete").unwrap_err();
}

#[test]
fn alone_a_body_is_asked_for_its_length_only_by_those_who_want_it() {
    let (feeder, body) = fed();
    let (mut first, kept) = send(body, LIMIT);
    drop(kept);
    // No chunk is lost by a panic in there.
    feeder.feed(Feed::PanicInHint);
    feeder.data("ab");
    assert_eq!((first.data(), first.data()), ("".into(), "ab".into()));
}

/// By whoever forgets to ask first.
#[test]
fn a_body_of_which_a_part_is_lost_fails_if_it_is_made_again_all_the_same() {
    let (feeder, body) = fed();
    feeder.data(vec![b'x'; LIMIT + 1]);
    feeder.data("rest");
    let (mut first, kept) = send(body, LIMIT);
    assert_eq!(first.data().len(), LIMIT + 1);

    let mut second = again(kept);
    assert!(!second.is_at_its_end());
    let error = second.read().unwrap().unwrap_err();
    assert!(
        error.to_string().contains("cannot be sent again"),
        "{error}"
    );
    assert_eq!(first.data(), "rest", "the first has it all");
}

#[test]
fn a_body_that_was_never_sent_fails_if_it_is_made_again() {
    let (_feeder, body) = fed();
    let policy = Streaming::up_to(LIMIT);
    let mut kept = policy.keep(&mut Request::new(body)).unwrap();
    assert!(!rejected(&mut kept));

    let error = again(kept).read().unwrap().unwrap_err();
    assert!(
        error.to_string().contains("cannot be sent again"),
        "{error}"
    );
}
