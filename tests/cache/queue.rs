//! Turns in the queue that are given to a fetch which nobody drives any more.

use tokio::runtime::Builder;
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready_ok};
use tower_bearer::TokenCache;
use tower_bearer::testing::ManualClock;

use crate::support::{issuer, key, secs, tasks_run, token};

/// Two turns become free, one by the answer and one by its place, and both are given to fetches whose
/// runtime ends before they look.
#[test]
fn a_runtime_that_ends_takes_no_turn_with_it() {
    let single = || Builder::new_current_thread().build().expect("a runtime");
    let (lives, ends) = (single(), single());
    let (issuer, mut desk) = issuer();
    let clock = ManualClock::new();
    let cache = TokenCache::builder(issuer)
        .with_clock(clock.clone())
        .build();
    lives.block_on(async {
        cache.warm_up();
        desk.next().await.fail("down");
        tasks_run().await;
        // One place from now on.
        clock.advance(secs(1));
        cache.warm_up();
    });
    let asked = lives.block_on(desk.next());
    ends.block_on(async {
        cache.for_request(&key("a")).warm_up();
        cache.for_request(&key("b")).warm_up();
        tasks_run().await;
    });

    let behind = cache.for_request(&key("c"));
    let mut behind = spawn(behind.token());
    lives.block_on(async {
        assert_pending!(behind.poll());
        tasks_run().await;
        asked.answer(token("one", 3600));
        tasks_run().await;
    });
    drop(ends);
    lives.block_on(async {
        tasks_run().await;
        desk.now().answer(token("two", 3600));
        tasks_run().await;
    });
    assert_ready_ok!(behind.poll());
}
