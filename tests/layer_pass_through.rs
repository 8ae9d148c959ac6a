//! Token requests that go through the same layer as everything else.

// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, OnceLock};

use http::{Request, Response, StatusCode};
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt};
use tower_bearer::error::BoxError;
use tower_bearer::provider::PassThrough;
use tower_bearer::{AccessToken, BearerAuthLayer, FetchContext, FetchError, TokenProvider};

use self::layer_support::{Api, ORIGIN, URL, get, reason, unauthorized, without_hanging};

mod layer_support;

type Transport = BoxCloneSyncService<Request<String>, Response<String>, BoxError>;

/// Asks a token endpoint through the client that its own tokens are for.
#[derive(Clone, Default)]
struct Endpoint {
    transport: Arc<OnceLock<Transport>>,
}

impl TokenProvider for Endpoint {
    async fn fetch_token(&self, _: FetchContext) -> Result<AccessToken, BoxError> {
        let mut request = get("https://api.example.com/token");
        request.extensions_mut().insert(PassThrough);
        let transport = self.transport.get().unwrap().clone();
        let response = transport.oneshot(request).await?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::denied(response.into_body()).into());
        }
        Ok(AccessToken::new(response.body())?)
    }
}

fn client(api: &Api<String>) -> Transport {
    let provider = Endpoint::default();
    let layer = BearerAuthLayer::for_origin(provider.clone(), ORIGIN)
        .unwrap()
        .with_header(
            http::HeaderName::from_static("x-app"),
            "app".parse().unwrap(),
        );
    let client = BoxCloneSyncService::new(layer.layer(api.clone()));
    provider.transport.set(client.clone()).unwrap();
    client
}

#[tokio::test(start_paused = true)]
async fn a_token_request_through_the_same_layer_needs_no_token() {
    let api = Api::answering(|parts| match parts.uri.path() {
        "/token" => Response::new("abc".to_owned()),
        _ => Response::new("welcome".to_owned()),
    });
    let client = client(&api);

    let response = without_hanging(client.oneshot(get(URL))).await.unwrap();

    assert_eq!(response.body(), "welcome");
    let sent = api.sent();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].uri().path(), "/token");
    assert!(sent[0].headers().is_empty(), "untouched");
    assert_eq!(layer_support::bearer(&sent[1]), Some("abc"));
}

#[tokio::test(start_paused = true)]
async fn a_401_from_the_token_endpoint_is_an_error_without_recursion_or_deadlock() {
    let api = Api::answering(|_| unauthorized("wrong client"));
    let client = client(&api);

    let error = without_hanging(client.oneshot(get(URL))).await.unwrap_err();

    assert!(error.is::<FetchError>());
    let sent = api.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].uri().path(), "/token");
}

#[tokio::test(start_paused = true)]
async fn a_marked_request_is_passed_on_untouched_whatever_the_layer_is_told() {
    let api = Api::answering(|_| unauthorized(""));
    let issuer = layer_support::Issuer::new();
    let client = layer_support::layer(&issuer)
        .with_authorization_replaced()
        .with_token_request_required()
        .with_other_origins_refused()
        .layer(api.clone());
    for uri in [URL, "https://id.example.com/token"] {
        let mut request = get(uri);
        request.extensions_mut().insert(PassThrough);
        let basic = http::HeaderValue::from_static("Basic abc");
        request
            .headers_mut()
            .insert(http::header::AUTHORIZATION, basic);

        let response = client.clone().oneshot(request).await.unwrap();

        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert!(reason(&response).is_none());
        assert_eq!(api.tokens(), ["Basic abc"]);
    }
    assert_eq!(issuer.fetches(), 0);
}
