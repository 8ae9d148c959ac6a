//! Azupay's connection details: had with an API key, made into a provider, and the secret shown to nobody.
//!
//! What is tested is what the example has its readers copy.

#[path = "../examples/azupay.rs"]
#[allow(dead_code)] // Its story is its own.
mod example;
mod vendor_support;

use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, StatusCode};
use tower::{Layer, ServiceExt};
use tower_bearer::error::BoxError;
use tower_bearer::oauth2::{ClientAuth, ClientCredentials};
use tower_bearer::{BearerAuthLayer, FetchError, TokenCache, token_fn};

use self::emulators::azupay::{
    ALLOWED_SCOPES, API_KEY, Azupay, BOOTSTRAP_PATH, CLIENT_ID, CLIENT_SECRET, LifetimeFrom,
    SIGNATURE_HEADER,
};
use self::emulators::{Emulator, http1_client};
use self::example::{Connection, emulators, hmac, sign};
use self::vendor_support::by_hand::JSON;
use self::vendor_support::{Body, Time, texts};

async fn vendor() -> Emulator<Azupay> {
    Emulator::start(Azupay::with_signature_required(Arc::new(hmac))).await
}

async fn request(vendor: &Emulator<Azupay>, method: Method) -> Result<Connection, BoxError> {
    Connection::request(&http1_client(), method, vendor.origin(), API_KEY, sign).await
}

async fn refusal(outcome: impl Future<Output = Result<Connection, BoxError>>) -> String {
    let error = outcome.await.unwrap_err();
    let text = texts::of_error(&*error);
    assert!(
        !text.contains(API_KEY) && !text.contains(CLIENT_SECRET),
        "{text}"
    );
    text
}

#[tokio::test]
async fn enabling_hands_out_the_details_and_the_secret() {
    let vendor = vendor().await;
    let connection = request(&vendor, Method::POST).await.unwrap();

    assert_eq!(connection.client_id, CLIENT_ID);
    assert_eq!(*connection.client_secret.unwrap(), CLIENT_SECRET);
    assert_eq!(connection.token_url, vendor.token_url());
    assert_eq!(connection.ttl, Duration::from_secs(3600));
    assert_eq!(connection.allowed_scopes, ALLOWED_SCOPES);
}

#[tokio::test]
async fn the_secret_is_handed_out_once() {
    let vendor = vendor().await;
    let first = request(&vendor, Method::POST).await.unwrap();
    assert!(first.client_secret.is_some());

    for method in [Method::GET, Method::POST] {
        let later = request(&vendor, method).await.unwrap();
        assert!(later.client_secret.is_none());
        assert_eq!(later.client_id, first.client_id);
        assert_eq!(later.token_url, first.token_url);
        assert_eq!(later.ttl, first.ttl);
        assert_eq!(later.allowed_scopes, first.allowed_scopes);
    }
}

#[tokio::test]
async fn the_secret_is_in_no_debug_of_the_details() {
    let vendor = vendor().await;
    let connection = request(&vendor, Method::POST).await.unwrap();

    let text = format!("{connection:?} {connection:#?}");
    assert!(text.contains(&vendor.token_url()), "{text}");
    texts::assert_hides(&text, CLIENT_ID, CLIENT_SECRET);
}

#[tokio::test]
async fn a_missing_signature_is_an_error_without_the_api_key() {
    let vendor = vendor().await;
    let (http, no_signature) = (http1_client(), |_: &mut _, _: &[u8]| Ok(()));
    let unsigned = Connection::request(&http, Method::POST, vendor.origin(), API_KEY, no_signature);
    assert!(refusal(unsigned).await.contains("401"));

    // An API key that is not HMAC-enabled needs none.
    let vendor = Emulator::start(Azupay::default()).await;
    let unsigned = Connection::request(&http, Method::POST, vendor.origin(), API_KEY, no_signature);
    assert!(unsigned.await.is_ok());
}

#[tokio::test]
async fn a_signature_that_cannot_be_made_is_an_error_and_nothing_is_sent() {
    let vendor = vendor().await;
    let (http, fails) = (http1_client(), |_: &mut _, _: &[u8]| Err("no key".into()));
    let unsigned = Connection::request(&http, Method::POST, vendor.origin(), API_KEY, fails);
    assert!(refusal(unsigned).await.contains("no key"));

    assert!(
        request(&vendor, Method::POST)
            .await
            .unwrap()
            .client_secret
            .is_some()
    );
}

#[tokio::test]
async fn what_is_not_enabled_yet_has_no_details() {
    let vendor = vendor().await;
    assert!(refusal(request(&vendor, Method::GET)).await.contains("404"));
}

#[tokio::test]
async fn the_details_make_a_provider_whose_tokens_live_for_the_ttl_if_nothing_else_says() {
    let vendor = vendor().await;
    vendor.set_lifetime(Duration::from_secs(777));
    let connection = request(&vendor, Method::POST).await.unwrap();
    vendor.vendor().set_lifetime_from(LifetimeFrom::Nowhere);

    let secret = connection.client_secret.unwrap();
    let provider =
        ClientCredentials::builder(&connection.token_url, connection.client_id, secret.as_str())
            .with_client_auth(ClientAuth::Post)
            .build(http1_client())
            .unwrap();
    let time = Time::default();
    let cache = TokenCache::builder(provider)
        .with_default_lifetime(connection.ttl)
        .with_clock(time.of_cache())
        .build();
    cache.token().await.unwrap();

    time.advance(Duration::from_secs(776));
    assert!(cache.cached().is_some());
    time.advance(Duration::from_secs(1));
    assert!(cache.cached().is_none());
}

#[tokio::test]
async fn an_api_call_with_the_api_key_of_its_own_is_left_alone_by_the_layer() {
    let vendor = vendor().await;
    let no_token = token_fn(|_| async { Err(FetchError::denied("not enabled").into()) });
    let layer = BearerAuthLayer::for_origin(no_token, vendor.origin()).unwrap();
    let request = Request::post(vendor.url(BOOTSTRAP_PATH))
        .header("authorization", API_KEY)
        .header(JSON.0, JSON.1)
        .header(SIGNATURE_HEADER, hmac(&Method::POST, BOOTSTRAP_PATH, b"{}"))
        .body(Body::from("{}"))
        .unwrap();
    let response = layer.layer(http1_client()).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}
