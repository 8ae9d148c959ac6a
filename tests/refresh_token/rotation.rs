//! A refresh token that is replaced while it is used.

use tower_bearer::FetchErrorKind;
use tower_bearer::oauth2::TokenEndpointErrorKind;

use crate::server::Server;
use crate::support::*;

fn pair(old: &str, new: &str) -> (String, String) {
    (old.to_owned(), new.to_owned())
}

#[tokio::test]
async fn each_refresh_token_is_used_once_and_saved_before_the_next_is() {
    let (family, store) = (Family::new(), Store::default());
    let server = family.serve().await;
    let provider = store.saves(client(&server, "r0")).build(hyper()).unwrap();

    for n in 1..=3 {
        assert_eq!(fetch_text(&provider).await, format!("a{n}"));
        assert_eq!(store.text(), format!("r{n}"));
    }
    assert_eq!(refresh_tokens(&server), ["r0", "r1", "r2"]);
    let told = [pair("r0", "r1"), pair("r1", "r2"), pair("r2", "r3")];
    assert_eq!(store.told(), told);
}

#[tokio::test]
async fn an_answer_without_a_new_one_keeps_the_old() {
    for body in [
        r#"{"access_token":"a"}"#.to_owned(),
        answer("a", "r0"),
        answer("a", ""),
        r#"{"access_token":"a","refresh_token":null}"#.to_owned(),
        r#"{"access_token":"a","refresh_token":["r1"]}"#.to_owned(),
    ] {
        let (server, store) = (Server::answering(200, body).await, Store::default());
        let provider = store.saves(client(&server, "r0")).build(hyper()).unwrap();
        fetch(&provider).await.unwrap();
        fetch(&provider).await.unwrap();

        assert_eq!(refresh_tokens(&server), ["r0", "r0"]);
        assert_eq!(store.told(), []);
    }
}

#[tokio::test]
async fn a_new_refresh_token_is_kept_whatever_is_wrong_with_the_access_token() {
    for (kind, rest) in [
        (TokenEndpointErrorKind::MissingToken, r#""x":1"#),
        (
            TokenEndpointErrorKind::InvalidToken,
            r#""access_token":"a b""#,
        ),
        (
            TokenEndpointErrorKind::UnsupportedTokenType,
            r#""access_token":"a","token_type":"DPoP""#,
        ),
        (
            TokenEndpointErrorKind::ScopesNotGranted,
            r#""access_token":"a","scope":"other""#,
        ),
    ] {
        let body = format!(r#"{{"refresh_token":"r1",{rest}}}"#);
        let (server, store) = (Server::answering(200, body).await, Store::default());
        let builder = store.saves(client(&server, "r0")).with_scope("read");
        let provider = builder.build(hyper()).unwrap();

        for _ in 0..2 {
            assert_eq!(cause(&failure(&provider).await).kind(), kind);
        }
        assert_eq!(refresh_tokens(&server), ["r0", "r1"]);
        assert_eq!(store.told(), [pair("r0", "r1")]);
    }
}

#[tokio::test]
async fn a_refusal_replaces_no_refresh_token() {
    for (status, body) in [
        (400, r#"{"error":"invalid_scope","refresh_token":"r1"}"#),
        (200, r#"{"error":"invalid_scope","refresh_token":"r1"}"#),
        (503, r#"{"refresh_token":"r1"}"#),
        (302, r#"{"refresh_token":"r1"}"#),
    ] {
        let (server, store) = (Server::answering(status, body).await, Store::default());
        let provider = store.saves(client(&server, "r0")).build(hyper()).unwrap();
        fetch(&provider).await.unwrap_err();
        fetch(&provider).await.unwrap_err();

        assert_eq!(refresh_tokens(&server), ["r0", "r0"]);
        assert_eq!(store.told(), []);
    }
}

#[tokio::test]
async fn a_store_that_is_down_costs_no_refresh_token_and_stops_the_next_request() {
    let (family, store) = (Family::new(), Store::default());
    let server = family.serve().await;
    let provider = store.saves(client(&server, "r0")).build(hyper()).unwrap();

    store.go_down(true);
    // What came is of use, and to withhold it would save nothing.
    assert_eq!(fetch_text(&provider).await, "a1");
    let error = failure(&provider).await;
    assert_eq!(error.kind(), FetchErrorKind::Unavailable);
    let cause = cause(&error);
    assert_eq!(cause.kind(), TokenEndpointErrorKind::RefreshTokenNotSaved);
    assert!(!format!("{cause} {cause:?} {error} {error:?}").contains("hunter2"));
    let source = std::error::Error::source(cause).unwrap();
    assert_eq!(source.to_string(), "the store hunter2 is down");
    assert_eq!(refresh_tokens(&server), ["r0"]);

    store.go_down(false);
    assert_eq!(fetch_text(&provider).await, "a2");
    assert_eq!(refresh_tokens(&server), ["r0", "r1"]);
    let told = [pair("r0", "r1"), pair("r0", "r1"), pair("r0", "r1")];
    assert_eq!(store.told()[..3], told);
    assert_eq!(store.told()[3..], [pair("r1", "r2")]);
    assert!(!family.is_revoked());
}

#[tokio::test]
async fn a_store_that_panics_is_a_store_that_is_down() {
    let family = Family::new();
    let server = family.serve().await;
    let provider = client(&server, "r0")
        .with_rotation_saved_by(|rotation| {
            assert_eq!(rotation.expose_new(), "hunter2");
            async { Ok(()) }
        })
        .build(hyper())
        .unwrap();

    assert_eq!(fetch_text(&provider).await, "a1");
    let error = failure(&provider).await;
    assert_eq!(error.kind(), FetchErrorKind::Unavailable);
    assert_eq!(
        cause(&error).kind(),
        TokenEndpointErrorKind::RefreshTokenNotSaved
    );
    assert!(!everything(&error).contains("hunter2"));
    assert_eq!(refresh_tokens(&server), ["r0"]);
}

#[tokio::test]
async fn providers_of_one_builder_share_the_refresh_token() {
    let family = Family::new();
    let server = family.serve().await;
    let builder = client(&server, "r0");
    let reads = builder.clone().with_scope("read").build(hyper()).unwrap();
    let writes = builder.with_scope("write").build(hyper()).unwrap();

    assert_eq!(fetch_text(&reads).await, "a1");
    assert_eq!(fetch_text(&writes).await, "a2");
    assert_eq!(fetch_text(&reads).await, "a3");
    assert_eq!(refresh_tokens(&server), ["r0", "r1", "r2"]);
}

#[tokio::test]
async fn a_clone_that_saves_nothing_leaves_that_to_a_sibling() {
    let (family, store) = (Family::new(), Store::default());
    let server = family.serve().await;
    let builder = client(&server, "r0");
    let silent = builder.clone().build(hyper()).unwrap();
    let saving = store.saves(builder).build(hyper()).unwrap();

    store.go_down(true);
    assert_eq!(fetch_text(&saving).await, "a1");
    assert_eq!(fetch_text(&silent).await, "a2");
    assert_eq!(store.told(), [pair("r0", "r1")]);
    store.go_down(false);
    assert_eq!(fetch_text(&saving).await, "a3");
    let told = [pair("r0", "r1"), pair("r0", "r2"), pair("r2", "r3")];
    assert_eq!(store.told(), told);
    assert_eq!(refresh_tokens(&server), ["r0", "r1", "r2"]);
}
