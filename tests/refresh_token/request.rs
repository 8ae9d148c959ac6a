//! What is sent, and what is refused before.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use tower::{Layer, ServiceExt};
use tower_bearer::oauth2::{
    Credential, InvalidConfigKind, RefreshToken, RefreshTokenSource, TokenEndpointErrorKind,
};
use tower_bearer::{BearerAuthLayer, FetchContext, FetchErrorKind, TokenProvider, TokenRequest};

use crate::server::{Server, response};
use crate::support::*;

#[tokio::test]
async fn a_public_client_sends_its_id_and_the_refresh_token() {
    let server = Server::answering(200, r#"{"access_token":"issued"}"#).await;
    let provider = client(&server, "r/0+").build(hyper()).unwrap();

    assert_eq!(fetch_text(&provider).await, "issued");
    let request = server.only_request();
    assert_eq!(request.header("authorization"), None);
    assert_eq!(
        request.form,
        "grant_type=refresh_token&refresh_token=r%2F0%2B&client_id=my-app"
    );
}

#[tokio::test]
async fn a_confidential_client_authenticates_as_for_every_grant() {
    let server = Server::answering(200, r#"{"access_token":"issued"}"#).await;
    let provider = RefreshToken::builder(server.url(), "me", "s3cret", "r0")
        .with_json_body()
        .build(hyper())
        .unwrap();
    fetch(&provider).await.unwrap();

    let request = server.only_request();
    let basic = format!("Basic {}", STANDARD.encode("me:s3cret"));
    assert_eq!(request.header("authorization"), Some(&*basic));
    assert_eq!(
        request.form,
        r#"{"grant_type":"refresh_token","refresh_token":"r0"}"#
    );
}

#[tokio::test]
async fn a_renewal_sends_what_the_first_request_did() {
    let family = Family::new();
    let server = family.serve().await;
    let provider = client(&server, "r0")
        .with_scope("read")
        .with_resource("urn:api")
        .with_audience("everyone")
        .with_parameter("organization", "acme")
        .build(hyper())
        .unwrap();
    // Accepts none but the second token, so that the first is renewed by a rejection.
    let api = Server::start(|request| match request.header("authorization") {
        Some("Bearer a2") => response(200, "hello"),
        _ => response(401, ""),
    })
    .await;
    let layer = BearerAuthLayer::for_origin(provider, &*api.url().replace("/token", "")).unwrap();
    let request = http::Request::get(api.url()).extension(scope("write"));
    let request = request.body(http_body_util::Full::default()).unwrap();
    let response = layer.layer(hyper()).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    layer
        .cache()
        .for_request(&scope("write"))
        .refresh()
        .await
        .unwrap();

    let forms: Vec<_> = server.received().into_iter().map(|it| it.form).collect();
    let form = |refresh_token| {
        format!(
            "grant_type=refresh_token&refresh_token={refresh_token}&client_id=my-app&scope=write\
             &resource=urn%3Aapi&audience=everyone&organization=acme"
        )
    };
    assert_eq!(forms, [form("r0"), form("r1"), form("r2")]);
}

#[tokio::test]
async fn the_refresh_token_cannot_be_set_as_a_parameter() {
    let server = Server::answering(200, r#"{"access_token":"issued"}"#).await;
    let refused = client(&server, "r0").with_parameter("refresh_token", "mine");
    let kind = refused.build(hyper()).unwrap_err().kind();
    assert_eq!(kind, InvalidConfigKind::ReservedParameter);

    let provider = client(&server, "r0").build(hyper()).unwrap();
    for request in [
        TokenRequest::default().with_parameter("refresh_token", "mine"),
        TokenRequest::default().with_tenant("acme"),
    ] {
        let error = provider.fetch_token(FetchContext::new(request)).await;
        let error = *error.unwrap_err().downcast().unwrap();
        assert_eq!(cause(&error).kind(), TokenEndpointErrorKind::NotSent);
        assert_eq!(error.kind(), FetchErrorKind::InvalidRequest);
    }
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn a_refresh_token_that_cannot_be_right_is_not_sent() {
    let server = Server::answering(200, r#"{"access_token":"issued"}"#).await;
    for text in ["", "hunter2\n"] {
        let error = client(&server, text).build(hyper()).unwrap_err();
        assert_eq!(error.kind(), InvalidConfigKind::RefreshToken);
        assert!(!error.to_string().contains("hunter2"));

        let source = RefreshTokenSource::from_fn(move || async move { Ok(text.to_owned()) });
        let provider = client(&server, source).build(hyper()).unwrap();
        let error = failure(&provider).await;
        assert_eq!(error.kind(), FetchErrorKind::Unavailable);
        assert_eq!(cause(&error).kind(), TokenEndpointErrorKind::RefreshToken);
        assert!(cause(&error).to_string().contains(&server.url()));
        assert!(!everything(&error).contains("hunter2"));
    }
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn nothing_shows_a_refresh_token() {
    let seen = Arc::new(std::sync::Mutex::new(String::new()));
    let log = Arc::clone(&seen);
    let server = Server::start(|request| {
        let sent = parameter(&request.form, "refresh_token").unwrap();
        if sent == "hunter2/0" {
            return response(200, answer("a", "hunter2/1"));
        }
        let form = &request.form;
        let body = format!(r#"{{"error":"invalid_grant","error_description":"{sent}, {form}!"}}"#);
        response(400, body)
    })
    .await;
    let source = RefreshTokenSource::from("hunter2/0");
    let builder = client(&server, source.clone()).with_rotation_saved_by(move |rotation| {
        *log.lock().unwrap() = format!("{rotation:?} {rotation:#?}");
        async { Ok(()) }
    });
    let provider = builder.clone().build(hyper()).unwrap();
    fetch(&provider).await.unwrap();
    let error = failure(&provider).await;

    let text = format!(
        "{builder:?} {provider:?} {source:?} {:?}",
        Credential::none()
    );
    let all = format!("{text} {} {}", seen.lock().unwrap(), everything(&error));
    assert!(all.contains("[redacted], [redacted]!"), "{all}");
    assert!(!all.contains("hunter2"), "{all}");
}
