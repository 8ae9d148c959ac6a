//! A client of reqwest below the layer, on real sockets.

// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use std::future::Future;

use http::Version;
use reqwest::{Client, Request, Response};
use static_assertions::assert_impl_all;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_bearer::error::{BoxError, OriginNotAllowed};
use tower_bearer::provider::BoxTokenProvider;
use tower_bearer::rejection::NotRetriedReason;
use tower_bearer::replay::{InMemory, Never, Streaming};
use tower_bearer::reqwest::ResponseFuture;
use tower_bearer::{BearerAuth, BearerAuthLayer, FetchError};

use self::layer_support::socket::{Server, answer};
use self::layer_support::{Issuer, assert_same_post_twice, bearer, token, without_hanging};
use self::reqwest_support::{api, client, direct, layer_for, reason};
use self::socket_support::RawServer;

mod layer_support;
mod reqwest_support;
mod socket_support;

type Auth<R = InMemory> = BearerAuth<Client, BoxTokenProvider, R>;

assert_impl_all!(Auth: Clone, Send, Sync, Service<Request, Response = Response, Error = BoxError>);
assert_impl_all!(Auth<Never>: Clone, Send, Sync, Service<Request, Error = BoxError>);
assert_impl_all!(ResponseFuture<Client, BoxTokenProvider>: Send, Sync, Future, std::fmt::Debug);
assert_impl_all!(ResponseFuture<Client, BoxTokenProvider, Never>: Send, Future);
assert_impl_all!(ResponseFuture<Client, BoxTokenProvider, Streaming>: Send, Future);

#[tokio::test]
async fn a_layer_over_a_client_is_all_it_takes() {
    let server = Server::start(|request| {
        let mut answer = answer(200, "welcome");
        let seen = bearer(request).unwrap().parse().unwrap();
        answer.headers_mut().insert("x-seen", seen);
        answer
    })
    .await;
    let issuer = Issuer::new();
    let auth = ServiceBuilder::new()
        .layer(layer_for(&server, &issuer))
        .service(client());

    let request = client().get(server.url("/items?page=2")).build();
    let response: Response = auth.oneshot(request.unwrap()).await.unwrap();

    assert_eq!(response.status(), 200);
    assert_eq!(response.version(), Version::HTTP_11);
    assert_eq!(response.url().as_str(), server.url("/items?page=2"));
    assert_eq!(response.headers()["x-seen"], "token-1");
    assert_eq!(response.content_length(), Some(7));
    let address = response.remote_addr().unwrap();
    assert_eq!(format!("http://{address}"), server.origin());
    assert_eq!(response.text().await.unwrap(), "welcome");
    assert_eq!((server.received().len(), issuer.fetches()), (1, 1));
}

#[tokio::test]
async fn a_rejected_post_is_sent_again_as_it_was() {
    let (server, issuer) = (api().await, Issuer::new());
    let auth = layer_for(&server, &issuer).layer(client());
    let request = client()
        .post(server.url("/items?x=1"))
        .header("x-many", "first")
        .header("x-many", "second")
        .body("payload")
        .build();

    let response = auth.oneshot(request.unwrap()).await.unwrap();

    assert_eq!(response.status(), 200);
    assert!(reason(&response).is_none());
    assert_eq!(response.text().await.unwrap(), "welcome");
    assert_same_post_twice(&server.received());
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test]
async fn if_the_fetch_fails_the_401_can_be_read_to_its_end() {
    let server = api().await;
    let failure = FetchError::denied("no");
    let issuer = Issuer::answering([token("token-1").into(), failure.into()]);
    let auth = layer_for(&server, &issuer).layer(client());
    let url = server.url("/items");

    let request = client().get(&url).build().unwrap();
    let response = auth.oneshot(request).await.unwrap();

    assert_eq!(response.status(), 401);
    assert!(matches!(
        reason(&response),
        Some(NotRetriedReason::FetchFailed(_))
    ));
    assert!(response.remote_addr().is_some());
    assert_eq!(response.headers()["content-length"], "10");
    assert_eq!(response.url().as_str(), url);
    assert_eq!(response.text().await.unwrap(), "no token-1");
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn without_a_token_nothing_is_sent_and_the_error_says_why() {
    let server = api().await;
    let issuer = Issuer::answering([FetchError::denied("no").into()]);
    let auth = layer_for(&server, &issuer).layer(client());
    let request = client().get(server.url("/")).build().unwrap();

    let error = auth.oneshot(request).await.unwrap_err();

    assert!(error.is::<FetchError>());
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn another_origin_is_refused_if_the_layer_is_told_so() {
    let (server, other) = (api().await, api().await);
    let auth = layer_for(&server, &Issuer::new())
        .with_other_origins_refused()
        .layer(client());
    let request = client().get(other.url("/")).build().unwrap();

    let error = auth.oneshot(request).await.unwrap_err();

    assert!(error.is::<OriginNotAllowed>());
    assert!(other.received().is_empty());
}

#[tokio::test]
async fn a_request_with_credentials_of_its_own_is_left_alone() {
    let server = Server::start(|_| answer(401, "who are you")).await;
    let issuer = Issuer::new();
    let layer = layer_for(&server, &issuer);
    layer.cache().token().await.unwrap();
    let with_user_info = server.url("/").replace("http://", "http://me:pw@");
    let own = [
        client().get(server.url("/")).bearer_auth("own"),
        client().get(server.url("/")).basic_auth("me", Some("pw")),
        // reqwest makes a header of it.
        client().get(with_user_info),
    ];

    for request in own {
        let auth = layer.layer(client());
        let response = auth.oneshot(request.build().unwrap()).await.unwrap();
        assert_eq!(response.status(), 401);
    }

    let received = server.received();
    let seen: Vec<_> = received.iter().map(bearer).collect();
    let basic = Some("Basic bWU6cHc=");
    assert_eq!(seen, [Some("own"), basic, basic]);
    assert_eq!(layer.cache().cached(), Some(token("token-1")));
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test]
async fn the_token_wins_over_the_default_headers_of_the_client() {
    let (server, issuer) = (api().await, Issuer::new());
    let headers = [
        (http::header::AUTHORIZATION, "Bearer default"),
        (http::header::USER_AGENT, "me"),
    ];
    let headers = headers.map(|(name, value)| (name, value.parse().unwrap()));
    let http = direct().default_headers(headers.into_iter().collect());
    let auth = layer_for(&server, &issuer).layer(http.build().unwrap());

    let request = client().get(server.url("/")).build().unwrap();
    assert_eq!(auth.oneshot(request).await.unwrap().status(), 200);

    for (request, token) in server.received().iter().zip(["token-1", "token-2"]) {
        assert_eq!(bearer(request), Some(token));
        assert_eq!(request.headers()["user-agent"], "me");
    }
}

/// How many connections one request takes which is rejected with this answer and sent again. On a runtime with one
/// thread, since with several the client opens one now and then that it does not need.
async fn connections_with(rejection: impl Into<Vec<u8>>) -> usize {
    let server = RawServer::start(|_| socket_support::answer("200 OK", "", "welcome"));
    server.answers(rejection);
    let layer = BearerAuthLayer::for_origin(Issuer::new(), server.origin()).unwrap();
    let request = client().post(server.origin()).body("payload").build();

    let response = layer.layer(client()).oneshot(request.unwrap());
    let response = without_hanging(response).await.unwrap();

    assert_eq!(response.text().await.unwrap(), "welcome");
    assert_eq!(server.requests(), 2);
    server.connections()
}

#[tokio::test]
async fn a_short_401_of_stated_length_leaves_its_connection_and_a_chunked_or_long_one_does_not() {
    let sized = |bytes| socket_support::answer("401 Unauthorized", "", &"x".repeat(bytes));
    let chunked =
        "HTTP/1.1 401 Unauthorized\r\ntransfer-encoding: chunked\r\n\r\n4\r\nxxxx\r\n0\r\n\r\n";

    assert_eq!(connections_with(sized(0)).await, 1);
    assert_eq!(connections_with(sized(4)).await, 1);
    assert_eq!(connections_with(sized(64 * 1024)).await, 2);
    // If that is 1 some day, the documentation may say less.
    assert_eq!(connections_with(chunked).await, 2);
}

#[tokio::test]
async fn an_error_of_reqwest_passes_through_as_its_own() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let server = api().await;
    let layer = layer_for(&server, &Issuer::new());
    let auth = layer.allow_origin(&origin).unwrap().layer(client());
    let url = format!("{origin}/items?key=mine");

    let request = client().get(&url).build().unwrap();
    let error = auth.oneshot(request).await.unwrap_err();

    let error = error.downcast::<reqwest::Error>().unwrap();
    assert!(error.is_connect() && !error.is_timeout());
    assert_eq!(error.url().unwrap().as_str(), url);
    assert!(!error.without_url().to_string().contains("mine"));
}
