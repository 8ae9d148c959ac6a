//! Requests that bring an `Authorization` of their own.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use tower::Layer;

use crate::contenders::{HttpRequest, Ready, accounts, layer, request, token};
use crate::hits::{plain, request_for};
use crate::support::{NOTHING, cost_of, cost_of_call};

fn with_its_own(mut request: HttpRequest, values: &[&'static str]) -> HttpRequest {
    for value in values {
        let value = HeaderValue::from_static(value);
        request.headers_mut().append(AUTHORIZATION, value);
    }
    request
}

/// Where uses are told to somebody, it is looked first; else the token is put there, and taken off again.
fn by_features(without_telemetry: u64) -> u64 {
    match cfg!(any(feature = "metrics", feature = "tracing")) {
        true => 0,
        false => without_telemetry,
    }
}

/// A list for the second value, and the two parts of the map that is made anew.
#[test]
fn a_request_with_its_own_authorization_costs_its_map_anew_and_keeps_no_copy() {
    let own = || with_its_own(request(), &["Bearer own"]);
    for cost in [
        cost_of(&mut plain().layer(Ready), own),
        cost_of(&mut layer(&token(), &accounts()).layer(Ready), own),
    ] {
        assert_eq!(cost.allocations, by_features(3));
    }
}

#[test]
fn with_many_headers_it_costs_what_moving_them_to_another_map_does() {
    let many = || {
        let mut request = request();
        for number in 0..40_u16 {
            let name = HeaderName::from_bytes(format!("x-{number}").as_bytes());
            let value = HeaderValue::from(number);
            request.headers_mut().append(name.expect("a name"), value);
        }
        with_its_own(request, &["Bearer own", "Basic own"])
    };
    let mut headers = std::mem::take(many().headers_mut());
    let moving = cost_of_call(|| {
        let (mut moved, mut current) = (HeaderMap::new(), None);
        for (name, value) in headers.drain() {
            current = name.or(current);
            moved.append(current.clone().expect("a name"), value);
        }
        moved
    });
    let cost = cost_of(&mut plain().layer(Ready), many);
    assert!(cost.allocations <= by_features(moving.allocations));
}

#[test]
fn where_it_is_replaced_nothing_is_allocated() {
    let own = || with_its_own(request(), &["Bearer own", "Basic own"]);
    let replacing = plain().with_authorization_replaced();
    assert_eq!(cost_of(&mut replacing.layer(Ready), own), NOTHING);
}

#[test]
fn where_a_token_is_named_or_the_origin_is_another_nothing_is_allocated() {
    let named = || {
        let mut request = with_its_own(request(), &["Bearer own"]);
        request.extensions_mut().insert(accounts());
        request
    };
    let elsewhere = || with_its_own(request_for("https://other.example/"), &["Bearer own"]);
    let mut service = plain().layer(Ready);
    assert_eq!(cost_of(&mut service, named), NOTHING);
    assert_eq!(cost_of(&mut service, elsewhere), NOTHING);
}
