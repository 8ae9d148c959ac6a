//! Bodies of reqwest: which are sent again, on real sockets.

// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use reqwest::Body;
use reqwest::multipart::Form;
use tower::{Layer, ServiceExt};
use tower_bearer::error::BoxError;
use tower_bearer::rejection::NotRetriedReason;
use tower_bearer::replay::{Never, Streaming};

use self::layer_support::socket::{Server, answer, redirect};
use self::layer_support::{Issuer, bearer};
use self::reqwest_support::{api, client, following, layer_for, reason};

mod layer_support;
mod reqwest_support;

#[tokio::test]
async fn every_body_that_is_in_memory_is_sent_again() {
    for (body, bytes) in [
        (None, ""),
        (Some(Body::from("")), ""),
        (Some(Body::from("text")), "text"),
        (Some(Body::from("text".to_owned())), "text"),
        (Some(Body::from(b"text".to_vec())), "text"),
        (Some(Body::from(bytes::Bytes::from_static(b"text"))), "text"),
    ] {
        let (server, issuer) = (api().await, Issuer::new());
        let auth = layer_for(&server, &issuer).layer(client());
        let mut request = client().put(server.url("/")).build().unwrap();
        *request.body_mut() = body;

        let response = auth.oneshot(request).await.unwrap();

        assert_eq!(response.status(), 200);
        let received = server.received();
        let bodies: Vec<_> = received.iter().map(http::Request::body).collect();
        assert_eq!(bodies, [bytes, bytes]);
    }
}

#[tokio::test]
async fn a_stream_is_sent_once_and_the_next_request_recovers() {
    let (server, issuer) = (api().await, Issuer::new());
    let auth = layer_for(&server, &issuer).layer(client());
    let request = || {
        let chunks = ["pay", "load"].map(Ok::<_, BoxError>);
        let stream = Body::wrap_stream(futures_util::stream::iter(chunks));
        client().post(server.url("/")).body(stream).build().unwrap()
    };

    let response = auth.clone().oneshot(request()).await.unwrap();
    assert_eq!(response.status(), 401);
    assert!(matches!(
        reason(&response),
        Some(NotRetriedReason::BodyNotReplayable)
    ));
    assert_eq!(response.text().await.unwrap(), "no token-1");
    assert_eq!(server.received().len(), 1);

    let response = auth.oneshot(request()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(server.received()[0].body(), "payload");
}

#[tokio::test]
async fn a_multipart_form_is_a_stream_to_reqwest_and_sent_once() {
    let (server, issuer) = (api().await, Issuer::new());
    let auth = layer_for(&server, &issuer).layer(client());
    let request = || {
        let form = Form::new().text("name", "value");
        client().post(server.url("/")).multipart(form).build()
    };

    let response = auth.clone().oneshot(request().unwrap()).await.unwrap();
    assert_eq!(response.status(), 401);
    assert!(matches!(
        reason(&response),
        Some(NotRetriedReason::BodyNotReplayable)
    ));
    assert_eq!(server.received().len(), 1);

    let response = auth.oneshot(request().unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn a_stream_and_a_form_are_sent_again_if_the_policy_keeps_streams() {
    let chunks = ["pay", "load"].map(Ok::<_, BoxError>);
    let stream = Body::wrap_stream(futures_util::stream::iter(chunks));
    let form = Form::new().text("name", "value");
    let post = |server: &Server| client().post(server.url("/"));
    let (one, other) = (api().await, api().await);
    let requests = [
        (post(&one).body(stream), one, "payload"),
        (post(&other).multipart(form), other, "value"),
    ];

    for (request, server, text) in requests {
        let issuer = Issuer::new();
        let auth = layer_for(&server, &issuer)
            .with_replay(Streaming::up_to(1024))
            .layer(client());
        let response = auth.oneshot(request.build().unwrap()).await.unwrap();

        assert_eq!(response.status(), 200);
        let received = server.received();
        assert_eq!(received.len(), 2);
        assert_eq!(received[0].body(), received[1].body());
        let sent = std::str::from_utf8(received[1].body()).unwrap();
        assert!(sent.contains(text), "{sent}");
        assert_eq!(issuer.fetches(), 2);
    }
}

#[tokio::test]
async fn a_policy_that_keeps_streams_leaves_bodies_in_memory_to_reqwest_as_they_are() {
    let server = Server::start(|request| match (request.uri().path(), bearer(request)) {
        // To send a body on, reqwest has to copy it.
        ("/old", _) => redirect(307, "/new"),
        (_, Some("token-1")) => answer(401, "no token-1"),
        _ => answer(200, "welcome"),
    })
    .await;
    let auth = layer_for(&server, &Issuer::new())
        // It is in memory already.
        .with_replay(Streaming::up_to(0))
        .layer(following());
    let request = client().post(server.url("/old")).body("payload").build();

    let response = auth.oneshot(request.unwrap()).await.unwrap();

    assert_eq!(response.status(), 200);
    let received = server.received();
    let bodies: Vec<_> = received.iter().map(http::Request::body).collect();
    assert_eq!(bodies, ["payload"; 4]);
}

#[tokio::test]
async fn nothing_is_sent_again_if_the_policy_says_never() {
    let (server, issuer) = (api().await, Issuer::new());
    let auth = layer_for(&server, &issuer)
        .with_replay(Never)
        .layer(client());
    let request = client().get(server.url("/")).build().unwrap();

    let response = auth.oneshot(request).await.unwrap();

    assert_eq!(response.status(), 401);
    assert_eq!((server.received().len(), issuer.fetches()), (1, 1));
}
