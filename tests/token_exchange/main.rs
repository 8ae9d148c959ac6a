//! Token exchange, against token endpoints on real sockets.

#![cfg(feature = "oauth2")]
// Helpers of tests are not tests to clippy.
#![allow(clippy::unwrap_used)]

use std::error::Error;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tower_bearer::error::BoxError;
use tower_bearer::oauth2::{
    ActorToken, ClientAuth, InvalidConfigKind, SubjectToken, TokenEndpointErrorKind, TokenExchange,
    TokenExchangeBuilder, TokenTypeIdentifier,
};
use tower_bearer::{
    AccessToken, FetchContext, FetchError, FetchErrorKind, TokenProvider, TokenRequest,
};

use self::error_support::cause;
use self::server::{Server, response};

#[path = "../error_support/mod.rs"]
mod error_support;
#[path = "../token_endpoint/server.rs"]
mod server;
mod subject;

const ISSUED: &str = r#"{"access_token":"issued","token_type":"Bearer","expires_in":60,
    "issued_token_type":"urn:ietf:params:oauth:token-type:access_token"}"#;

fn hyper() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

fn exchange(server: &Server, subject: SubjectToken) -> TokenExchangeBuilder {
    TokenExchange::builder(server.url(), subject)
}

fn jwt(text: &str) -> SubjectToken {
    SubjectToken::new(TokenTypeIdentifier::JWT, text)
}

async fn fetch(builder: TokenExchangeBuilder) -> Result<AccessToken, BoxError> {
    let provider = builder.build(hyper()).unwrap();
    provider.fetch_token(FetchContext::default()).await
}

async fn failure(builder: TokenExchangeBuilder) -> FetchError {
    *fetch(builder).await.unwrap_err().downcast().unwrap()
}

#[tokio::test]
async fn without_a_client_nobody_in_particular_asks() {
    let server = Server::answering(200, ISSUED).await;
    let token = fetch(exchange(&server, jwt("e.y.J"))).await.unwrap();

    assert_eq!(token.expose_secret(), "issued");
    let request = server.only_request();
    assert_eq!(request.header("authorization"), None);
    assert_eq!(
        request.form,
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=e.y.J\
         &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt"
    );
}

#[tokio::test]
async fn everything_that_is_set_is_sent() {
    let server = Server::answering(200, ISSUED).await;
    let actor = ActorToken::new(TokenTypeIdentifier::from("urn:x:badge"), "the actor");
    let builder = exchange(&server, jwt("e.y.J"))
        .with_client("me", "s3cret")
        .with_client_auth(ClientAuth::Post)
        .with_actor_token(actor)
        .with_requested_token_type(TokenTypeIdentifier::ACCESS_TOKEN)
        .with_scope("read")
        .with_resource("urn:1")
        .with_resource("urn:2")
        .with_audience("everyone")
        .with_parameter("organization", "acme");
    fetch(builder).await.unwrap();

    assert_eq!(
        server.only_request().form,
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=e.y.J\
         &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt&actor_token=the+actor\
         &actor_token_type=urn%3Ax%3Abadge\
         &requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token\
         &client_id=me&client_secret=s3cret&scope=read&resource=urn%3A1&resource=urn%3A2\
         &audience=everyone&organization=acme"
    );
}

#[tokio::test]
async fn a_client_may_authenticate_and_the_body_be_json() {
    let server = Server::answering(200, ISSUED).await;
    let builder = exchange(&server, jwt("e.y.J")).with_client("me", "s3cret");
    fetch(builder.with_json_body()).await.unwrap();

    let request = server.only_request();
    assert_eq!(request.header("authorization"), Some("Basic bWU6czNjcmV0"));
    assert_eq!(
        request.form,
        r#"{"grant_type":"urn:ietf:params:oauth:grant-type:token-exchange","subject_token":"e.y.J","subject_token_type":"urn:ietf:params:oauth:token-type:jwt"}"#
    );
}

#[test]
fn the_identifiers_are_those_of_rfc_8693() {
    for (identifier, name) in [
        (TokenTypeIdentifier::ACCESS_TOKEN, "access_token"),
        (TokenTypeIdentifier::REFRESH_TOKEN, "refresh_token"),
        (TokenTypeIdentifier::ID_TOKEN, "id_token"),
        (TokenTypeIdentifier::SAML1, "saml1"),
        (TokenTypeIdentifier::SAML2, "saml2"),
        (TokenTypeIdentifier::JWT, "jwt"),
    ] {
        let uri = format!("urn:ietf:params:oauth:token-type:{name}");
        assert_eq!(identifier.as_str(), uri);
        assert_eq!(identifier, TokenTypeIdentifier::from(uri));
    }
}

#[tokio::test]
async fn what_the_grant_sets_itself_cannot_be_set_as_a_parameter() {
    let server = Server::answering(200, ISSUED).await;
    for name in [
        "subject_token",
        "subject_token_type",
        "actor_token",
        "actor_token_type",
        "requested_token_type",
    ] {
        let builder = exchange(&server, jwt("e.y.J"));
        let refused = builder.clone().with_parameter(name, "mine");
        let kind = refused.build(hyper()).unwrap_err().kind();
        assert_eq!(kind, InvalidConfigKind::ReservedParameter, "{name}");

        let provider = builder.build(hyper()).unwrap();
        let request = TokenRequest::default().with_parameter(name, "mine");
        let error = provider.fetch_token(FetchContext::new(request)).await;
        let error = *error.unwrap_err().downcast().unwrap();
        assert_eq!(cause(&error).kind(), TokenEndpointErrorKind::NotSent);
    }
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn tokens_and_types_that_cannot_be_right_are_not_sent() {
    let server = Server::answering(200, ISSUED).await;
    let kind = |builder: TokenExchangeBuilder| builder.build(hyper()).unwrap_err().kind();
    let good = || exchange(&server, jwt("e.y.J"));
    for text in ["", "hunter2\n"] {
        let bad = jwt(text);
        let expected = InvalidConfigKind::SubjectToken;
        assert_eq!(kind(exchange(&server, bad.clone())), expected);
        assert_eq!(kind(good().with_actor_token(bad)), expected);

        let read = SubjectToken::from_fn(TokenTypeIdentifier::JWT, move || async move {
            Ok(text.to_owned())
        });
        for builder in [
            exchange(&server, read.clone()),
            good().with_actor_token(read),
        ] {
            let error = failure(builder).await;
            assert_eq!(error.kind(), FetchErrorKind::Unavailable);
            assert_eq!(cause(&error).kind(), TokenEndpointErrorKind::SubjectToken);
            let source = cause(&error).source().unwrap().to_string();
            let text = format!("{error:?} {} {:?} {source}", cause(&error), cause(&error));
            assert!(
                text.contains(&server.url()) && !text.contains("hunter2"),
                "{text}"
            );
        }
    }
    for uri in ["", "urn: x", "urn:é", "urn:x\n"] {
        let bad = || TokenTypeIdentifier::from(uri);
        let token = || SubjectToken::new(bad(), "text");
        let expected = InvalidConfigKind::TokenTypeIdentifier;
        assert_eq!(kind(exchange(&server, token())), expected);
        assert_eq!(kind(good().with_actor_token(token())), expected);
        assert_eq!(kind(good().with_requested_token_type(bad())), expected);
    }
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn an_answer_that_is_no_bearer_token_is_refused() {
    let server = Server::answering(
        200,
        r#"{"access_token":"hunter2","token_type":"N_A","expires_in":60,
            "issued_token_type":"urn:ietf:params:oauth:token-type:jwt"}"#,
    )
    .await;
    let error = failure(exchange(&server, jwt("e.y.J"))).await;

    let kind = TokenEndpointErrorKind::UnsupportedTokenType;
    assert_eq!(cause(&error).kind(), kind);
    assert!(!format!("{} {:?}", cause(&error), cause(&error)).contains("hunter2"));
}

#[tokio::test]
async fn what_is_no_access_token_is_taken_if_just_that_was_requested() {
    const ID: TokenTypeIdentifier = TokenTypeIdentifier::ID_TOKEN;
    const ACCESS: TokenTypeIdentifier = TokenTypeIdentifier::ACCESS_TOKEN;
    let own = || TokenTypeIdentifier::from("urn:x:own");
    for (requested, issued, token_type, is_taken) in [
        (Some(ID), Some(ID), "N_A", true),
        (Some(ID), Some(ID), "n_a", true),
        (Some(ID), Some(ID), "Bearer", true),
        (Some(own()), Some(own()), "N_A", true),
        (Some(ID), Some(ID), "DPoP", false),
        (Some(ID), Some(TokenTypeIdentifier::JWT), "N_A", false),
        (Some(ID), None, "N_A", false),
        (Some(ACCESS), Some(ACCESS), "N_A", false),
        (None, Some(ID), "N_A", false),
        (None, None, "N_A", false),
    ] {
        let case = format!("{requested:?} {issued:?} {token_type}");
        let issued = issued.map(|it| format!(r#","issued_token_type":"{it}""#));
        let issued = issued.unwrap_or_default();
        let body = format!(r#"{{"access_token":"t","token_type":"{token_type}"{issued}}}"#);
        let server = Server::answering(200, body).await;
        let mut builder = exchange(&server, jwt("e.y.J"));
        if let Some(requested) = requested {
            builder = builder.with_requested_token_type(requested);
        }
        let token = fetch(builder).await;
        assert_eq!(token.is_ok(), is_taken, "{case}");
        if let Err(error) = token {
            let kind = cause(error.downcast_ref().unwrap()).kind();
            assert_eq!(kind, TokenEndpointErrorKind::UnsupportedTokenType, "{case}");
        }
    }
}

#[tokio::test]
async fn a_missing_issued_token_type_is_put_up_with() {
    let server = Server::answering(200, r#"{"access_token":"t","token_type":"bearer"}"#).await;
    let token = fetch(exchange(&server, jwt("e.y.J"))).await.unwrap();
    assert_eq!(token.expose_secret(), "t");
}

#[tokio::test]
async fn nothing_shows_a_subject_or_an_actor_token() {
    let server = Server::start(|request| {
        let form = &request.form;
        let body = format!("you sent hunter2/s and hunter2/a by hunter2%2Fs, {form}, end");
        response(400, body)
    })
    .await;
    let actor = ActorToken::new(TokenTypeIdentifier::JWT, "hunter2/a");
    let builder = exchange(&server, jwt("hunter2/s")).with_actor_token(actor.clone());
    let provider = builder.clone().build(hyper()).unwrap();
    let error = failure(builder.clone()).await;

    assert_eq!(error.kind(), FetchErrorKind::Denied);
    let text = format!(
        "{actor:?} {builder:?} {provider:?} {error:?} {} {:?}",
        cause(&error),
        cause(&error)
    );
    let expected = "you sent [redacted] and [redacted] by [redacted], [redacted], end";
    assert!(
        text.contains(expected) && !text.contains("hunter2"),
        "{text}"
    );
}
