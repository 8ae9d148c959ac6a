//! The layer over tower's middleware and below it, by HTTP/1.1 and HTTP/2 on real sockets: a revoked token
//! is healed by one token request, and nothing waits for itself.

// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::time::Duration;

use http::HeaderValue;
use http::header::AUTHORIZATION;
use tower::buffer::Buffer;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::load_shed::error::Overloaded;
use tower::util::BoxCloneService;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_bearer::{
    BearerAuthLayer, FetchError, FetchErrorKind, TokenCache, TokenProvider, token_fn,
};

use self::layer_support::{Issuer, URL, get, without_hanging};
use self::stack_support::{Api, clients, heals};

mod balance;
#[path = "../layer_support/mod.rs"]
mod layer_support;
mod retries;
#[path = "../stack_support/mod.rs"]
mod stack_support;

/// Nothing here takes as long.
const LONG: Duration = Duration::from_secs(30);

/// Each request takes a slot of its own, and the rejected ones take two.
const PACE: Duration = Duration::from_millis(1);

#[tokio::test]
async fn over_a_buffer_of_one() {
    heals(|layer, http| layer.layer(Buffer::new(http, 1))).await;
}

#[tokio::test]
async fn below_a_buffer_of_one() {
    heals(|layer, http| Buffer::new(layer.layer(http), 1)).await;
}

#[tokio::test]
async fn over_a_limit_of_one() {
    heals(|layer, http| layer.layer(GlobalConcurrencyLimitLayer::new(1).layer(http))).await;
}

#[tokio::test]
async fn below_a_limit_of_one() {
    heals(|layer, http| GlobalConcurrencyLimitLayer::new(1).layer(layer.layer(http))).await;
}

#[tokio::test]
async fn between_limits_of_one_and_buffers_of_one() {
    heals(|layer, http| {
        ServiceBuilder::new()
            .buffer(1)
            .concurrency_limit(1)
            .layer(layer)
            .buffer(1)
            .concurrency_limit(1)
            .service(http)
    })
    .await;
}

#[tokio::test]
async fn over_a_rate_limit_which_is_not_clone_and_so_is_buffered() {
    heals(|layer, http| {
        ServiceBuilder::new()
            .layer(layer)
            .buffer(1)
            .rate_limit(1, PACE)
            .service(http)
    })
    .await;
}

#[tokio::test]
async fn below_a_rate_limit() {
    heals(|layer, http| {
        ServiceBuilder::new()
            .buffer(1)
            .rate_limit(1, PACE)
            .layer(layer)
            .service(http)
    })
    .await;
}

#[tokio::test]
async fn over_load_shedding_that_has_room_for_each_request_once() {
    heals(|layer, http| {
        ServiceBuilder::new()
            .layer(layer)
            .load_shed()
            .layer(GlobalConcurrencyLimitLayer::new(stack_support::AT_ONCE))
            .service(http)
    })
    .await;
}

#[tokio::test]
async fn below_load_shedding_that_has_room_for_each_request_once() {
    heals(|layer, http| {
        ServiceBuilder::new()
            .load_shed()
            .layer(GlobalConcurrencyLimitLayer::new(stack_support::AT_ONCE))
            .layer(layer)
            .service(http)
    })
    .await;
}

#[tokio::test]
async fn over_a_time_limit() {
    heals(|layer, http| {
        ServiceBuilder::new()
            .layer(layer)
            .timeout(LONG)
            .service(http)
    })
    .await;
}

#[tokio::test]
async fn below_a_time_limit() {
    heals(|layer, http| {
        ServiceBuilder::new()
            .timeout(LONG)
            .layer(layer)
            .service(http)
    })
    .await;
}

#[tokio::test]
async fn over_a_boxed_service() {
    heals(|layer, http| layer.layer(BoxCloneService::new(http))).await;
}

#[tokio::test]
async fn below_a_box() {
    heals(|layer, http| BoxCloneService::new(layer.layer(http))).await;
}

#[tokio::test]
async fn a_retry_that_load_shedding_below_refuses_is_an_error() {
    let issuer = Issuer::new();
    let api = layer_support::Api::rejecting(&["token-1"]);
    let layer = layer_support::layer(&issuer);
    layer.cache().token().await.unwrap();
    let client = ServiceBuilder::new()
        .layer(layer)
        .load_shed()
        .layer(GlobalConcurrencyLimitLayer::new(1))
        .service(api.clone());

    issuer.hold();
    let rejected = tokio::spawn(client.clone().oneshot(get(URL)));
    issuer.wait_for_fetches(2).await;
    // Takes the only slot, which the rejected one has given back.
    api.gate().shut();
    let mut own = get(URL);
    let value = HeaderValue::from_static("Bearer own");
    own.headers_mut().insert(AUTHORIZATION, value);
    let own = tokio::spawn(client.oneshot(own));
    api.arrived(2).await;
    issuer.release();

    let error = without_hanging(rejected).await.unwrap().unwrap_err();
    assert!(error.is::<Overloaded>());
    api.gate().open();
    assert_eq!(without_hanging(own).await.unwrap().unwrap().status(), 200);
    assert_eq!(api.tokens(), ["token-1", "own"]);
}

/// Below it, they do not: see `layer_stack.rs`.
#[tokio::test]
async fn a_limit_above_that_token_requests_share_ends_the_wait_with_the_fetchs_time_limit() {
    for (_, http) in clients() {
        let (api, issuer) = (Api::start().await, Issuer::new());
        let limit = GlobalConcurrencyLimitLayer::new(1);
        let endpoint = limit.layer(service_fn(|()| async { Ok::<_, Infallible>(()) }));
        let provider = token_fn(move |cx| {
            let (issuer, endpoint) = (issuer.clone(), endpoint.clone());
            async move {
                endpoint.oneshot(()).await?;
                issuer.fetch_token(cx).await
            }
        });
        let cache = TokenCache::builder(provider)
            .with_fetch_timeout(Duration::from_millis(20))
            .build();
        let layer = BearerAuthLayer::for_origin(cache, api.server.origin()).unwrap();
        let client = limit.layer(layer.layer(http));

        let response = without_hanging(client.oneshot(api.post(""))).await;

        let error = response.unwrap_err().downcast::<FetchError>().unwrap();
        assert_eq!(error.kind(), FetchErrorKind::TimedOut);
        assert!(api.server.received().is_empty());
    }
}
