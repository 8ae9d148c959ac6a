use std::time::Duration;

use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok};

use super::super::places::{GRACE, MAX_CREDIT, PLACES};
use super::super::turns::LOOK_AGAIN;
use super::*;
use crate::clock::ManualClock;

fn gate() -> (ManualClock, Gate) {
    let clock = ManualClock::new();
    let gate = Gate::new(Clock::Manual(clock.clone()));
    (clock, gate)
}

const LIMIT: Duration = Duration::from_secs(30);

async fn enter(gate: &Gate) -> Result<Entered<'_>, FetchError> {
    gate.enter(LIMIT, &AtomicBool::new(false)).await
}

#[test]
fn four_enter_at_first_and_the_fifth_waits_for_one_to_leave() {
    let (_, gate) = gate();
    let mut inside: Vec<_> = (0..MAX_CREDIT)
        .map(|_| assert_ready_ok!(spawn(enter(&gate)).poll()))
        .collect();
    let mut fifth = spawn(enter(&gate));

    assert_pending!(fifth.poll());
    inside.pop();
    assert!(fifth.is_woken());
    assert_pending!(fifth.poll(), "none was answered");
    inside.clear();
    let _fifth = assert_ready_ok!(fifth.poll());
}

#[test]
fn answers_open_the_gate_to_sixteen_at_once() {
    let (clock, gate) = gate();
    let mut inside = Vec::new();
    for _ in 0..100 {
        match spawn(enter(&gate)).poll() {
            Poll::Ready(entered) => inside.push(entered.unwrap()),
            Poll::Pending => gate.answered(clock.now()),
        }
    }

    assert_eq!(inside.len(), PLACES);
    assert_pending!(spawn(enter(&gate)).poll());
}

#[test]
fn what_was_answered_long_ago_lets_in_no_more_than_four() {
    let (clock, gate) = gate();
    for _ in 0..100 {
        gate.answered(clock.now());
    }
    let inside: Vec<_> = (0..MAX_CREDIT)
        .map(|_| assert_ready_ok!(spawn(enter(&gate)).poll()))
        .collect();

    assert_eq!(inside.len(), 4);
    assert_pending!(spawn(enter(&gate)).poll());
}

#[test]
fn a_place_that_nobody_gives_back_becomes_free_a_little_after_its_limit() {
    let (clock, gate) = gate();
    let lost: Vec<_> = (0..MAX_CREDIT)
        .map(|_| assert_ready_ok!(spawn(enter(&gate)).poll()))
        .collect();
    let mut next = spawn(enter(&gate));
    assert_pending!(next.poll());

    // Who drives a fetch notes first that it has failed.
    clock.advance(LIMIT + GRACE - Duration::from_nanos(1));
    assert_pending!(next.poll());
    clock.advance(Duration::from_nanos(1));
    assert!(next.is_woken());
    let next = assert_ready_ok!(next.poll());
    // Late, they do not take the place of another with them.
    drop(lost);
    assert_pending!(spawn(enter(&gate)).poll());
    drop(next);
}

#[test]
fn a_fetch_within_a_fetch_takes_no_place() {
    let (_, gate) = gate();
    let inside: Vec<_> = (0..MAX_CREDIT)
        .map(|_| assert_ready_ok!(spawn(enter(&gate)).poll()))
        .collect();

    let is_within = AtomicBool::new(true);
    let within = || spawn(gate.enter(LIMIT, &is_within)).poll();
    assert_ready_ok!(within().map(|entered| entered.map(drop)));
    drop(inside);
    gate.close();
    assert_ready_err!(within().map(|entered| entered.map(drop)));
}

#[test]
fn a_fetch_in_the_queue_that_another_comes_to_wait_for_takes_no_place() {
    let (_, gate) = gate();
    let _inside: Vec<_> = (0..MAX_CREDIT)
        .map(|_| assert_ready_ok!(spawn(enter(&gate)).poll()))
        .collect();
    let is_within = AtomicBool::new(false);
    let mut queued = spawn(gate.enter(LIMIT, &is_within));
    assert_pending!(queued.poll());

    is_within.store(true, Ordering::SeqCst);
    assert_ready_ok!(queued.poll());
}

#[test]
fn a_failure_turns_away_the_queue_and_then_lets_one_in_at_a_time() {
    let (clock, gate) = gate();
    let inside: Vec<_> = (0..MAX_CREDIT)
        .map(|_| assert_ready_ok!(spawn(enter(&gate)).poll()))
        .collect();
    let mut queued = spawn(enter(&gate));
    assert_pending!(queued.poll());

    let now = clock.now();
    gate.failed(now, now, FetchError::unavailable("down"));
    let (_, until) = gate.refusal(now).unwrap();
    assert!(queued.is_woken());
    assert_ready_err!(queued.poll().map(|entered| entered.map(drop)));
    drop(inside);

    clock.advance(until.since(now));
    let _probe = assert_ready_ok!(spawn(enter(&gate)).poll());
    assert_pending!(spawn(enter(&gate)).poll());
}

/// One is inside, and for want of credit there is room for nobody else.
fn narrow() -> (ManualClock, Gate) {
    let (clock, gate) = gate();
    let now = clock.now();
    gate.failed(now, now, FetchError::unavailable("down"));
    clock.advance(Duration::from_secs(1));
    (clock, gate)
}

#[test]
fn a_turn_of_one_that_was_abandoned_is_offered_to_all() {
    let (_clock, gate) = narrow();
    let inside = assert_ready_ok!(spawn(enter(&gate)).poll());
    let (mut first, mut second) = (spawn(enter(&gate)), spawn(enter(&gate)));
    assert_pending!(first.poll());
    assert_pending!(second.poll());

    drop(inside);
    assert!(first.is_woken() && !second.is_woken());
    // Nobody polls the first, and who did so was woken.
    gate.turns().abandon();
    gate.turns().offer();
    assert!(second.is_woken());
    assert_ready_ok!(second.poll().map(|entered| entered.map(drop)));
}

#[test]
fn one_that_was_abandoned_takes_no_turn() {
    let (_clock, gate) = narrow();
    let inside = assert_ready_ok!(spawn(enter(&gate)).poll());
    let (mut first, mut second) = (spawn(enter(&gate)), spawn(enter(&gate)));
    assert_pending!(first.poll());
    assert_pending!(second.poll());

    gate.turns().abandon();
    assert!(!second.is_woken());
    // Nobody polls the first.
    drop(inside);
    assert!(second.is_woken());
    assert_ready_ok!(second.poll().map(|entered| entered.map(drop)));
}

#[test]
fn a_turn_of_one_that_is_held_and_not_polled_waits_for_a_second_at_most() {
    let (clock, gate) = narrow();
    let inside = assert_ready_ok!(spawn(enter(&gate)).poll());
    let (mut first, mut second) = (spawn(enter(&gate)), spawn(enter(&gate)));
    assert_pending!(first.poll());
    assert_pending!(second.poll());

    drop(inside);
    assert!(first.is_woken() && !second.is_woken());
    clock.advance(LOOK_AGAIN - Duration::from_nanos(1));
    assert_pending!(second.poll());
    clock.advance(Duration::from_nanos(1));
    assert_ready_ok!(second.poll().map(|entered| entered.map(drop)));
}

/// How many tenths of a second it takes until all of two hundred have entered that are behind so many
/// which nobody polls. There is one place until the first answer.
fn tenths_behind(held: usize) -> u32 {
    const BEHIND: usize = if cfg!(miri) { 20 } else { 200 };

    let (clock, gate) = narrow();
    let inside = assert_ready_ok!(spawn(enter(&gate)).poll());
    let mut held: Vec<_> = (0..held).map(|_| spawn(enter(&gate))).collect();
    let mut queue: Vec<_> = (0..BEHIND).map(|_| spawn(enter(&gate))).collect();
    for task in held.iter_mut().chain(&mut queue) {
        assert_pending!(task.poll());
    }
    drop(inside);

    let (mut running, mut tenths) = (Vec::new(), 0);
    while !queue.is_empty() {
        // Each is answered after a tenth of a second.
        for entered in std::mem::take(&mut running) {
            gate.answered(clock.now());
            drop(entered);
        }
        queue.retain_mut(|task| match task.is_woken().then(|| task.poll()) {
            Some(Poll::Ready(entered)) => {
                running.push(entered.unwrap());
                false
            }
            _ => true,
        });
        tenths += 1;
        clock.advance(Duration::from_millis(100));
        assert!(tenths < 1000, "somebody waits for ever");
    }
    tenths
}

#[test]
fn however_many_are_held_and_not_polled_those_behind_wait_for_a_second_altogether() {
    let alone = tenths_behind(0);
    let held: &[usize] = if cfg!(miri) {
        &[4]
    } else {
        &[1, 2, 4, 16, 64, 256]
    };
    for held in held.iter().copied() {
        assert_eq!(tenths_behind(held), alone + 10, "behind {held}");
    }
}

/// All have looked by themselves often before their turn comes, and each time somebody else has come.
#[test]
fn who_looks_by_itself_keeps_its_place_in_the_queue() {
    const LENGTH: usize = if cfg!(miri) { 10 } else { 100 };

    let (clock, gate) = narrow();
    let mut inside = assert_ready_ok!(spawn(enter(&gate)).poll());
    let mut queue: Vec<_> = (0..LENGTH).map(|_| spawn(enter(&gate))).collect();
    for task in &mut queue {
        assert_pending!(task.poll());
    }

    for turn in 0..LENGTH {
        clock.advance(LOOK_AGAIN / 2);
        for task in &mut queue {
            assert_pending!(task.poll());
        }
        queue.push(spawn(enter(&gate)));
        assert_pending!(queue.last_mut().unwrap().poll());
        drop(inside);
        let woken: Vec<_> = (0..queue.len()).filter(|i| queue[*i].is_woken()).collect();
        assert_eq!(woken, [0], "of those that are left after {turn}");
        inside = assert_ready_ok!(queue.remove(0).poll());
    }
}

#[test]
fn who_finds_room_by_itself_tells_all_once_a_second_at_most() {
    let (clock, gate) = narrow();
    let inside = assert_ready_ok!(spawn(enter(&gate)).poll());
    let [mut held, mut finder, mut next, mut last, mut later] = [0; 5].map(|_| spawn(enter(&gate)));
    for task in [&mut held, &mut finder, &mut next, &mut last] {
        assert_pending!(task.poll());
    }
    clock.advance(LOOK_AGAIN / 2);
    assert_pending!(later.poll());
    drop(inside);
    clock.advance(LOOK_AGAIN / 2);
    assert_pending!(later.poll());
    let found = assert_ready_ok!(finder.poll());
    for task in [&mut next, &mut last, &mut later] {
        assert!(task.is_woken());
        assert_pending!(task.poll());
    }

    drop(found);
    assert!(next.is_woken() && !last.is_woken());
    clock.advance(LOOK_AGAIN / 2);
    assert_pending!(last.poll());
    // It looks a moment before the next does, whose turn it is.
    let _found = assert_ready_ok!(later.poll());
    assert!(!last.is_woken());
}

const MANY: usize = if cfg!(miri) { 20 } else { 500 };

/// How often those in the queue are woken until all of them have entered and left.
fn wakes_to_empty_the_queue(gate: &Gate, clock: &ManualClock, tasks: usize) -> usize {
    let mut inside = Vec::new();
    let mut queue: Vec<_> = (0..tasks).map(|_| spawn(enter(gate))).collect();
    queue.retain_mut(|task| match task.poll() {
        Poll::Ready(entered) => {
            inside.push(entered.unwrap());
            false
        }
        Poll::Pending => true,
    });

    let mut wakes = 0;
    while !queue.is_empty() {
        gate.answered(clock.now());
        drop(inside.pop().expect("no turn is lost"));
        queue.retain_mut(|task| {
            if !task.is_woken() {
                return true;
            }
            wakes += 1;
            match task.poll() {
                Poll::Ready(entered) => {
                    inside.push(entered.unwrap());
                    false
                }
                Poll::Pending => true,
            }
        });
    }
    wakes
}

#[test]
fn each_in_the_queue_is_woken_for_its_turn_and_for_nobody_elses() {
    let (clock, gate) = gate();
    assert_eq!(wakes_to_empty_the_queue(&gate, &clock, 4 + MANY), MANY);
}

#[test]
fn also_if_others_were_abandoned() {
    let (clock, gate) = gate();
    gate.turns().abandon();
    gate.turns().offer();
    assert_eq!(wakes_to_empty_the_queue(&gate, &clock, 4 + MANY), MANY);
}

#[test]
fn a_reset_ends_the_pause() {
    let (clock, gate) = gate();
    let now = clock.now();
    gate.failed(now, now, FetchError::denied("no"));
    assert!(gate.refusal(clock.now()).is_some());

    gate.reset();
    assert!(gate.refusal(clock.now()).is_none());
}

#[test]
fn a_closed_gate_turns_everyone_away() {
    let (clock, gate) = gate();
    let inside: Vec<_> = (0..MAX_CREDIT)
        .map(|_| assert_ready_ok!(spawn(enter(&gate)).poll()))
        .collect();
    let mut queued = spawn(enter(&gate));
    assert_pending!(queued.poll());

    gate.close();
    let error = assert_ready_err!(queued.poll().map(|entered| entered.map(drop)));
    assert_eq!(error.kind(), FetchErrorKind::Closed);
    drop(inside);
    clock.advance(Duration::from_secs(3600));
    assert_ready_err!(spawn(enter(&gate)).poll().map(|entered| entered.map(drop)));
}
