//! What the layer does about tokens that expire while a request is on its way.
#![cfg(feature = "test-util")]
// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready_err};
use tower::{Layer, Service, ServiceExt};
use tower_bearer::error::BoxError;
use tower_bearer::testing::ManualClock;
use tower_bearer::{BearerAuthLayer, FetchError, FetchErrorKind, TokenCache};

use self::layer_support::permits::Pooled;
use self::layer_support::{Issuer, ORIGIN, URL, bearer, get, without_hanging};

mod layer_support;

/// Longer than the issuer's tokens live.
const TOO_LONG: Duration = Duration::from_secs(3600);

fn layer(issuer: &Issuer, clock: &ManualClock) -> BearerAuthLayer<Issuer> {
    let cache = TokenCache::builder(issuer.clone())
        .with_clock(clock.clone())
        .build();
    BearerAuthLayer::for_origin(cache, ORIGIN).unwrap()
}

/// Takes turns of the clock to become ready: as many as are left.
#[derive(Clone)]
struct Slow {
    clock: ManualClock,
    turns: Arc<Mutex<u32>>,
    sent: Arc<Mutex<Vec<String>>>,
}

impl Slow {
    fn new(clock: &ManualClock, turns: u32) -> Self {
        Self {
            clock: clock.clone(),
            turns: Arc::new(Mutex::new(turns)),
            sent: Arc::default(),
        }
    }
}

impl Service<Request<String>> for Slow {
    type Response = Response<()>;
    type Error = BoxError;
    type Future = Ready<Result<Response<()>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let mut turns = self.turns.lock().unwrap();
        if *turns > 0 {
            *turns -= 1;
            self.clock.advance(TOO_LONG);
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        let token = bearer(&request).unwrap_or("none").to_owned();
        self.sent.lock().unwrap().push(token);
        ready(Ok(Response::new(())))
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_expires_while_the_service_becomes_ready_is_replaced_and_never_sent() {
    let (issuer, clock) = (Issuer::new(), ManualClock::new());
    // One turn for the caller's own readiness, one after the token has been fetched.
    let slow = Slow::new(&clock, 2);
    let client = layer(&issuer, &clock).layer(slow.clone());

    without_hanging(client.oneshot(get(URL))).await.unwrap();

    assert_eq!(*slow.sent.lock().unwrap(), ["token-2"]);
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn tokens_that_expire_again_and_again_end_in_an_error() {
    let (issuer, clock) = (Issuer::new(), ManualClock::new());
    let slow = Slow::new(&clock, u32::MAX);
    let client = layer(&issuer, &clock).layer(slow.clone());

    let error = without_hanging(client.oneshot(get(URL))).await.unwrap_err();

    let error = error.downcast_ref::<FetchError>().unwrap();
    assert_eq!(error.kind(), FetchErrorKind::Expired);
    assert!(slow.sent.lock().unwrap().is_empty());
    assert!(issuer.fetches() <= 4, "{}", issuer.fetches());
}

#[tokio::test(start_paused = true)]
async fn a_token_that_expired_between_readiness_and_call_is_not_sent() {
    let (issuer, clock) = (Issuer::new(), ManualClock::new());
    let layer = layer(&issuer, &clock);
    layer.cache().token().await.unwrap();
    let slow = Slow::new(&clock, 0);
    let mut client = layer.layer(slow.clone());

    let ready = client.ready().await.unwrap();
    clock.advance(TOO_LONG);
    without_hanging(ready.call(get(URL))).await.unwrap();

    assert_eq!(*slow.sent.lock().unwrap(), ["token-2"]);
}

#[tokio::test(start_paused = true)]
async fn while_an_expired_token_is_replaced_the_slot_that_was_got_is_given_back() {
    let (issuer, clock) = (Issuer::new(), ManualClock::new());
    let pool = Pooled::new(1, &[]);
    let layer = layer(&issuer, &clock);
    let mut client = layer.layer(pool.clone());
    let mut response = spawn(client.ready().await.unwrap().call(get(URL)));
    let occupied = pool.occupy().await;
    layer.cache().token().await.unwrap();
    assert_pending!(response.poll(), "has a token, and waits for the slot");

    clock.advance(TOO_LONG);
    issuer.hold();
    drop(occupied);
    assert!(response.is_woken());
    assert_pending!(response.poll(), "got the slot, and found the token expired");
    issuer.wait_for_fetches(2).await;
    assert_pending!(response.poll());
    assert_eq!(pool.free(), 1);

    issuer.release();
    let response = without_hanging(response).await.unwrap();
    assert_eq!(response.body().text, "answer to token-2");
}

#[tokio::test(start_paused = true)]
async fn an_expired_token_is_not_sent_even_if_no_other_is_to_be_had() {
    let (issuer, clock) = (Issuer::new(), ManualClock::new());
    let layer = layer(&issuer, &clock);
    layer.cache().token().await.unwrap();
    layer.cache().close().await;
    let slow = Slow::new(&clock, 0);
    let mut client = layer.layer(slow.clone());

    client.ready().await.unwrap().call(get(URL)).await.unwrap();
    assert_eq!(*slow.sent.lock().unwrap(), ["token-1"]);
    clock.advance(TOO_LONG);
    let mut response = spawn(client.ready().await.unwrap().call(get(URL)));

    let error = assert_ready_err!(response.poll());
    let error = error.downcast_ref::<FetchError>().unwrap();
    assert_eq!(error.kind(), FetchErrorKind::Closed);
    assert_eq!(slow.sent.lock().unwrap().len(), 1);
}
