//! reqwest and the middleware of tower, above the layer and below it, and the token endpoint behind the same
//! client: on real sockets.

// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Request, Response, Version};
use tokio::sync::Semaphore;
use tower::buffer::Buffer;
use tower::limit::{ConcurrencyLimit, GlobalConcurrencyLimitLayer};
use tower::util::{BoxCloneService, BoxCloneSyncService};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_bearer::error::BoxError;
use tower_bearer::oauth2::{ClientCredentials, Transport};
use tower_bearer::reqwest::ReqwestTransport;
use tower_bearer::{BearerAuthLayer, TokenProvider};

use self::loopback::{Api, CLIENT_ID, CLIENT_SECRET, Issuer};

#[path = "../examples/loopback/mod.rs"]
mod loopback;

fn builder() -> ClientBuilder {
    Client::builder().redirect(Policy::none()).no_proxy()
}

fn http1() -> Client {
    builder().build().unwrap()
}

fn http2() -> Client {
    builder().http2_prior_knowledge().build().unwrap()
}

fn client_credentials<T: Transport>(issuer: &Issuer, transport: T) -> ClientCredentials<T> {
    ClientCredentials::builder(issuer.url(), CLIENT_ID, CLIENT_SECRET)
        .build(transport)
        .unwrap()
}

/// Both behind the same client.
fn layer(
    issuer: &Issuer,
    api: &Api,
    http: &Client,
) -> BearerAuthLayer<ClientCredentials<ReqwestTransport>> {
    let transport = ReqwestTransport::from_client_that_may_follow_redirects(http.clone());
    BearerAuthLayer::for_origin(client_credentials(issuer, transport), api.origin()).unwrap()
}

fn post(api: &Api, number: usize) -> Request {
    let url = format!("{}/{number}", api.origin()).parse().unwrap();
    let mut request = Request::new(http::Method::POST, url);
    *request.body_mut() = Some(format!("request {number}").into());
    request
}

async fn send<S>(client: &S, api: &Api, number: usize)
where
    S: Service<Request, Response = Response, Error: Into<BoxError>> + Clone,
{
    let sent = client.clone().oneshot(post(api, number));
    let response = without_hanging(sent).await.map_err(Into::into).unwrap();
    assert_eq!(response.status(), 200);
    let text = response.text().await.unwrap();
    assert_eq!(text, format!("request {number}"));
}

/// Fails instead of waiting for ever.
async fn without_hanging<F: Future>(future: F) -> F::Output {
    let result = tokio::time::timeout(Duration::from_secs(60), future).await;
    result.expect("hangs")
}

/// One request without a token, one with it, and one with a revoked one.
async fn heals<S>(issuer: &Issuer, api: &Api, client: S)
where
    S: Service<Request, Response = Response, Error: Into<BoxError>> + Clone,
{
    send(&client, api, 1).await;
    send(&client, api, 2).await;
    assert_eq!((issuer.requests(), api.received()), (1, 2));
    issuer.revoke_all();
    send(&client, api, 3).await;
    assert_eq!((issuer.requests(), api.received()), (2, 4));
    assert_eq!((api.accepted(), api.rejected()), (3, 1));
}

async fn a_hundred_at_once(http: Client, version: Version) {
    let issuer = Issuer::start().await;
    let api = Api::start(&issuer).await;
    let client = layer(&issuer, &api, &http).layer(http);
    let response = client.clone().oneshot(post(&api, 0)).await.unwrap();
    assert_eq!(response.version(), version);

    // All of them carry the token when it is revoked.
    api.hold_requests();
    let requests: Vec<_> = (1..=100)
        .map(|number| {
            let (client, request) = (client.clone(), post(&api, number));
            tokio::spawn(async move {
                let response = client.oneshot(request).await.unwrap();
                assert_eq!(response.status(), 200);
                response.text().await.unwrap()
            })
        })
        .collect();
    api.has_received(101).await;
    issuer.revoke_all();
    api.release_requests();

    for (number, text) in (1..).zip(requests) {
        let text = without_hanging(text).await.unwrap();
        assert_eq!(text, format!("request {number}"));
    }
    assert_eq!(issuer.requests(), 2);
    assert_eq!((api.accepted(), api.rejected()), (101, 100));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_requests_at_once_are_healed_by_one_token_request() {
    a_hundred_at_once(http1(), Version::HTTP_11).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_requests_over_one_http2_connection_are_healed_by_one_token_request() {
    a_hundred_at_once(http2(), Version::HTTP_2).await;
}

#[tokio::test]
async fn the_client_of_the_api_may_be_that_of_the_token_endpoint() {
    for http in [http1(), http2()] {
        let issuer = Issuer::start().await;
        let api = Api::start(&issuer).await;
        let client = layer(&issuer, &api, &http).layer(http);
        heals(&issuer, &api, client).await;
    }
}

#[tokio::test]
async fn over_middleware_of_tower() {
    let issuer = Issuer::start().await;
    let api = Api::start(&issuer).await;
    let auth = layer(&issuer, &api, &http1());
    heals(&issuer, &api, auth.layer(Buffer::new(http1(), 1))).await;

    let issuer = Issuer::start().await;
    let api = Api::start(&issuer).await;
    let auth = layer(&issuer, &api, &http1());
    heals(&issuer, &api, auth.layer(ConcurrencyLimit::new(http1(), 1))).await;

    let issuer = Issuer::start().await;
    let api = Api::start(&issuer).await;
    let below = ServiceBuilder::new()
        .load_shed()
        .timeout(Duration::from_secs(60))
        .map_err(BoxError::from)
        .service(BoxCloneService::new(http1()));
    heals(&issuer, &api, layer(&issuer, &api, &http1()).layer(below)).await;
}

#[tokio::test]
async fn below_middleware_of_tower() {
    let issuer = Issuer::start().await;
    let api = Api::start(&issuer).await;
    let client = ServiceBuilder::new()
        .buffer(1)
        .concurrency_limit(1)
        .timeout(Duration::from_secs(60))
        .layer(layer(&issuer, &api, &http1()))
        .service(http1());
    heals(&issuer, &api, BoxCloneService::new(client)).await;

    let issuer = Issuer::start().await;
    let api = Api::start(&issuer).await;
    let client = layer(&issuer, &api, &http1()).layer(http1());
    heals(&issuer, &api, BoxCloneSyncService::new(client)).await;
}

#[tokio::test]
async fn a_limit_of_one_that_the_api_and_the_token_endpoint_share_is_no_deadlock() {
    let issuer = Issuer::start().await;
    let api = Api::start(&issuer).await;
    let limit = GlobalConcurrencyLimitLayer::with_semaphore(Arc::new(Semaphore::new(1)));
    let transport = limit.layer(ReqwestTransport::new().unwrap());
    let provider = client_credentials(&issuer, transport);
    let auth = BearerAuthLayer::for_origin(provider, api.origin()).unwrap();
    heals(&issuer, &api, auth.layer(limit.layer(http1()))).await;
}

#[tokio::test]
async fn the_token_endpoint_may_be_asked_through_the_layer_itself() {
    let issuer = Issuer::start().await;
    let api = Api::start(&issuer).await;
    let auth = layer(&issuer, &api, &http1());
    // Of which the token endpoint is one of the origins.
    let issuer_origin = issuer.url().strip_suffix("/token").unwrap();
    let auth = auth.allow_origin(issuer_origin).unwrap();
    let client = auth.layer(http1());
    let through = tower::service_fn(move |request: http::Request<_>| {
        let client = client.clone();
        async move {
            let request: http::Request<http_body_util::Full<bytes::Bytes>> = request;
            let request = Request::try_from(request.map(reqwest::Body::wrap))?;
            let response = client.oneshot(request).await?;
            Ok::<_, BoxError>(http::Response::<reqwest::Body>::from(response))
        }
    });
    let provider = client_credentials(&issuer, through);

    let token = provider.fetch_token(Default::default()).await;

    assert!(token.is_ok());
    assert_eq!(issuer.requests(), 1, "no token for the token request");
}
