//! What a client sends that authenticates itself by assertions, to token endpoints on real sockets.

// Helpers of tests are not tests to clippy.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeSet, VecDeque};
use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use serde_json::json;
use tower::{ServiceBuilder, ServiceExt};
use tower_bearer::error::{BoxError, FetchError, FetchErrorKind};
use tower_bearer::oauth2::jwt::{InvalidSigningKey, JwsAlgorithm, JwtAssertion};
use tower_bearer::oauth2::{
    Assertion, ClientCredentials, ClientSecret, Credential, TokenEndpointErrorKind as Kind,
};
use tower_bearer::{AccessToken, BearerAuthLayer, FetchContext, TokenProvider};

use self::assertion_support::*;
use self::error_support::{cause, everything};
use self::server::{Server, response};

mod assertion_support;
mod error_support;
#[path = "token_endpoint/server.rs"]
mod server;

const TOKEN: &str = r#"{"access_token":"issued","token_type":"Bearer","expires_in":3600}"#;

fn es256() -> Assertion {
    Assertion::signed_by(key(P256, JwsAlgorithm::Es256).with_key_id("first"))
}

fn provider(server: &Server, credential: impl Into<Credential>) -> impl TokenProvider {
    let builder = ClientCredentials::builder(server.url(), "my-service", credential);
    builder.build(hyper()).unwrap()
}

async fn fetch(provider: &impl TokenProvider) -> Result<AccessToken, FetchError> {
    let token = provider.fetch_token(FetchContext::default()).await;
    token.map_err(|error| *error.downcast::<FetchError>().unwrap())
}

/// The assertions that arrived, all of them rightly signed.
fn arrived(server: &Server) -> Vec<Jwt> {
    let received = server.received();
    let forms = received.iter().map(|request| &request.form);
    forms
        .map(|form| Jwt::verified(&parameter(form, "client_assertion").unwrap()))
        .collect()
}

fn now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap().as_secs()
}

#[tokio::test]
async fn private_key_jwt_is_an_assertion_of_the_client_for_this_endpoint() {
    let server = Server::answering(200, TOKEN).await;
    let before = now();
    let token = fetch(&provider(&server, es256())).await.unwrap();
    let after = now();

    assert_eq!(token.expose_secret(), "issued");
    let request = server.only_request();
    assert_eq!(request.header("authorization"), None);
    let assertion = parameter(&request.form, "client_assertion").unwrap();
    assert_eq!(
        request.form,
        format!(
            "grant_type=client_credentials&client_id=my-service&client_assertion_type=urn%3Aietf%3Aparams\
             %3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion={assertion}"
        )
    );

    let jwt = Jwt::verified(&assertion);
    let header = json!({ "alg": "ES256", "typ": "JWT", "kid": "first" });
    assert_eq!(jwt.header, header);
    assert_eq!(jwt.names(), ["aud", "exp", "iat", "iss", "jti", "sub"]);
    assert_eq!(jwt.text("iss"), "my-service");
    assert_eq!(jwt.text("sub"), "my-service");
    // As it was given, with its path, and no array.
    assert_eq!(jwt.text("aud"), server.url());
    assert!((before - 10..=after - 10).contains(&jwt.number("iat")));
    assert_eq!(jwt.number("exp") - jwt.number("iat"), 60);
    // 128 bits in base64url.
    assert_eq!(jwt.text("jti").len(), 22);
}

#[tokio::test]
async fn client_secret_jwt_signs_by_the_secret_and_does_not_send_it() {
    for algorithm in SECRETS {
        let server = Server::answering(200, TOKEN).await;
        let assertion = Assertion::client_secret_jwt(SECRET, algorithm).unwrap();
        fetch(&provider(&server, assertion)).await.unwrap();

        let request = server.only_request();
        assert_eq!(request.header("authorization"), None);
        assert!(!request.form.contains("hunter2"), "{}", request.form);
        assert_eq!(parameter(&request.form, "client_secret"), None);
        let jwt = &arrived(&server)[0];
        assert_eq!(jwt.header["alg"], algorithm.as_str());
        assert_eq!(jwt.text("iss"), "my-service");
        assert_eq!(jwt.text("sub"), "my-service");
    }
}

#[tokio::test]
async fn every_send_has_an_assertion_of_its_own_after_failures_too() {
    let answers = Arc::new(AtomicUsize::new(0));
    let server = Server::start(move |_| match answers.fetch_add(1, Ordering::SeqCst) {
        1 => response(503, ""),
        2 => response(401, r#"{"error":"invalid_client"}"#),
        _ => response(200, TOKEN),
    })
    .await;
    let provider = provider(&server, es256());

    assert!(fetch(&provider).await.is_ok());
    assert!(fetch(&provider).await.is_err());
    assert!(fetch(&provider).await.is_err());
    assert!(fetch(&provider).await.is_ok());
    // At once, too.
    let both = tokio::join!(fetch(&provider), fetch(&provider));
    assert!(both.0.is_ok() && both.1.is_ok());

    let arrived = arrived(&server);
    let ids: BTreeSet<_> = arrived.iter().map(|jwt| jwt.text("jti")).collect();
    assert_eq!((arrived.len(), ids.len()), (6, 6));
}

#[tokio::test]
async fn the_times_are_those_of_the_send() {
    let server = Server::answering(200, TOKEN).await;
    let provider = provider(&server, es256());
    fetch(&provider).await.unwrap();
    let first = arrived(&server)[0].number("iat");
    // Until the wall clock, which cannot be turned by hand, shows another second.
    while now() - 10 == first {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    fetch(&provider).await.unwrap();

    let second = &arrived(&server)[1];
    assert!(second.number("iat") > first);
    assert_eq!(second.number("exp") - second.number("iat"), 60);
}

#[tokio::test]
async fn the_fetch_after_a_401_of_an_api_has_an_assertion_of_its_own() {
    let issued = AtomicUsize::new(0);
    let server = Server::start(move |_| {
        let number = issued.fetch_add(1, Ordering::SeqCst);
        let token = format!(r#"{{"access_token":"token-{number}","token_type":"Bearer"}}"#);
        response(200, token)
    })
    .await;
    let api = Server::start(|request| match request.header("authorization") {
        Some("Bearer token-0") => response(401, ""),
        _ => response(200, ""),
    })
    .await;
    let origin = api.url().replace("/token", "");
    let layer = BearerAuthLayer::for_origin(provider(&server, es256()), &origin).unwrap();
    let client = ServiceBuilder::new().layer(layer).service(hyper());

    let request = Request::get(api.url()).body(Full::<Bytes>::default());
    let answer = client.oneshot(request.unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(api.received().len(), 2);
    let arrived = arrived(&server);
    assert_eq!(arrived.len(), 2);
    assert_ne!(arrived[0].text("jti"), arrived[1].text("jti"));
}

#[tokio::test]
async fn a_new_key_is_used_from_the_next_send_on() {
    let server = Server::answering(200, TOKEN).await;
    let keys = Arc::new(Mutex::new(VecDeque::from([
        key(P256, JwsAlgorithm::Es256).with_key_id("first"),
        key(RSA, JwsAlgorithm::Ps384).with_key_id("second"),
    ])));
    let assertion = Assertion::signed_by_fn(move || {
        let next = keys.lock().unwrap().pop_front();
        async move { next.ok_or_else(|| BoxError::from("hunter2")) }
    });
    let provider = provider(&server, assertion);
    fetch(&provider).await.unwrap();
    fetch(&provider).await.unwrap();
    let error = fetch(&provider).await.unwrap_err();

    let headers: Vec<_> = arrived(&server).into_iter().map(|jwt| jwt.header).collect();
    assert_eq!(
        headers,
        [
            json!({ "alg": "ES256", "typ": "JWT", "kid": "first" }),
            json!({ "alg": "PS384", "typ": "JWT", "kid": "second" }),
        ]
    );
    // Nothing was sent, and it may get better.
    assert_eq!(error.kind(), FetchErrorKind::Unavailable);
    assert_eq!(cause(&error).kind(), Kind::Assertion);
    assert!(!cause(&error).to_string().contains("hunter2"));
    assert_eq!(cause(&error).source().unwrap().to_string(), "hunter2");
}

#[tokio::test]
async fn a_secret_is_read_for_every_send_and_fails_one_if_it_is_too_short() {
    let server = Server::answering(200, TOKEN).await;
    let secrets = Arc::new(Mutex::new(VecDeque::from([SECRET, "hunter2", SECRET])));
    let secret = ClientSecret::from_fn(move || {
        let next = secrets.lock().unwrap().pop_front().unwrap();
        async move { Ok(next.to_owned()) }
    });
    let assertion = Assertion::client_secret_jwt(secret, JwsAlgorithm::Hs256).unwrap();
    let provider = provider(&server, assertion);

    assert!(fetch(&provider).await.is_ok());
    let error = fetch(&provider).await.unwrap_err();
    assert!(fetch(&provider).await.is_ok());

    assert_eq!(arrived(&server).len(), 2);
    assert_eq!(cause(&error).kind(), Kind::Assertion);
    assert!(cause(&error).source().unwrap().is::<InvalidSigningKey>());
    assert!(!everything(&error).contains("hunter2"));
}

#[tokio::test]
async fn whom_it_is_for_and_what_else_it_says_can_be_set() {
    let server = Server::answering(200, TOKEN).await;
    let assertion = JwtAssertion::new()
        .with_lifetime(Duration::from_secs(300))
        .with_not_before()
        .with_type("client-authentication+jwt")
        .with_claim("environment", "test")
        .signed_by(key(ED25519, JwsAlgorithm::EdDsa))
        .with_audience("https://id.example.com/");
    fetch(&provider(&server, assertion)).await.unwrap();

    let jwt = &arrived(&server)[0];
    let header = json!({ "alg": "EdDSA", "typ": "client-authentication+jwt" });
    assert_eq!(jwt.header, header);
    assert_eq!(jwt.text("aud"), "https://id.example.com/");
    assert_eq!(jwt.text("environment"), "test");
    assert_eq!(jwt.number("nbf"), jwt.number("iat"));
    assert_eq!(jwt.number("exp") - jwt.number("iat"), 300);
}

#[tokio::test]
async fn a_client_whose_assertion_names_the_scopes_still_asks_for_them() {
    let server = Server::answering(200, TOKEN).await;
    let claims = JwtAssertion::new().with_scope_claim();
    let assertion = claims.signed_by(key(P256, JwsAlgorithm::Es256));
    let builder = ClientCredentials::builder(server.url(), "my-service", assertion);
    let provider = builder.with_scope("b a").build(hyper()).unwrap();
    fetch(&provider).await.unwrap();

    let form = server.only_request().form;
    assert_eq!(parameter(&form, "scope").as_deref(), Some("a b"));
    assert_eq!(arrived(&server)[0].text("scope"), "a b");
}

#[tokio::test]
async fn an_assertion_that_a_server_echoes_is_in_no_error() {
    let server = Server::start(|request| {
        let assertion = parameter(&request.form, "client_assertion").unwrap();
        let body = json!({
            "error": "invalid_client",
            "error_description": format!("no {assertion}, and not {}", request.form),
        });
        response(401, body.to_string())
    })
    .await;
    let error = fetch(&provider(&server, es256())).await.unwrap_err();

    let form = server.only_request().form;
    let assertion = parameter(&form, "client_assertion").unwrap();
    let text = everything(&error);
    for part in assertion.split('.') {
        assert!(!text.contains(part), "{text}");
    }
    assert_eq!(
        cause(&error).error_description(),
        Some("no [redacted], and not [redacted]")
    );
    assert_eq!(error.kind(), FetchErrorKind::Denied);
}
