//! A refresh token that is of no use any more.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tower_bearer::oauth2::RefreshTokenSource;
use tower_bearer::{
    AccessToken, FetchContext, FetchError, FetchErrorKind, TokenCache, TokenProvider, token_fn,
};

use crate::server::{Server, response};
use crate::support::*;

type Asked = Arc<Mutex<Vec<FetchContext>>>;

/// A fallback, and what it was asked.
fn fallback() -> (impl TokenProvider, Asked) {
    let asked = Asked::default();
    let log = Arc::clone(&asked);
    let provider = token_fn(move |cx| {
        log.lock().unwrap().push(cx);
        async { Ok(AccessToken::new("fallback")?) }
    });
    (provider, asked)
}

#[tokio::test]
async fn invalid_grant_pauses_every_key_and_says_what_to_do() {
    for status in [400, 401, 403, 404, 422, 200] {
        let server = Server::answering(status, INVALID_GRANT).await;
        let cache = TokenCache::new(client(&server, "r0").build(hyper()).unwrap());
        let error = cache.for_request(&scope("a")).token().await.unwrap_err();

        assert_eq!(error.kind(), FetchErrorKind::Denied, "{status}");
        let text = cause(&error).to_string();
        assert!(text.contains("invalid_grant; what the token was"), "{text}");
        let other = cache.for_request(&scope("b")).token().await.unwrap_err();
        assert_eq!(other.kind(), FetchErrorKind::Denied);
        assert_eq!(server.received().len(), 1);
    }
}

#[tokio::test]
async fn without_a_fallback_a_refused_refresh_token_is_tried_again() {
    let refuses = Arc::new(Mutex::new(true));
    let is_refused = Arc::clone(&refuses);
    let server = Server::start(move |_| match *is_refused.lock().unwrap() {
        true => response(400, INVALID_GRANT),
        false => response(200, r#"{"access_token":"a"}"#),
    })
    .await;
    let provider = client(&server, "r0").build(hyper()).unwrap();

    assert_eq!(failure(&provider).await.kind(), FetchErrorKind::Denied);
    assert_eq!(failure(&provider).await.kind(), FetchErrorKind::Denied);
    *refuses.lock().unwrap() = false;
    assert_eq!(fetch_text(&provider).await, "a");
    assert_eq!(refresh_tokens(&server), ["r0", "r0", "r0"]);
}

#[tokio::test]
async fn the_fallback_is_asked_for_the_same_and_the_refresh_token_no_more() {
    for status in [400, 401, 403, 200] {
        let server = Server::answering(status, INVALID_GRANT).await;
        let (provider, asked) = fallback();
        let builder = client(&server, "r0").with_fallback(provider);
        let provider = builder.build(hyper()).unwrap();
        let rejected = AccessToken::new("rejected").unwrap();
        for name in ["a", "b"] {
            let cx = FetchContext::new(scope(name)).with_rejected_token(rejected.clone());
            let token = provider.fetch_token(cx).await.unwrap();
            assert_eq!(token.expose_secret(), "fallback");
        }

        assert_eq!(refresh_tokens(&server), ["r0"], "{status}");
        let asked = asked.lock().unwrap();
        for (cx, name) in asked.iter().zip(["a", "b"]) {
            assert_eq!(*cx.token_request(), scope(name));
            assert_eq!(cx.rejected_token(), Some(&rejected));
        }
        assert_eq!(asked.len(), 2);
    }
}

#[tokio::test]
async fn the_fallback_is_asked_for_no_other_failure() {
    for (status, body) in [
        (400, r#"{"error":"invalid_client"}"#),
        (400, r#"{"error":"invalid_scope"}"#),
        (400, "invalid_grant"),
        (429, INVALID_GRANT),
        (503, INVALID_GRANT),
    ] {
        let server = Server::answering(status, body).await;
        let (provider, asked) = fallback();
        let builder = client(&server, "r0").with_fallback(provider);
        let provider = builder.build(hyper()).unwrap();
        fetch(&provider).await.unwrap_err();
        fetch(&provider).await.unwrap_err();

        assert_eq!(refresh_tokens(&server), ["r0", "r0"], "{status} {body}");
        assert!(asked.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn after_the_fallback_another_refresh_token_of_the_source_is_used() {
    let (family, store) = (Family::new(), Store::holding("stolen"));
    let server = family.serve().await;
    let (provider, asked) = fallback();
    let builder = client(&server, store.source()).with_fallback(provider);
    let provider = store.saves(builder).build(hyper()).unwrap();
    for _ in 0..2 {
        assert_eq!(fetch_text(&provider).await, "fallback");
    }
    assert!(family.is_revoked());

    family.log_in("r7");
    store.put("r7");
    assert_eq!(fetch_text(&provider).await, "a8");
    assert_eq!(refresh_tokens(&server), ["stolen", "r7"]);
    assert_eq!(store.text(), "r8");
    assert_eq!(asked.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_fallback_that_fails_is_the_failure() {
    let server = Server::answering(400, INVALID_GRANT).await;
    let failing = token_fn(|_| async { Err(FetchError::invalid_request("no").into()) });
    let builder = client(&server, "r0").with_fallback(failing);
    let error = failure(&builder.build(hyper()).unwrap()).await;

    assert_eq!(error.kind(), FetchErrorKind::InvalidRequest);
}

#[tokio::test]
async fn a_server_may_have_another_word_for_invalid_grant() {
    let refusal = r#"{"error":"bad_refresh_token"}"#;
    for (code, expected) in [
        ("bad_refresh_token", Some("fallback")),
        ("bad_refresh", None),
    ] {
        let server = Server::answering(400, refusal).await;
        let builder = client(&server, "r0").with_invalid_grant_code("also_this");
        let builder = builder.with_invalid_grant_code(code);
        let provider = builder.with_fallback(fallback().0).build(hyper()).unwrap();
        let token = fetch(&provider).await;
        assert_eq!(token.as_ref().ok().map(|it| it.expose_secret()), expected);
    }
    let server = Server::answering(400, INVALID_GRANT).await;
    let builder = client(&server, "r0").with_invalid_grant_code("bad_refresh_token");
    let provider = builder.with_fallback(fallback().0).build(hyper()).unwrap();
    assert_eq!(fetch_text(&provider).await, "fallback");
}

#[tokio::test]
async fn a_server_may_have_another_word_for_invalid_grant_under_status_200() {
    let refusal = r#"{"error":"bad_refresh_token","error_description":"incorrect or expired"}"#;
    let server = Server::answering(200, refusal).await;
    let builder = client(&server, "r0").with_invalid_grant_code("bad_refresh_token");
    let provider = builder.with_fallback(fallback().0).build(hyper()).unwrap();
    assert_eq!(fetch_text(&provider).await, "fallback");
}

#[tokio::test]
async fn a_judge_of_refusals_switches_off_neither_the_fallback_nor_the_second_look() {
    for concerns in [
        FetchErrorKind::Denied,
        FetchErrorKind::InvalidRequest,
        FetchErrorKind::Unavailable,
    ] {
        let server = Server::answering(400, INVALID_GRANT).await;
        let reads = AtomicUsize::new(0);
        let source = RefreshTokenSource::from_fn(move || {
            let text = format!("read {}", reads.fetch_add(1, Ordering::SeqCst));
            async { Ok(text) }
        });
        let builder = client(&server, source).with_refusals_judged_by(move |_| Some(concerns));
        let failing = builder.clone().build(hyper()).unwrap();
        let provider = builder.with_fallback(fallback().0).build(hyper()).unwrap();

        assert_eq!(fetch_text(&provider).await, "fallback");
        assert_eq!(refresh_tokens(&server), ["read 0", "read 1"]);
        assert_eq!(failure(&failing).await.kind(), concerns);
    }
}
