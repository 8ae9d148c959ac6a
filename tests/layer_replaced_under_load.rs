//! Threads that send as fast as they can, while tokens are replaced and rejected.
#![cfg(feature = "test-util")]
// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use futures_executor::block_on;
use http::{Request, Response};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_bearer::replay::Never;
use tower_bearer::testing::ManualClock;
use tower_bearer::{BearerAuthLayer, TokenCache};

use self::layer_support::{Issuer, ORIGIN, URL, bearer, get, token};

mod layer_support;

const THREADS: usize = 4;
const ROUNDS: usize = 120;

/// So many requests come between one change and the next.
const BETWEEN: usize = 10;

/// Answers with the number of the token.
fn echo(request: Request<String>) -> Ready<Result<Response<usize>, Infallible>> {
    let number = bearer(&request).unwrap().strip_prefix("token-").unwrap();
    ready(Ok(Response::new(number.parse().unwrap())))
}

/// Ends the others when it is dropped, also by a panic.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn each_request_carries_a_token_that_was_current_between_its_begin_and_its_end() {
    let (issuer, clock) = (Issuer::new(), ManualClock::new());
    let cache = TokenCache::builder(issuer.clone()).with_clock(clock.clone());
    let layer = BearerAuthLayer::for_origin(cache.build(), ORIGIN).unwrap();
    let cache = layer.cache().clone();
    let service = layer.with_replay(Never).layer(service_fn(echo));
    block_on(cache.token()).unwrap();
    // The first that may be on a request which begins now. Its predecessors are out of use.
    let first = AtomicUsize::new(1);
    let (is_over, start) = (AtomicBool::new(false), Barrier::new(THREADS + 1));

    let sent = AtomicUsize::new(0);

    let send = |by_clone: bool| {
        let _ends = Ends(&is_over);
        start.wait();
        let mut owned = service.clone();
        let (mut last, mut is_last) = (0, false);
        while !is_last {
            // Read first, so that there is one more request after all is over.
            is_last = is_over.load(Ordering::SeqCst);
            let earliest = first.load(Ordering::SeqCst);
            let response = match by_clone {
                true => block_on(service.clone().oneshot(get(URL))),
                false => block_on(async { owned.ready().await?.call(get(URL)).await }),
            };
            let number = response.unwrap().into_body();
            let latest = issuer.fetches();
            assert!(
                (earliest..=latest).contains(&number),
                "{earliest} {number} {latest}"
            );
            assert!(number >= last, "{number} after {last}");
            last = number;
            sent.fetch_add(1, Ordering::SeqCst);
        }
        last
    };
    thread::scope(|scope| {
        let senders: Vec<_> = (0..THREADS)
            .map(|n| scope.spawn(move || send(n % 2 == 0)))
            .collect();
        let ends = Ends(&is_over);
        start.wait();
        for round in 0..ROUNDS {
            let enough = sent.load(Ordering::SeqCst) + BETWEEN;
            while sent.load(Ordering::SeqCst) < enough && !is_over.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            if round % 3 == 0 {
                // Such rejections have a budget, of one in a minute.
                clock.advance(Duration::from_secs(61));
                let current = first.load(Ordering::SeqCst);
                cache.invalidate(&token(&format!("token-{current}")));
                first.store(current + 1, Ordering::SeqCst);
                block_on(cache.token()).unwrap();
            } else {
                let replaced = block_on(cache.refresh()).unwrap();
                let number = replaced.expose_secret().strip_prefix("token-").unwrap();
                first.store(number.parse().unwrap(), Ordering::SeqCst);
            }
        }
        drop(ends);
        for sender in senders {
            assert_eq!(sender.join().unwrap(), ROUNDS + 1);
        }
    });
    assert_eq!(issuer.fetches(), ROUNDS + 1);
}
