//! The layer over tower's own middleware, and below it.

// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::future;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::join_all;
use http::{Request, Response, StatusCode};
use tokio::sync::Semaphore;
use tokio_test::{assert_pending, assert_ready_ok, task};
use tower::buffer::Buffer;
use tower::limit::{ConcurrencyLimit, GlobalConcurrencyLimitLayer};
use tower::load_shed::error::Overloaded;
use tower::retry::Policy;
use tower::timeout::error::Elapsed;
use tower::util::{BoxCloneService, BoxCloneSyncService, BoxService};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_bearer::error::BoxError;
use tower_bearer::{BearerAuthLayer, TokenProvider, token_fn};

use self::layer_support::{
    Api, Issuer, ORIGIN, URL, bearer, get, layer, token, unauthorized, without_hanging,
};

mod layer_support;

/// Sends two requests at once to an API that rejects the first token.
async fn heals<S>(issuer: Issuer, api: &Api<String>, below: S)
where
    S: Service<Request<String>, Response = Response<String>, Error: Into<BoxError>>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    let client = layer(&issuer).layer(below);
    let (one, other) = tokio::join!(
        without_hanging(client.clone().oneshot(get(URL))),
        without_hanging(client.clone().oneshot(get(URL))),
    );
    assert_eq!(one.unwrap().status(), StatusCode::OK);
    assert_eq!(other.unwrap().status(), StatusCode::OK);
    let mut tokens = api.tokens();
    tokens.sort_unstable();
    // Where one waits for the other's slot it may have the new token from the start.
    tokens.dedup();
    assert_eq!(tokens, ["token-1", "token-2"]);
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn over_a_buffer() {
    let api = Api::rejecting(&["token-1"]);
    heals(Issuer::new(), &api, Buffer::new(api.clone(), 1)).await;
}

#[tokio::test(start_paused = true)]
async fn over_a_concurrency_limit() {
    let api = Api::rejecting(&["token-1"]);
    heals(Issuer::new(), &api, ConcurrencyLimit::new(api.clone(), 1)).await;
}

#[tokio::test(start_paused = true)]
async fn over_load_shedding() {
    let api = Api::rejecting(&["token-1"]);
    let below = ServiceBuilder::new().load_shed().service(api.clone());
    heals(Issuer::new(), &api, below).await;
}

#[tokio::test(start_paused = true)]
async fn over_a_time_limit() {
    let api = Api::rejecting(&["token-1"]);
    let below = ServiceBuilder::new()
        .timeout(Duration::from_secs(1))
        .service(api.clone());
    heals(Issuer::new(), &api, below).await;
}

#[tokio::test(start_paused = true)]
async fn over_boxed_services() {
    let api = Api::rejecting(&["token-1"]);
    heals(Issuer::new(), &api, BoxCloneService::new(api.clone())).await;
    let api = Api::rejecting(&["token-1"]);
    heals(Issuer::new(), &api, BoxCloneSyncService::new(api.clone())).await;
}

#[tokio::test(start_paused = true)]
async fn over_all_of_them() {
    let api = Api::rejecting(&["token-1"]);
    let below = ServiceBuilder::new()
        .buffer(4)
        .concurrency_limit(2)
        .timeout(Duration::from_secs(1))
        .service(api.clone());
    heals(Issuer::new(), &api, BoxCloneService::new(below)).await;
}

#[tokio::test(start_paused = true)]
async fn in_boxes_in_buffers_and_in_another_layer_of_its_kind() {
    let (issuer, api) = (Issuer::new(), Api::rejecting(&["token-1"]));
    let client = layer(&issuer).layer(api.clone());
    BoxService::new(client.clone())
        .oneshot(get(URL))
        .await
        .unwrap();
    BoxCloneService::new(client.clone())
        .oneshot(get(URL))
        .await
        .unwrap();
    BoxCloneSyncService::new(client.clone())
        .oneshot(get(URL))
        .await
        .unwrap();
    let buffered = Buffer::new(client.clone(), 1);
    without_hanging(buffered.oneshot(get(URL))).await.unwrap();
    assert_eq!(
        api.tokens(),
        ["token-1", "token-2", "token-2", "token-2", "token-2"]
    );

    // To the one below it is the caller's own.
    let above = Issuer::answering([token("of-above").into()]);
    layer(&above).layer(client).oneshot(get(URL)).await.unwrap();
    assert_eq!(api.tokens(), ["of-above"]);
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_one_shared_with_the_token_endpoint_does_not_hang() {
    let limit = GlobalConcurrencyLimitLayer::with_semaphore(Arc::new(Semaphore::new(1)));
    let issuer = Issuer::new();
    let endpoint = limit.layer(service_fn(|()| async { Ok::<_, Infallible>(()) }));
    let provider = {
        let issuer = issuer.clone();
        token_fn(move |cx| {
            let (issuer, endpoint) = (issuer.clone(), endpoint.clone());
            async move {
                endpoint.oneshot(()).await?;
                issuer.fetch_token(cx).await
            }
        })
    };
    let api = Api::rejecting(&["token-1"]);
    let client = BearerAuthLayer::for_origin(provider, ORIGIN)
        .unwrap()
        .layer(limit.layer(api.clone()));

    // A cold request that is rejected, and ten at once.
    let mut one = client.clone();
    let response = without_hanging(one.ready().await.unwrap().call(get(URL))).await;
    assert_eq!(response.unwrap().status(), StatusCode::OK);
    assert_eq!(api.tokens(), ["token-1", "token-2"]);
    let ten = (0..10).map(|_| without_hanging(client.clone().oneshot(get(URL))));
    let ten = join_all(ten).await;
    assert!(ten.into_iter().all(|response| response.is_ok()));
}

#[tokio::test(start_paused = true)]
async fn errors_of_the_middleware_below_can_be_downcast() {
    let issuer = Issuer::new();
    let never =
        || service_fn(|_: Request<String>| future::pending::<Result<Response<()>, Infallible>>());

    let below = ServiceBuilder::new()
        .timeout(Duration::from_secs(1))
        .service(never());
    let error = layer(&issuer)
        .layer(below)
        .oneshot(get(URL))
        .await
        .unwrap_err();
    assert!(error.is::<Elapsed>());

    let below = ServiceBuilder::new()
        .load_shed()
        .concurrency_limit(1)
        .service(never());
    let client = layer(&issuer).layer(below);
    let mut first = task::spawn(client.clone().oneshot(get(URL)));
    assert_pending!(first.poll());
    let error = client.oneshot(get(URL)).await.unwrap_err();
    assert!(error.is::<Overloaded>());
}

#[tokio::test(start_paused = true)]
async fn a_time_limit_above_ends_the_request_and_not_the_fetch() {
    let (issuer, api) = (Issuer::new(), Api::accepting());
    issuer.hold();
    let layer = layer(&issuer);
    let client = ServiceBuilder::new()
        .timeout(Duration::from_secs(1))
        .layer(layer.clone())
        .service(api.clone());

    let error = client.clone().oneshot(get(URL)).await.unwrap_err();
    assert!(error.is::<Elapsed>());
    issuer.release();
    without_hanging(client.oneshot(get(URL))).await.unwrap();

    assert_eq!(issuer.fetches(), 1);
    assert_eq!(api.tokens(), ["token-1"]);
}

/// Sends again what came to a 503.
#[derive(Clone)]
struct Again;

impl Policy<Request<String>, Response<String>, BoxError> for Again {
    type Future = future::Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<String>,
        result: &mut Result<Response<String>, BoxError>,
    ) -> Option<future::Ready<()>> {
        let response = result.as_ref().unwrap();
        (response.status() == StatusCode::SERVICE_UNAVAILABLE).then(|| future::ready(()))
    }

    fn clone_request(&mut self, request: &Request<String>) -> Option<Request<String>> {
        Some(request.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn below_a_retry() {
    let busy = AtomicU32::new(2);
    let api = Api::answering(move |parts| {
        let request = Request::from_parts(parts.clone(), ());
        if bearer(&request) == Some("token-1") {
            return unauthorized("");
        }
        let mut response = Response::new(String::new());
        if busy.load(Relaxed) > 0 {
            busy.fetch_sub(1, Relaxed);
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        response
    });
    let issuer = Issuer::new();
    let client = ServiceBuilder::new()
        .retry(Again)
        .layer(layer(&issuer))
        .service(api.clone());

    let response = without_hanging(client.oneshot(get(URL))).await.unwrap();

    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(api.tokens(), ["token-1", "token-2", "token-2", "token-2"]);
}

/// Every clone is ready only at the second poll.
struct Reluctant {
    api: Api<String>,
    polled: bool,
}

impl Clone for Reluctant {
    fn clone(&self) -> Self {
        let api = self.api.clone();
        Self { api, polled: false }
    }
}

impl Service<Request<String>> for Reluctant {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = <Api<String> as Service<Request<String>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if !std::mem::replace(&mut self.polled, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.api.poll_ready(cx)
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        self.polled = false;
        self.api.call(request)
    }
}

#[tokio::test(start_paused = true)]
async fn over_a_service_whose_clones_have_to_be_made_ready_themselves() {
    let api = Api::rejecting(&["token-1"]);
    let reluctant = Reluctant {
        api: api.clone(),
        polled: false,
    };
    heals(Issuer::new(), &api, reluctant).await;
}

#[test]
fn readiness_is_that_of_the_inner_service() {
    let reluctant = Reluctant {
        api: Api::accepting(),
        polled: false,
    };
    let mut client = layer(&Issuer::new()).layer(reluctant);
    let mut ready = task::spawn(future::poll_fn(move |cx| client.poll_ready(cx)));

    assert_pending!(ready.poll());
    assert!(ready.is_woken());
    assert_ready_ok!(ready.poll());
}

#[tokio::test]
async fn requests_without_a_token_are_sent_by_the_service_that_was_polled_ready() {
    let api = Api::accepting();
    let mut client = layer(&Issuer::new()).layer(api.clone());
    for _ in 0..2 {
        let ready = client.ready().await.unwrap();
        ready.call(get("https://other.example/")).await.unwrap();
    }
    assert_eq!(api.tokens(), ["none", "none"]);
}
