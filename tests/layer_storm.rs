//! A route that rejects every token, beside one that accepts them all.
#![cfg(feature = "test-util")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use http::{Response, StatusCode};
use tokio_test::task::spawn;
use tower::{Layer, ServiceExt};
use tower_bearer::rejection::NotRetriedReason;
use tower_bearer::testing::ManualClock;
use tower_bearer::{BearerAuth, BearerAuthLayer, TokenCache};

use self::layer_support::{Api, Issuer, ORIGIN, get, layer, reason, token, unauthorized};

mod layer_support;

const HEALTHY: &str = "https://api.example.com/healthy";
const BROKEN: &str = "https://api.example.com/broken";

struct Storm {
    client: BearerAuth<Api<String>, Issuer>,
    issuer: Issuer,
    api: Api<String>,
    clock: ManualClock,
    /// Whether the broken route rejects.
    broken: Arc<AtomicBool>,
}

fn storm() -> Storm {
    let broken = Arc::new(AtomicBool::new(true));
    let rejects = Arc::clone(&broken);
    let api = Api::answering(move |request| {
        match request.uri.path() == "/broken" && rejects.load(Ordering::SeqCst) {
            true => unauthorized("no"),
            false => Response::default(),
        }
    });
    let (issuer, clock) = (Issuer::new(), ManualClock::new());
    let cache = TokenCache::builder(issuer.clone()).with_clock(clock.clone());
    let layer = BearerAuthLayer::for_origin(cache.build(), ORIGIN).unwrap();
    Storm {
        client: layer.layer(api.clone()),
        issuer,
        api,
        clock,
        broken,
    }
}

impl Storm {
    /// Sends a request, which must not wait: the issuer and the API answer at once.
    #[track_caller]
    fn send(&self, uri: &str) -> Response<String> {
        match spawn(self.client.clone().oneshot(get(uri))).poll() {
            Poll::Ready(response) => response.unwrap(),
            Poll::Pending => panic!("had to wait"),
        }
    }
}

#[test]
fn an_hour_of_rejections_at_a_hundred_a_second_costs_63_fetches_at_most_and_no_healthy_request() {
    let storm = storm();
    for i in 0..360_000_u32 {
        let broken = storm.send(BROKEN);
        assert_eq!(broken.status(), StatusCode::UNAUTHORIZED);
        let healthy = storm.send(HEALTHY);
        assert_eq!(healthy.status(), StatusCode::OK);
        storm.clock.advance(Duration::from_millis(10));
        if i % 1000 == 0 {
            // It remembers what was sent.
            drop(storm.api.sent());
        }
    }
    let fetches = storm.issuer.fetches();
    println!("an hour beside a healthy route: {fetches} token requests");
    assert!(fetches <= 63, "{fetches}");
    assert!(
        fetches > 50,
        "{fetches}: the route is never tried with a new token"
    );

    // The route works again: at once, and without another token.
    storm.broken.store(false, Ordering::SeqCst);
    assert_eq!(storm.send(BROKEN).status(), StatusCode::OK);
    assert_eq!(storm.issuer.fetches(), fetches);
}

#[test]
fn if_nothing_else_is_asked_for_the_broken_route_costs_a_few_fetches_an_hour() {
    let storm = storm();
    for _ in 0..360_000 / 10 {
        assert_eq!(storm.send(BROKEN).status(), StatusCode::UNAUTHORIZED);
        storm.clock.advance(Duration::from_millis(100));
    }
    let fetches = storm.issuer.fetches();
    println!("an hour of nothing but rejections: {fetches} token requests");
    assert!(fetches <= 12, "{fetches}");
}

#[test]
fn with_the_budget_spent_the_401_says_so_and_the_token_goes_on() {
    let storm = storm();
    while storm.issuer.fetches() < 4 {
        storm.send(BROKEN);
    }
    drop(storm.api.sent());

    let response = storm.send(BROKEN);
    assert!(matches!(
        reason(&response),
        Some(NotRetriedReason::BudgetSpent)
    ));
    storm.send(HEALTHY);
    assert_eq!(storm.api.tokens(), ["token-4", "token-4"]);
}

#[test]
fn two_true_revocations_in_a_row_are_both_healed_at_once() {
    let revoked = Arc::new(Mutex::new(Vec::new()));
    let known = Arc::clone(&revoked);
    let api: Api<String> = Api::answering(move |request| {
        let value = request.headers["authorization"].to_str().unwrap();
        match known.lock().unwrap().iter().any(|it| it == value) {
            true => unauthorized("revoked"),
            false => Response::default(),
        }
    });
    let issuer = Issuer::new();
    let layer = layer(&issuer);
    let client = layer.layer(api);
    for i in 1..=3 {
        let current = format!("token-{i}");
        assert_eq!(layer.cache().cached(), (i > 1).then(|| token(&current)));
        revoked.lock().unwrap().push(format!("Bearer {current}"));
        let mut request = spawn(client.clone().oneshot(get(HEALTHY)));
        let Poll::Ready(Ok(response)) = request.poll() else {
            panic!("had to wait");
        };
        assert_eq!(response.status(), StatusCode::OK);
    }
    assert_eq!(issuer.fetches(), 4);
}
