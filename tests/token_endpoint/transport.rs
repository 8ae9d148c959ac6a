//! What token requests are sent over.

use std::error::Error as _;
use std::future::{Ready, ready};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::retry::Policy;
use tower::util::BoxCloneService;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_bearer::error::{BoxError, FetchError, FetchErrorKind};
use tower_bearer::oauth2::{Assertion, ClientCredentials, TokenEndpointErrorKind as Kind};
use tower_bearer::provider::{PassThrough, TokenProviderExt};
use tower_bearer::testing::Reply;
use tower_bearer::{FetchContext, TokenProvider};

use super::server::{Server, response};
use super::support::*;

#[tokio::test]
async fn a_refused_connection_is_named_and_its_error_is_reachable() {
    // A port that was just free. Nobody listens there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "http://{}/token?key=hunter2",
        listener.local_addr().unwrap()
    );
    drop(listener);
    let result = fetch(ClientCredentials::builder(&url, "me", SECRET)).await;

    let error = *result.unwrap_err().downcast::<FetchError>().unwrap();
    assert_eq!(error.kind(), FetchErrorKind::Unavailable);
    let cause = cause(&error);
    assert_eq!((cause.kind(), cause.status()), (Kind::Transport, None));
    assert!(cause.to_string().contains("connection refused"), "{cause}");
    assert!(!format!("{cause} {cause:?}").contains("hunter2"));
    let source = cause.source().unwrap();
    assert!(source.is::<hyper_util::client::legacy::Error>());
}

#[tokio::test]
async fn a_connection_lost_within_the_answer_is_a_failed_transport() {
    let half = "{\"access_token\":\"hunter2";
    let answer = format!("{half}{half}");
    let server = Server::replying(Reply::from(response(200, answer)).breaking_off()).await;
    let error = failure(client(&server)).await;

    assert_eq!(error.kind(), FetchErrorKind::Unavailable);
    assert_eq!(cause(&error).kind(), Kind::Transport);
    assert_eq!(cause(&error).status(), Some(StatusCode::OK));

    let server = Server::replying(Reply::from(response(401, "halfhalf")).breaking_off()).await;
    let error = failure(client(&server)).await;

    assert_eq!(error.kind(), FetchErrorKind::Denied);
    assert_eq!(cause(&error).kind(), Kind::Rejected);
}

#[tokio::test]
async fn only_a_transport_that_was_polled_ready_is_called() {
    let server = Server::answering(200, TOKEN).await;
    // Both panic when called without.
    let transport = ServiceBuilder::new()
        .buffer(1)
        .concurrency_limit(1)
        .service(hyper());
    let transport = BoxCloneService::new(transport);
    let provider = client(&server).build(transport).unwrap();

    for _ in 0..2 {
        let token = provider.fetch_token(FetchContext::default()).await;
        assert_eq!(token.unwrap().expose_secret(), "issued");
    }
}

#[tokio::test]
async fn token_requests_are_marked_and_their_credential_is_sensitive() {
    let seen = Arc::new(Mutex::new(None));
    let log = Arc::clone(&seen);
    let transport = service_fn(move |request: Request<Full<Bytes>>| {
        *log.lock().unwrap() = Some(request);
        async { Ok::<_, BoxError>(response(200, TOKEN).map(Full::new)) }
    });
    let provider = ClientCredentials::builder("https://id.example.com/token?v=1", "me", SECRET)
        .build(transport.boxed_clone())
        .unwrap();
    provider.fetch_token(FetchContext::default()).await.unwrap();

    let request = seen.lock().unwrap().take().unwrap();
    assert_eq!(request.uri(), "https://id.example.com/token?v=1");
    assert!(request.extensions().get::<PassThrough>().is_some());
    assert!(request.headers()["authorization"].is_sensitive());
}

/// Again, once, if the server cannot serve now.
#[derive(Clone)]
struct Again(bool);

impl<B, E> Policy<Request<Full<Bytes>>, Response<B>, E> for Again {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<Full<Bytes>>,
        result: &mut Result<Response<B>, E>,
    ) -> Option<Ready<()>> {
        let is_unavailable = matches!(result, Ok(response) if response.status() == 503);
        (std::mem::take(&mut self.0) && is_unavailable).then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Request<Full<Bytes>>) -> Option<Request<Full<Bytes>>> {
        Some(request.clone())
    }
}

/// Answers the first request with 503 and the others with a token.
async fn failing_once() -> Server {
    let first = AtomicBool::new(true);
    Server::start(move |_| match first.swap(false, Ordering::Relaxed) {
        true => response(503, ""),
        false => response(200, TOKEN),
    })
    .await
}

#[tokio::test]
async fn a_retry_in_the_transport_is_within_the_fetch_and_sends_the_same_again() {
    let server = failing_once().await;
    let transport = ServiceBuilder::new().retry(Again(true)).service(hyper());
    let made = AtomicUsize::new(0);
    let assertion = Assertion::from_fn(move |_| {
        let number = made.fetch_add(1, Ordering::Relaxed);
        async move { Ok(format!("e30.e30.{number}")) }
    });
    let builder = ClientCredentials::builder(server.url(), "me", assertion);
    let provider = builder.build(transport).unwrap();

    let token = provider.fetch_token(FetchContext::default()).await.unwrap();
    assert_eq!(token.expose_secret(), "issued");
    let [first, second] = server.received().try_into().unwrap();
    assert_eq!(first.form, second.form);
    assert!(first.form.contains("e30.e30.0"));
}

#[tokio::test]
async fn a_retry_around_the_provider_makes_what_it_sends_anew() {
    let server = failing_once().await;
    let made = AtomicUsize::new(0);
    let assertion = Assertion::from_fn(move |_| {
        let number = made.fetch_add(1, Ordering::Relaxed);
        async move { Ok(format!("e30.e30.{number}")) }
    });
    let builder = ClientCredentials::builder(server.url(), "me", assertion);
    let provider = builder.build(hyper()).unwrap().retry(2);
    let provider = provider.with_pauses(Duration::ZERO, Duration::ZERO);

    let token = provider.fetch_token(FetchContext::default()).await.unwrap();
    assert_eq!(token.expose_secret(), "issued");
    let [first, second] = server.received().try_into().unwrap();
    assert!(first.form.contains("e30.e30.0"));
    assert!(second.form.contains("e30.e30.1"));
}
