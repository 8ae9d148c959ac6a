use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::support::{
    Distant, World, block_on, give_up_after, interleave, look_once, spawn, token,
};
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
    narrow_until(&distant)
}

/// The same, and the second answer comes when `distant` says so.
fn narrow_until(distant: &Distant) -> (World, Arc<AtomicBool>) {
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
            Ok(token(call))
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

/// The same for fetches whose tasks have gone.
#[test]
fn a_runtime_that_ends_while_its_fetches_queue_takes_no_turn_with_it() {
    interleave(|| {
        let (lives, ends) = (Handle::new(), Handle::new());
        let _entered = lives.enter();
        let distant = Distant::default();
        let (world, began) = narrow_until(&distant);
        let queue = |world: &World| block_on(look_once(world.cache.token()));
        assert!(queue(&world).is_none());
        {
            let _entered = ends.enter();
            let keys = ["a", "a too"].map(|scope| world.key(scope));
            assert!(keys.iter().all(|world| queue(world).is_none()));
        }
        let behind = world.key("b");
        assert!(queue(&behind).is_none());

        let goes = world.spawn(move |world| {
            block_on(ends.end());
            pass_time(world, began.load(Ordering::SeqCst));
        });
        let answers = spawn(move || distant.answer());
        let found = behind.token();
        goes.join().unwrap();
        answers.join().unwrap();
        assert_no_turn_is_lost(&world, [world.token(), found]);
    });
}

/// A fetch that has begun and that nobody drives keeps its place until its time limit.
fn pass_time(world: &World, passes: bool) {
    if passes {
        world.clock.advance(Duration::from_secs(30));
    }
}

fn assert_no_turn_is_lost(world: &World, found: [Result<AccessToken, FetchError>; 2]) {
    let errors: Vec<_> = found.into_iter().filter_map(Result::err).collect();
    if errors.is_empty() {
        assert!(world.calls() >= 3);
    }
    // Those who ran, or were in the queue, when time passed.
    for error in errors {
        assert_eq!(error.kind(), FetchErrorKind::TimedOut);
    }
}

/// The outer fetch has the only place, and waits for an inner one that somebody else has begun.
#[test]
fn with_one_place_a_fetch_within_a_fetch_waits_for_no_place() {
    interleave(|| {
        let inner: Arc<Mutex<Option<World>>> = Arc::default();
        let found = Arc::clone(&inner);
        let world = World::of(100, move |call, cx| {
            let is_outer = cx.token_request() == &Default::default();
            let inner = is_outer.then(|| found.lock().unwrap().clone()).flatten();
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
        *inner.lock().unwrap() = Some(world.key("inner"));
        let outside = world.key("inner").spawn(World::token);

        world.token().unwrap();
        outside.join().unwrap().unwrap();
        let inner = inner.lock().unwrap().take();
        drop(inner);
    });
}
