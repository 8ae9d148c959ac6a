use std::time::Duration;

use super::support::{World, interleave, panic_on_purpose, token};
use crate::error::{FetchError, FetchErrorKind};

#[test]
fn a_panic_of_the_provider_fails_all_who_wait_and_not_the_next_fetch() {
    interleave(|| {
        let world = World::new(|call, _| match call {
            0 => panic_on_purpose(),
            _ => Ok(token(call)),
        });
        let other = world.spawn(World::token);

        let errors = [world.token(), other.join().unwrap()].map(Result::unwrap_err);
        assert!(errors.iter().all(|e| e.kind() == FetchErrorKind::Panicked));
        assert_eq!(world.calls(), 1);
        world.clock.advance(Duration::from_secs(1));
        assert_eq!(world.token().unwrap(), token(1));
    });
}

#[test]
fn a_failure_is_one_failure_for_all_who_ask_before_the_pause_is_over() {
    interleave(|| {
        let world = World::new(|_, _| Err(FetchError::unavailable("down").into()));
        let others = [(); 2].map(|()| world.spawn(World::token));

        world.token().unwrap_err();
        for other in others {
            other.join().unwrap().unwrap_err();
        }
        assert_eq!(world.calls(), 1);
    });
}

#[test]
fn a_failure_of_one_key_leaves_the_others_alone() {
    interleave(|| {
        let world = World::new(|call, cx| {
            if cx.token_request() == &Default::default() {
                return Err(FetchError::invalid_request("no such scope").into());
            }
            Ok(token(call))
        });
        let other = world.key("good").spawn(World::token);

        world.token().unwrap_err();
        other.join().unwrap().unwrap();
        world.token().unwrap_err();
        assert_eq!(world.calls(), 2);
    });
}
