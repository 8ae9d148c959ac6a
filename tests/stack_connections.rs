//! How many connections a request takes that is rejected and sent again, counted by the server.
//!
//! On a runtime with one thread, since with several the pool of hyper-util's client opens a connection now and
//! then that it does not need, whoever sends.

// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Body;
use tower::{Layer, Service, ServiceExt};
use tower_bearer::BearerAuthLayer;
use tower_bearer::error::BoxError;
use tower_bearer::read_ahead::ReadAheadLayer;
use tower_bearer::rejection::NotRetriedReason;

use self::layer_support::socket::{Server, answer as http_answer, http_client, http2_client};
use self::layer_support::{Issuer, bearer, reason, token, without_hanging};
use self::socket_support::{RawServer, answer};
use self::stack_support::text;

mod layer_support;
mod socket_support;
mod stack_support;

const KIB: usize = 1024;

/// Reads ahead what an error has, and not what a download has.
const AHEAD: usize = 64 * KIB;

/// A rejection with a body of so many bytes, whose length is stated.
fn sized(bytes: usize) -> Vec<u8> {
    answer("401 Unauthorized", "", &"x".repeat(bytes))
}

/// A rejection with a body of so many bytes, in chunks of so many.
fn chunked(bytes: usize, chunk: usize) -> Vec<u8> {
    let body = "x".repeat(bytes);
    let mut answer = b"HTTP/1.1 401 Unauthorized\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.as_bytes().chunks(chunk) {
        answer.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        answer.extend_from_slice(chunk);
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b"0\r\n\r\n");
    answer
}

/// The connections that the server has seen after one request, which it rejected first, and after two more.
async fn opened<S, B>(http: S, rejection: Vec<u8>) -> [usize; 2]
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: Into<BoxError>> + Clone,
    B: Body,
{
    let server = RawServer::start(|_| answer("200 OK", "", "welcome"));
    server.answers(rejection);
    let layer = BearerAuthLayer::for_origin(Issuer::new(), server.origin()).unwrap();
    let client = layer.layer(http);
    let mut opened = Vec::new();
    for _ in 0..3 {
        let request = Request::post(server.origin()).body(Full::from("payload"));
        let response = client.clone().oneshot(request.unwrap());
        let response = without_hanging(response).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(text(response).await, "welcome");
        opened.push(server.connections());
    }
    assert_eq!(server.requests(), 4);
    [opened[0], opened[2]]
}

/// What the docs of [`tower_bearer::read_ahead`] say of hyper. If this fails, so do they.
#[tokio::test]
async fn without_reading_ahead_short_bodies_of_stated_length_cost_no_connection_and_all_others_one()
{
    for bytes in [0, 30, KIB, 4 * KIB, 7 * KIB] {
        assert_eq!(opened(http_client(), sized(bytes)).await, [1, 1], "{bytes}");
    }
    for bytes in [9 * KIB, 64 * KIB, KIB * KIB] {
        assert_eq!(opened(http_client(), sized(bytes)).await, [2, 2], "{bytes}");
    }
    for (bytes, chunk) in [(30, 30), (KIB, 100), (64 * KIB, 8 * KIB)] {
        let opened = opened(http_client(), chunked(bytes, chunk)).await;
        assert_eq!(opened, [2, 2], "{bytes} in chunks of {chunk}");
    }
}

#[tokio::test]
async fn reading_ahead_the_connection_of_the_rejection_is_used_for_the_retry() {
    let http = || ReadAheadLayer::up_to(AHEAD).layer(http_client());
    for bytes in [0, 30, KIB, 7 * KIB, 9 * KIB, 64 * KIB] {
        assert_eq!(opened(http(), sized(bytes)).await, [1, 1], "{bytes}");
    }
    for (bytes, chunk) in [(30, 30), (KIB, 100), (64 * KIB, 8 * KIB)] {
        let opened = opened(http(), chunked(bytes, chunk)).await;
        assert_eq!(opened, [1, 1], "{bytes} in chunks of {chunk}");
    }
}

#[tokio::test]
async fn reading_ahead_goes_no_further_than_it_was_told() {
    let http = || ReadAheadLayer::up_to(AHEAD).layer(http_client());
    assert_eq!(opened(http(), sized(64 * KIB + 1)).await, [2, 2]);
    assert_eq!(opened(http(), sized(KIB * KIB)).await, [2, 2]);
    assert_eq!(opened(http(), chunked(KIB * KIB, 8 * KIB)).await, [2, 2]);
}

#[cfg(feature = "reqwest")]
#[tokio::test]
async fn the_same_with_reqwest() {
    use tower_bearer::reqwest::ReqwestTransport;

    let http = || ReqwestTransport::new().unwrap();
    assert_eq!(opened(http(), sized(KIB)).await, [1, 1]);
    assert_eq!(opened(http(), sized(64 * KIB)).await, [2, 2]);
    assert_eq!(opened(http(), chunked(30, 30)).await, [2, 2]);

    let http = || ReadAheadLayer::up_to(AHEAD).layer(ReqwestTransport::new().unwrap());
    assert_eq!(opened(http(), sized(KIB)).await, [1, 1]);
    assert_eq!(opened(http(), sized(64 * KIB)).await, [1, 1]);
    assert_eq!(opened(http(), chunked(30, 30)).await, [1, 1]);
}

#[tokio::test]
async fn a_late_rejection_which_needs_no_fetch_is_retried_on_its_connection_too() {
    let server = RawServer::start(|_| answer("200 OK", "", ""));
    server.answers(answer("200 OK", "", ""));
    server.answers(chunked(30, 30));
    let issuer = Issuer::new();
    let layer = BearerAuthLayer::for_origin(issuer.clone(), server.origin()).unwrap();
    let http = ReadAheadLayer::up_to(AHEAD).layer(http_client());
    // Whoever is first replaces the token while the second is under way.
    let cache = layer.cache().clone();
    let http = tower::ServiceBuilder::new()
        .then(move |response: Result<Response<_>, _>| {
            let cache = cache.clone();
            async move {
                if response.as_ref().is_ok_and(|r| r.status() == 401) {
                    let sent = cache.cached().unwrap();
                    cache.invalidate(&sent);
                    cache.token().await.unwrap();
                }
                response
            }
        })
        .service(http);
    let client = layer.layer(http);
    for _ in 0..2 {
        let request = Request::get(server.origin()).body(Full::default());
        let response = without_hanging(client.clone().oneshot(request.unwrap())).await;
        let response = response.unwrap();
        assert_eq!(response.status(), 200);
        text(response).await;
    }

    assert_eq!(issuer.fetches(), 2);
    assert_eq!(server.requests(), 3);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn what_was_read_ahead_of_a_401_that_is_returned_is_its_body() {
    for (bytes, rejection) in [
        (30, chunked(30, 10)),
        (9 * KIB, sized(9 * KIB)),
        (KIB * KIB, sized(KIB * KIB)),
        (KIB * KIB, chunked(KIB * KIB, 8 * KIB)),
    ] {
        let server = RawServer::start(move |_| rejection.clone());
        // There is no other token.
        let issuer = Issuer::answering([token("token-1").into(), token("token-1").into()]);
        let http = ReadAheadLayer::up_to(AHEAD).layer(http_client());
        let layer = BearerAuthLayer::for_origin(issuer, server.origin()).unwrap();
        let request = Request::get(server.origin()).body(Full::default()).unwrap();

        let response = without_hanging(layer.layer(http).oneshot(request)).await;

        let response = response.unwrap();
        assert_eq!(response.status(), 401);
        assert!(matches!(
            reason(&response),
            Some(NotRetriedReason::SameToken)
        ));
        assert!(text(response).await == "x".repeat(bytes), "{bytes}");
    }
}

#[tokio::test]
async fn over_http2_there_is_one_connection_whatever_the_body() {
    for bytes in [0, 30, 64 * KIB, KIB * KIB] {
        let server = Server::start(move |request| match bearer(request) {
            Some("token-1") => {
                let mut response = http_answer(401, "");
                *response.body_mut() = Full::from("x".repeat(bytes));
                response
            }
            _ => http_answer(200, "welcome"),
        })
        .await;
        let layer = || BearerAuthLayer::for_origin(Issuer::new(), server.origin()).unwrap();
        let request = || Request::get(server.url("/")).body(Full::default()).unwrap();
        let http = http2_client();

        let response = layer().layer(http.clone()).oneshot(request());
        let response = without_hanging(response).await.unwrap();
        assert_eq!(text(response).await, "welcome");
        let ahead = ReadAheadLayer::up_to(AHEAD).layer(http);
        let response = layer().layer(ahead).oneshot(request());
        let response = without_hanging(response).await.unwrap();
        assert_eq!(text(response).await, "welcome");

        assert_eq!(server.received().len(), 4);
        assert_eq!(server.connections(), 1, "{bytes}");
    }
}
