//! Each state and transition that the module's documentation names, and what is kept meanwhile.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::thread;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::Full;
use tower_bearer::replay::{Replay, Streaming};

use super::support::{
    Feed, Feeder, Read, Reader, again, fed, fed_with, head, rejected, send, trailers,
};

const LIMIT: usize = 10;

/// A chunk that says when it is gone.
fn chunk(len: usize) -> (Bytes, Arc<()>) {
    struct Owner(Vec<u8>, #[allow(dead_code)] Arc<()>);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    let held = Arc::new(());
    let owner = Owner(vec![b'x'; len], Arc::clone(&held));
    (Bytes::from_owner(owner), held)
}

fn is_gone(chunk: &Arc<()>) -> bool {
    Arc::strong_count(chunk) == 1
}

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

fn trailers_len() -> usize {
    "x-sum42".len()
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
    assert!(Streaming::up_to(LIMIT).keep(&head(), body).1.is_none());

    let (_feeder, body) = fed_with(SizeHint::with_exact(LIMIT as u64));
    assert!(Streaming::up_to(LIMIT).keep(&head(), body).1.is_some());
}

#[test]
fn bodies_in_memory_are_replayed_whatever_their_length() {
    let body = Full::new(Bytes::from(vec![0; 100 * LIMIT]));
    assert!(Streaming::up_to(LIMIT).keep(&head(), body).1.is_some());
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

/// Sends what is read on another thread, and what came of that.
type Elsewhere = (
    mpsc::Sender<Frame<Bytes>>,
    thread::JoinHandle<(Reader, Poll<Read>)>,
);

/// Has the body read on another thread, which is left within until there is a frame or the sender is
/// dropped.
fn read_elsewhere(feeder: &Feeder, mut first: Reader) -> Elsewhere {
    let (begun, has_begun) = mpsc::channel();
    let (until, end) = mpsc::channel();
    feeder.feed(Feed::Block(begun, end));
    let reader = thread::spawn(move || {
        let read = first.poll();
        (first, read)
    });
    has_begun.recv().unwrap();
    (until, reader)
}

#[test]
fn taken_over_while_it_is_being_read_elsewhere_the_second_body_waits_for_that() {
    for frame in [None, Some("cd")] {
        let (feeder, body) = fed();
        feeder.data("ab");
        let (mut first, mut kept) = send(body, LIMIT);
        assert_eq!(first.data(), "ab");
        let (until, reader) = read_elsewhere(&feeder, first);

        assert!(rejected(&mut kept));
        let mut second = again(kept);
        assert_eq!(second.data(), "ab");
        second.waits();
        if let Some(data) = frame {
            until.send(Frame::data(data.into())).unwrap();
        }
        drop(until);
        reader.join().unwrap().0.ends_taken_over();

        assert!(second.is_woken());
        feeder.data("ef");
        drop(feeder);
        if let Some(data) = frame {
            assert_eq!(second.data(), data);
        }
        assert_eq!(second.data(), "ef");
        second.ends();
    }
}

#[test]
fn what_is_read_elsewhere_while_the_response_is_accepted_is_passed_on() {
    let (feeder, body) = fed();
    let (first, kept) = send(body, LIMIT);
    let (until, reader) = read_elsewhere(&feeder, first);

    drop(kept);
    until
        .send(Frame::data("longer than the limit".into()))
        .unwrap();
    let (mut first, read) = reader.join().unwrap();

    let Poll::Ready(Some(Ok(frame))) = read else {
        panic!("not passed on")
    };
    assert_eq!(frame.into_data().unwrap(), "longer than the limit");
    feeder.data("ab");
    assert_eq!(first.data(), "ab");
}

#[test]
fn taken_over_and_dropped_while_it_is_being_read_elsewhere_nothing_is_left() {
    let (feeder, body) = fed();
    let (first, mut kept) = send(body, LIMIT);
    let (until, reader) = read_elsewhere(&feeder, first);
    assert!(rejected(&mut kept));

    drop(again(kept));
    let (data, held) = chunk(600);
    until.send(Frame::data(data)).unwrap();
    let (mut first, _) = reader.join().unwrap();

    // While the first is still there.
    assert!(feeder.is_dropped() && is_gone(&held));
    first.ends_taken_over();
}

#[test]
fn a_body_that_ends_elsewhere_while_it_is_waited_for_still_wakes() {
    let (feeder, body) = fed();
    let (mut first, _kept) = send(body, LIMIT);
    feeder.feed(Feed::Ending);
    first.waits();
    drop(feeder);
    assert!(first.is_woken());
    first.ends();
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
