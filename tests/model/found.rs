//! Sequences that failed once, shrunk.

use http::StatusCode;

use crate::ops::{End, Key, Life, Op, Say, Sequence};
use crate::system;

const REJECT: StatusCode = StatusCode::UNAUTHORIZED;

fn play(ops: impl Into<Vec<Op>>) {
    system::play(&Sequence {
        driven: true,
        seed: 1,
        ops: ops.into(),
        end: End::Drained,
    });
}

fn new(pick: u8) -> Op {
    Op::Answer(pick, Say::New(Life::Long))
}

#[test]
fn a_fetch_that_was_in_the_queue_when_the_token_was_rejected_is_told_so() {
    play([
        // A failure, after which one fetch runs at a time.
        Op::Request(Key::B),
        Op::Request(Key::A),
        new(0),
        Op::Answer(0, Say::Panic),
        Op::ResetBackoff,
        // It is B's.
        Op::Request(Key::B),
        // In the queue behind it, A's.
        Op::Refresh(Key::A),
        Op::Respond(0, REJECT),
        // B's ends, A's begins: it has to be told of the rejection.
        new(0),
    ]);
}

#[test]
fn a_request_is_not_sent_again_with_a_token_that_it_was_rejected_with_and_that_came_back() {
    play([
        Op::Request(Key::A),
        new(0),
        // In flight with the first token, which is replaced meanwhile.
        Op::Refresh(Key::A),
        new(0),
        Op::InvalidateCurrent(Key::A),
        Op::Respond(0, REJECT),
        // The issuer has no other.
        Op::Answer(0, Say::Older(0, Life::Long)),
    ]);
}
