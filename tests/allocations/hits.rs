//! Requests that are sent once.

use std::future::ready;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use http_body_util::Full;
use tower::Layer;
use tower_bearer::replay::Never;
use tower_bearer::{AccessToken, BearerAuthLayer, TokenProvider, token_fn};

use crate::contenders::{HttpRequest, Ready, in_memory, never, request, request_keyed};
use crate::support::{NOTHING, ORIGIN, cost_of, cost_of_call, measure_next, token};

/// The request for another URI.
pub(crate) fn request_for(uri: &str) -> HttpRequest {
    let mut request = request();
    *request.uri_mut() = uri.parse().expect("a URI");
    request
}

#[test]
fn a_hit_allocates_nothing() {
    assert_eq!(cost_of(&mut never().layer(Ready), request), NOTHING);
}

/// The test of the test: of what the layer may not do.
#[test]
fn an_allocation_of_the_layer_would_be_counted() {
    let text = || Request::new(Full::from("text".to_owned()));
    let (all, bare) = measure_next(&mut Ready, text);
    assert_eq!(all, bare);
    assert!(all.count_total > 0);

    let rebuilding = |mut request: HttpRequest| {
        *request.headers_mut() = request.headers().clone();
        request
    };
    let mut service = tower::ServiceBuilder::new()
        .map_request(rebuilding)
        .service(Ready);
    assert_eq!(cost_of(&mut service, request).allocations, 2);
}

#[test]
fn neither_does_one_of_a_service_that_is_cloned_for_it() {
    let service = never().layer(Ready);
    let mut cloning = tower::service_fn(|request: HttpRequest| {
        tower::ServiceExt::oneshot(service.clone(), request)
    });
    assert_eq!(cost_of(&mut cloning, request), NOTHING);
}

#[test]
fn a_thousand_hits_hold_no_more_at_a_time_than_one_and_leave_nothing() {
    let mut service = never().layer(Ready);
    let (one, _) = measure_next(&mut service, request);
    let (one_more, _) = measure_next(&mut service, request);
    assert!(one_more.bytes_max <= one.bytes_max);

    let all = allocation_counter::measure(|| {
        for _ in 0..1000 {
            crate::contenders::send(&mut service, request());
        }
    });

    assert_eq!((all.count_current, all.bytes_current), (0, 0));
    assert_eq!(all.bytes_max, one_more.bytes_max);
}

#[test]
fn a_request_that_names_its_token_allocates_nothing() {
    assert_eq!(cost_of(&mut never().layer(Ready), request_keyed), NOTHING);
}

#[test]
fn extensions_of_somebody_elses_cost_nothing_if_nothing_is_kept() {
    let with_extensions = || {
        let mut request = request();
        request.extensions_mut().insert(String::from("text"));
        request.extensions_mut().insert(1_u8);
        request
    };
    let mut service = never().layer(Ready);
    assert_eq!(cost_of(&mut service, with_extensions), NOTHING);
}

#[test]
fn looking_for_a_token_that_is_chosen_by_the_head_allocates_nothing() {
    let layer = never().with_token_chosen_by(|parts| {
        assert!(parts.headers.contains_key("accept"));
        None
    });
    assert_eq!(cost_of(&mut layer.layer(Ready), request), NOTHING);
}

#[test]
fn however_the_origin_is_spelled_and_however_many_there_are_nothing_is_allocated() {
    let cache = never().cache().clone();
    let mut layer =
        BearerAuthLayer::for_origin(cache.clone(), "https://ap1.example.com").expect("an origin");
    for number in 2..8 {
        let origin = format!("https://ap{number}.example.com");
        layer = layer.allow_origin(origin).expect("an origin");
    }
    let layer = layer.allow_origin(ORIGIN).expect("an origin");
    let layer = layer.with_relative_uris().with_replay(Never);
    let every = BearerAuthLayer::for_every_https_origin(cache).with_replay(Never);

    for uri in [
        "https://ap1.example.com/items",
        "https://api.example.com/items",
        "https://API.example.com:443/items",
        "https://user@api.example.com/items",
        "/items",
    ] {
        let request = || request_for(uri);
        assert_eq!(cost_of(&mut layer.layer(Ready), request), NOTHING, "{uri}");
    }
    let request = || request_for("https://any.example/");
    assert_eq!(cost_of(&mut every.layer(Ready), request), NOTHING);
}

const EXTRA: [HeaderName; 5] = [
    HeaderName::from_static("x-app"),
    HeaderName::from_static("x-client"),
    HeaderName::from_static("x-project"),
    HeaderName::from_static("x-quota"),
    HeaderName::from_static("x-tenant"),
];

/// Two of the token and three of the layer.
fn with_extra_headers() -> BearerAuthLayer<impl TokenProvider, Never> {
    let of_token = AccessToken::new(&token()).expect("a token");
    let mut of_token = of_token.with_expires_in(Duration::from_secs(3600));
    let value = HeaderValue::from_static("of the application");
    for name in &EXTRA[..2] {
        of_token = of_token.with_header(name.clone(), value.clone());
    }
    let provider = token_fn(move |_| ready(Ok(of_token.clone())));
    let mut layer = BearerAuthLayer::for_origin(provider, ORIGIN).expect("an origin");
    for name in &EXTRA[2..] {
        layer = layer.with_header(name.clone(), value.clone());
    }
    futures_executor::block_on(layer.cache().token()).expect("a token");
    layer.with_replay(Never)
}

#[test]
fn extra_headers_cost_what_the_callers_map_grows_by() {
    let with_room = || {
        let mut request = request();
        let mut headers = HeaderMap::with_capacity(16);
        headers.extend(std::mem::take(request.headers_mut()));
        *request.headers_mut() = headers;
        request
    };
    let mut service = with_extra_headers().layer(Ready);
    assert_eq!(cost_of(&mut service, with_room), NOTHING);

    // By hand.
    let value = HeaderValue::from_static("any");
    let growing = || {
        let mut request = request();
        for name in EXTRA.iter().chain(&[AUTHORIZATION]) {
            request.headers_mut().insert(name, value.clone());
        }
        request
    };
    let growth = cost_of_call(growing) - cost_of_call(request);
    assert!(growth.allocations > 0);
    assert_eq!(cost_of(&mut service, request), growth);
}

#[test]
fn the_first_header_of_a_request_costs_what_it_costs_by_hand() {
    let bare = || {
        let mut request = request();
        *request.headers_mut() = HeaderMap::new();
        request
    };
    let by_hand = cost_of_call(|| {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("any"));
        headers
    });
    assert_eq!(by_hand.allocations, 2);
    assert_eq!(cost_of(&mut never().layer(Ready), bare), by_hand);
}

#[test]
fn a_request_to_another_origin_allocates_nothing() {
    let other: Uri = Uri::from_static("https://other.example/items");
    let elsewhere = || {
        let mut request = request();
        *request.uri_mut() = other.clone();
        request
    };
    let mut service = never().layer(Ready);
    assert_eq!(cost_of(&mut service, elsewhere), NOTHING);
    let mut service = in_memory().layer(Ready);
    assert_eq!(cost_of(&mut service, elsewhere), NOTHING);
}
