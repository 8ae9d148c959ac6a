//! `FollowRedirect` above the layer and below it, by HTTP/1.1 and HTTP/2 on real sockets.
//!
//! What else holds above it is in `layer_redirect.rs`.

// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_bearer::BearerAuthLayer;
use tower_bearer::error::BoxError;
use tower_http::follow_redirect::FollowRedirectLayer;

use self::layer_support::socket::{HttpClient, Server, answer, redirect};
use self::layer_support::{Issuer, bearer, without_hanging};
use self::stack_support::clients;

mod layer_support;
mod stack_support;

const APP: &str = "x-app";

/// The first redirects to the second.
async fn servers(second_says: u16) -> (Server, Server) {
    let second = Server::start(move |_| answer(second_says, "second")).await;
    let to = second.url("/taken");
    let first = Server::start(move |_| redirect(302, &to)).await;
    (first, second)
}

fn layer_for(server: &Server, issuer: &Issuer) -> BearerAuthLayer<Issuer> {
    BearerAuthLayer::for_origin(issuer.clone(), server.origin())
        .unwrap()
        .with_header(
            HeaderName::from_static(APP),
            HeaderValue::from_static("app"),
        )
}

fn above(
    layer: BearerAuthLayer<Issuer>,
    http: HttpClient,
) -> impl Service<Request<Full<Bytes>>, Response = Response<Incoming>, Error = BoxError> {
    ServiceBuilder::new()
        .layer(FollowRedirectLayer::new())
        .layer(layer)
        .service(http)
}

fn below(
    layer: BearerAuthLayer<Issuer>,
    http: HttpClient,
) -> impl Service<Request<Full<Bytes>>, Response = Response<Incoming>, Error = BoxError> {
    ServiceBuilder::new()
        .layer(layer)
        .layer(FollowRedirectLayer::new())
        .service(http)
}

async fn send<S>(client: S, uri: String) -> Response<Incoming>
where
    S: Service<Request<Full<Bytes>>, Response = Response<Incoming>, Error = BoxError>,
{
    let request = Request::get(uri).body(Full::default()).unwrap();
    without_hanging(client.oneshot(request)).await.unwrap()
}

fn tokens(server: &Server) -> Vec<String> {
    let received = server.received();
    let tokens = received
        .iter()
        .map(|request| bearer(request).unwrap_or("none"));
    tokens.map(str::to_owned).collect()
}

#[tokio::test]
async fn above_another_origin_gets_neither_token_nor_headers_and_its_401_condemns_nothing() {
    for (version, http) in clients() {
        let (first, second) = servers(401).await;
        let issuer = Issuer::new();
        let layer = layer_for(&first, &issuer);

        let response = send(above(layer.clone(), http), first.url("/")).await;

        assert_eq!(response.status(), 401, "{version:?}");
        assert_eq!(first.received().len(), 1);
        let at_second = second.received();
        assert_eq!(at_second.len(), 1, "not sent again");
        for name in [AUTHORIZATION.as_str(), APP] {
            assert!(!at_second[0].headers().contains_key(name), "{name}");
        }
        assert!(layer.cache().cached().is_some());
        assert_eq!(issuer.fetches(), 1);
    }
}

/// Whose second hop finds the token revoked.
async fn revoking_on_the_way() -> Server {
    Server::start(|request| match (request.uri().path(), bearer(request)) {
        ("/here", _) => redirect(302, "/there"),
        (_, Some("token-1")) => answer(401, ""),
        _ => answer(200, ""),
    })
    .await
}

#[tokio::test]
async fn above_each_hop_within_the_origin_is_a_request_of_its_own_and_can_be_healed() {
    for (version, http) in clients() {
        let server = revoking_on_the_way().await;
        let issuer = Issuer::new();

        let client = above(layer_for(&server, &issuer), http);
        let response = send(client, server.url("/here")).await;

        assert_eq!(response.status(), 200, "{version:?}");
        assert_eq!(tokens(&server), ["token-1", "token-1", "token-2"]);
        assert_eq!(issuer.fetches(), 2);
    }
}

#[tokio::test]
async fn below_a_redirect_is_followed_anew_when_its_end_rejects_the_token() {
    for (version, http) in clients() {
        let server = revoking_on_the_way().await;
        let issuer = Issuer::new();

        let client = below(layer_for(&server, &issuer), http);
        let response = send(client, server.url("/here")).await;

        assert_eq!(response.status(), 200, "{version:?}");
        let expected = ["token-1", "token-1", "token-2", "token-2"];
        assert_eq!(tokens(&server), expected);
        assert_eq!(issuer.fetches(), 2);
    }
}

/// Why the docs say to put it above. If this fails, tower-http strips more than it did: tell the docs.
#[tokio::test]
async fn below_another_origin_gets_the_extra_headers_but_for_authorization_and_can_condemn_a_token()
{
    for (version, http) in clients() {
        let (first, second) = servers(401).await;
        let issuer = Issuer::new();

        let client = below(layer_for(&first, &issuer), http);
        let response = send(client, first.url("/")).await;

        assert_eq!(response.status(), 401, "{version:?}");
        // The first server, which accepted both, sees the request twice.
        assert_eq!(tokens(&first), ["token-1", "token-2"]);
        let at_second = second.received();
        assert_eq!(at_second.len(), 2);
        for request in at_second {
            assert!(!request.headers().contains_key(AUTHORIZATION));
            assert_eq!(request.headers()[APP], "app");
        }
        assert_eq!(issuer.fetches(), 2);
    }
}
