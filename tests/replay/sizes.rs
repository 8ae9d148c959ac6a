//! Limits, and what a body says of its length and of its end.

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use tower_bearer::error::BoxError;
use tower_bearer::replay::{Replay, Streaming};

use super::support::{Feed, LIMIT, again, fed, fed_with, rejected, send, trailers_len};

#[test]
fn a_body_as_long_as_the_limit_is_replayed_and_one_a_byte_longer_is_not() {
    for (len, replayed) in [(LIMIT, true), (LIMIT + 1, false)] {
        for pieces in [1, 2, len] {
            let (feeder, body) = fed();
            for piece in vec![b'x'; len].chunks(len.div_ceil(pieces)) {
                feeder.data(piece.to_vec());
            }
            drop(feeder);
            let (mut first, mut kept) = send(body, LIMIT);
            assert_eq!(first.all().len(), len);
            assert_eq!(rejected(&mut kept), replayed, "{len} in {pieces}");
        }
    }
    // Trailers count.
    let (feeder, body) = fed();
    feeder.data("abc");
    feeder.trailers();
    let (mut first, mut kept) = send(body, 3 + trailers_len() - 1);
    assert_eq!(first.data(), "abc");
    assert!(first.read().unwrap().unwrap().is_trailers());
    assert!(!rejected(&mut kept));
}

#[test]
fn a_body_that_says_that_it_is_longer_than_the_limit_is_not_kept_to_begin_with() {
    let long = SizeHint::with_exact(LIMIT as u64 + 1);
    let (_feeder, body) = fed_with(long);
    assert!(!is_kept(body));

    let (_feeder, body) = fed_with(SizeHint::with_exact(LIMIT as u64));
    assert!(is_kept(body));
}

fn is_kept<B>(body: B) -> bool
where
    B: Body<Error: Into<BoxError>> + 'static,
{
    Streaming::up_to(LIMIT)
        .keep(&mut Request::new(body))
        .is_some()
}

#[test]
fn bodies_in_memory_are_replayed_whatever_their_length() {
    let body = Full::new(Bytes::from(vec![0; 100 * LIMIT]));
    assert!(is_kept(body));
}

#[test]
fn what_is_held_back_may_be_the_end_of_the_second_body_alone() {
    let (feeder, body) = fed();
    let (mut first, mut kept) = send(body, 2);
    assert!(rejected(&mut kept));
    feeder.feed(Feed::Last(Frame::data("long".into())));
    first.waits();

    let mut second = again(kept);
    assert!(!second.is_at_its_end());
    assert_eq!(second.data(), "long");
    assert!(second.is_at_its_end());
}

#[test]
fn what_is_held_back_is_not_the_end_of_the_first_body() {
    let (feeder, body) = fed();
    let (mut first, mut kept) = send(body, 2);
    assert!(rejected(&mut kept));
    feeder.feed(Feed::Last(Frame::data("long".into())));
    first.waits();
    assert!(!first.is_at_its_end());

    drop(kept);
    assert_eq!(first.data(), "long");
    assert!(first.is_at_its_end());
    first.ends();
}

#[test]
fn size_and_end_are_right_at_any_time() {
    let (feeder, body) = fed_with(SizeHint::with_exact(6));
    let (mut first, mut kept) = send(body, LIMIT);
    assert_eq!(first.size().exact(), Some(6));
    feeder.data("abcd");
    first.data();
    first.waits();
    assert_eq!(first.size().exact(), Some(2));
    assert!(!first.is_at_its_end());

    assert!(rejected(&mut kept));
    let mut second = again(kept);
    assert_eq!(second.size().exact(), Some(6));
    assert!(!second.is_at_its_end());
    second.data();
    assert_eq!(second.size().exact(), Some(2));
    second.waits();
    assert!(!second.is_at_its_end());
    feeder.data("ef");
    second.data();
    assert_eq!(second.size().exact(), Some(0));
    assert!(second.is_at_its_end());
}

#[test]
fn alone_size_and_end_are_those_of_what_is_left() {
    let (feeder, body) = fed_with(SizeHint::with_exact(4));
    let (mut first, kept) = send(body, LIMIT);
    drop(kept);
    for (data, left) in [("a", 3), ("bc", 1), ("d", 0)] {
        feeder.data(data);
        assert_eq!(first.data(), data);
        assert_eq!(first.size().exact(), Some(left));
        assert_eq!(first.is_at_its_end(), left == 0);
    }
}

#[test]
fn a_body_that_was_sent_to_its_end_is_at_its_end_once_it_is_sent_again() {
    let (feeder, body) = fed_with(SizeHint::with_exact(2));
    let (mut first, mut kept) = send(body, LIMIT);
    feeder.data("ab");
    first.data();
    assert!(first.is_at_its_end());

    assert!(rejected(&mut kept));
    let mut second = again(kept);
    assert_eq!(second.size().exact(), Some(2));
    assert!(!second.is_at_its_end());
    second.data();
    assert_eq!(second.size().exact(), Some(0));
    assert!(second.is_at_its_end());
    second.ends();
}

#[test]
fn a_body_that_does_not_say_how_long_it_is_does_not_once_it_is_sent_again() {
    let (feeder, body) = fed();
    feeder.data("ab");
    drop(feeder);
    let (mut first, mut kept) = send(body, LIMIT);
    first.data();
    first.ends();

    assert!(rejected(&mut kept));
    let second = again(kept);
    // With a `content-length`, HTTP/1.1 has no trailers.
    assert_eq!((second.size().lower(), second.size().upper()), (2, None));
}

#[test]
fn what_is_held_back_counts_as_unsent() {
    let (feeder, body) = fed();
    feeder.data("ab");
    let (mut first, mut kept) = send(body, 2);
    first.data();
    assert!(rejected(&mut kept));
    feeder.data("cdef");
    first.waits();

    let mut second = again(kept);
    assert_eq!((second.size().lower(), second.size().upper()), (6, None));
    second.data();
    assert_eq!(second.size().lower(), 4);
    drop(feeder);
    second.data();
    assert_eq!(second.size().lower(), 0);
    second.ends();
}

#[test]
fn a_body_without_data_has_ended() {
    let (_feeder, body) = fed_with(SizeHint::with_exact(0));
    let (mut first, mut kept) = send(body, LIMIT);
    assert!(first.is_at_its_end());
    first.ends();
    assert!(rejected(&mut kept));
    let mut second = again(kept);
    assert!(second.is_at_its_end());
    assert_eq!(second.size().exact(), Some(0));
    second.ends();
}
