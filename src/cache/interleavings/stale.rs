use std::time::Duration;

use super::support::{HOUR, World, interleave, token};
use crate::sync::runtime::Handle;

/// A cache whose token is stale.
fn stale() -> World {
    let world = World::new(|call, _| Ok(token(call)));
    world.token().unwrap();
    world.clock.advance(HOUR - Duration::from_secs(10));
    world
}

fn assert_is_as_planned(world: &World) {
    let now = world.clock.now();
    let held = world.cache.slot().usable(now).unwrap();
    let long_after = now.after(held.left(now) - Duration::from_secs(20));
    assert!(held.is_fresh(now));
    assert!(!held.is_fresh(long_after), "it was put off");
}

#[test]
fn hits_on_a_stale_token_do_not_wait_and_start_one_fetch() {
    interleave(|| {
        let world = stale();
        let runtime = Handle::new();
        let hit = move |world: &World| {
            let _entered = runtime.enter();
            world.token().unwrap()
        };
        let other = world.spawn(hit.clone());

        let tokens = [hit(&world), other.join().unwrap()];
        // The second of them may be so late that the fetch is over.
        assert!(tokens.contains(&token(0)));
        world.settle();
        assert_eq!(world.cache.cached(), Some(token(1)));
        assert_eq!(world.calls(), 2);
    });
}

#[test]
fn a_hit_that_has_seen_the_old_token_neither_replaces_nor_puts_off_the_new_one() {
    interleave(|| {
        let world = stale();
        let hits = world.spawn(|world| {
            let runtime = Handle::new();
            let _entered = runtime.enter();
            world.token().unwrap();
        });

        let refreshed = world.refresh().unwrap();
        hits.join().unwrap();
        world.settle();
        assert_eq!(world.cache.cached(), Some(refreshed), "it is replaced once");
        assert_is_as_planned(&world);
    });
}

#[test]
fn a_reset_at_the_same_time_as_a_failure_leaves_the_stale_token_to_be_replaced() {
    interleave(|| {
        let world = World::new(|call, _| match call {
            1 => Err("down".into()),
            _ => Ok(token(call)),
        });
        world.token().unwrap();
        world.clock.advance(HOUR - Duration::from_secs(10));
        let resets = world.spawn(|world| world.cache.reset_backoff());

        world.refresh().unwrap_err();
        resets.join().unwrap();
        // Whichever was first: after the pause at the latest.
        world.clock.advance(Duration::from_secs(1));
        let runtime = Handle::new();
        let _entered = runtime.enter();
        assert_eq!(world.token().unwrap(), token(0));
        world.settle();
        assert_eq!(world.cache.cached(), Some(token(2)));
    });
}
