use std::sync::Arc;

use super::super::Acquire;
use super::support::{World, block_on, give_up_after, interleave, look_once, spawn, token};
use crate::error::FetchErrorKind;
use crate::sync::runtime::Handle;

#[test]
fn closing_waits_for_a_fetch_that_begins_or_refuses_it() {
    interleave(|| {
        let world = World::new(|call, _| Ok(token(call)));
        let asks = world.spawn(World::token);
        let closes = world.spawn(|world| {
            block_on(world.cache.close());
            world.calls()
        });

        let calls = closes.join().unwrap();
        match asks.join().unwrap() {
            Ok(found) => assert_eq!(found, token(0)),
            Err(error) => assert_eq!(error.kind(), FetchErrorKind::Closed),
        }
        assert_eq!(world.calls(), calls, "none has begun since");
        assert_eq!(world.cache.cached().is_some(), calls == 1);
    });
}

#[test]
fn closing_waits_for_a_fetch_whose_caller_has_gone() {
    interleave(|| {
        let world = World::new(|call, _| Ok(token(call)));
        let goes = world.spawn(|world| {
            block_on(give_up_after(1, world.cache.token()));
        });

        block_on(world.cache.close());
        let calls = world.calls();
        goes.join().unwrap();
        assert_eq!(world.calls(), calls, "none has begun since");
        assert_eq!(world.cache.cached().is_some(), calls == 1);
    });
}

/// Nor does the cache stay behind.
#[test]
fn the_last_handle_dropped_during_a_fetch_leaves_nobody_hanging() {
    for has_runtime in [false, true] {
        interleave(move || {
            let World { cache, .. } = World::new(|call, _| Ok(token(call)));
            let (engine, slot) = (Arc::clone(cache.engine()), Arc::clone(cache.slot()));
            let remains = Arc::downgrade(&engine);
            let runtime = has_runtime.then(Handle::new);
            let enters = runtime.clone();
            let asks = spawn(move || {
                let _entered = enters.as_ref().map(Handle::enter);
                let mut acquire = Acquire::default();
                block_on(std::future::poll_fn(|cx| {
                    acquire.poll(cx, &engine, &slot, None)
                }))
                .map(|held| held.token.clone())
            });

            drop(cache);
            match asks.join().unwrap() {
                Ok(found) => assert_eq!(found, token(0)),
                Err(error) => assert_eq!(error.kind(), FetchErrorKind::Closed),
            }
            if let Some(runtime) = runtime {
                block_on(runtime.finish());
            }
            assert_eq!(remains.strong_count(), 0);
        });
    }
}

/// A fetch holds its cache, which holds the fetch.
#[test]
fn the_last_handle_dropped_leaves_nothing_of_a_fetch_whose_caller_has_gone() {
    interleave(|| {
        let World { cache, .. } = World::new(|call, _| Ok(token(call)));
        let (engine, slot) = (Arc::clone(cache.engine()), Arc::clone(cache.slot()));
        let remains = Arc::downgrade(&engine);
        let goes = spawn(move || {
            let mut acquire = Acquire::default();
            let look = std::future::poll_fn(|cx| acquire.poll(cx, &engine, &slot, None));
            block_on(look_once(look)).is_none()
        });

        drop(cache);
        goes.join().unwrap();
        assert_eq!(remains.strong_count(), 0);
    });
}
