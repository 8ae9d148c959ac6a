//! Mangopay, end to end: HTTP Basic, renewal 30 s ahead, and an account that must not be blocked.
//!
//! An hour of trouble each is in `vendor_mangopay_hours.rs`.

#[path = "../examples/emulators/mod.rs"]
mod emulators;
mod vendor_support;

use std::time::Duration;

use http::{Method, Request, StatusCode};
use tower_bearer::FetchErrorKind;
use tower_bearer::oauth2::{ClientAuth, ClientCredentials, ClientCredentialsBuilder};

use self::emulators::mangopay::{API_KEY, BLOCK_LIMIT, CLIENT_ID, Mangopay, SANDBOX_LIFETIME};
use self::emulators::{Emulator, Vendor};
use self::vendor_support::by_hand::{FORM, GRANT, basic, refuses};
use self::vendor_support::{Body, Customer, cause, header_names, texts};

const USERS: &str = "/v2.01/ExampleClientId/users";

fn provider(vendor: &Emulator<Mangopay>) -> ClientCredentialsBuilder {
    ClientCredentials::builder(vendor.token_url(), CLIENT_ID, API_KEY)
        .with_client_auth(ClientAuth::BasicRaw)
}

fn users(vendor: &Emulator<Mangopay>) -> Request<Body> {
    let request = Request::get(vendor.url(USERS));
    request.body(Body::default()).unwrap()
}

async fn customer() -> Customer<Mangopay> {
    Customer::new(Mangopay::default(), provider, |layer| layer, users).await
}

#[tokio::test]
async fn a_token_is_asked_for_with_a_post_to_the_versioned_path() {
    let request = customer().await.first_token_request().await;

    assert_eq!(request.method, Method::POST);
    assert_eq!(request.path, "/v2.01/oauth/token");
}

#[tokio::test]
async fn the_client_authenticates_by_basic_with_id_and_key_as_they_are() {
    let request = customer().await.first_token_request().await;

    assert_eq!(
        request.header("authorization"),
        Some(basic(CLIENT_ID, API_KEY).as_str())
    );
}

#[tokio::test]
async fn the_body_is_a_form_with_the_grant_only() {
    let request = customer().await.first_token_request().await;

    assert_eq!(
        header_names(&request.headers),
        ["accept", "authorization", "content-type"]
    );
    assert_eq!(
        request.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(request.text(), "grant_type=client_credentials");
}

#[tokio::test]
async fn there_are_no_scopes_so_none_is_sent_and_one_token_serves_every_resource() {
    let customer = customer().await;
    for resource in ["users", "wallets", "clients"] {
        let uri = customer
            .vendor
            .url(&format!("/v2.01/{CLIENT_ID}/{resource}"));
        let request = Request::get(uri).body(Body::default()).unwrap();
        assert_eq!(customer.send(request).await.unwrap(), StatusCode::OK);
    }
    assert_eq!(customer.vendor.token_requests(), 1);
    assert!(
        !customer
            .vendor
            .last_token_request()
            .text()
            .contains("scope")
    );
}

#[tokio::test]
async fn a_token_lives_for_expires_in_of_production_of_the_sandbox_and_of_neither() {
    let customer = customer().await;
    customer
        .has_a_token_that_lives_for(Mangopay::LIFETIME)
        .await;

    for lifetime in [SANDBOX_LIFETIME, Duration::from_secs(901)] {
        customer.vendor.set_lifetime(lifetime);
        customer.has_a_token_that_lives_for(lifetime).await;
    }
}

#[tokio::test]
async fn there_is_no_refresh_token_so_a_renewal_is_the_same_request_again() {
    customer().await.asks_again_with_the_same_words().await;
}

#[tokio::test]
async fn a_token_of_production_is_replaced_thirty_seconds_ahead_and_nobody_waits() {
    let customer = customer().await;
    customer
        .renews_thirty_seconds_ahead_of(Mangopay::LIFETIME)
        .await;
}

#[tokio::test]
async fn a_token_of_the_sandbox_is_replaced_thirty_seconds_ahead_and_nobody_waits() {
    let customer = customer().await;
    customer.vendor.set_lifetime(SANDBOX_LIFETIME);
    customer
        .renews_thirty_seconds_ahead_of(SANDBOX_LIFETIME)
        .await;
}

#[tokio::test]
async fn every_call_carries_the_token_and_nothing_else() {
    let customer = customer().await;
    let call = customer.call_with_its_token().await;

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
    let wrong = "wr0ng+key/=";
    let provider = |vendor: &Emulator<Mangopay>| {
        ClientCredentials::builder(vendor.token_url(), CLIENT_ID, wrong)
            .with_client_auth(ClientAuth::BasicRaw)
    };
    let customer = Customer::new(Mangopay::default(), provider, |layer| layer, users).await;
    let words = "Authorization credentials not valid";
    customer
        .is_refused(StatusCode::UNAUTHORIZED, words, CLIENT_ID, wrong)
        .await;
}

#[tokio::test]
async fn a_blocked_account_is_told_as_one_and_not_asked_for_in_vain() {
    let customer = customer().await;
    // Somebody else uses up what the account may ask for.
    let credentials = basic(CLIENT_ID, API_KEY);
    let headers = [FORM, ("authorization", credentials.as_str())];
    let request = (200, "POST", Mangopay::TOKEN_PATH, &headers[..], GRANT);
    refuses(&customer.vendor, &[request; BLOCK_LIMIT]).await;

    let error = customer.failure().await;
    assert_eq!(error.kind(), FetchErrorKind::Denied);
    assert_eq!(cause(&error).status(), Some(StatusCode::BAD_REQUEST));
    let text = texts::of_error(&error);
    assert!(text.contains("Account temporarily blocked"), "{text}");
    texts::assert_hides(&text, CLIENT_ID, API_KEY);

    // It is asked again ever more rarely, and so the block comes to its end.
    while customer.time.elapsed() < Duration::from_secs(3600) {
        assert!(customer.call().await.is_err());
        customer.time.advance(Duration::from_secs(1));
    }
    let ours = customer.vendor.token_requests() - BLOCK_LIMIT;
    assert!(ours <= 14, "{ours} requests in an hour");
    customer.time.advance(Duration::from_secs(900));
    customer.succeeds().await;
}

#[tokio::test]
async fn a_hundred_calls_cost_one_token_request() {
    customer()
        .await
        .makes_a_hundred_calls_with_one_token()
        .await;
}

#[tokio::test]
async fn the_key_is_in_no_debug_no_error_and_no_log() {
    let customer = customer().await;
    customer.shows_no_secret(CLIENT_ID, API_KEY).await;
    let builder = provider(&customer.vendor);
    texts::assert_hides(&format!("{builder:?}"), CLIENT_ID, API_KEY);
}
