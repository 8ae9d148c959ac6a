//! Requests of which a copy is kept, should they have to be sent again.

use bytes::Bytes;
use http::header::{ACCEPT, COOKIE};
use http::{Extensions, HeaderName, HeaderValue, Method};
use http_body_util::Full;
use tower::Layer;

use crate::contenders::{
    HttpRequest, Ready, in_memory, request, request_at_run_time, request_keyed,
};
use crate::support::{Cost, NOTHING, cost_of, cost_of_call};

/// What the layer allocates for such a request.
#[track_caller]
fn cost(request: impl Fn() -> HttpRequest) -> Cost {
    cost_of(&mut in_memory().layer(Ready), request)
}

/// A list of so many headers, with the token's, of which none is long.
fn list_of(headers: usize) -> Cost {
    Cost {
        allocations: 1,
        bytes: 64 * (headers as u64 + 1),
    }
}

/// What it costs to clone the parts of a request one by one, but for its headers.
fn of_the_rest(request: &HttpRequest) -> Cost {
    cost_of_call(|| request.method().clone())
        + cost_of_call(|| request.uri().clone())
        + cost_of_call(|| request.extensions().clone())
        + cost_of_call(|| request.body().clone())
}

#[test]
fn a_copy_is_one_list_of_headers() {
    assert_eq!(cost(request), list_of(3));

    // Where a map would be two.
    let headers = request().headers().clone();
    assert_eq!(cost_of_call(|| headers.clone()).allocations, 2);
}

#[test]
fn so_it_is_for_a_request_that_names_its_token_but_for_the_name() {
    let request = request_keyed();
    let of_the_name = cost_of_call(|| request.extensions().clone());
    assert_eq!(cost(request_keyed), list_of(3) + of_the_name);
}

#[test]
fn names_and_values_that_were_made_at_run_time_are_in_the_same_list() {
    let with_own_names = || {
        let mut request = request_at_run_time();
        for name in ["x-one", "x-two"] {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            let value = HeaderValue::from_str("1").expect("a value");
            request.headers_mut().insert(name, value);
        }
        request
    };
    // Where to clone them would be one more for each.
    let headers = with_own_names().headers().clone();
    let of_clones = headers.iter().fold(NOTHING, |sum, (name, value)| {
        let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
        let name = HeaderName::from_bytes(name).expect("a name");
        let value = HeaderValue::from_bytes(value).expect("a value");
        sum + cost_of_call(|| (name.clone(), value.clone()))
    });
    assert_eq!(of_clones.allocations, 5 + 2);

    assert_eq!(cost(request_at_run_time), list_of(3));
    assert_eq!(cost(with_own_names), list_of(5));
}

#[test]
fn long_values_make_the_list_grow_once_each_at_most() {
    let with_cookie = |length| {
        let cookie = HeaderValue::from_str(&"c".repeat(length)).expect("a value");
        let mut request = request();
        request.headers_mut().insert(COOKIE, cookie);
        request
    };
    assert_eq!(cost(|| with_cookie(64)), list_of(4));
    assert_eq!(cost(|| with_cookie(4096)).allocations, 2);
}

#[test]
fn values_that_are_marked_sensitive_are_shared_and_not_copied() {
    let with_sensitive = |mut request: HttpRequest| {
        let mut cookie = HeaderValue::from_static("session=1");
        cookie.set_sensitive(true);
        request.headers_mut().insert(COOKIE, cookie);
        request
    };
    let of_values = Cost {
        allocations: 1,
        bytes: 4 * size_of::<HeaderValue>() as u64,
    };
    assert_eq!(cost(|| with_sensitive(request())), list_of(4) + of_values);
}

#[test]
fn several_values_of_a_name_are_in_the_same_list() {
    let many = || {
        let mut request = request();
        for value in ["a", "b", "c"] {
            let value = HeaderValue::from_static(value);
            request.headers_mut().append(ACCEPT, value);
        }
        request
    };
    assert_eq!(cost(many), list_of(6));
}

#[test]
fn a_body_that_is_shared_is_not_copied_and_one_that_is_not_yet_is_shared() {
    let body = Bytes::from(vec![1; 1000]);
    let _shared = body.clone();
    let with_shared = || request().map(|_| Full::new(body.clone()));
    assert_eq!(cost(with_shared), list_of(3));

    let with_its_own = || request().map(|_| Full::new(Bytes::from(vec![1; 1000])));
    let to_share = of_the_rest(&with_its_own());
    assert_eq!(to_share.allocations, 1);
    assert!(to_share.bytes < 100, "{to_share:?}");
    assert_eq!(cost(with_its_own), list_of(3) + to_share);
}

#[test]
fn extensions_cost_what_it_costs_to_clone_them() {
    #[derive(Clone)]
    struct Trace(#[allow(dead_code)] String);

    let with_extensions = || {
        let mut request = request();
        request
            .extensions_mut()
            .insert(Trace("0af7651916cd43dd".to_owned()));
        request.extensions_mut().insert(7_u64);
        request
    };
    let mut alone = Extensions::new();
    alone.insert(Trace("0af7651916cd43dd".to_owned()));
    alone.insert(7_u64);
    let of_extensions = cost_of_call(|| alone.clone());
    assert!(of_extensions.allocations > 0);
    assert_eq!(cost(with_extensions), list_of(3) + of_extensions);
}

#[test]
fn an_unusual_method_and_a_path_that_nothing_shares_yet_are_one_more_each() {
    const METHOD: &[u8] = b"A-METHOD-OF-MORE-THAN-FIFTEEN-BYTES";

    let unusual = || {
        let mut request = request();
        *request.method_mut() = Method::from_bytes(METHOD).expect("a method");
        request
    };
    let of_method = of_the_rest(&unusual());
    assert_eq!(
        (of_method.allocations, of_method.bytes),
        (1, METHOD.len() as u64)
    );
    assert_eq!(cost(unusual), list_of(3) + of_method);

    let relative = || {
        let mut request = request();
        *request.uri_mut() = "/items?page=2".parse().expect("a URI");
        request
    };
    let of_path = of_the_rest(&relative());
    assert_eq!(of_path.allocations, 1);
    let layer = in_memory().with_relative_uris();
    let cost = cost_of(&mut layer.layer(Ready), relative);
    assert_eq!(cost, list_of(3) + of_path);
}
