//! Azupay, end to end: form-encoded token requests, and scopes for one call or for all.
//!
//! How the connection details are had is in `vendor_azupay_bootstrap.rs`.

#[path = "../examples/emulators/mod.rs"]
mod emulators;
mod vendor_support;

use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION};
use http::{HeaderValue, Method, Request, StatusCode};
use tower_bearer::oauth2::{ClientAuth, ClientCredentials, ClientCredentialsBuilder};
use tower_bearer::{BearerAuthLayer, FetchErrorKind, TokenRequest};

use self::emulators::azupay::{
    ALLOWED_SCOPES, API_KEY, Azupay, BOOTSTRAP_PATH, CLIENT_ID, CLIENT_SECRET, LifetimeFrom,
};
use self::emulators::{Emulator, Vendor};
use self::vendor_support::by_hand::{JSON, claims, refuses};
use self::vendor_support::{Body, Customer, Provider, cause, header_names, texts};

fn with_secret(vendor: &Emulator<Azupay>, secret: &str) -> ClientCredentialsBuilder {
    ClientCredentials::builder(vendor.token_url(), CLIENT_ID, secret)
        .with_client_auth(ClientAuth::Post)
}

fn provider(vendor: &Emulator<Azupay>) -> ClientCredentialsBuilder {
    with_secret(vendor, CLIENT_SECRET)
}

fn accept(layer: BearerAuthLayer<Provider>) -> BearerAuthLayer<Provider> {
    layer.with_header(ACCEPT, HeaderValue::from_static("application/json"))
}

fn get(vendor: &Emulator<Azupay>, path: &str) -> Request<Body> {
    let request = Request::get(vendor.url(path));
    request.body(Body::default()).unwrap()
}

fn balance(vendor: &Emulator<Azupay>) -> Request<Body> {
    get(vendor, "/v1/balance")
}

fn scoped(mut request: Request<Body>, scope: &str) -> Request<Body> {
    let token = TokenRequest::default().with_scope(scope);
    request.extensions_mut().insert(token);
    request
}

/// Of a client for which OAuth 2.0 is enabled already.
async fn customer_with(
    provider: impl FnOnce(&Emulator<Azupay>) -> ClientCredentialsBuilder,
    layer: impl FnOnce(BearerAuthLayer<Provider>) -> BearerAuthLayer<Provider>,
) -> Customer<Azupay> {
    let customer = Customer::new(Azupay::default(), provider, layer, balance).await;
    let headers = [("authorization", API_KEY), JSON];
    refuses(
        &customer.vendor,
        &[(200, "POST", BOOTSTRAP_PATH, &headers, "{}")],
    )
    .await;
    customer
}

async fn customer() -> Customer<Azupay> {
    customer_with(provider, accept).await
}

#[tokio::test]
async fn a_token_is_asked_for_with_a_post_to_the_token_url() {
    let request = customer().await.first_token_request().await;

    assert_eq!(request.method, Method::POST);
    assert_eq!(request.path, "/oauth2/token");
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
async fn the_body_is_a_form_with_the_scope_if_one_is_asked_for() {
    let credentials = format!("client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}");
    let request = customer().await.first_token_request().await;
    assert_eq!(header_names(&request.headers), ["accept", "content-type"]);
    assert_eq!(
        request.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(
        request.text(),
        format!("grant_type=client_credentials&{credentials}")
    );

    let customer = customer().await;
    let call = scoped(
        balance(&customer.vendor),
        "RestAPI/GET:payment RestAPI/GET:balance",
    );
    assert_eq!(customer.send(call).await.unwrap(), StatusCode::OK);
    assert_eq!(
        customer.vendor.last_token_request().text(),
        format!(
            "grant_type=client_credentials&{credentials}\
             &scope=RestAPI%2FGET%3Abalance+RestAPI%2FGET%3Apayment"
        )
    );
}

#[tokio::test]
async fn one_call_has_a_narrow_scope_and_the_others_the_default() {
    let customer = customer().await;
    let vendor = &customer.vendor;
    let narrow = |path| scoped(get(vendor, path), "RestAPI/GET:balance");

    for _ in 0..10 {
        customer.succeeds().await;
        assert_eq!(
            customer.send(narrow("/v1/balance")).await.unwrap(),
            StatusCode::OK
        );
        let used = vendor.last_call().bearer().map(claims).unwrap();
        assert_eq!(used["scope"], "RestAPI/GET:balance");

        // Not even where the default would do.
        let status = customer.send(narrow("/v1/payment")).await.unwrap();
        assert_eq!(status, StatusCode::FORBIDDEN);
        let payment = customer.send(get(vendor, "/v1/payment")).await.unwrap();
        assert_eq!(payment, StatusCode::OK);
        let used = vendor.last_call().bearer().map(claims).unwrap();
        assert_eq!(
            used["scope"].as_str().unwrap().split(' ').count(),
            ALLOWED_SCOPES.len()
        );
    }
    assert_eq!((vendor.token_requests(), vendor.rejected()), (2, 0));
}

#[tokio::test]
async fn scopes_in_any_order_are_one_token() {
    let customer = customer().await;
    for scope in [
        "RestAPI/GET:balance RestAPI/GET:payment",
        "RestAPI/GET:payment RestAPI/GET:balance",
        "RestAPI/GET:payment RestAPI/GET:balance RestAPI/GET:payment",
    ] {
        let call = scoped(balance(&customer.vendor), scope);
        assert_eq!(customer.send(call).await.unwrap(), StatusCode::OK);
    }
    assert_eq!(customer.vendor.token_requests(), 1);
}

#[tokio::test]
async fn a_closure_can_choose_the_narrowest_scope_for_every_route() {
    let by_route = |layer| {
        accept(layer).with_token_chosen_by(|request| {
            let route = request.uri.path().strip_prefix("/v1/")?.replace('/', ":");
            let scope = format!("RestAPI/{}:{route}", request.method);
            Some(TokenRequest::default().with_scope(&scope))
        })
    };
    let customer = customer_with(provider, by_route).await;
    for _ in 0..3 {
        for (path, scope) in [
            ("/v1/balance", "RestAPI/GET:balance"),
            ("/v1/payment", "RestAPI/GET:payment"),
            ("/v1/report/download", "RestAPI/GET:report:download"),
        ] {
            let call = get(&customer.vendor, path);
            assert_eq!(customer.send(call).await.unwrap(), StatusCode::OK, "{path}");
            let used = customer.vendor.last_call().bearer().map(claims).unwrap();
            assert_eq!(used["scope"], scope);
        }
    }
    assert_eq!(customer.vendor.token_requests(), 3);
}

#[tokio::test]
async fn a_thousand_calls_for_each_of_two_scopes_share_one_fetch_each() {
    let customer = customer().await;
    let vendor = &customer.vendor;
    vendor.hold_answers();
    let storm: Vec<_> = (0..2000)
        .map(|number| {
            let call = match number % 2 {
                0 => scoped(get(vendor, "/v1/balance"), "RestAPI/GET:balance"),
                _ => scoped(get(vendor, "/v1/payment"), "RestAPI/GET:payment"),
            };
            let client = customer.client.clone();
            tokio::spawn(tower::ServiceExt::oneshot(client, call))
        })
        .collect();
    vendor.has_token_requests(2).await;
    vendor.release_answers();
    for call in storm {
        // A token of the other scope would be a 403.
        assert_eq!(call.await.unwrap().unwrap().status(), StatusCode::OK);
    }
    assert_eq!((vendor.token_requests(), vendor.accepted()), (2, 2000));
}

#[tokio::test]
async fn a_token_lives_for_expires_in_or_what_the_jwt_says_or_the_ttl_of_the_connection_details() {
    let customer = customer().await;
    let lifetime = Duration::from_secs(1234);
    customer.vendor.set_lifetime(lifetime);
    for lifetime_from in [LifetimeFrom::ExpiresIn, LifetimeFrom::Jwt] {
        customer.vendor.vendor().set_lifetime_from(lifetime_from);
        customer.has_a_token_that_lives_for(lifetime).await;
    }
    // `oauth2TtlInSecs` is in `vendor_azupay_bootstrap.rs`.
}

#[tokio::test]
async fn there_is_no_refresh_token_so_a_renewal_is_the_same_request_again() {
    customer().await.asks_again_with_the_same_words().await;
}

#[tokio::test]
async fn a_token_is_replaced_thirty_seconds_ahead_and_nobody_waits() {
    let customer = customer().await;
    customer
        .renews_thirty_seconds_ahead_of(Azupay::LIFETIME)
        .await;
}

#[tokio::test]
async fn every_call_carries_the_token_and_wants_json() {
    let customer = customer().await;
    let call = customer.call_with_its_token().await;

    assert_eq!(call.header("accept"), Some("application/json"));
    assert_eq!(header_names(&call.headers), ["accept", "authorization"]);
}

#[tokio::test]
async fn a_rejected_token_is_replaced_once_for_a_thousand_calls() {
    let customer = customer().await;
    customer
        .has_a_thousand_rejected_calls_healed_by_one_fetch()
        .await;
}

#[tokio::test]
async fn a_rejected_token_of_one_scope_is_replaced_by_one_of_the_same_scope() {
    let customer = customer().await;
    let narrow = || scoped(balance(&customer.vendor), "RestAPI/GET:balance");
    customer.succeeds().await;
    assert_eq!(customer.send(narrow()).await.unwrap(), StatusCode::OK);

    customer.vendor.revoke_all();
    assert_eq!(customer.send(narrow()).await.unwrap(), StatusCode::OK);
    let used = customer.vendor.last_call().bearer().map(claims).unwrap();
    assert_eq!(used["scope"], "RestAPI/GET:balance");
    assert_eq!(customer.vendor.token_requests(), 3);
}

#[tokio::test]
async fn rejected_credentials_are_told_in_the_vendors_words_and_without_the_secret() {
    let wrong = "wr0ng1234567890";
    let customer = customer_with(|vendor| with_secret(vendor, wrong), accept).await;
    let words = "unknown client or wrong secret";
    let error = customer
        .is_refused(StatusCode::BAD_REQUEST, words, CLIENT_ID, wrong)
        .await;
    assert_eq!(cause(&error).error_code(), Some("invalid_client"));
}

#[tokio::test]
async fn a_scope_that_is_refused_stands_in_no_other_ones_way() {
    let customer = customer().await;
    let refused = scoped(balance(&customer.vendor), "RestAPI/GET:secrets");
    let error = customer.send(refused).await.unwrap_err();

    let error = error.downcast::<tower_bearer::FetchError>().unwrap();
    assert_eq!(error.kind(), FetchErrorKind::InvalidRequest);
    assert_eq!(cause(&error).error_code(), Some("invalid_scope"));
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
async fn the_secret_is_in_no_debug_no_error_and_no_log() {
    let customer = customer().await;
    customer.shows_no_secret(CLIENT_ID, CLIENT_SECRET).await;
    let builder = provider(&customer.vendor);
    texts::assert_hides(&format!("{builder:?}"), CLIENT_ID, CLIENT_SECRET);
}
