use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::super::Verdict;
use super::support::{HOUR, World, block_on, interleave, token};
use crate::token::AccessToken;

/// Issues the same token until it is told that a server rejected it.
fn honest() -> World {
    let good = AtomicUsize::new(0);
    World::new(move |_, cx| {
        if let Some(rejected) = cx.rejected_token() {
            good.fetch_max(number(rejected) + 1, Ordering::SeqCst);
        }
        Ok(token(good.load(Ordering::SeqCst)))
    })
}

fn number(token: &AccessToken) -> usize {
    (0..10)
        .find(|&number| *token == self::token(number))
        .expect("it is one of ours")
}

#[test]
fn a_token_that_is_rejected_during_a_fetch_does_not_come_back() {
    interleave(|| {
        let world = honest();
        let rejected = world.token().unwrap();
        let refreshes = world.spawn(|world| world.refresh().unwrap());

        world.cache.invalidate(&rejected);
        let after = world.token().unwrap();
        refreshes.join().unwrap();
        assert_eq!(after, token(1), "a caller who came after the rejection");
        assert_eq!(world.cache.cached(), Some(token(1)));
    });
}

#[test]
fn a_late_401_for_a_token_leaves_its_successor_alone() {
    interleave(|| {
        let world = World::new(|call, _| Ok(token(call)));
        let old = world.token().unwrap();
        let generation = world.generation();
        let rejects = world.spawn(move |world| world.reject(generation));
        let invalidates = world.spawn(move |world| world.cache.invalidate(&old));

        assert_eq!(world.refresh().unwrap(), token(1));
        assert!(matches!(rejects.join().unwrap(), Verdict::Replace));
        invalidates.join().unwrap();
        assert_eq!(world.token().unwrap(), token(1));
        assert_eq!(world.calls(), 2);
    });
}

#[test]
fn two_rejections_of_one_token_cost_one_fetch_and_draw_on_the_budget_once() {
    interleave(|| {
        let world = World::new(|call, _| Ok(token(call)));
        world.token().unwrap();
        let generation = world.generation();
        let sends = move |world: &World| {
            assert!(matches!(world.reject(generation), Verdict::Replace));
            block_on(world.another_than(generation)).unwrap()
        };
        let other = world.spawn(sends);

        assert_eq!(sends(&world), token(1));
        assert_eq!(other.join().unwrap(), token(1));
        assert_eq!(world.calls(), 2);
        assert_eq!(left(&world), 2);
    });
}

/// Whichever comes first, the minute between two fetches does not stay doubled.
#[test]
fn a_success_that_comes_with_a_rejection_restores_the_interval() {
    interleave(|| {
        let world = World::new(|call, _| Ok(token(call)));
        world.token().unwrap();
        let generation = world.generation();
        let clock = world.clock.clone();
        let proves = world.spawn(move |world| {
            let slot = world.cache.slot();
            slot.prove(generation, || clock.now());
        });

        assert!(matches!(world.reject(generation), Verdict::Replace));
        proves.join().unwrap();
        assert_eq!(left(&world), 2);
        world.clock.advance(Duration::from_secs(60));
        assert_eq!(left(&world), 1);
    });
}

/// The rejected token is put back for want of another, and a hit finds it or waits for it.
#[test]
fn a_rejection_that_cannot_be_healed_takes_the_token_from_nobody_else() {
    interleave(|| {
        let world = World::new(|call, _| match call {
            0 => Ok(token(0)),
            _ => Err("down".into()),
        });
        world.token().unwrap();
        let generation = world.generation();
        let hits = world.spawn(World::token);

        if let Verdict::Replace = world.reject(generation) {
            block_on(world.another_than(generation)).unwrap_err();
        }
        assert_eq!(hits.join().unwrap().unwrap(), token(0));
        assert_eq!(world.cache.cached(), Some(token(0)));
        assert!(world.cache.slot().lock().condemned.is_none());
        assert_eq!(world.calls(), 2);
    });
}

#[test]
fn invalidating_and_refreshing_and_asking_at_once_end_with_a_good_token() {
    interleave(|| {
        let world = honest();
        let rejected = world.token().unwrap();
        let asks = world.spawn(World::token);
        let refreshes = world.spawn(World::refresh);

        world.cache.invalidate(&rejected);
        assert!(asks.join().unwrap().is_ok());
        assert!(refreshes.join().unwrap().is_ok());
        world.settle();
        assert_eq!(world.token().unwrap(), token(1));
        // A refresh asks again if what it brought is rejected before it looks.
        assert!(world.calls() <= 4);
        let slot = world.cache.slot();
        assert!(
            slot.usable(world.clock.now())
                .unwrap()
                .left(world.clock.now())
                <= HOUR
        );
    });
}

/// What is left of the budget, which is then spent.
fn left(world: &World) -> usize {
    let mut state = world.cache.slot().lock();
    let now = world.clock.now();
    (0..10).take_while(|_| state.budget.take(now)).count()
}
