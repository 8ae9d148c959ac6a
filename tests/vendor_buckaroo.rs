//! Buckaroo, end to end: a `GET` with a body for a JWT of chosen scopes, whose lifetime only it tells.

#[path = "../examples/emulators/mod.rs"]
mod emulators;
mod vendor_support;

use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, StatusCode};
use tower_bearer::oauth2::{ClientAuth, ClientCredentials, ClientCredentialsBuilder};
use tower_bearer::{BearerAuthLayer, FetchErrorKind, TokenCache, TokenRequest};

use self::emulators::buckaroo::{Answer, Buckaroo, CLIENT_ID, CLIENT_SECRET};
use self::emulators::{Emulator, Vendor, http1_client};
use self::vendor_support::by_hand::basic;
use self::vendor_support::{Body, Customer, Provider, header_names, texts};

fn with_secret(vendor: &Emulator<Buckaroo>, secret: &str) -> ClientCredentialsBuilder {
    ClientCredentials::builder(vendor.token_url(), CLIENT_ID, secret)
        .with_client_auth(ClientAuth::BasicRaw)
        .with_method(Method::GET)
        .with_scope_parameter("Scopes")
}

fn provider(vendor: &Emulator<Buckaroo>) -> ClientCredentialsBuilder {
    with_secret(vendor, CLIENT_SECRET).with_scope("payments:refund payments:read")
}

fn content_type(layer: BearerAuthLayer<Provider>) -> BearerAuthLayer<Provider> {
    layer.with_header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
}

fn payments(vendor: &Emulator<Buckaroo>) -> Request<Body> {
    let request = Request::get(vendor.url("/payments"));
    request.body(Body::default()).unwrap()
}

fn refund(vendor: &Emulator<Buckaroo>) -> Request<Body> {
    let request = Request::post(vendor.url("/payments/refund"));
    request.body(Body::from("{}")).unwrap()
}

async fn customer_with(
    provider: impl FnOnce(&Emulator<Buckaroo>) -> ClientCredentialsBuilder,
) -> Customer<Buckaroo> {
    let vendor = Buckaroo::with_scope_parameter("Scopes");
    Customer::new(vendor, provider, content_type, payments).await
}

async fn customer() -> Customer<Buckaroo> {
    customer_with(provider).await
}

#[tokio::test]
async fn a_token_is_asked_for_with_a_get() {
    let request = customer().await.first_token_request().await;

    assert_eq!(request.method, Method::GET);
    assert_eq!(request.path, "/oauth/token");
}

#[tokio::test]
async fn the_client_authenticates_by_basic_with_id_and_secret_as_they_are() {
    let request = customer().await.first_token_request().await;

    assert_eq!(
        request.header("authorization"),
        Some(basic(CLIENT_ID, CLIENT_SECRET).as_str())
    );
}

#[tokio::test]
async fn the_get_has_a_body_which_is_a_form_of_grant_and_scopes() {
    let request = customer().await.first_token_request().await;

    assert_eq!(
        header_names(&request.headers),
        ["accept", "authorization", "content-type"]
    );
    assert_eq!(
        request.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(
        request.text(),
        "grant_type=client_credentials&Scopes=payments%3Aread+payments%3Arefund"
    );
    // A server that is told no length takes a GET to have no body.
    assert_eq!(request.header("content-length"), Some("70"));
}

#[tokio::test]
async fn the_scopes_go_under_the_name_of_rfc_6749_if_no_other_is_set() {
    let provider = |vendor: &Emulator<Buckaroo>| {
        ClientCredentials::builder(vendor.token_url(), CLIENT_ID, CLIENT_SECRET)
            .with_client_auth(ClientAuth::BasicRaw)
            .with_method(Method::GET)
            .with_scope("payments:read")
    };
    let vendor = Buckaroo::with_scope_parameter("scope");
    let customer = Customer::new(vendor, provider, content_type, payments).await;
    customer.succeeds().await;

    assert_eq!(
        customer.vendor.last_token_request().text(),
        "grant_type=client_credentials&scope=payments%3Aread"
    );
}

#[tokio::test]
async fn a_token_serves_the_scopes_that_were_asked_for_and_no_others() {
    let read = TokenRequest::default().with_scope("payments:read");
    let customer = customer().await;
    let vendor = &customer.vendor;
    let mut narrow = refund(vendor);
    narrow.extensions_mut().insert(read);

    assert_eq!(customer.send(refund(vendor)).await.unwrap(), StatusCode::OK);
    assert_eq!(customer.send(narrow).await.unwrap(), StatusCode::FORBIDDEN);
    assert_eq!(customer.send(refund(vendor)).await.unwrap(), StatusCode::OK);
    assert_eq!((vendor.token_requests(), vendor.rejected()), (2, 0));
}

#[tokio::test]
async fn a_token_lives_for_what_the_jwt_says_if_the_answer_does_not() {
    let customer = customer().await;
    let vendor = customer.vendor.vendor();
    for answer in [Answer::Object, Answer::TokenOnly] {
        vendor.set_answer(answer);
        customer.vendor.set_lifetime(Buckaroo::LIFETIME);
        customer
            .has_a_token_that_lives_for(Buckaroo::LIFETIME)
            .await;
        let hour = Duration::from_secs(3600);
        customer.vendor.set_lifetime(hour);
        customer.has_a_token_that_lives_for(hour).await;
    }
    vendor.set_answer(Answer::WithExpiresIn);
    customer
        .has_a_token_that_lives_for(Duration::from_secs(3600))
        .await;
}

#[tokio::test]
async fn there_is_no_refresh_token_so_a_renewal_is_the_same_request_again() {
    customer().await.asks_again_with_the_same_words().await;
}

#[tokio::test]
async fn a_token_of_a_day_is_replaced_thirty_seconds_ahead_and_nobody_waits() {
    let customer = customer().await;
    customer
        .renews_thirty_seconds_ahead_of(Buckaroo::LIFETIME)
        .await;
}

#[tokio::test]
async fn every_call_carries_the_token_and_says_that_it_is_json() {
    let customer = customer().await;
    let call = customer.call_with_its_token().await;

    assert_eq!(call.header("content-type"), Some("application/json"));
    assert_eq!(
        header_names(&call.headers),
        ["authorization", "content-type"]
    );
}

#[tokio::test]
async fn a_rejected_token_is_replaced_once_for_a_thousand_calls() {
    let customer = customer().await;
    customer
        .has_a_thousand_rejected_calls_healed_by_one_fetch()
        .await;
}

/// The call fails without having been sent, and says so in the vendor's words.
#[tokio::test]
async fn rejected_credentials_are_told_in_the_vendors_words_and_without_the_secret() {
    let wrong = "wr0ng+key/=";
    let provider =
        |vendor: &Emulator<Buckaroo>| with_secret(vendor, wrong).with_scope("payments:read");
    let customer = customer_with(provider).await;
    let words = "The client ID and client secret are invalid.";
    customer
        .is_refused(StatusCode::UNAUTHORIZED, words, CLIENT_ID, wrong)
        .await;
}

#[tokio::test]
async fn scopes_that_are_missing_are_told_in_the_vendors_words() {
    let provider = |vendor: &Emulator<Buckaroo>| with_secret(vendor, CLIENT_SECRET);
    let customer = customer_with(provider).await;
    let words = "No scopes are given in the request.";
    customer
        .is_refused(StatusCode::BAD_REQUEST, words, CLIENT_ID, CLIENT_SECRET)
        .await;
}

#[tokio::test]
async fn scopes_that_are_not_linked_are_told_in_the_vendors_words() {
    let provider = |vendor: &Emulator<Buckaroo>| {
        with_secret(vendor, CLIENT_SECRET).with_scope("payments:void")
    };
    let customer = customer_with(provider).await;
    let words = "The scopes requested are not linked to the application.";
    customer
        .is_refused(StatusCode::BAD_REQUEST, words, CLIENT_ID, CLIENT_SECRET)
        .await;
}

#[tokio::test]
async fn scopes_that_are_not_linked_can_be_told_to_concern_nobody_else() {
    let vendor = Emulator::start(Buckaroo::with_scope_parameter("Scopes")).await;
    let provider = provider(&vendor).with_refusals_judged_by(|refusal| {
        let is_scope = refusal.text()?.contains("not linked to the application");
        is_scope.then_some(FetchErrorKind::InvalidRequest)
    });
    let cache = TokenCache::new(provider.build(http1_client()).unwrap());
    let unlinked = TokenRequest::default().with_scope("payments:void");

    let error = cache.for_request(&unlinked).token().await.unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::InvalidRequest);
    assert!(cache.token().await.is_ok());
}

#[tokio::test]
async fn a_hundred_calls_cost_one_token_request() {
    customer()
        .await
        .makes_a_hundred_calls_with_one_token()
        .await;
}

#[tokio::test]
async fn the_secret_is_in_no_debug_no_error_and_no_log() {
    let customer = customer().await;
    customer.shows_no_secret(CLIENT_ID, CLIENT_SECRET).await;
    let builder = provider(&customer.vendor);
    texts::assert_hides(&format!("{builder:?}"), CLIENT_ID, CLIENT_SECRET);
}
