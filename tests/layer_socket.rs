//! The layer over hyper's client, with real sockets.

// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tower::{Layer, ServiceExt};
use tower_bearer::rejection::NotRetriedReason;
use tower_bearer::{BearerAuthLayer, FetchError};

use self::layer_support::socket::{Server, answer, http_client, post};
use self::layer_support::{Issuer, assert_same_post_twice, bearer, reason, token};

mod layer_support;

/// Rejects `token-1`.
async fn api() -> Server {
    Server::start(|request| match bearer(request) {
        Some("token-1") => answer(401, "no token-1"),
        _ => answer(200, "welcome"),
    })
    .await
}

fn layer_for(server: &Server, issuer: &Issuer) -> BearerAuthLayer<Issuer> {
    BearerAuthLayer::for_origin(issuer.clone(), server.origin()).unwrap()
}

async fn text(response: Response<hyper::body::Incoming>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn a_post_is_sent_again_with_the_same_bytes_and_headers() {
    let (server, issuer) = (api().await, Issuer::new());
    let client = layer_for(&server, &issuer).layer(http_client());
    let mut request = post(&server.url("/items?x=1"), "payload");
    for value in ["first", "second"] {
        let value = HeaderValue::from_static(value);
        request.headers_mut().append("x-many", value);
    }

    let response = client.oneshot(request).await.unwrap();

    assert_eq!(response.status(), 200);
    assert_eq!(text(response).await, "welcome");
    assert_same_post_twice(&server.received());
}

#[tokio::test]
async fn other_bodies_in_memory_are_sent_again_with_the_same_bytes() {
    let (server, issuer) = (api().await, Issuer::new());
    let client: Client<_, String> = Client::builder(TokioExecutor::new()).build_http();
    let client = layer_for(&server, &issuer).layer(client);
    let request = Request::put(server.url("/"))
        .body("text".to_owned())
        .unwrap();
    assert_eq!(client.oneshot(request).await.unwrap().status(), 200);

    let issuer = Issuer::new();
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let client = layer_for(&server, &issuer).layer(client);
    let request = Request::get(server.url("/")).body(Empty::new()).unwrap();
    assert_eq!(client.oneshot(request).await.unwrap().status(), 200);

    let received = server.received();
    let bodies: Vec<_> = received.iter().map(Request::body).collect();
    assert_eq!(bodies, ["text", "text", "", ""]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_posts_at_once_are_healed_by_one_fetch_each_with_its_own_bytes() {
    let (server, issuer) = (api().await, Issuer::new());
    let layer = layer_for(&server, &issuer);
    layer.cache().token().await.unwrap();
    let client = layer.layer(http_client());

    let requests: Vec<_> = (0..100)
        .map(|i| {
            let uri = server.url(&format!("/{i}"));
            let body = Full::from(format!("body of /{i}"));
            let request = Request::post(uri).body(body).unwrap();
            tokio::spawn(client.clone().oneshot(request))
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.unwrap().unwrap().status(), 200);
    }

    assert_eq!(issuer.fetches(), 2);
    for request in server.received() {
        let path = request.uri().path();
        assert_eq!(request.body(), &format!("body of {path}"));
    }
}

#[tokio::test]
async fn if_the_fetch_fails_the_401_can_be_read_to_its_end() {
    let server = api().await;
    let failure = FetchError::denied("no");
    let issuer = Issuer::answering([token("token-1").into(), failure.into()]);
    let client = layer_for(&server, &issuer).layer(http_client());

    let request = post(&server.url("/"), "payload");
    let response = client.oneshot(request).await.unwrap();

    assert_eq!(response.status(), 401);
    assert!(matches!(
        reason(&response),
        Some(NotRetriedReason::FetchFailed(_))
    ));
    assert_eq!(text(response).await, "no token-1");
    assert_eq!(server.received().len(), 1);
}

/// A body that can be read once.
fn streamed(chunks: [&'static str; 2]) -> BoxBody<Bytes, Infallible> {
    let frames = chunks.map(|chunk| Ok(Frame::data(Bytes::from(chunk))));
    BodyExt::boxed(StreamBody::new(futures_util::stream::iter(frames)))
}

#[tokio::test]
async fn a_streamed_post_is_sent_once_and_the_next_one_recovers() {
    let (server, issuer) = (api().await, Issuer::new());
    let client: Client<HttpConnector, BoxBody<Bytes, Infallible>> =
        Client::builder(TokioExecutor::new()).build_http();
    let client = layer_for(&server, &issuer).layer(client);
    let request = || {
        Request::post(server.url("/"))
            .body(streamed(["pay", "load"]))
            .unwrap()
    };

    let response = client.clone().oneshot(request()).await.unwrap();
    assert_eq!(response.status(), 401);
    assert!(matches!(
        reason(&response),
        Some(NotRetriedReason::BodyNotReplayable)
    ));
    assert_eq!(text(response).await, "no token-1");
    assert_eq!(server.received().len(), 1);

    let response = client.oneshot(request()).await.unwrap();
    assert_eq!(response.status(), 200);
    let received = server.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].body(), "payload");
}

#[tokio::test]
async fn an_error_of_the_client_passes_through_as_its_own() {
    let server = api().await;
    let layer = layer_for(&server, &Issuer::new());
    let nowhere = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let port = nowhere.local_addr().unwrap().port();
    drop(nowhere);
    let uri = format!("http://127.0.0.1:{port}");
    let client = layer.allow_origin(&*uri).unwrap().layer(http_client());

    let error = client.oneshot(post(&uri, "")).await.unwrap_err();

    let error = error
        .downcast::<hyper_util::client::legacy::Error>()
        .unwrap();
    assert!(error.is_connect());
}

#[tokio::test]
async fn a_revocation_between_two_requests_is_healed_on_the_same_connection() {
    let accepted = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        let first = accepted.load(Ordering::Relaxed) == 0;
        match bearer(request) {
            Some("token-1") if first => {
                accepted.fetch_add(1, Ordering::Relaxed);
                answer(200, "welcome")
            }
            Some("token-1") => answer(401, "revoked"),
            _ => answer(200, "welcome back"),
        }
    })
    .await;
    let issuer = Issuer::new();
    let client = layer_for(&server, &issuer).layer(http_client());

    let one = client.clone().oneshot(post(&server.url("/"), "1")).await;
    assert_eq!(text(one.unwrap()).await, "welcome");
    let other = client.oneshot(post(&server.url("/"), "2")).await;
    assert_eq!(text(other.unwrap()).await, "welcome back");
    assert_eq!(issuer.fetches(), 2);
}
