//! What is sent: how the client authenticates, and what it asks for.

use std::error::Error as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use tower_bearer::error::FetchErrorKind;
use tower_bearer::oauth2::{
    ClientAuth, ClientCredentials, ClientSecret, TokenEndpointErrorKind as Kind,
};
use tower_bearer::{FetchContext, TokenProvider, TokenRequest};

use super::server::Server;
use super::support::*;

#[tokio::test]
async fn basic_sends_id_and_secret_each_form_encoded() {
    let server = Server::answering(200, TOKEN).await;
    let token = fetch(ClientCredentials::builder(server.url(), ID, SECRET)).await;

    assert_eq!(token.unwrap().expose_secret(), "issued");
    let request = server.only_request();
    assert_eq!(
        (request.method.clone(), request.uri.path()),
        (Method::POST, "/token")
    );
    let content_type = Some("application/x-www-form-urlencoded");
    assert_eq!(request.header("content-type"), content_type);
    assert_eq!(request.header("accept"), Some("application/json"));
    let credential =
        STANDARD.encode("i%3Ad%2B%25%2F%20%C3%A9:hunter2%3A%2B%25%2F%20%5C%22%3C%26%27%2A~%C3%A9");
    let authorization = format!("Basic {credential}");
    assert_eq!(request.header("authorization"), Some(&*authorization));
    assert_eq!(request.form, "grant_type=client_credentials");
}

#[tokio::test]
async fn basic_raw_sends_id_and_secret_as_they_are() {
    let server = Server::answering(200, TOKEN).await;
    let builder = ClientCredentials::builder(server.url(), "i+%/ é", SECRET);
    fetch(builder.with_client_auth(ClientAuth::BasicRaw))
        .await
        .unwrap();

    let request = server.only_request();
    let authorization = format!("Basic {}", STANDARD.encode(format!("i+%/ é:{SECRET}")));
    assert_eq!(request.header("authorization"), Some(&*authorization));
    assert_eq!(request.form, "grant_type=client_credentials");
}

#[tokio::test]
async fn post_sends_id_and_secret_in_the_form_only() {
    let server = Server::answering(200, TOKEN).await;
    let builder = ClientCredentials::builder(server.url(), ID, SECRET);
    fetch(builder.with_client_auth(ClientAuth::Post))
        .await
        .unwrap();

    let request = server.only_request();
    assert_eq!(request.header("authorization"), None);
    assert_eq!(
        request.form,
        "grant_type=client_credentials&client_id=i%3Ad%2B%25%2F+%C3%A9\
         &client_secret=hunter2%3A%2B%25%2F+%5C%22%3C%26%27*%7E%C3%A9"
    );
}

#[tokio::test]
async fn the_token_request_replaces_the_defaults_it_speaks_of() {
    let server = Server::answering(200, TOKEN).await;
    let builder = client(&server)
        .with_scope("write read")
        .with_resource("urn:default")
        .with_audience("everyone")
        .with_parameter("a", "default")
        .with_parameter("b", "default");

    let forms = async |request| {
        fetch_for(builder.clone(), request).await.unwrap();
        server.received().pop().unwrap().form
    };
    assert_eq!(
        forms(TokenRequest::default()).await,
        "grant_type=client_credentials&scope=read+write&resource=urn%3Adefault&audience=everyone\
         &a=default&b=default"
    );
    assert_eq!(
        forms(TokenRequest::default().with_scope("RestAPI/GET:balance")).await,
        "grant_type=client_credentials&scope=RestAPI%2FGET%3Abalance&resource=urn%3Adefault\
         &audience=everyone&a=default&b=default"
    );
    let other = TokenRequest::default()
        .with_resource("urn:2")
        .with_resource("urn:1")
        .with_audience("me")
        .with_parameter("b", "other")
        .with_parameter("c", "other");
    assert_eq!(
        forms(other).await,
        "grant_type=client_credentials&scope=read+write&resource=urn%3A1&resource=urn%3A2\
         &audience=me&a=default&b=other&c=other"
    );
}

#[tokio::test]
async fn what_the_grant_cannot_honour_is_refused_and_not_sent() {
    let server = Server::answering(200, TOKEN).await;
    for request in [
        TokenRequest::default().with_tenant("acme"),
        TokenRequest::default().with_parameter("grant_type", "password"),
        TokenRequest::default().with_parameter("client_id", "somebody"),
        TokenRequest::default().with_parameter("client_secret", "x"),
        TokenRequest::default().with_parameter("scope", "admin"),
        TokenRequest::default().with_parameter("resource", "urn:x"),
        TokenRequest::default().with_parameter("audience", "x"),
        TokenRequest::default().with_parameter("", "x"),
    ] {
        let error = fetch_error(fetch_for(client(&server), request).await);

        assert_eq!(error.kind(), FetchErrorKind::InvalidRequest);
        assert_eq!(cause(&error).kind(), Kind::NotSent);
    }
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn a_secret_from_a_closure_is_read_for_every_fetch() {
    let server = Server::answering(200, TOKEN).await;
    let reads = AtomicUsize::new(0);
    let secret = ClientSecret::from_fn(move || {
        let read = reads.fetch_add(1, Ordering::Relaxed);
        async move {
            match read {
                0 | 1 => Ok(format!("hunter2-{read}")),
                2 => Ok("hunter2\n".to_owned()),
                _ => Err("the vault is sealed".into()),
            }
        }
    });
    let provider = ClientCredentials::builder(server.url(), "me", secret)
        .with_client_auth(ClientAuth::Post)
        .build(hyper())
        .unwrap();

    provider.fetch_token(FetchContext::default()).await.unwrap();
    provider.fetch_token(FetchContext::default()).await.unwrap();
    let forms = server.received().into_iter().map(|request| request.form);
    let ends: Vec<_> = forms
        .map(|form| form.rsplit('=').next().unwrap().to_owned())
        .collect();
    assert_eq!(ends, ["hunter2-0", "hunter2-1"]);

    let error = fetch_error(provider.fetch_token(FetchContext::default()).await);
    assert_eq!(cause(&error).kind(), Kind::ClientSecret);
    let error = fetch_error(provider.fetch_token(FetchContext::default()).await);
    assert_eq!(error.kind(), FetchErrorKind::Unavailable);
    assert_eq!(
        cause(&error).source().unwrap().to_string(),
        "the vault is sealed"
    );
    assert!(!format!("{error} {}", cause(&error)).contains("sealed"));
    assert_eq!(server.received().len(), 2);
}
