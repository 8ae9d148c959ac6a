use std::sync::Arc;

use super::support::{Distant, World, block_on, give_up_after, interleave, spawn, token};
use crate::sync::runtime::Handle;

fn distant() -> (Distant, World) {
    let distant = Distant::default();
    let end = distant.clone();
    let world = World::of(100, move |call, _| {
        let end = end.clone();
        async move {
            end.answered().await;
            Ok(token(call))
        }
    });
    (distant, world)
}

#[test]
fn two_callers_of_an_empty_cache_share_one_fetch_and_one_token() {
    interleave(|| {
        let world = World::new(|call, _| Ok(token(call)));
        let other = world.spawn(World::token);

        assert_eq!(world.token().unwrap(), token(0));
        assert_eq!(other.join().unwrap().unwrap(), token(0));
        assert_eq!(world.calls(), 1);
    });
}

#[test]
fn three_callers_of_an_empty_cache_share_one_fetch_and_one_token() {
    interleave(|| {
        let (distant, world) = distant();
        let callers = [(); 3].map(|()| world.spawn(World::token));

        distant.answer();
        for caller in callers {
            assert_eq!(caller.join().unwrap().unwrap(), token(0));
        }
        assert_eq!(world.calls(), 1);
    });
}

#[test]
fn callers_share_one_fetch_with_the_task_that_drives_it() {
    interleave(|| {
        let (distant, world) = distant();
        let runtime = Handle::new();
        let callers = [runtime.clone(), Handle::new()].map(|runtime| {
            world.spawn(move |world| {
                let _entered = runtime.enter();
                world.token()
            })
        });

        distant.answer();
        for caller in callers {
            assert_eq!(caller.join().unwrap().unwrap(), token(0));
        }
        assert_eq!(world.calls(), 1);
    });
}

/// Neither the one who polls nor one who was woken to poll takes the fetch along.
#[test]
fn callers_that_go_at_any_time_leave_nobody_hanging() {
    for looks in [1, 2] {
        interleave(move || {
            let (distant, world) = distant();
            let goes = world.spawn(move |world| {
                block_on(give_up_after(looks, world.cache.token()));
            });
            let stays = world.spawn(World::token);
            let answers = spawn(move || distant.answer());

            assert_eq!(stays.join().unwrap().unwrap(), token(0));
            goes.join().unwrap();
            answers.join().unwrap();
            assert_eq!(world.calls(), 1);
        });
    }
}

#[test]
fn callers_that_go_while_the_provider_wakes_itself_leave_nobody_hanging() {
    interleave(|| {
        let world = World::new(|call, _| Ok(token(call)));
        let go = [1, 2].map(|looks| {
            world.spawn(move |world| {
                block_on(give_up_after(looks, world.cache.token()));
            })
        });

        assert_eq!(world.token().unwrap(), token(0));
        for thread in go {
            thread.join().unwrap();
        }
        assert_eq!(world.calls(), 1);
    });
}

#[test]
fn a_runtime_that_ends_leaves_nobody_hanging_and_loses_no_fetch() {
    interleave(|| {
        let (distant, world) = distant();
        let runtime = Handle::new();
        let starter = {
            let runtime = runtime.clone();
            world.spawn(move |world| {
                let _entered = runtime.enter();
                block_on(give_up_after(1, world.cache.token()));
            })
        };
        let stays = world.spawn(World::token);
        let ends = spawn(move || block_on(runtime.end()));

        distant.answer();
        assert_eq!(stays.join().unwrap().unwrap(), token(0));
        starter.join().unwrap();
        ends.join().unwrap();
        assert_eq!(world.calls(), 1);
    });
}

/// The outer fetch waits for the inner one, whoever began that.
#[test]
fn a_fetch_within_a_fetch_is_shared_with_a_caller_from_outside() {
    interleave(|| {
        let inner: Arc<std::sync::Mutex<Option<World>>> = Arc::default();
        let found = Arc::clone(&inner);
        let world = World::of(100, move |_, cx| {
            let is_outer = cx.token_request() == &Default::default();
            let inner = is_outer.then(|| found.lock().unwrap().clone()).flatten();
            async move {
                if let Some(inner) = inner {
                    return Ok(inner.cache.token().await?);
                }
                shuttle::future::yield_now().await;
                Ok(token(0))
            }
        });
        *inner.lock().unwrap() = Some(world.key("inner"));
        let outside = world.key("inner").spawn(World::token);

        assert_eq!(world.token().unwrap(), token(0));
        assert_eq!(outside.join().unwrap().unwrap(), token(0));
        assert_eq!(world.calls(), 2);
        // Else the cache would hold itself.
        let inner = inner.lock().unwrap().take();
        drop(inner);
    });
}

#[test]
fn one_key_has_one_slot_whoever_asks_first() {
    interleave(|| {
        let world = World::with_keys(1, |call, _| Ok(token(call)));
        let others = ["a", "a", "b"].map(|scope| {
            world.spawn(move |world| {
                let world = world.key(scope);
                world.token().unwrap();
                world
            })
        });

        let [first, second, _] = others.map(|thread| thread.join().unwrap());
        // Unless it was forgotten in between, when nobody used it.
        let both = Arc::ptr_eq(first.cache.slot(), second.cache.slot());
        assert!(both, "a key that is in use stays");
        assert!(world.calls() <= 3);
    });
}
