use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::support::{Answer, Distant, World, block_on, give_up_after, interleave, token};
use crate::error::{FetchError, FetchErrorKind};
use crate::provider::TokenRequest;
use crate::sync::runtime::Handle;
use crate::token::AccessToken;

/// A cache that lets in one fetch at a time until one has succeeded, since the first has failed.
///
/// Also returns whether the provider was asked for a key that begins with `a`.
fn narrow() -> (World, Arc<AtomicBool>) {
    let distant = Distant::default();
    distant.answer();
    narrow_until(&distant, |call| Ok(token(call)))
}

/// The same, and the second answer comes when `distant` says so.
pub(super) fn narrow_until(
    distant: &Distant,
    answer: fn(usize) -> Answer,
) -> (World, Arc<AtomicBool>) {
    let distant = distant.clone();
    let began = Arc::new(AtomicBool::new(false));
    let begins = Arc::clone(&began);
    let of_a = |request: &TokenRequest| ["a", "a too"].map(key).contains(request);
    let world = World::of(100, move |call, cx| {
        begins.fetch_or(of_a(cx.token_request()), Ordering::SeqCst);
        let distant = distant.clone();
        async move {
            shuttle::future::yield_now().await;
            match call {
                0 => return Err("down".into()),
                1 => distant.answered().await,
                _ => {}
            }
            answer(call)
        }
    });
    world.token().unwrap_err();
    world.clock.advance(Duration::from_secs(1));
    (world, began)
}

fn key(scope: &str) -> TokenRequest {
    TokenRequest::default().with_scope(scope)
}

#[test]
fn with_one_place_every_key_gets_its_turn() {
    interleave(|| {
        let (world, _) = narrow();
        let others = ["a", "b"].map(|scope| world.key(scope).spawn(World::token));

        world.token().unwrap();
        for other in others {
            other.join().unwrap().unwrap();
        }
        assert_eq!(world.calls(), 4);
    });
}

#[test]
fn with_one_place_every_key_gets_its_turn_from_tasks() {
    interleave(|| {
        let runtime = Handle::new();
        let _entered = runtime.enter();
        let (world, _) = narrow();
        let others = ["a", "b"].map(|scope| {
            let runtime = runtime.clone();
            world.key(scope).spawn(move |world| {
                let _entered = runtime.enter();
                world.token()
            })
        });

        world.token().unwrap();
        for other in others {
            other.join().unwrap().unwrap();
        }
        assert_eq!(world.calls(), 4);
    });
}

/// Nobody polls a fetch in the queue whose callers have gone, so that the turn must not be given to it
/// alone.
#[test]
fn a_caller_that_goes_while_it_queues_takes_no_turn_with_it() {
    for looks in [1, 2] {
        interleave(move || {
            let (world, began) = narrow();
            let goes = world.key("a").spawn(move |world| {
                let gone = block_on(give_up_after(looks, world.cache.token()));
                pass_time(world, gone.is_none() && began.load(Ordering::SeqCst));
            });
            let stays = world.key("b").spawn(World::token);

            let found = world.token();
            let found = [found, stays.join().unwrap()];
            goes.join().unwrap();
            assert_no_turn_is_lost(&world, found);
        });
    }
}

/// A fetch that has begun and that nobody drives keeps its place until a second after its time limit.
fn pass_time(world: &World, passes: bool) {
    if passes {
        world.clock.advance(Duration::from_secs(31));
    }
}

pub(super) fn assert_no_turn_is_lost(world: &World, found: [Result<AccessToken, FetchError>; 2]) {
    let errors: Vec<_> = found.into_iter().filter_map(Result::err).collect();
    if errors.is_empty() {
        assert!(world.calls() >= 3);
    }
    // Those who ran, or were in the queue, when time passed.
    for error in errors {
        assert_eq!(error.kind(), FetchErrorKind::TimedOut);
    }
}

/// The first is the key whose fetches ask for a token of the second, `inner`.
fn nested() -> (World, World, Unlink) {
    let found: Unlink = Unlink::default();
    let link = Arc::clone(&found.0);
    let world = World::of(100, move |call, cx| {
        let is_outer = *cx.token_request() == TokenRequest::default();
        let inner = is_outer.then(|| link.lock().unwrap().clone()).flatten();
        async move {
            if let Some(inner) = inner {
                return Ok(inner.cache.token().await?);
            }
            shuttle::future::yield_now().await;
            match call {
                0 => Err("down".into()),
                _ => Ok(token(call)),
            }
        }
    });
    world.token().unwrap_err();
    world.clock.advance(Duration::from_secs(1));
    let inner = world.key("inner");
    *found.0.lock().unwrap() = Some(inner.clone());
    (world, inner, found)
}

/// Lets go of the cache that its provider holds.
#[derive(Default)]
struct Unlink(Arc<Mutex<Option<World>>>);

impl Drop for Unlink {
    fn drop(&mut self) {
        let world = self.0.lock().unwrap().take();
        drop(world);
    }
}

#[test]
fn with_one_place_a_fetch_within_a_fetch_takes_none() {
    interleave(|| {
        let (world, inner, _unlink) = nested();
        let other = world.spawn(World::token);

        assert_eq!(world.token().unwrap(), token(2));
        assert_eq!(other.join().unwrap().unwrap(), token(2));
        assert_eq!(inner.cache.cached(), Some(token(2)));
        assert_eq!(world.calls(), 3);
    });
}

/// The outer fetch has the only place, and waits for an inner one that somebody else has begun.
#[test]
fn with_one_place_a_fetch_within_a_fetch_waits_for_no_place() {
    interleave(|| {
        let (world, inner, _unlink) = nested();
        let outside = inner.spawn(World::token);

        world.token().unwrap();
        outside.join().unwrap().unwrap();
    });
}
