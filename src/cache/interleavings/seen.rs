//! What a thread has seen of the current token, while others change it.

use std::sync::Arc;

use super::super::Seen;
use super::support::{World, interleave, token};
use crate::sync::Mutex;
use crate::token::AccessToken;

/// What the layer would put on a request, by what its thread has seen.
fn hit(world: &World, seen: &Mutex<Seen>) -> Option<AccessToken> {
    hit_beside(world, seen, None)
}

fn hit_beside(
    world: &World,
    seen: &Mutex<Seen>,
    other: Option<&Mutex<Seen>>,
) -> Option<AccessToken> {
    let fresh = world.cache.hit_seen(seen, other.into_iter())?;
    let token = fresh.held().token.clone();
    assert_eq!(fresh.header_value(), *token.header_value());
    Some(token)
}

#[test]
fn a_token_that_was_replaced_before_is_not_seen() {
    interleave(|| {
        let world = World::new(|call, _| Ok(token(call)));
        let seen = Mutex::new(Seen::default());
        world.token().unwrap();
        assert_eq!(hit(&world, &seen), Some(token(0)));
        let refreshes = world.spawn(|world| world.refresh().unwrap());

        // However far the other has come. While the slot changes, it is looked at itself.
        let current = world.cache.cached();
        let then = hit(&world, &seen);
        assert!(
            [None, current, Some(token(1))].contains(&then),
            "it was replaced before"
        );
        refreshes.join().unwrap();
        assert_eq!(hit(&world, &seen), Some(token(1)));
    });
}

#[test]
fn a_token_that_was_rejected_before_is_not_seen() {
    interleave(|| {
        let world = World::new(|call, _| Ok(token(call)));
        let seen = Mutex::new(Seen::default());
        let old = world.token().unwrap();
        assert_eq!(hit(&world, &seen), Some(token(0)));
        let rejects = world.spawn(move |world| {
            world.cache.invalidate(&old);
            world.token().unwrap()
        });

        let was_there = world.cache.cached().is_some();
        let then = hit(&world, &seen);
        assert!(
            was_there || then != Some(token(0)),
            "it was rejected before"
        );
        assert_eq!(rejects.join().unwrap(), token(1));
        assert_eq!(hit(&world, &seen), Some(token(1)));
    });
}

/// Of two that look at the same, one may have to look elsewhere.
#[test]
fn two_that_look_at_the_same_see_what_is_current_or_nothing() {
    interleave(|| {
        let world = World::new(|call, _| Ok(token(call)));
        let seen = Arc::new(Mutex::new(Seen::default()));
        world.token().unwrap();
        let other = Arc::clone(&seen);
        let looks = world.spawn(move |world| hit(world, &other));
        let refreshes = world.spawn(|world| world.refresh().unwrap());

        for then in [hit(&world, &seen), looks.join().unwrap()] {
            assert!([None, Some(token(0)), Some(token(1))].contains(&then));
        }
        refreshes.join().unwrap();
        assert_eq!(hit(&world, &seen), Some(token(1)));
    });
}

/// Each forgets for the other what that saw before.
#[test]
fn two_that_look_for_themselves_see_what_is_current_or_nothing() {
    interleave(|| {
        let world = World::new(|call, _| Ok(token(call)));
        let seen = Arc::new([Mutex::default(), Mutex::default()]);
        world.token().unwrap();
        let both = Arc::clone(&seen);
        let looks = world.spawn(move |world| {
            let first = hit_beside(world, &both[1], Some(&both[0]));
            (first, hit_beside(world, &both[1], Some(&both[0])))
        });
        let refreshes = world.spawn(|world| world.refresh().unwrap());

        let then = hit_beside(&world, &seen[0], Some(&seen[1]));
        assert!([None, Some(token(0)), Some(token(1))].contains(&then));
        let (first, second) = looks.join().unwrap();
        assert!([None, Some(token(0)), Some(token(1))].contains(&first));
        assert!(
            first != Some(token(1)) || [None, first].contains(&second),
            "it was replaced before"
        );
        refreshes.join().unwrap();
        for [one, other] in [[0, 1], [1, 0]] {
            let then = hit_beside(&world, &seen[one], Some(&seen[other]));
            assert_eq!(then, Some(token(1)));
        }
    });
}
