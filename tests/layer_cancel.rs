//! What happens to a request that is given up, and to errors and panics below the layer.

// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use std::fmt;
use std::future::{Future, Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use http::{Request, Response, StatusCode};
use tokio_test::assert_pending;
use tokio_test::task::spawn;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_bearer::error::BoxError;
use tower_bearer::testing::Answer;
use tower_bearer::{FetchError, FetchErrorKind};

use self::layer_support::permits::Pooled;
use self::layer_support::{Api, Issuer, URL, get, layer, token, without_hanging};

mod layer_support;

/// A request, and what its copies are counted by.
fn counted() -> (Request<String>, Arc<()>) {
    let count = Arc::new(());
    let mut request = get(URL);
    request.extensions_mut().insert(Arc::clone(&count));
    (request, count)
}

fn assert_nothing_is_left_of(count: &Arc<()>) {
    assert_eq!(Arc::strong_count(count), 1);
}

#[tokio::test(start_paused = true)]
async fn given_up_while_fetching_the_fetch_goes_on() {
    let (issuer, api) = (Issuer::new(), Api::accepting());
    issuer.hold();
    let layer = layer(&issuer);
    let mut client = layer.layer(api.clone());
    let (request, count) = counted();

    let mut response = spawn(client.ready().await.unwrap().call(request));
    assert_pending!(response.poll());
    drop(response);
    assert_nothing_is_left_of(&count);
    issuer.wait_for_fetches(1).await;
    issuer.release();

    without_hanging(client.oneshot(get(URL))).await.unwrap();
    assert_eq!(api.tokens(), ["token-1"]);
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn given_up_before_it_was_polled_nothing_happens() {
    let (issuer, pool) = (Issuer::new(), Pooled::new(1, &[]));
    let mut client = layer(&issuer).layer(pool.clone());
    let (request, count) = counted();

    drop(client.ready().await.unwrap().call(request));

    assert_nothing_is_left_of(&count);
    assert_eq!((pool.free(), issuer.fetches()), (1, 0));
    without_hanging(client.oneshot(get(URL))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn given_up_while_readying_the_place_in_the_queue_is_given_up() {
    let (issuer, pool) = (Issuer::new(), Pooled::new(1, &[]));
    let layer = layer(&issuer);
    let mut client = layer.layer(pool.clone());
    let (request, count) = counted();

    let mut response = spawn(client.ready().await.unwrap().call(request));
    let occupied = pool.occupy().await;
    layer.cache().token().await.unwrap();
    assert_pending!(response.poll());
    drop(response);
    assert_nothing_is_left_of(&count);
    drop(occupied);

    assert_eq!(pool.free(), 1);
    without_hanging(client.oneshot(get(URL))).await.unwrap();
    assert_eq!(pool.tokens(), ["none", "token-1"]);
}

#[tokio::test(start_paused = true)]
async fn given_up_while_sending_the_request_is_dropped() {
    let (issuer, api) = (Issuer::new(), Api::accepting());
    api.gate().shut();
    let mut client = layer(&issuer).layer(api.clone());
    let (request, count) = counted();

    let response = tokio::spawn(client.ready().await.unwrap().call(request));
    without_hanging(api.arrived(1)).await;
    // The server's and the one that is kept for a retry.
    assert_eq!(Arc::strong_count(&count), 3);
    response.abort();
    assert!(response.await.unwrap_err().is_cancelled());
    drop(api.sent());
    assert_nothing_is_left_of(&count);

    api.gate().open();
    without_hanging(client.oneshot(get(URL))).await.unwrap();
    assert_eq!(api.tokens(), ["token-1"]);
}

#[tokio::test(start_paused = true)]
async fn given_up_while_healing_the_401_is_dropped_and_the_fetch_goes_on() {
    let (issuer, pool) = (Issuer::new(), Pooled::new(1, &["token-1"]));
    let layer = layer(&issuer);
    layer.cache().token().await.unwrap();
    issuer.hold();
    let mut client = layer.layer(pool.clone());
    let (request, count) = counted();

    let mut response = spawn(client.ready().await.unwrap().call(request));
    assert_pending!(response.poll());
    assert_eq!(pool.free(), 0);
    drop(response);
    assert_eq!(pool.free(), 1);
    assert_nothing_is_left_of(&count);
    issuer.wait_for_fetches(2).await;
    issuer.release();

    let response = without_hanging(client.oneshot(get(URL))).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(pool.tokens(), ["token-1", "token-2"]);
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn once_answered_nothing_is_left_of_the_request() {
    let (issuer, pool) = (Issuer::new(), Pooled::new(1, &["token-1"]));
    let client = layer(&issuer).layer(pool.clone());
    let (request, count) = counted();

    let response = without_hanging(client.oneshot(request)).await.unwrap();

    assert_eq!(pool.tokens(), ["token-1", "token-2"]);
    assert_nothing_is_left_of(&count);
    drop(response);
    assert_eq!(pool.free(), 1);
}

#[derive(Debug, PartialEq)]
struct Broken(u8);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken")
    }
}

impl std::error::Error for Broken {}

#[tokio::test]
async fn an_error_of_the_inner_service_passes_through_as_its_own() {
    let plain = service_fn(|_: Request<String>| ready(Err::<Response<()>, _>(Broken(1))));
    let boxed = service_fn(|_: Request<String>| {
        let error: BoxError = Broken(1).into();
        ready(Err::<Response<()>, _>(error))
    });
    let layer = layer(&Issuer::new());

    for uri in [URL, URL, "https://other.example/"] {
        let error = layer.layer(plain).oneshot(get(uri)).await.unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Broken(1)));
        let error = layer.layer(boxed).oneshot(get(uri)).await.unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Broken(1)));
    }
}

/// Fails or panics once it is sent `token-2`.
#[derive(Clone)]
struct FailsAtTheRetry {
    panics: bool,
}

impl Service<Request<String>> for FailsAtTheRetry {
    type Response = Response<()>;
    type Error = Broken;
    type Future = Ready<Result<Response<()>, Broken>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        let mut response = Response::new(());
        match layer_support::bearer(&request) {
            Some("token-1") => *response.status_mut() = StatusCode::UNAUTHORIZED,
            Some("token-2") if self.panics => panic!("at the retry"),
            Some("token-2") => return ready(Err(Broken(2))),
            _ => {}
        }
        ready(Ok(response))
    }
}

#[tokio::test]
async fn a_failure_of_the_retry_is_the_inner_services_own_error() {
    let issuer = Issuer::new();
    let client = layer(&issuer).layer(FailsAtTheRetry { panics: false });

    let error = client.oneshot(get(URL)).await.unwrap_err();

    assert_eq!(error.downcast_ref(), Some(&Broken(2)));
}

async fn panics(request: impl Future<Output: Send + 'static> + Send + 'static) -> bool {
    let outcome = tokio::spawn(request).await;
    outcome.is_err_and(|error| error.is_panic())
}

#[tokio::test]
async fn after_a_panic_of_the_inner_service_other_requests_go_on() {
    let (issuer, panicking) = (Issuer::new(), FailsAtTheRetry { panics: true });
    let layer = layer(&issuer);
    let client = layer.layer(panicking);

    // At the retry, and with a token at hand.
    assert!(panics(client.clone().oneshot(get(URL))).await);
    assert!(panics(client.clone().oneshot(get(URL))).await);
    layer.cache().invalidate(&token("token-2"));

    let response = client.oneshot(get(URL)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(issuer.fetches(), 3);
}

#[tokio::test]
async fn a_future_that_has_failed_lets_go_of_the_request_and_does_not_send_it_later() {
    let issuer = Issuer::answering([Answer::failure(FetchErrorKind::Unavailable)]);
    let (layer, api) = (layer(&issuer), Api::accepting());
    let (request, count) = counted();
    let mut client = layer.layer(api.clone());
    let mut future = Box::pin(client.ready().await.unwrap().call(request));
    let ended = without_hanging(future.as_mut()).await;
    assert!(ended.unwrap_err().is::<FetchError>());
    assert_nothing_is_left_of(&count);

    layer.cache().reset_backoff();
    let again = catch_unwind(AssertUnwindSafe(|| future.as_mut().now_or_never()));
    assert!(again.is_err(), "it is over");
    assert!(api.sent().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_future_that_has_its_response_lets_go_of_the_copy_for_the_retry() {
    let (layer, api) = (layer(&Issuer::new()), Api::accepting());
    layer.cache().token().await.unwrap();
    let (request, count) = counted();
    let mut client = layer.layer(api.clone());
    let mut future = Box::pin(client.ready().await.unwrap().call(request));
    let held = Arc::strong_count(&count);
    let response = without_hanging(future.as_mut()).await.unwrap();

    assert_eq!(response.status(), StatusCode::OK);
    assert!(Arc::strong_count(&count) < held, "{held}");
    drop(api);
}
