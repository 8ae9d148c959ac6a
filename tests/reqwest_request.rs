//! Requests and responses of reqwest on their way through the layer: nothing gets lost.

// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use http::{Method, Version};
use reqwest::{Body, Request, Response, ResponseBuilderExt, Url};
use tower::{Layer, Service, ServiceExt};
use tower_bearer::rejection::{NotRetried, NotRetriedReason};
use tower_bearer::{BearerAuthLayer, TokenRequest};

use self::layer_support::{Issuer, ORIGIN, layer, token};
use self::reqwest_support::{Below, reason};

mod layer_support;
mod reqwest_support;

const URL: &str = "https://api.example.com/items?page=2#top";

fn url() -> Url {
    URL.parse().unwrap()
}

#[derive(Clone, Debug, PartialEq)]
struct Marker(u8);

/// With all that a request can have.
fn request() -> Request {
    let mut request = http::Request::new("payload");
    request.extensions_mut().insert(Marker(7));
    *request.uri_mut() = ORIGIN.parse().unwrap();
    let mut request = Request::try_from(request).unwrap();
    *request.method_mut() = Method::PATCH;
    *request.url_mut() = url();
    *request.version_mut() = Version::HTTP_2;
    *request.timeout_mut() = Some(Duration::from_secs(9));
    for value in ["first", "second"] {
        request
            .headers_mut()
            .append("x-many", value.parse().unwrap());
    }
    request
}

#[tokio::test]
async fn both_sends_are_the_request_as_it_was_given() {
    let (below, issuer) = (Below::rejecting_the_first_token(), Issuer::new());
    let mut request = request();
    let data = request
        .body_mut()
        .as_ref()
        .unwrap()
        .as_bytes()
        .unwrap()
        .as_ptr();

    let response = layer(&issuer).layer(below.clone()).oneshot(request).await;

    assert_eq!(response.unwrap().status(), 200);
    let given = below.given();
    assert_eq!(given.len(), 2);
    for (mut request, token) in given.into_iter().zip(["Bearer token-1", "Bearer token-2"]) {
        assert_eq!(request.method(), Method::PATCH);
        assert_eq!(request.url(), &url());
        assert_eq!(request.version(), Version::HTTP_2);
        assert_eq!(request.timeout(), Some(&Duration::from_secs(9)));
        let many: Vec<_> = request.headers().get_all("x-many").iter().collect();
        assert_eq!(many, ["first", "second"]);
        assert_eq!(request.headers()["authorization"], token);
        assert!(request.headers()["authorization"].is_sensitive());
        assert_eq!(request.headers().len(), 3);
        let body = request.body_mut().take().unwrap();
        assert_eq!(body.as_bytes(), Some(b"payload".as_slice()));
        assert_eq!(body.as_bytes().unwrap().as_ptr(), data, "shared");
        let request = http::Request::try_from(request).unwrap();
        assert_eq!(request.extensions().get(), Some(&Marker(7)));
    }
}

#[tokio::test]
async fn a_request_without_a_token_stays_as_it_was_given_too() {
    let below = Below::rejecting_the_first_token();
    let layer = BearerAuthLayer::for_origin(Issuer::new(), "https://other.example.com");
    let auth = layer.unwrap().layer(below.clone());

    auth.oneshot(request()).await.unwrap();

    let mut given = below.given();
    let given = given.pop().unwrap();
    assert_eq!((given.url(), given.version()), (&url(), Version::HTTP_2));
    assert_eq!(given.timeout(), Some(&Duration::from_secs(9)));
    assert_eq!(given.headers().len(), 2);
}

#[tokio::test]
async fn no_body_stays_none_and_an_empty_one_stays_one() {
    for body in [None, Some("")] {
        let (below, issuer) = (Below::rejecting_the_first_token(), Issuer::new());
        let mut request = Request::new(Method::GET, url());
        *request.body_mut() = body.map(Body::from);

        let auth = layer(&issuer).layer(below.clone());
        auth.oneshot(request).await.unwrap();

        let given = below.given();
        let bodies: Vec<_> = given.iter().map(|it| it.body().is_some()).collect();
        assert_eq!(bodies, [body.is_some(), body.is_some()]);
    }
}

#[tokio::test]
async fn a_response_comes_back_as_it_was() {
    let below = Below::answering(|_| {
        let response = http::Response::builder()
            .status(418)
            .version(Version::HTTP_3)
            .header("x-many", "first")
            .header("x-many", "second")
            .extension(Marker(8))
            // The layer takes note of that, for itself.
            .url("https://elsewhere.example.com/final".parse().unwrap());
        response.body("tea").unwrap().into()
    });
    let auth = layer(&Issuer::new()).layer(below);

    let response = auth.oneshot(request()).await.unwrap();

    assert_eq!(response.status(), 418);
    assert_eq!(response.version(), Version::HTTP_3);
    let many: Vec<_> = response.headers().get_all("x-many").iter().collect();
    assert_eq!(many, ["first", "second"]);
    assert_eq!(response.headers().len(), 2);
    assert_eq!(response.extensions().get(), Some(&Marker(8)));
    assert_eq!(response.extensions().len(), 1);
    assert_eq!(response.url().path(), "/final");
    assert_eq!(response.content_length(), Some(3));
    assert_eq!(response.text().await.unwrap(), "tea");
}

#[tokio::test]
async fn a_rejection_that_is_returned_is_what_it_was_and_says_why() {
    let below = Below::answering(|_| {
        let response = http::Response::builder()
            .status(401)
            .header("www-authenticate", "Bearer")
            .extension(Marker(8))
            .url(url());
        response.body("no").unwrap().into()
    });
    let issuer = Issuer::answering([token("same").into(), token("same").into()]);
    let auth = layer(&issuer).layer(below.clone());

    let response = auth.oneshot(request()).await.unwrap();

    assert_eq!(response.status(), 401);
    assert!(matches!(
        reason(&response),
        Some(NotRetriedReason::SameToken)
    ));
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    assert_eq!(response.url(), &url());
    assert_eq!(response.extensions().get(), Some(&Marker(8)));
    assert_eq!(response.extensions().len(), 2);
    assert_eq!(below.given().len(), 1);

    let response = http::Response::<Body>::from(response);
    assert!(response.extensions().get::<NotRetried>().is_some());
}

#[tokio::test]
async fn the_token_is_chosen_by_an_extension_or_by_what_the_request_is() {
    let (below, issuer) = (Below::rejecting_the_first_token(), Issuer::new());
    let wanted = TokenRequest::default().with_scope("orders:read");
    let layer = layer(&issuer);
    layer.cache().token().await.unwrap();

    let mut request = http::Request::get(URL).body("").unwrap();
    request.extensions_mut().insert(wanted.clone());
    let auth = layer.layer(below.clone());
    let request = Request::try_from(request).unwrap();
    auth.oneshot(request).await.unwrap();

    let chosen = wanted.clone();
    let auth = layer
        .with_token_chosen_by(move |head| (head.uri.path() == "/items").then(|| chosen.clone()))
        .layer(below.clone());
    let request = Request::new(Method::GET, url());
    auth.oneshot(request).await.unwrap();

    let given = below.given();
    let tokens: Vec<_> = given
        .iter()
        .map(|it| &it.headers()["authorization"])
        .collect();
    assert_eq!(tokens, ["Bearer token-2", "Bearer token-2"]);
    assert_eq!(issuer.asked()[1].token_request(), &wanted);
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test]
async fn only_the_service_that_was_made_ready_is_called() {
    // `Below` panics otherwise.
    let (below, issuer) = (Below::rejecting_the_first_token(), Issuer::new());
    let mut auth = layer(&issuer).layer(below.clone());
    // Without a token, with one that is rejected; and with one at hand.
    for _ in 0..2 {
        let ready: &mut _ = ServiceExt::<Request>::ready(&mut auth).await.unwrap();
        let response: Response = ready.call(request()).await.unwrap();
        assert_eq!(response.status(), 200);
    }
    // And of none of our business.
    let mut request = request();
    request
        .url_mut()
        .set_host(Some("other.example.com"))
        .unwrap();
    auth.oneshot(request).await.unwrap();
    assert_eq!(below.given().len(), 4);
}
