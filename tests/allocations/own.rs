//! Requests that bring an `Authorization` of their own.

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use tower::Layer;

use crate::contenders::{HttpRequest, Ready, in_memory, never, request, request_keyed};
use crate::hits::request_for;
use crate::support::{NOTHING, cost_of};

fn with_its_own(mut request: HttpRequest, values: &[&'static str]) -> HttpRequest {
    for value in values {
        let value = HeaderValue::from_static(value);
        request.headers_mut().append(AUTHORIZATION, value);
    }
    request
}

#[test]
fn a_request_with_its_own_authorization_allocates_nothing_and_no_copy_is_kept() {
    for values in [&["Bearer own"][..], &["Bearer own", "Basic own"]] {
        let own = || with_its_own(request(), values);
        assert_eq!(cost_of(&mut never().layer(Ready), own), NOTHING);
        assert_eq!(cost_of(&mut in_memory().layer(Ready), own), NOTHING);
    }
}

/// `http` makes room before it looks whether there is such a header.
#[test]
fn where_the_map_is_full_it_grows_once_at_most() {
    for others in 0..100_u16 {
        let own = || {
            let mut request = request();
            for number in 0..others {
                let name = HeaderName::from_bytes(format!("x-{number}").as_bytes());
                let value = HeaderValue::from(number);
                request.headers_mut().append(name.expect("a name"), value);
            }
            with_its_own(request, &["Bearer own"])
        };
        let cost = cost_of(&mut never().layer(Ready), own);
        assert!(cost.allocations <= 2, "{others} {cost:?}");
    }
}

#[test]
fn where_it_is_replaced_nothing_is_allocated() {
    let own = || with_its_own(request(), &["Bearer own", "Basic own"]);
    let replacing = never().with_authorization_replaced();
    assert_eq!(cost_of(&mut replacing.layer(Ready), own), NOTHING);
}

#[test]
fn where_a_token_is_named_or_the_origin_is_another_nothing_is_allocated() {
    let named = || with_its_own(request_keyed(), &["Bearer own"]);
    let elsewhere = || with_its_own(request_for("https://other.example/"), &["Bearer own"]);
    let mut service = never().layer(Ready);
    assert_eq!(cost_of(&mut service, named), NOTHING);
    assert_eq!(cost_of(&mut service, elsewhere), NOTHING);
}
