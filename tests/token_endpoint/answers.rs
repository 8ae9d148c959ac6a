//! What a server answers.

use std::time::Duration;

use http::header::{CONTENT_ENCODING, DATE, LOCATION, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use tower_bearer::error::FetchErrorKind;
use tower_bearer::oauth2::{ClientAuth, TokenEndpointErrorKind as Kind};
use tower_bearer::testing::Reply;

use super::server::{Server, response};
use super::support::*;

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_secret_stays_home() {
    for status in [301, 302, 303, 307, 308] {
        let other = Server::answering(200, TOKEN).await;
        let location: HeaderValue = other.url().parse().unwrap();
        let server = Server::start(move |_| {
            let mut response = response(status, "");
            response.headers_mut().insert(LOCATION, location.clone());
            response
        })
        .await;
        let error = failure(client(&server).with_client_auth(ClientAuth::Post)).await;

        assert_eq!(error.kind(), FetchErrorKind::Unavailable);
        assert_eq!(cause(&error).kind(), Kind::Redirected);
        assert_eq!(cause(&error).status().unwrap(), status);
        assert_eq!((server.received().len(), other.received().len()), (1, 0));
    }
}

#[tokio::test]
async fn a_page_instead_of_json_is_the_endpoints_failure() {
    let server = Server::answering(200, "<html>Welcome, hunter2").await;
    let error = failure(client(&server)).await;

    assert_eq!(error.kind(), FetchErrorKind::Unavailable);
    assert_eq!(cause(&error).kind(), Kind::NotJson);
    let text = cause(&error).to_string();
    assert!(
        text.contains(&server.url()) && !text.contains("Welcome"),
        "{text}"
    );

    let server = Server::answering(204, "").await;
    assert_eq!(cause(&failure(client(&server)).await).kind(), Kind::NotJson);
}

#[tokio::test]
async fn an_encoding_that_the_transport_left_is_named() {
    let server = Server::start(|_| {
        let mut response = response(200, &b"\x1f\x8b\x08\x00"[..]);
        let gzip = HeaderValue::from_static("gzip");
        response.headers_mut().insert(CONTENT_ENCODING, gzip);
        response
    })
    .await;
    let error = failure(client(&server)).await;

    assert_eq!(cause(&error).kind(), Kind::NotJson);
    assert!(
        cause(&error).to_string().contains("gzip"),
        "{}",
        cause(&error)
    );
}

#[tokio::test]
async fn an_answer_without_end_is_read_up_to_a_limit() {
    for (status, kind, expected) in [
        (200, FetchErrorKind::Unavailable, Kind::TooLarge),
        (400, FetchErrorKind::Denied, Kind::Rejected),
    ] {
        let endless = Reply::from(response(status, " ")).endless();
        let server = Server::replying(endless).await;
        let error = failure(client(&server)).await;

        assert_eq!((error.kind(), cause(&error).kind()), (kind, expected));
        assert_eq!(cause(&error).status().unwrap(), status);
    }
}

#[tokio::test]
async fn an_answer_of_one_mebibyte_is_not_too_large() {
    let padded = |size: usize| TOKEN.to_owned() + &" ".repeat(size - TOKEN.len());
    let server = Server::answering(200, padded(1024 * 1024)).await;
    assert!(fetch(client(&server)).await.is_ok());

    let server = Server::answering(200, padded(1024 * 1024 + 1)).await;
    assert_eq!(
        cause(&failure(client(&server)).await).kind(),
        Kind::TooLarge
    );
}

#[tokio::test]
async fn a_refusal_is_told_as_rfc_6749_has_it() {
    let body = r#"{"error":"invalid_client","error_description":"no such client",
                   "error_uri":"https://id.example.com/help"}"#;
    for status in [401, 200] {
        let server = Server::answering(status, body).await;
        let error = failure(client(&server)).await;

        assert_eq!(error.kind(), FetchErrorKind::Denied);
        let cause = cause(&error);
        assert_eq!(cause.kind(), Kind::Rejected);
        assert_eq!(cause.error_code(), Some("invalid_client"));
        // Nothing but a code that is known is quoted of an answer that should hold a token.
        let quotes = status != 200;
        let (description, uri) = (cause.error_description(), cause.error_uri());
        assert_eq!(description, quotes.then_some("no such client"));
        assert_eq!(uri, quotes.then_some("https://id.example.com/help"));
        assert_eq!(cause.to_string().contains("no such client"), quotes);
    }
}

#[tokio::test]
async fn a_blocked_account_is_denied_and_the_server_is_quoted() {
    let server = Server::answering(400, "Account temporarily blocked\r\n").await;
    let error = failure(client(&server)).await;

    assert_eq!(error.kind(), FetchErrorKind::Denied);
    assert_eq!(cause(&error).status(), Some(StatusCode::BAD_REQUEST));
    let text = cause(&error).to_string();
    assert!(text.ends_with(": Account temporarily blocked"), "{text}");
}

#[tokio::test]
async fn retry_after_is_passed_on() {
    for (status, value, kind) in [
        (429, "120", FetchErrorKind::Unavailable),
        (
            503,
            "Sun, 06 Nov 1994 08:51:37 GMT",
            FetchErrorKind::Unavailable,
        ),
        (400, "120", FetchErrorKind::Denied),
        (307, "120", FetchErrorKind::Unavailable),
    ] {
        let server = Server::start(move |_| {
            let mut response = response(status, "");
            let date = HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT");
            response.headers_mut().insert(DATE, date);
            let value = HeaderValue::from_static(value);
            response.headers_mut().insert(RETRY_AFTER, value);
            response
        })
        .await;
        let error = failure(client(&server)).await;

        assert_eq!(error.kind(), kind);
        assert_eq!(
            error.retry_after(),
            Some(Duration::from_secs(120)),
            "{status}"
        );
    }
}
