//! Mazooma, end to end: id and secret in the form, and two headers of its own on every call.

#[path = "../examples/emulators/mod.rs"]
mod emulators;
mod vendor_support;

use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use tower_bearer::BearerAuthLayer;
use tower_bearer::oauth2::{ClientAuth, ClientCredentials, ClientCredentialsBuilder};

use self::emulators::mazooma::{APP_ID, CLIENT_ID, CLIENT_SECRET, Mazooma};
use self::emulators::{Emulator, Vendor};
use self::vendor_support::{Body, Customer, Provider, cause, header_names, texts};

fn provider(vendor: &Emulator<Mazooma>) -> ClientCredentialsBuilder {
    ClientCredentials::builder(vendor.token_url(), CLIENT_ID, CLIENT_SECRET)
        .with_client_auth(ClientAuth::Post)
}

fn headers(layer: BearerAuthLayer<Provider>) -> BearerAuthLayer<Provider> {
    let client_id = HeaderName::from_static("x-pgw-client-id");
    let app_id = HeaderName::from_static("x-pgw-app-id");
    layer
        .with_header(client_id, HeaderValue::from_static(CLIENT_ID))
        .with_header(app_id, HeaderValue::from_static(APP_ID))
        .with_header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
}

fn report(vendor: &Emulator<Mazooma>) -> Request<Body> {
    let request = Request::get(vendor.url("/report"));
    request.body(Body::default()).unwrap()
}

async fn customer() -> Customer<Mazooma> {
    Customer::new(Mazooma::default(), provider, headers, report).await
}

#[tokio::test]
async fn a_token_is_asked_for_with_a_post_to_the_register_path() {
    let request = customer().await.first_token_request().await;

    assert_eq!(request.method, Method::POST);
    assert_eq!(request.path, "/register/oauth/token");
}

#[tokio::test]
async fn the_client_authenticates_in_the_form_and_nowhere_else() {
    let request = customer().await.first_token_request().await;
    let form = request.form().unwrap();

    assert_eq!(form["client_id"], CLIENT_ID);
    assert_eq!(form["client_secret"], CLIENT_SECRET);
    assert!(!request.headers.contains_key(AUTHORIZATION));
}

#[tokio::test]
async fn the_body_is_a_form_of_grant_id_and_secret() {
    let request = customer().await.first_token_request().await;

    assert_eq!(header_names(&request.headers), ["accept", "content-type"]);
    assert_eq!(
        request.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(
        request.text(),
        "grant_type=client_credentials&client_id=34ff3d8e-4911-11ea-b77f-2e728ce88125\
         &client_secret=s3cret+of+Mazooma%3A+100%25+%2B+%26+%3D"
    );
}

#[tokio::test]
async fn no_scope_is_asked_for_and_the_granted_one_serves_both_kinds_of_call() {
    let customer = customer().await;
    let transaction = Request::post(customer.vendor.url("/transaction"));
    let transaction = transaction.body(Body::from("{}")).unwrap();

    customer.succeeds().await;
    assert_eq!(customer.send(transaction).await.unwrap(), StatusCode::OK);
    assert_eq!(customer.vendor.token_requests(), 1);
    let request = customer.vendor.last_token_request();
    assert!(!request.form().unwrap().contains_key("scope"));
}

#[tokio::test]
async fn a_token_lives_for_expires_in_as_a_number_or_as_a_text() {
    let customer = customer().await;
    customer.has_a_token_that_lives_for(Mazooma::LIFETIME).await;

    customer.vendor.vendor().quote_expires_in();
    customer.vendor.set_lifetime(Duration::from_secs(777));
    customer
        .has_a_token_that_lives_for(Duration::from_secs(777))
        .await;
}

#[tokio::test]
async fn there_is_no_refresh_token_so_a_renewal_is_the_same_request_again() {
    customer().await.asks_again_with_the_same_words().await;
}

#[tokio::test]
async fn a_token_is_replaced_thirty_seconds_ahead_and_nobody_waits() {
    let customer = customer().await;
    customer
        .renews_thirty_seconds_ahead_of(Mazooma::LIFETIME)
        .await;
}

#[tokio::test]
async fn every_call_carries_the_token_and_the_three_headers() {
    let customer = customer().await;
    let call = customer.call_with_its_token().await;

    assert_eq!(call.header("x-pgw-client-id"), Some(CLIENT_ID));
    assert_eq!(call.header("x-pgw-app-id"), Some(APP_ID));
    assert_eq!(call.header("content-type"), Some("application/json"));

    // Also when it is sent again.
    customer.vendor.revoke_all();
    customer.succeeds().await;
    let again = customer.vendor.last_call();
    assert_ne!(again.bearer(), call.bearer());
    assert_eq!(header_names(&again.headers), header_names(&call.headers));
}

#[tokio::test]
async fn another_origin_gets_neither_the_token_nor_the_headers() {
    let customer = customer().await;
    let other = Emulator::start(Mazooma::default()).await;

    let status = customer.send(report(&other)).await.unwrap();
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(header_names(&other.last_call().headers).is_empty());
    assert_eq!(customer.vendor.token_requests(), 0);
}

#[tokio::test]
async fn a_rejected_token_is_replaced_once_for_a_thousand_calls() {
    let customer = customer().await;
    customer
        .has_a_thousand_rejected_calls_healed_by_one_fetch()
        .await;
}

#[tokio::test]
async fn rejected_credentials_are_told_in_the_vendors_words_and_without_the_secret() {
    let wrong = "wr0ng & secret";
    let provider = |vendor: &Emulator<Mazooma>| {
        ClientCredentials::builder(vendor.token_url(), CLIENT_ID, wrong)
            .with_client_auth(ClientAuth::Post)
    };
    let customer = Customer::new(Mazooma::default(), provider, headers, report).await;
    let words = "unknown client or wrong secret";
    let error = customer
        .is_refused(StatusCode::UNAUTHORIZED, words, CLIENT_ID, wrong)
        .await;
    assert_eq!(cause(&error).error_code(), Some("invalid_client"));
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
