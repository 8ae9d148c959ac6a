//! Bodies that are being read on another thread while something is decided about them.

use std::sync::mpsc;
use std::task::Poll;
use std::thread;

use bytes::Bytes;
use http_body::Frame;

use super::support::{
    Feed, Feeder, LIMIT, Read, Reader, again, chunk, fed, is_gone, rejected, send,
};

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
