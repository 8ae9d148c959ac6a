//! Each state and transition that the module's documentation names.

use super::support::{LIMIT, again, chunk, fed, is_gone, rejected, send, trailers, trailers_len};

#[test]
fn nothing_is_read_ahead_or_delayed() {
    let (feeder, body) = fed();
    feeder.data("ab");
    feeder.data("cd");
    let (mut first, _kept) = send(body, LIMIT);

    assert_eq!(first.data(), "ab");
    assert_eq!(first.data(), "cd");
    first.waits();
    feeder.data("ef");
    assert!(first.is_woken());
    assert_eq!(first.data(), "ef");
    drop(feeder);
    first.ends();
}

#[test]
fn recording_a_body_that_was_sent_is_sent_again_with_its_trailers() {
    let (feeder, body) = fed();
    feeder.data("ab");
    feeder.data("cd");
    feeder.trailers();
    drop(feeder);
    let (mut first, mut kept) = send(body, LIMIT + trailers_len());
    assert_eq!((first.data(), first.data()), ("ab".into(), "cd".into()));
    assert!(first.read().unwrap().unwrap().is_trailers());
    first.ends();

    assert!(rejected(&mut kept));
    let mut second = again(kept);

    assert_eq!(second.data(), "abcd", "small ones are joined");
    let last = second.read().unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(last, trailers());
    second.ends();
}

#[test]
fn recording_a_body_that_was_never_read_is_sent_again() {
    let (feeder, body) = fed();
    feeder.data("ab");
    drop(feeder);
    let (first, mut kept) = send(body, LIMIT);
    drop(first);

    assert!(rejected(&mut kept));
    let mut second = again(kept);

    assert_eq!(second.data(), "ab");
    second.ends();
}

#[test]
fn taken_over_the_unread_rest_follows_and_the_first_body_ends_in_an_error() {
    let (feeder, body) = fed();
    feeder.data("ab");
    let (mut first, mut kept) = send(body, LIMIT);
    assert_eq!(first.data(), "ab");
    first.waits();

    assert!(rejected(&mut kept));
    first.waits();
    let mut second = again(kept);

    assert!(first.is_woken(), "it would never know");
    first.ends_taken_over();
    assert_eq!(second.data(), "ab");
    second.waits();
    // Longer than the limit: it is not recorded any more.
    feeder.data("c".repeat(LIMIT));
    assert!(second.is_woken());
    assert_eq!(second.data(), "c".repeat(LIMIT));
    feeder.trailers();
    assert!(second.read().unwrap().unwrap().is_trailers());
    drop(feeder);
    second.ends();
    first.ends_taken_over();
}

#[test]
fn alone_once_the_response_is_accepted_whatever_the_length() {
    let (feeder, body) = fed();
    feeder.data("x".repeat(1000));
    let (mut first, kept) = send(body, 1000);
    assert_eq!(first.data().len(), 1000);
    first.waits();

    drop(kept);

    feeder.data("x".repeat(5000));
    assert_eq!(first.data().len(), 5000);
    feeder.trailers();
    assert!(first.read().unwrap().unwrap().is_trailers());
    drop(feeder);
    first.ends();
}

#[test]
fn alone_from_the_chunk_on_that_is_over_the_limit() {
    let (feeder, body) = fed();
    feeder.data("x".repeat(600));
    let (mut first, mut kept) = send(body, 1200);
    assert_eq!(first.data().len(), 600);

    feeder.data("x".repeat(601));
    assert_eq!(first.data().len(), 601, "the caller's request goes on");

    assert!(!rejected(&mut kept));
    drop(kept);
    feeder.data("end");
    drop(feeder);
    assert_eq!(first.data(), "end");
    first.ends();
}

#[test]
fn offered_the_first_body_goes_on_up_to_the_limit_and_pauses() {
    let (feeder, body) = fed();
    feeder.data("ab");
    let (mut first, mut kept) = send(body, 4);
    assert_eq!(first.data(), "ab");

    assert!(rejected(&mut kept));
    feeder.data("cd");
    assert_eq!(first.data(), "cd", "it fits in");
    feeder.data("ef");
    first.waits();
    first.waits();

    let mut second = again(kept);
    assert!(first.is_woken());
    first.ends_taken_over();
    assert_eq!((second.data(), second.data()), ("abcd".into(), "ef".into()));
    feeder.data("gh");
    drop(feeder);
    assert_eq!(second.data(), "gh");
    second.ends();
}

#[test]
fn offered_and_not_sent_again_the_first_body_goes_on() {
    let (feeder, body) = fed();
    feeder.data("ab");
    let (mut first, mut kept) = send(body, 2);
    assert_eq!(first.data(), "ab");
    assert!(rejected(&mut kept));
    feeder.data("cd");
    first.waits();

    drop(kept);

    assert!(first.is_woken());
    feeder.data("ef");
    drop(feeder);
    assert_eq!((first.data(), first.data()), ("cd".into(), "ef".into()));
    first.ends();
}

#[test]
fn what_is_kept_is_a_copy_so_that_nothing_larger_is_kept_with_it() {
    for len in [1, 600, 100_000] {
        let (feeder, body) = fed();
        let (whole, held) = chunk(1_000_000);
        feeder.data(whole.slice(..len));
        drop(whole);
        let (mut first, mut kept) = send(body, 100_000);
        drop(first.data());
        assert!(is_gone(&held));
        assert!(rejected(&mut kept));
        assert_eq!(again(kept).data().len(), len);
    }
}

#[test]
fn dropped_the_second_body_drops_what_is_left() {
    let (feeder, body) = fed();
    let (data, held) = chunk(600);
    feeder.data(data);
    let (mut first, mut kept) = send(body, 1000);
    first.data();
    assert!(rejected(&mut kept));
    let (data, held_back) = chunk(600);
    feeder.data(data);
    first.waits();
    let second = again(kept);
    assert!(!feeder.is_dropped());

    drop(second);

    // While the first is still there.
    assert!(feeder.is_dropped());
    assert!(is_gone(&held) && is_gone(&held_back));
    first.ends_taken_over();
}
