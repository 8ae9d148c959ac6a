//! What the layer does to a request, and what it does not.

// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use std::cell::Cell;
use std::fmt::Debug;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Version};
use http_body_util::{BodyExt, Empty, Full};
use tower::{Layer, ServiceExt};
use tower_bearer::rejection::NotRetriedReason;
use tower_bearer::replay;

use self::layer_support::{Api, Issuer, URL, bearer, get, layer, reason, token};

mod layer_support;

#[derive(Clone, Debug, PartialEq)]
struct Marker(u8);

fn full_request<B>(body: B) -> Request<B> {
    Request::builder()
        .method(Method::PATCH)
        .uri(URL)
        .version(Version::HTTP_2)
        .header("accept", "text/html")
        .header("x-many", "first")
        .header("accept", "text/plain")
        .header("x-many", "second")
        .header("x-many", HeaderValue::from_bytes(b"\xffopaque").unwrap())
        .extension(Marker(7))
        .body(body)
        .unwrap()
}

/// Everything of a request but its token and its body.
fn parts<B>(request: &Request<B>) -> impl Debug + PartialEq + use<B> {
    let mut headers = request.headers().clone();
    headers.remove(AUTHORIZATION);
    let marker = request.extensions().get::<Marker>().cloned();
    (
        request.method().clone(),
        request.uri().clone(),
        request.version(),
        headers,
        marker,
    )
}

/// The bodies of both sends of a request that was rejected once.
async fn both_bodies<B: Send + 'static>(body: B) -> [B; 2] {
    let (issuer, api) = (Issuer::new(), Api::rejecting(&["token-1"]));
    let client = layer(&issuer).layer(api.clone());

    let response = client.oneshot(full_request(body)).await.unwrap();

    assert_eq!(response.status(), StatusCode::OK);
    let sent = api.sent();
    let expected = parts(&full_request(()));
    assert!(
        sent.iter()
            .all(|r| format!("{:?}", parts(r)) == format!("{expected:?}"))
    );
    let bodies: Vec<_> = sent.into_iter().map(Request::into_body).collect();
    bodies.try_into().unwrap_or_else(|_| panic!("two sends"))
}

#[tokio::test]
async fn the_request_that_is_sent_again_is_the_same_request() {
    let (issuer, api) = (Issuer::new(), Api::rejecting(&["token-1"]));
    let client = layer(&issuer).layer(api.clone());

    client.oneshot(full_request("body")).await.unwrap();

    let [first, second] = &api.sent()[..] else {
        panic!("two sends")
    };
    assert_eq!(parts(first), parts(&full_request("body")));
    assert_eq!(parts(first), parts(second));
    assert_eq!(second.body(), first.body());
    let many: Vec<_> = second.headers().get_all("x-many").iter().collect();
    assert_eq!(many, [&b"first"[..], b"second", b"\xffopaque"]);
    assert_eq!(bearer(first), Some("token-1"));
    assert_eq!(bearer(second), Some("token-2"));
}

#[tokio::test]
async fn in_memory_bodies_are_sent_again_with_the_same_bytes() {
    assert_eq!(both_bodies(Bytes::from("abc")).await, ["abc", "abc"]);
    assert_eq!(both_bodies("abc".to_owned()).await, ["abc", "abc"]);
    assert_eq!(both_bodies("abc").await, ["abc", "abc"]);
    assert_eq!(both_bodies(&b"abc"[..]).await, [b"abc", b"abc"]);
    assert_eq!(both_bodies(b"abc".to_vec()).await, [b"abc", b"abc"]);
    assert_eq!(both_bodies(()).await, [(), ()]);
    assert_eq!(both_bodies(Some("abc")).await, [Some("abc"), Some("abc")]);
    let [_, _] = both_bodies(Empty::<Bytes>::new()).await;
    for body in both_bodies(Full::new(Bytes::from("abc"))).await {
        assert_eq!(body.collect().await.unwrap().to_bytes(), "abc");
    }
}

/// Neither `Clone` nor `Sync` nor `Default`.
#[derive(Debug)]
struct Stream {
    _not_sync: Cell<u8>,
}

fn stream() -> Request<Stream> {
    let body = Stream {
        _not_sync: Cell::new(1),
    };
    full_request(body)
}

#[tokio::test]
async fn a_stream_is_sent_once_and_after_a_401_the_next_request_has_a_new_token() {
    let (issuer, api) = (Issuer::new(), Api::rejecting(&["token-1"]));
    let client = layer(&issuer).layer(api.clone());

    let response = client.clone().oneshot(stream()).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.body(), "no token-1");
    assert!(matches!(
        reason(&response),
        Some(NotRetriedReason::BodyNotReplayable)
    ));
    assert_eq!(api.tokens(), ["token-1"]);

    let response = client.oneshot(stream()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(api.tokens(), ["token-2"]);
}

#[tokio::test]
async fn with_replaying_switched_off_every_request_is_sent_once() {
    let (issuer, api) = (Issuer::new(), Api::rejecting(&["token-1"]));
    let client = layer(&issuer).with_replay(replay::Never).layer(api.clone());

    let response = client.clone().oneshot(get(URL)).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(matches!(
        reason(&response),
        Some(NotRetriedReason::BodyNotReplayable)
    ));

    let response = client.oneshot(get(URL)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(api.tokens(), ["token-1", "token-2"]);
}

#[tokio::test]
async fn authorization_is_there_once_and_marked_sensitive() {
    let (issuer, api) = (Issuer::new(), Api::rejecting(&["token-1"]));
    let client = layer(&issuer).layer(api.clone());

    client.oneshot(full_request(())).await.unwrap();

    let sent = api.sent();
    assert_eq!(sent.len(), 2);
    for request in sent {
        let values: Vec<_> = request.headers().get_all(AUTHORIZATION).iter().collect();
        assert_eq!(values.len(), 1);
        assert!(values[0].is_sensitive());
        assert!(!format!("{request:?}").contains("token-"));
    }
}

fn with_its_own(values: &[&str]) -> Request<String> {
    let mut request = get(URL);
    for value in values {
        let value = value.parse().unwrap();
        request.headers_mut().append(AUTHORIZATION, value);
    }
    request
}

#[tokio::test]
async fn a_callers_own_authorization_wins_and_its_401_concerns_no_token() {
    let (issuer, api) = (Issuer::new(), Api::rejecting(&["own"]));
    let layer = layer(&issuer).with_header(name("x-app"), "app".parse().unwrap());
    layer.cache().token().await.unwrap();
    let client = layer.layer(api.clone());

    let response = client.oneshot(with_its_own(&["Bearer own"])).await.unwrap();

    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(reason(&response).is_none());
    let sent = api.sent();
    assert_eq!(sent.len(), 1, "not sent again");
    assert_eq!(sent[0].headers(), with_its_own(&["Bearer own"]).headers());
    assert_eq!(layer.cache().cached(), Some(token("token-1")));
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test]
async fn even_an_empty_authorization_is_the_callers_own() {
    let (issuer, api) = (Issuer::new(), Api::accepting());
    let client = layer(&issuer).layer(api.clone());

    client.oneshot(with_its_own(&[""])).await.unwrap();

    assert_eq!(api.sent()[0].headers()[AUTHORIZATION], "");
    assert_eq!(issuer.fetches(), 0);
}

#[tokio::test]
async fn a_callers_own_authorization_is_replaced_if_the_layer_is_told_so() {
    let (issuer, api) = (Issuer::new(), Api::rejecting(&["token-1"]));
    let client = layer(&issuer)
        .with_authorization_replaced()
        .layer(api.clone());

    let request = with_its_own(&["Basic inbound", "Bearer inbound"]);
    let response = client.oneshot(request).await.unwrap();

    assert_eq!(response.status(), StatusCode::OK);
    // `tokens` sees to it that each carries one value only.
    assert_eq!(api.tokens(), ["token-1", "token-2"]);
}

fn name(name: &'static str) -> HeaderName {
    HeaderName::from_static(name)
}

fn header<'a, B>(request: &'a Request<B>, name: &str) -> Vec<&'a str> {
    let values = request.headers().get_all(name).iter();
    values.map(|value| value.to_str().unwrap()).collect()
}

#[tokio::test]
async fn extra_headers_of_layer_and_token_go_with_the_token() {
    let first = token("token-1").with_header(name("x-quota"), "of-1".parse().unwrap());
    let second = token("token-2").with_header(name("x-quota"), "of-2".parse().unwrap());
    let issuer = Issuer::answering([first.into(), second.into()]);
    let api = Api::rejecting(&["token-1"]);
    let client = layer(&issuer)
        .with_header(name("x-app"), "app".parse().unwrap())
        .layer(api.clone());

    client.oneshot(get(URL)).await.unwrap();

    let [first, second] = &api.sent()[..] else {
        panic!("two sends")
    };
    assert_eq!(header(first, "x-app"), ["app"]);
    assert_eq!(header(first, "x-quota"), ["of-1"]);
    assert_eq!(header(second, "x-app"), ["app"]);
    assert_eq!(header(second, "x-quota"), ["of-2"], "that of the new token");
}

#[tokio::test]
async fn extra_headers_add_up_and_the_last_of_a_name_counts() {
    let (issuer, api) = (Issuer::new(), Api::accepting());
    let client = layer(&issuer)
        .with_header(name("x-app"), "first".parse().unwrap())
        .with_header(name("x-client"), "client".parse().unwrap())
        .with_header(name("x-app"), "last".parse().unwrap())
        .layer(api.clone());

    client.oneshot(get(URL)).await.unwrap();

    let sent = &api.sent()[0];
    assert_eq!(header(sent, "x-app"), ["last"]);
    assert_eq!(header(sent, "x-client"), ["client"]);
}

#[tokio::test]
async fn a_callers_own_value_of_an_extra_header_is_kept_and_the_token_still_goes() {
    let with_header = token("token-1").with_header(name("x-quota"), "ours".parse().unwrap());
    let issuer = Issuer::answering([with_header.into()]);
    let api = Api::rejecting(&["token-1"]);
    let client = layer(&issuer)
        .with_header(name("x-app"), "ours".parse().unwrap())
        .layer(api.clone());

    let mut request = get(URL);
    for value in ["own", "too"] {
        let value = HeaderValue::from_static(value);
        request.headers_mut().append("x-app", value.clone());
        request.headers_mut().append("x-quota", value);
    }
    client.oneshot(request).await.unwrap();

    let sent = api.sent();
    assert_eq!(sent.len(), 2);
    for request in &sent {
        assert_eq!(header(request, "x-app"), ["own", "too"]);
        assert_eq!(header(request, "x-quota"), ["own", "too"]);
        assert!(bearer(request).is_some());
    }
}

/// A map holds 32,768 names, and any number of values.
#[tokio::test]
async fn a_request_with_more_values_of_one_name_than_a_map_holds_names_is_sent_again() {
    let (issuer, api) = (Issuer::new(), Api::rejecting(&["token-1"]));
    let mut request = get(URL);
    for _ in 0..40_000 {
        let value = HeaderValue::from_static("1");
        request.headers_mut().append("x-many", value);
    }

    let client = layer(&issuer).layer(api.clone());
    let response = client.oneshot(request).await.unwrap();

    assert_eq!(response.status(), StatusCode::OK);
    let values = api
        .sent()
        .iter()
        .map(|sent| sent.headers().get_all("x-many").iter().count())
        .collect::<Vec<_>>();
    assert_eq!(values, [40_000, 40_000]);
}
