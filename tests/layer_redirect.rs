//! Redirects that are followed above the layer, between servers on real sockets.

// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderName, Method, Request, StatusCode};
use http_body_util::Full;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_bearer::error::{BoxError, MissingTokenRequest, OriginNotAllowed};
use tower_bearer::{BearerAuth, BearerAuthLayer, TokenRequest};
use tower_http::follow_redirect::policy::{Limited, PolicyExt, clone_body_fn};
use tower_http::follow_redirect::{FollowRedirect, FollowRedirectLayer};

use self::layer_support::socket::{HttpClient, Server, answer, http_client, post, redirect};
use self::layer_support::{Issuer, bearer, token};

mod layer_support;

const APP: &str = "x-app";
const QUOTA: &str = "x-quota";

/// Issues a token with a header of its own.
fn issuer() -> Issuer {
    let quota = HeaderName::from_static(QUOTA);
    Issuer::answering([token("token-1")
        .with_header(quota, "q".parse().unwrap())
        .into()])
}

fn layer_for(server: &Server, issuer: &Issuer) -> BearerAuthLayer<Issuer> {
    BearerAuthLayer::for_origin(issuer.clone(), server.origin())
        .unwrap()
        .with_header(HeaderName::from_static(APP), "app".parse().unwrap())
}

fn following(layer: BearerAuthLayer<Issuer>) -> FollowRedirect<BearerAuth<HttpClient, Issuer>> {
    ServiceBuilder::new()
        .layer(FollowRedirectLayer::new())
        .layer(layer)
        .service(http_client())
}

fn get(uri: &str) -> Request<Full<Bytes>> {
    Request::get(uri).body(Full::default()).unwrap()
}

async fn two_servers(status: u16) -> (Server, Server) {
    let second = Server::start(|_| answer(200, "second")).await;
    let to = second.url("/taken");
    let first = Server::start(move |_| redirect(status, &to)).await;
    (first, second)
}

#[tokio::test]
async fn a_redirect_to_another_origin_takes_neither_token_nor_extra_headers_along() {
    for status in [301, 302, 303, 307, 308] {
        let (first, second) = two_servers(status).await;
        let issuer = issuer();

        let response = following(layer_for(&first, &issuer))
            .oneshot(get(&first.url("/")))
            .await
            .unwrap();

        assert_eq!(response.status(), 200);
        let at_first = &first.received()[0];
        assert_eq!(bearer(at_first), Some("token-1"));
        assert_eq!(at_first.headers()[APP], "app");
        assert_eq!(at_first.headers()[QUOTA], "q");
        let at_second = &second.received()[0];
        assert_eq!(at_second.uri().path(), "/taken");
        for name in [AUTHORIZATION.as_str(), APP, QUOTA] {
            assert!(!at_second.headers().contains_key(name), "{status} {name}");
        }
    }
}

#[tokio::test]
async fn a_401_after_a_redirect_to_another_origin_concerns_no_token() {
    let second = Server::start(|_| answer(401, "who are you")).await;
    let to = second.url("/");
    let first = Server::start(move |_| redirect(302, &to)).await;
    let issuer = issuer();
    let layer = layer_for(&first, &issuer);

    let response = following(layer.clone())
        .oneshot(get(&first.url("/")))
        .await
        .unwrap();

    assert_eq!(response.status(), 401);
    assert_eq!(second.received().len(), 1, "not sent again");
    assert_eq!(layer.cache().cached(), Some(token("token-1")));
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test]
async fn a_redirect_to_another_origin_is_an_error_if_the_layer_is_told_so() {
    let (first, second) = two_servers(302).await;
    let layer = layer_for(&first, &issuer()).with_other_origins_refused();

    let error = following(layer)
        .oneshot(get(&first.url("/")))
        .await
        .unwrap_err();

    assert!(error.is::<OriginNotAllowed>());
    assert!(second.received().is_empty());
}

#[tokio::test]
async fn a_redirect_within_the_origin_gets_the_token() {
    let server = Server::start(|request| match request.uri().path() {
        "/old" => redirect(302, "/new"),
        _ => answer(200, "found"),
    })
    .await;
    let issuer = issuer();

    following(layer_for(&server, &issuer))
        .oneshot(get(&server.url("/old")))
        .await
        .unwrap();

    let received = server.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[1].uri().path(), "/new");
    assert_eq!(bearer(&received[1]), Some("token-1"));
    assert_eq!(received[1].headers()[APP], "app");
}

#[tokio::test]
async fn a_redirect_to_another_named_origin_gets_the_token() {
    let (first, second) = two_servers(302).await;
    let layer = layer_for(&first, &issuer())
        .allow_origin(second.origin())
        .unwrap();

    following(layer)
        .oneshot(get(&first.url("/")))
        .await
        .unwrap();

    assert_eq!(bearer(&second.received()[0]), Some("token-1"));
}

/// Follows redirects of a POST with its body, as the default policy does not.
fn following_posts(
    layer: BearerAuthLayer<Issuer>,
) -> impl Service<Request<Full<Bytes>>, Response: std::fmt::Debug, Error = BoxError> {
    let with_body = clone_body_fn(|body: &Full<Bytes>| Some(body.clone()));
    let policy = Limited::default().and::<_, Full<Bytes>, BoxError>(with_body);
    ServiceBuilder::new()
        .layer(FollowRedirectLayer::with_policy(policy))
        .layer(layer)
        .service(http_client())
}

#[tokio::test]
async fn a_post_is_redirected_with_its_body_and_the_token_only_within_the_origin() {
    let second = Server::start(|_| answer(200, "")).await;
    let to = second.url("/");
    let first = Server::start(move |request| match request.uri().path() {
        "/1" => redirect(307, "/2"),
        _ => redirect(307, &to),
    })
    .await;
    // Without the policy that removes credentials: ours are not the caller's to remove.
    following_posts(layer_for(&first, &issuer()))
        .oneshot(post(&first.url("/1"), "payload"))
        .await
        .unwrap();

    let at_first = first.received();
    assert_eq!(at_first.len(), 2);
    for request in &at_first {
        assert_eq!(request.method(), Method::POST);
        assert_eq!(request.body(), "payload");
        assert_eq!(bearer(request), Some("token-1"));
    }
    let at_second = &second.received()[0];
    assert_eq!(at_second.body(), "payload");
    for name in [AUTHORIZATION.as_str(), APP, QUOTA] {
        assert!(!at_second.headers().contains_key(name), "{name}");
    }
}

/// Two requests by way of a redirect, the first of which says which token it wants.
async fn redirected_with_a_choice_of_token(
    preserve_extensions: bool,
) -> (Issuer, Server, Result<StatusCode, BoxError>) {
    let server = Server::start(|request| match request.uri().path() {
        "/old" => redirect(302, "/new"),
        _ => answer(200, ""),
    })
    .await;
    let issuer = issuer();
    let client = ServiceBuilder::new()
        .layer(FollowRedirectLayer::new().preserve_extensions(preserve_extensions))
        .layer(layer_for(&server, &issuer).with_token_request_required())
        .service(http_client());
    let mut request = get(&server.url("/old"));
    let narrow = TokenRequest::default().with_scope("narrow");
    request.extensions_mut().insert(narrow);
    let result = client.oneshot(request).await;
    (issuer, server, result.map(|response| response.status()))
}

#[tokio::test]
async fn a_choice_of_token_lost_on_a_redirect_is_an_error_if_the_layer_is_told_so() {
    let (issuer, server, result) = redirected_with_a_choice_of_token(false).await;

    assert!(result.unwrap_err().is::<MissingTokenRequest>());
    assert_eq!(server.received().len(), 1);
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test]
async fn a_choice_of_token_kept_on_a_redirect_chooses_again() {
    let (issuer, server, result) = redirected_with_a_choice_of_token(true).await;

    assert_eq!(result.unwrap(), StatusCode::OK);
    assert_eq!(server.received().len(), 2);
    let asked = issuer.asked();
    let asked: Vec<_> = asked.iter().map(|cx| cx.token_request()).collect();
    assert_eq!(asked, [&TokenRequest::default().with_scope("narrow")]);
}
