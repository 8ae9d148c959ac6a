//! How often a use of a token is told of: once for each send, however the token was found.
#![cfg(all(feature = "metrics", feature = "test-util"))]
// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use futures_executor::block_on;
use http::Request;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tower::{Layer, ServiceExt};
use tower_bearer::testing::ManualClock;
use tower_bearer::{BearerAuth, BearerAuthLayer, TokenCache, TokenRequest};

use self::layer_support::{Api, Issuer, ORIGIN, URL, get};

mod layer_support;

const STALE: Duration = Duration::from_secs(3599);

struct Scene {
    layer: BearerAuthLayer<Issuer>,
    client: BearerAuth<Api<String>, Issuer>,
    clock: ManualClock,
    told: Snapshotter,
}

impl Scene {
    /// The ages at use that were told of since the last time, in seconds, and how many were stale.
    fn told(&self) -> (Vec<f64>, u64) {
        let (mut ages, mut stale) = (Vec::new(), 0);
        for (key, _, _, value) in self.told.snapshot().into_vec() {
            match (key.key().name(), value) {
                ("tower_bearer_token_age_seconds", DebugValue::Histogram(values)) => {
                    ages.extend(values.into_iter().map(f64::from));
                }
                ("tower_bearer_stale_serves_total", DebugValue::Counter(count)) => stale = count,
                _ => {}
            }
        }
        (ages, stale)
    }

    fn send(&self, request: Request<String>) {
        block_on(self.client.clone().oneshot(request)).unwrap();
    }
}

fn named(scope: &str) -> Request<String> {
    let mut request = get(URL);
    let token = TokenRequest::default().with_scope(scope);
    request.extensions_mut().insert(token);
    request
}

fn with_its_own() -> Request<String> {
    let mut request = get(URL);
    let own = "Bearer own".parse().unwrap();
    request.headers_mut().insert("authorization", own);
    request
}

fn told(f: impl FnOnce(&Scene), rejected: &'static [&'static str]) {
    let recorder = DebuggingRecorder::new();
    let clock = ManualClock::new();
    let cache = TokenCache::builder(Issuer::new()).with_clock(clock.clone());
    let layer = BearerAuthLayer::for_origin(cache.build(), ORIGIN).unwrap();
    let scene = Scene {
        client: layer.layer(Api::rejecting(rejected)),
        layer,
        clock,
        told: recorder.snapshotter(),
    };
    metrics::with_local_recorder(&recorder, || f(&scene));
}

#[test]
fn a_hit_is_one_use_and_so_is_a_miss() {
    told(
        |scene| {
            scene.send(get(URL));
            assert_eq!(scene.told(), (vec![0.0], 0), "a miss");
            scene.clock.advance(Duration::from_secs(5));
            scene.send(get(URL));
            assert_eq!(scene.told(), (vec![5.0], 0), "the first look of a thread");
            scene.clock.advance(Duration::from_secs(5));
            for _ in 0..3 {
                scene.send(get(URL));
            }
            assert_eq!(scene.told(), (vec![10.0; 3], 0), "what it has seen");
            scene.send(named("a"));
            scene.send(named("a"));
            assert_eq!(scene.told(), (vec![0.0; 2], 0), "of another key");
        },
        &[],
    );
}

#[test]
fn a_stale_one_is_one_use_too() {
    told(
        |scene| {
            scene.send(get(URL));
            scene.send(get(URL));
            scene.told();
            scene.clock.advance(STALE);
            scene.send(get(URL));
            scene.send(get(URL));
            assert_eq!(scene.told(), (vec![3599.0; 2], 2));
        },
        &[],
    );
}

#[test]
fn a_request_that_goes_without_our_token_is_none() {
    told(
        |scene| {
            scene.send(get(URL));
            scene.told();
            scene.send(with_its_own());
            scene.send(get("https://other.example/"));
            assert_eq!(scene.told(), (vec![], 0));

            scene.clock.advance(STALE);
            scene.send(with_its_own());
            scene.clock.advance(STALE);
            scene.send(with_its_own());
            assert_eq!(
                scene.told(),
                (vec![], 0),
                "neither if ours is stale or has expired"
            );
            assert!(scene.layer.cache().cached().is_none());
        },
        &[],
    );
}

#[test]
fn a_request_that_is_sent_again_is_two() {
    told(
        |scene| {
            block_on(scene.layer.cache().token()).unwrap();
            scene.told();
            scene.clock.advance(Duration::from_secs(7));
            scene.send(get(URL));
            assert_eq!(scene.told(), (vec![7.0, 0.0], 0));
        },
        &["token-1"],
    );
}
