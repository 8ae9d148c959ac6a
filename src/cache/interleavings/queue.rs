//! One fetch runs, and others queue for its place.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::flight::Flight;
use super::super::gate::{Entered, Gate};
use super::super::places::PLACES;
use super::gate::{assert_no_turn_is_lost, narrow_until};
use super::support::{Distant, World, block_on, interleave, look_once, spawn, token};
use crate::clock::{Clock, ManualClock};
use crate::error::{FetchError, FetchErrorKind};
use crate::sync::atomic::AtomicBool;
use crate::sync::runtime::Handle;

/// Takes the place or the next one in the queue, and goes. Where a task drives the fetch, that may have to
/// do it.
fn queue(world: &World) {
    assert!(block_on(look_once(world.cache.token())).is_none());
}

/// Nobody polls the fetches that are first.
#[test]
fn callers_that_have_gone_from_the_queue_take_no_turn_with_them() {
    interleave(|| {
        let distant = Distant::default();
        let (world, _) = narrow_until(&distant, |call| Ok(token(call)));
        queue(&world);
        ["a", "a too"]
            .iter()
            .for_each(|scope| queue(&world.key(scope)));
        let behind = world.key("b");
        queue(&behind);

        let runs = world.spawn(World::token);
        let answers = spawn(move || distant.answer());
        behind.token().unwrap();
        runs.join().unwrap().unwrap();
        answers.join().unwrap();
        assert_eq!(world.calls(), 3);
    });
}

/// Of the fetches that are first the tasks have gone. One that had got its turn keeps its place until
/// a second after its time limit.
#[test]
fn a_runtime_that_has_gone_from_the_queue_takes_no_turn_with_it() {
    interleave(|| {
        let (lives, ends) = (Handle::new(), Handle::new());
        let _entered = lives.enter();
        let distant = Distant::default();
        let (world, began) = narrow_until(&distant, |call| Ok(token(call)));
        queue(&world);
        distant.wait_until_asked();
        {
            let _entered = ends.enter();
            ["a", "a too"]
                .iter()
                .for_each(|scope| queue(&world.key(scope)));
        }
        let behind = world.key("b");
        queue(&behind);

        let goes = world.spawn(move |world| {
            block_on(ends.end());
            if began.load(Ordering::SeqCst) {
                world.clock.advance(Duration::from_secs(31));
            }
        });
        let answers = spawn(move || distant.answer());
        assert_no_turn_is_lost(&world, [behind.token(), world.token()]);
        goes.join().unwrap();
        answers.join().unwrap();
    });
}

#[test]
fn a_failure_is_told_to_all_who_queue() {
    interleave(|| {
        let lives = Handle::new();
        let _entered = lives.enter();
        let distant = Distant::default();
        let down = |_| Err(FetchError::unavailable("down").into());
        let (world, _) = narrow_until(&distant, down);
        queue(&world);
        distant.wait_until_asked();
        let behind = ["b", "c", "d"].map(|scope| world.key(scope));
        behind.iter().for_each(queue);

        let answers = spawn(move || distant.answer());
        let behind = behind.map(|world| world.spawn(World::token));
        for behind in behind {
            let error = behind.join().unwrap().unwrap_err();
            assert_eq!(error.kind(), FetchErrorKind::Unavailable);
        }
        answers.join().unwrap();
        assert_eq!(world.calls(), 2);
    });
}

#[test]
fn closing_turns_away_all_who_queue_though_one_still_runs() {
    interleave(|| {
        let lives = Handle::new();
        let _entered = lives.enter();
        let distant = Distant::default();
        let (world, _) = narrow_until(&distant, |call| Ok(token(call)));
        queue(&world);
        distant.wait_until_asked();
        let behind = ["b", "c"].map(|scope| world.key(scope));
        behind.iter().for_each(queue);

        let closes = world.spawn(|world| block_on(world.cache.close()));
        for behind in behind {
            let error = behind.token().unwrap_err();
            assert_eq!(error.kind(), FetchErrorKind::Closed);
        }
        distant.answer();
        closes.join().unwrap();
        assert_eq!(world.cache.cached(), Some(token(1)));
    });
}

/// Both are offered at a moment at which those who want them have looked and may not wait yet.
#[test]
fn two_places_that_become_free_at_once_are_taken_by_two() {
    interleave(|| {
        let clock = ManualClock::new();
        let gate = Arc::new(Gate::new(Clock::Manual(clock.clone())));
        let mut inside = Vec::new();
        for _ in 0..PLACES {
            gate.answered(clock.now());
            inside.push(block_on(enter(&gate)));
        }
        // From now on there is no want of answers, but of places.
        gate.answered(clock.now());
        // A turn that nobody waited for was kept.
        assert!(block_on(look_once(enter(&gate))).is_none());

        let enters = [0, 1].map(|_| {
            let gate = Arc::clone(&gate);
            // It runs for ever.
            spawn(move || mem::forget(block_on(enter(&gate))))
        });
        inside.pop();
        inside.pop();
        for enters in enters {
            enters.join().unwrap();
        }
    });
}

/// It is the only turn that there is.
#[test]
fn a_turn_of_a_fetch_that_is_left_at_that_moment_is_not_lost() {
    interleave(|| {
        let clock = ManualClock::new();
        let gate = Arc::new(Gate::new(Clock::Manual(clock.clone())));
        gate.failed(clock.now(), clock.now(), FetchError::unavailable("down"));
        clock.advance(Duration::from_secs(1));
        let inside = block_on(enter(&gate));
        let queued = Arc::clone(&gate);
        let fetch = async move {
            mem::forget(enter(&queued).await);
            std::future::pending().await
        };
        let flight = Flight::new(fetch, 1, Arc::default(), gate.turns());
        let mut caller = flight.join();
        assert!(block_on(look_once(&mut caller)).is_none());

        let goes = spawn(move || drop(caller));
        let behind = {
            let gate = Arc::clone(&gate);
            spawn(move || mem::forget(block_on(enter(&gate))))
        };
        drop(inside);
        behind.join().unwrap();
        goes.join().unwrap();
        drop(flight);
    });
}

async fn enter(gate: &Gate) -> Entered<'_> {
    let is_within = AtomicBool::new(false);
    let entered = gate.enter(Duration::from_secs(30), &is_within).await;
    entered.expect("the gate is open")
}
