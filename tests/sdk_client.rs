//! The SDK of the example: its callers see a client that can be cloned and shared, and errors of its own.

// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use static_assertions::assert_impl_all;
use tokio::net::TcpListener;
use tower::{ServiceBuilder, service_fn};
use tower_bearer::error::BoxError;
use tower_bearer::oauth2::ClientCredentials;
use tower_bearer::origin::InvalidOrigin;
use tower_bearer::provider::StaticToken;
use tower_bearer::{AccessToken, BoxTokenProvider, FetchError, FetchErrorKind, token_fn};

use self::example::loopback::{
    Api, CLIENT_ID, CLIENT_SECRET, HttpClient, Issuer, http1_client, http2_client,
};
use self::example::sdk::{EchoClient, Error, ErrorKind};

#[path = "../examples/sdk.rs"]
#[allow(dead_code)]
mod example;

assert_impl_all!(EchoClient: Clone, Send, Sync);
assert_impl_all!(Error: std::error::Error, Send, Sync);

/// Token requests, requests with a good token, requests with another.
fn counts(issuer: &Issuer, api: &Api) -> (usize, usize, usize) {
    (issuer.requests(), api.accepted(), api.rejected())
}

fn credentials(token_endpoint: &str, secret: &str) -> BoxTokenProvider {
    let provider = ClientCredentials::builder(token_endpoint, CLIENT_ID, secret);
    BoxTokenProvider::new(provider.build(http1_client()).unwrap())
}

fn client(api: &Api, provider: BoxTokenProvider, http: HttpClient) -> EchoClient {
    EchoClient::new(api.origin().parse().unwrap(), provider, http).unwrap()
}

/// A token that is all there is.
fn fixed() -> BoxTokenProvider {
    BoxTokenProvider::new(StaticToken::new(AccessToken::new("fixed").unwrap()))
}

/// Where nobody listens.
async fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// Nothing that the error shows by itself holds a secret.
fn assert_silent(error: &Error) {
    let text = format!("{error} {error:?} {}", error.source().unwrap());
    assert!(!text.contains("hunter2"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clones_on_many_tasks_heal_by_one_token_request() {
    for http in [http1_client(), http2_client()] {
        let issuer = Issuer::start().await;
        let api = Api::start(&issuer).await;
        let client = client(&api, credentials(issuer.url(), CLIENT_SECRET), http);
        assert_eq!(client.echo("hello").await.unwrap(), "hello");
        issuer.revoke_all();

        let callers = (0..100).map(|i| {
            let client = client.clone();
            tokio::spawn(async move {
                let text = format!("text {i}");
                assert_eq!(client.echo(&text).await.unwrap(), text);
            })
        });
        for caller in join_all(callers).await {
            caller.unwrap();
        }
        assert_eq!((issuer.requests(), api.accepted()), (2, 101));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_shared_by_reference_works_on_another_thread() {
    let issuer = Issuer::start().await;
    let api = Api::start(&issuer).await;
    let client = client(
        &api,
        credentials(issuer.url(), CLIENT_SECRET),
        http1_client(),
    );
    let client: &'static EchoClient = Box::leak(Box::new(client));

    let echoed = tokio::spawn(client.echo("hello")).await.unwrap();
    assert_eq!(echoed.unwrap(), "hello");
}

#[tokio::test]
async fn callers_bring_the_transport() {
    let issuer = Issuer::start().await;
    let api = Api::start(&issuer).await;
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    // Whose response has another body.
    let transport = service_fn(move |request: Request<Full<Bytes>>| {
        let number = counted.fetch_add(1, Ordering::SeqCst);
        let token = request.headers()["authorization"].clone();
        let status = match number {
            0 => StatusCode::UNAUTHORIZED,
            _ => StatusCode::OK,
        };
        async move {
            let body = String::from_utf8(token.as_bytes().to_vec())?;
            Ok::<_, BoxError>(Response::builder().status(status).body(body)?)
        }
    });
    let transport = ServiceBuilder::new()
        .concurrency_limit(1)
        .timeout(Duration::from_secs(60))
        .service(transport);
    let provider = credentials(issuer.url(), CLIENT_SECRET);
    let client = EchoClient::new(api.origin().parse().unwrap(), provider, transport).unwrap();

    assert_eq!(client.echo("hello").await.unwrap(), "Bearer token-2");
    assert_eq!(sent.load(Ordering::SeqCst), 2);
    assert_eq!(counts(&issuer, &api), (2, 0, 0));
}

#[tokio::test]
async fn a_base_url_may_have_a_path() {
    for (path, expected) in [
        ("", "/echo"),
        ("/", "/echo"),
        ("/v1", "/v1/echo"),
        ("/v1/", "/v1/echo"),
    ] {
        let transport = service_fn(|request: Request<Full<Bytes>>| async move {
            Ok::<_, BoxError>(Response::new(request.uri().to_string()))
        });
        let base = format!("https://echo.example.com{path}").parse().unwrap();
        let client = EchoClient::new(base, fixed(), transport).unwrap();

        let sent_to = client.echo("hello").await.unwrap();
        assert_eq!(sent_to, format!("https://echo.example.com{expected}"));
    }
}

#[test]
fn a_base_url_with_a_query_is_refused() {
    let base = "https://echo.example.com/v1?key=1".parse().unwrap();
    assert!(EchoClient::new(base, fixed(), http1_client()).is_err());
}

#[tokio::test]
async fn credentials_that_are_refused_are_told_from_an_issuer_that_is_down() {
    let issuer = Issuer::start().await;
    let api = Api::start(&issuer).await;

    let refused = client(&api, credentials(issuer.url(), "hunter2"), http1_client());
    let error = refused.echo("hello").await.unwrap_err();
    assert_silent(&error);
    assert_eq!(error.kind(), ErrorKind::Credentials);

    let down = format!("{}/oauth/token", nowhere().await);
    let down = client(&api, credentials(&down, "hunter2"), http1_client());
    let error = down.echo("hello").await.unwrap_err();
    assert_silent(&error);
    assert_eq!(error.kind(), ErrorKind::SignIn);
    let below = error.source().unwrap().downcast_ref::<FetchError>();
    assert_eq!(below.unwrap().kind(), FetchErrorKind::Unavailable);
    // Nothing is sent without a token.
    assert_eq!(api.received(), 0);
}

#[tokio::test]
async fn an_account_that_is_closed_meanwhile_is_told_by_the_rejection() {
    let issuer = Issuer::start().await;
    let api = Api::start(&issuer).await;
    let calls = AtomicUsize::new(0);
    let provider = token_fn(move |_| {
        let answer = match calls.fetch_add(1, Ordering::SeqCst) {
            0 => Ok("revoked"),
            _ => Err(FetchError::denied("hunter2 has left us")),
        };
        async move { Ok(AccessToken::new(answer?)?) }
    });
    let client = client(&api, BoxTokenProvider::new(provider), http1_client());

    let error = client.echo("hello").await.unwrap_err();
    assert_silent(&error);
    assert_eq!(error.kind(), ErrorKind::Credentials);
    assert_eq!(api.rejected(), 1);
}

#[tokio::test]
async fn a_token_that_is_all_there_is_and_is_rejected_is_no_failure_to_sign_in() {
    let issuer = Issuer::start().await;
    let api = Api::start(&issuer).await;
    let client = client(&api, fixed(), http1_client());

    let error = client.echo("hello").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    assert_eq!(counts(&issuer, &api), (0, 0, 1));
}

#[tokio::test]
async fn an_api_that_is_down_is_the_transports_error() {
    let issuer = Issuer::start().await;
    let base = nowhere().await.parse().unwrap();
    let provider = credentials(issuer.url(), CLIENT_SECRET);
    let client = EchoClient::new(base, provider, http1_client()).unwrap();

    let error = client.echo("hello").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport);
    let below = error.source().unwrap();
    assert!(below.is::<hyper_util::client::legacy::Error>());
}

#[tokio::test]
async fn a_base_url_to_which_tokens_would_go_unencrypted_is_refused() {
    let base = "http://echo.example.com".parse().unwrap();
    let error = EchoClient::new(base, fixed(), http1_client())
        .err()
        .unwrap();
    assert!(error.is::<InvalidOrigin>());
}
