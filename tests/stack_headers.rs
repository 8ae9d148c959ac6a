//! What of tower-http sets and marks headers or decodes bodies, above the layer and below it, by HTTP/1.1
//! and HTTP/2 on real sockets.

// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_bearer::BearerAuthLayer;
use tower_bearer::error::BoxError;
use tower_bearer::rejection::NotRetriedReason;
use tower_http::auth::AddAuthorizationLayer;
use tower_http::decompression::{DecompressionBody, DecompressionLayer};
use tower_http::sensitive_headers::{
    SetSensitiveRequestHeadersLayer, SetSensitiveResponseHeadersLayer,
};
use tower_http::set_header::SetRequestHeaderLayer;

use self::layer_support::socket::{HttpClient, Server, answer};
use self::layer_support::{Issuer, bearer, reason, token, without_hanging};
use self::stack_support::{clients, heals, text};

mod layer_support;
mod stack_support;

/// `revoked`, by gzip.
const REVOKED: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\x02\x03+J-\xcb\xcfNM\x01\0\xcdl\xa2\xbd\x07\0\0\0";
const APP: HeaderName = HeaderName::from_static("x-app");

fn layer_for(server: &Server, issuer: &Issuer) -> BearerAuthLayer<Issuer> {
    BearerAuthLayer::for_origin(issuer.clone(), server.origin()).unwrap()
}

fn get(server: &Server) -> Request<Full<Bytes>> {
    Request::get(server.url("/")).body(Full::default()).unwrap()
}

async fn send<S>(client: S, server: &Server) -> S::Response
where
    S: Service<Request<Full<Bytes>>, Error: Into<BoxError>>,
{
    let response = without_hanging(client.oneshot(get(server))).await;
    response.map_err(Into::into).unwrap()
}

/// Rejects `token-1`, compressed.
async fn compressing() -> Server {
    Server::start(|request| match bearer(request) {
        Some("token-1") => {
            let mut response = answer(401, "");
            *response.body_mut() = Full::from(REVOKED);
            let gzip = HeaderValue::from_static("gzip");
            response.headers_mut().insert(CONTENT_ENCODING, gzip);
            response
        }
        _ => answer(200, "welcome"),
    })
    .await
}

#[tokio::test]
async fn decompression_above_and_below_a_revoked_token_is_healed() {
    heals(|layer, http| DecompressionLayer::new().layer(layer.layer(http))).await;
    heals(|layer, http| layer.layer(DecompressionLayer::new().layer(http))).await;
}

#[tokio::test]
async fn decompression_above_and_below_both_sends_say_what_is_accepted() {
    for (_, http) in clients() {
        let server = compressing().await;
        let said = || {
            let received = server.received();
            let said = received
                .iter()
                .map(|request| request.headers()[ACCEPT_ENCODING].clone());
            said.collect::<Vec<_>>()
        };
        let layer = layer_for(&server, &Issuer::new());
        send(
            DecompressionLayer::new().layer(layer.layer(http.clone())),
            &server,
        )
        .await;
        assert_eq!(said(), ["gzip", "gzip"]);

        let layer = layer_for(&server, &Issuer::new());
        send(layer.layer(DecompressionLayer::new().layer(http)), &server).await;
        assert_eq!(said(), ["gzip", "gzip"]);
    }
}

#[tokio::test]
async fn decompression_above_and_below_a_401_that_is_returned_can_be_read() {
    for (version, http) in clients() {
        let server = compressing().await;
        // There is no other token to be had.
        let issuer = || Issuer::answering([token("token-1").into(), token("token-1").into()]);

        let auth = layer_for(&server, &issuer()).layer(http.clone());
        let response: Response<DecompressionBody<Incoming>> =
            send(DecompressionLayer::new().layer(auth), &server).await;
        assert_eq!(response.status(), 401, "{version:?}");
        assert!(matches!(
            reason(&response),
            Some(NotRetriedReason::SameToken)
        ));
        assert_eq!(text(response).await, "revoked");

        // The type is that of the service below.
        let below = DecompressionLayer::new().layer(http);
        let response: Response<DecompressionBody<Incoming>> =
            send(layer_for(&server, &issuer()).layer(below), &server).await;
        assert_eq!(response.status(), 401, "{version:?}");
        assert!(matches!(
            reason(&response),
            Some(NotRetriedReason::SameToken)
        ));
        assert_eq!(text(response).await, "revoked");
    }
}

/// Notes of each request whether these headers are marked, if it has them.
type Marks = Arc<Mutex<Vec<[Option<bool>; 2]>>>;

fn noting(
    http: HttpClient,
) -> (
    Marks,
    impl Service<Request<Full<Bytes>>, Response = Response<Incoming>, Error: Into<BoxError>> + Clone,
) {
    let marks = Marks::default();
    let log = Arc::clone(&marks);
    let service = ServiceBuilder::new()
        .map_request(move |request: Request<Full<Bytes>>| {
            let is_marked = |name| request.headers().get(name).map(HeaderValue::is_sensitive);
            log.lock()
                .unwrap()
                .push([is_marked(AUTHORIZATION), is_marked(APP)]);
            request
        })
        .service(http);
    (marks, service)
}

#[tokio::test]
async fn sensitive_request_headers_above_mark_the_callers_and_below_the_layers_too() {
    for (_, http) in clients() {
        let server = compressing().await;
        let sensitive = SetSensitiveRequestHeadersLayer::new([AUTHORIZATION, APP]);
        let layer = || {
            let app = HeaderValue::from_static("app");
            layer_for(&server, &Issuer::new()).with_header(APP, app)
        };

        // The token is marked in any order; an extra header as it was given.
        let (marks, http_above) = noting(http.clone());
        send(sensitive.layer(layer().layer(http_above)), &server).await;
        assert_eq!(*marks.lock().unwrap(), [[Some(true), Some(false)]; 2]);

        let (marks, http_below) = noting(http.clone());
        send(layer().layer(sensitive.layer(http_below)), &server).await;
        assert_eq!(*marks.lock().unwrap(), [[Some(true), Some(true)]; 2]);

        // The caller's own, which pass through.
        let (marks, http_own) = noting(http);
        let mut request = get(&server);
        for name in [AUTHORIZATION, APP] {
            let own = HeaderValue::from_static("own");
            request.headers_mut().insert(name, own);
        }
        let response = sensitive.layer(layer().layer(http_own)).oneshot(request);
        assert_eq!(without_hanging(response).await.unwrap().status(), 200);
        assert_eq!(*marks.lock().unwrap(), [[Some(true), Some(true)]]);
    }
}

#[tokio::test]
async fn sensitive_response_headers_above_and_below_are_marked_and_the_challenge_is_read() {
    for (_, http) in clients() {
        let server = Server::start(|_| {
            let mut response = answer(401, "");
            let challenge = HeaderValue::from_static("Bearer error=\"insufficient_scope\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            response
        })
        .await;
        let sensitive = SetSensitiveResponseHeadersLayer::new([WWW_AUTHENTICATE]);
        let layer = layer_for(&server, &Issuer::new());

        let above = send(sensitive.layer(layer.layer(http.clone())), &server).await;
        assert!(above.headers()[WWW_AUTHENTICATE].is_sensitive());
        assert_eq!(server.received().len(), 1, "a new token would not help");

        let below = send(layer.layer(sensitive.layer(http)), &server).await;
        assert!(below.headers()[WWW_AUTHENTICATE].is_sensitive());
        assert_eq!(server.received().len(), 1, "a new token would not help");
    }
}

/// The credentials of what a stack sends for one request, and how often the issuer was asked.
async fn credentials<S>(
    stack: impl FnOnce(BearerAuthLayer<Issuer>, HttpClient) -> S,
    http: &HttpClient,
) -> (Vec<String>, usize)
where
    S: Service<Request<Full<Bytes>>, Response = Response<Incoming>, Error: Into<BoxError>>,
{
    let server = Server::start(|_| answer(401, "")).await;
    let issuer = Issuer::new();
    send(stack(layer_for(&server, &issuer), http.clone()), &server).await;
    let received = server.received();
    let sent = received.iter().map(|request| bearer(request).unwrap());
    (sent.map(str::to_owned).collect(), issuer.fetches())
}

fn sent(tokens: &[&str], fetches: usize) -> (Vec<String>, usize) {
    let tokens = tokens.iter().map(|&token| token.to_owned());
    (tokens.collect(), fetches)
}

#[tokio::test]
async fn another_layer_that_sets_authorization_above_wins_and_is_left_alone() {
    let add = || AddAuthorizationLayer::bearer("other");
    let set =
        SetRequestHeaderLayer::if_not_present(AUTHORIZATION, HeaderValue::from_static("other"));
    for (_, http) in clients() {
        let added = credentials(|layer, http| add().layer(layer.layer(http)), &http).await;
        assert_eq!(added, sent(&["other"], 0));
        let was_set = credentials(|layer, http| set.layer(layer.layer(http)), &http).await;
        assert_eq!(was_set, sent(&["other"], 0));

        let replaced = |layer: BearerAuthLayer<_>, http| {
            add().layer(layer.with_authorization_replaced().layer(http))
        };
        let replaced = credentials(replaced, &http).await;
        assert_eq!(replaced, sent(&["token-1", "token-2"], 2));
    }
}

/// Why the docs say not to.
#[tokio::test]
async fn another_layer_that_sets_authorization_below_takes_the_tokens_place_and_its_401_costs_ours()
{
    let add = AddAuthorizationLayer::bearer("other");
    let set =
        SetRequestHeaderLayer::if_not_present(AUTHORIZATION, HeaderValue::from_static("other"));
    for (_, http) in clients() {
        let added = credentials(|layer, http| layer.layer(add.layer(http)), &http).await;
        assert_eq!(added, sent(&["other", "other"], 2));
        let was_set = credentials(|layer, http| layer.layer(set.layer(http)), &http).await;
        assert_eq!(was_set, sent(&["token-1", "token-2"], 2));
    }
}
