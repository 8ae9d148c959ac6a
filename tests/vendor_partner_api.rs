//! The Partner API, end to end: token requests in JSON, and a long JWT whose times have fractions.

#[path = "../examples/emulators/mod.rs"]
mod emulators;
mod vendor_support;

use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{Method, Request, StatusCode};
use tower_bearer::oauth2::{ClientAuth, ClientCredentials, ClientCredentialsBuilder};

use self::emulators::partner_api::{CLIENT_ID, CLIENT_SECRET, PartnerApi, SHORT_BY, TOKEN_LENGTH};
use self::emulators::{Emulator, Vendor};
use self::vendor_support::{Body, Customer, cause, header_names, texts};

fn with_secret(vendor: &Emulator<PartnerApi>, secret: &str) -> ClientCredentialsBuilder {
    ClientCredentials::builder(vendor.token_url(), CLIENT_ID, secret)
        .with_client_auth(ClientAuth::Post)
        .with_json_body()
}

fn provider(vendor: &Emulator<PartnerApi>) -> ClientCredentialsBuilder {
    with_secret(vendor, CLIENT_SECRET)
}

fn booking(vendor: &Emulator<PartnerApi>) -> Request<Body> {
    let request = Request::post(vendor.url("/api/bookings"));
    request.body(Body::from("{}")).unwrap()
}

async fn customer() -> Customer<PartnerApi> {
    Customer::new(PartnerApi::default(), provider, |layer| layer, booking).await
}

#[tokio::test]
async fn a_token_is_asked_for_with_a_post_below_api() {
    let request = customer().await.first_token_request().await;

    assert_eq!(request.method, Method::POST);
    assert_eq!(request.path, "/api/oauth/token");
}

#[tokio::test]
async fn the_client_authenticates_in_the_json_body_and_nowhere_else() {
    let request = customer().await.first_token_request().await;
    let body = request.json_texts().unwrap();

    assert_eq!(body["client_id"], CLIENT_ID);
    assert_eq!(body["client_secret"], CLIENT_SECRET);
    assert!(!request.headers.contains_key(AUTHORIZATION));
}

#[tokio::test]
async fn the_body_is_json_and_so_is_the_answer_that_is_asked_for() {
    let request = customer().await.first_token_request().await;

    assert_eq!(header_names(&request.headers), ["accept", "content-type"]);
    assert_eq!(request.header("accept"), Some("application/json"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(
        request.text(),
        r#"{"grant_type":"client_credentials","client_id":"9b1e82a7-0a59-4e7e-add5-b9ffa37aade1","client_secret":"partner \"secret\" \\ with signs é"}"#
    );
}

#[tokio::test]
async fn no_scope_is_asked_for_and_those_in_the_jwt_are_the_servers_business() {
    let customer = customer().await;
    let delete = Request::delete(customer.vendor.url("/api/bookings/1"));
    let delete = delete.body(Body::default()).unwrap();

    customer.succeeds().await;
    assert_eq!(customer.send(delete).await.unwrap(), StatusCode::OK);
    assert_eq!(customer.vendor.token_requests(), 1);
    let body = customer.vendor.last_token_request().json_texts().unwrap();
    assert!(!body.contains_key("scope"));
}

#[tokio::test]
async fn a_token_lives_for_expires_in_if_the_answer_has_it() {
    let customer = customer().await;
    customer
        .has_a_token_that_lives_for(PartnerApi::LIFETIME)
        .await;

    customer.vendor.set_lifetime(Duration::from_secs(60));
    customer
        .has_a_token_that_lives_for(Duration::from_secs(60))
        .await;
}

#[tokio::test]
async fn a_token_lives_for_what_its_jwt_says_to_the_fraction_of_a_second_if_the_answer_does_not() {
    let customer = customer().await;
    customer.vendor.vendor().leave_out_expires_in();
    let lifetime = PartnerApi::LIFETIME - Duration::from_secs_f64(SHORT_BY);

    customer.has_a_token_that_lives_for(lifetime).await;
}

#[tokio::test]
async fn there_is_no_refresh_token_so_a_renewal_is_the_same_request_again() {
    customer().await.asks_again_with_the_same_words().await;
}

#[tokio::test]
async fn a_token_is_replaced_thirty_seconds_ahead_and_nobody_waits() {
    let customer = customer().await;
    customer
        .renews_thirty_seconds_ahead_of(PartnerApi::LIFETIME)
        .await;
}

#[tokio::test]
async fn every_call_carries_the_whole_token_and_nothing_else() {
    let customer = customer().await;
    let call = customer.call_with_its_token().await;

    assert_eq!(call.bearer().map(str::len), Some(TOKEN_LENGTH));
    assert_eq!(header_names(&call.headers), ["authorization"]);
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
    let wrong = r#"wr0ng "secret" é"#;
    let provider = |vendor: &Emulator<PartnerApi>| with_secret(vendor, wrong);
    let customer = Customer::new(PartnerApi::default(), provider, |layer| layer, booking).await;
    let words = "Client authentication failed";
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
