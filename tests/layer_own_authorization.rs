//! Requests that bring an `Authorization` of their own: they are none of the layer's business.
#![cfg(feature = "test-util")]
// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use tower::{Layer, ServiceExt};
use tower_bearer::testing::ManualClock;
use tower_bearer::{BearerAuthLayer, TokenCache, TokenRequest};

use self::layer_support::{Api, Issuer, ORIGIN, URL, get, reason, token, unauthorized};

mod layer_support;

/// A second before the end of the issuer's tokens.
const STALE: Duration = Duration::from_secs(3599);

struct Scene {
    layer: BearerAuthLayer<Issuer>,
    issuer: Issuer,
    clock: ManualClock,
}

/// A layer that has a token with a header of its own, and adds one besides.
async fn scene() -> Scene {
    let of_token = token("token-1").with_header(name("x-quota"), HeaderValue::from_static("ours"));
    let issuer = Issuer::answering([of_token.into()]);
    let clock = ManualClock::new();
    let cache = TokenCache::builder(issuer.clone()).with_clock(clock.clone());
    let layer = BearerAuthLayer::for_origin(cache.build(), ORIGIN)
        .unwrap()
        .with_header(name("x-app"), HeaderValue::from_static("ours"));
    layer.cache().token().await.unwrap();
    Scene {
        layer,
        issuer,
        clock,
    }
}

fn name(name: &'static str) -> HeaderName {
    HeaderName::from_static(name)
}

fn sensitive(text: &'static str) -> HeaderValue {
    let mut value = HeaderValue::from_static(text);
    value.set_sensitive(true);
    value
}

/// Headers of all kinds, and among them `values` of the caller's own: at the beginning, in the middle or at
/// the end.
fn with_its_own(place: usize, values: &[HeaderValue]) -> Request<String> {
    let others = [
        (name("x-many"), sensitive("first")),
        (name("accept"), HeaderValue::from_static("text/html")),
        (name("x-many"), HeaderValue::from_static("second")),
        (name("cookie"), sensitive("a=1")),
        (
            name("x-many"),
            HeaderValue::from_bytes(b"\xffthird").unwrap(),
        ),
        (name("cookie"), HeaderValue::from_static("b=2")),
    ];
    let mut request = get(URL);
    let headers = request.headers_mut();
    for (at, (name, value)) in others.iter().enumerate() {
        if at == place {
            append(headers, values);
        }
        headers.append(name, value.clone());
    }
    if place >= others.len() {
        append(headers, values);
    }
    request
}

fn append(headers: &mut HeaderMap, values: &[HeaderValue]) {
    for value in values {
        headers.append(AUTHORIZATION, value.clone());
    }
}

/// All headers in their order, and which are sensitive.
fn listed(headers: &HeaderMap) -> Vec<(&str, &[u8], bool)> {
    let listed = headers.iter();
    let listed =
        listed.map(|(name, value)| (name.as_str(), value.as_bytes(), value.is_sensitive()));
    listed.collect()
}

fn all_kinds() -> Vec<Request<String>> {
    let one = [HeaderValue::from_static("Bearer own")];
    let one_sensitive = [sensitive("Bearer own")];
    let two = [
        HeaderValue::from_static("Basic own"),
        sensitive("Bearer own"),
    ];
    let the_same_twice = [sensitive("Bearer own"), sensitive("Bearer own")];
    // Also our own token, which the caller may have from the cache.
    let ours = [sensitive("Bearer token-1")];
    let kinds: [&[_]; 5] = [&one, &one_sensitive, &two, &the_same_twice, &ours];
    let places = [0, 1, 3, 6];
    let all = kinds
        .iter()
        .flat_map(|values| places.map(|place| with_its_own(place, values)));
    all.collect()
}

async fn assert_untouched(scene: &Scene, mut request: Request<String>, named: bool) {
    let api = Api::answering(|_| unauthorized("no"));
    let client = scene.layer.layer(api.clone());
    let before = request.headers().clone();
    if named {
        request
            .extensions_mut()
            .insert(TokenRequest::default().with_scope("a"));
    }

    let response = client.oneshot(request).await.unwrap();

    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(reason(&response).is_none());
    let sent = api.sent();
    assert_eq!(sent.len(), 1, "not sent again");
    assert_eq!(*sent[0].headers(), before);
    assert_eq!(listed(sent[0].headers()), listed(&before));
}

async fn tasks_run() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn they_pass_untouched_in_all_their_order_and_their_401_condemns_nothing() {
    let scene = scene().await;
    for request in all_kinds() {
        for named in [false, true] {
            assert_untouched(&scene, request.clone(), named).await;
        }
        assert_eq!(scene.layer.cache().cached(), Some(token("token-1")));
    }
    assert_eq!(scene.issuer.fetches(), 1);
}

#[tokio::test]
async fn they_have_no_stale_token_refreshed() {
    let scene = scene().await;
    scene.clock.advance(STALE);
    for request in all_kinds() {
        assert_untouched(&scene, request, false).await;
    }
    tasks_run().await;
    assert_eq!(scene.issuer.fetches(), 1);

    // As any other does.
    let client = scene.layer.layer(Api::<String>::accepting());
    client.oneshot(get(URL)).await.unwrap();
    tasks_run().await;
    assert_eq!(scene.issuer.fetches(), 2);
}

#[tokio::test]
async fn they_have_no_expired_token_replaced_and_wait_for_none() {
    let scene = scene().await;
    scene.issuer.hold();
    scene.clock.advance(2 * STALE);
    for request in all_kinds() {
        assert_untouched(&scene, request, false).await;
    }
    scene.layer.cache().invalidate(&token("token-1"));
    for request in all_kinds() {
        assert_untouched(&scene, request, true).await;
    }
    assert_eq!(scene.issuer.fetches(), 1);
}

#[tokio::test]
async fn a_request_after_them_carries_the_token() {
    let scene = scene().await;
    let api = Api::answering(|_| Response::default());
    let mut client = scene.layer.layer(api.clone());
    for request in all_kinds() {
        for request in [request, get(URL)] {
            let ready = client.ready().await.unwrap();
            tower::Service::call(ready, request).await.unwrap();
        }
    }
    let sent = api.sent();
    for request in sent.iter().skip(1).step_by(2) {
        let headers = request.headers();
        assert_eq!(headers[AUTHORIZATION], "Bearer token-1");
        assert_eq!(headers["x-app"], "ours");
        assert_eq!(headers["x-quota"], "ours");
        assert_eq!(headers.len(), 3);
    }
}

#[tokio::test]
async fn where_it_is_replaced_all_values_are_by_one_and_the_others_keep_their_order() {
    let scene = scene().await;
    let api = Api::accepting();
    let client = { &scene.layer }.clone().with_authorization_replaced();
    let client = client.layer(api.clone());
    for request in all_kinds() {
        let before = request.headers().clone();
        client.clone().oneshot(request).await.unwrap();

        let sent = api.sent();
        let values: Vec<_> = sent[0].headers().get_all(AUTHORIZATION).iter().collect();
        assert_eq!(values, ["Bearer token-1"]);
        assert!(values[0].is_sensitive());
        let others = |headers: &HeaderMap| {
            let ours = ["authorization", "x-app", "x-quota"];
            let listed = listed(headers).into_iter();
            let others = listed.filter(|(name, ..)| !ours.contains(name));
            format!("{:?}", others.collect::<Vec<_>>())
        };
        assert_eq!(others(sent[0].headers()), others(&before));
        assert_eq!(sent[0].headers()["x-app"], "ours");
    }
    assert_eq!(scene.issuer.fetches(), 1);
}
