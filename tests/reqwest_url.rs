//! URLs of every kind: what is sent is what was given, and the token goes where the request goes or nowhere.

// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use std::error::Error as _;

use http::Method;
use reqwest::{Request, Url};
use tower::limit::ConcurrencyLimit;
use tower::{Layer, Service, ServiceExt};
use tower_bearer::{BearerAuthLayer, Origin};

use self::layer_support::{Issuer, without_hanging};
use self::reqwest_support::Below;

mod layer_support;
mod reqwest_support;

/// Whether a request for `url` carries a token. It is sent to that URL in any case.
async fn carries_a_token(origin: &str, url: &str) -> bool {
    let below = Below::rejecting_the_first_token();
    let origin = Origin::new(origin).unwrap();
    let layer = BearerAuthLayer::for_origin(Issuer::new(), origin).unwrap();
    layer.cache().token().await.unwrap();
    // Rejected above, so that it is seen what becomes of the URL on the second send.
    let url: Url = url.parse().unwrap();

    let request = Request::new(Method::GET, url.clone());
    layer.layer(below.clone()).oneshot(request).await.unwrap();

    let given = below.given();
    let carry: Vec<_> = given
        .iter()
        .map(|request| {
            assert_eq!(request.url().as_str(), url.as_str());
            request.headers().contains_key("authorization")
        })
        .collect();
    match *carry {
        [true, true] => true,
        [false] => false,
        _ => panic!("{carry:?}"),
    }
}

#[tokio::test]
async fn the_origin_is_found_in_whatever_way_its_url_is_written() {
    for (origin, url) in [
        ("https://api.example.com", "https://api.example.com"),
        (
            "https://api.example.com",
            "HTTPS://API.Example.COM:443/a?b=c#d",
        ),
        ("https://api.example.com:443", "https://api.example.com/"),
        ("https://api.example.com", "https://api.example.com:0443/"),
        ("https://api.example.com", r"https:\\api.example.com\a"),
        ("https://api.example.com", "https://%61pi.example.com/"),
        (
            "https://api.example.com",
            "https://user:pw@api.example.com/a",
        ),
        (
            "https://api.example.com",
            "https://a%40evil.example@api.example.com/",
        ),
        (
            "https://api.example.com:8443",
            "https://api.example.com:8443/",
        ),
        (
            "https://xn--bcher-kva.example",
            "https://bücher.example/ü?ü=ü#ü",
        ),
        ("https://xn--bcher-kva.example", "https://BÜCHER.example/"),
        ("http://[::1]:8080", "http://[::1]:8080/"),
        ("http://[::1]:8080", "http://[0:0:0:0:0:0:0:1]:8080/"),
        ("http://127.0.0.1", "http://0x7f.1/"),
        ("http://127.0.0.1", "http://2130706433:80/"),
        ("https://api.example.com.", "https://api.example.com./"),
        (
            "https://api.example.com",
            "https://api.example.com/a|b^c`{d}\"?|'<>#\"<>`",
        ),
    ] {
        assert!(carries_a_token(origin, url).await, "{url}");
    }
}

#[tokio::test]
async fn another_origin_that_looks_like_it_gets_no_token() {
    let origin = "https://api.example.com";
    for url in [
        "http://api.example.com/",
        "https://api.example.com:8443/",
        "https://api.example.com./",
        "https://api.example.com@evil.example/",
        "https://api.example.com:443@evil.example/",
        "https://api.example.com%40evil.example@evil.example/",
        r"https://evil.example\@api.example.com/",
        "https://evil.example/@api.example.com",
        "https://evil.example#@api.example.com",
        "https://evil.example?@api.example.com",
        "https://api.example.com.evil.example/",
        "https://аpi.example.com/",
        "wss://api.example.com/",
        "ftp://api.example.com/",
        // Which `http::Uri` takes for an authority without a scheme.
        "data:,",
        "mailto:me@api.example.com",
    ] {
        assert!(!carries_a_token(origin, url).await, "{url}");
    }
}

#[tokio::test]
async fn a_url_that_is_no_uri_is_an_error_before_anything_is_sent_or_fetched() {
    let (below, issuer) = (Below::rejecting_the_first_token(), Issuer::new());
    let layer = BearerAuthLayer::for_origin(issuer.clone(), "https://api.example.com").unwrap();
    let long = format!("https://api.example.com/{}", "a".repeat(70_000));
    for url in [
        "https://{{host}}/",
        "data:text/plain,hi",
        "file:///a",
        &long,
    ] {
        let request = Request::new(Method::GET, url.parse().unwrap());

        let error = layer
            .layer(below.clone())
            .oneshot(request)
            .await
            .unwrap_err();

        let error = error.downcast::<reqwest::Error>().unwrap();
        assert!(error.is_builder(), "{error}");
        assert_eq!(error.url().unwrap().as_str(), url);
        assert!(error.source().is_some());
    }
    assert!(below.given().is_empty());
    assert_eq!(issuer.fetches(), 0);
}

#[tokio::test]
async fn after_a_url_that_is_no_uri_the_slot_of_the_service_is_free_again() {
    let limited = ConcurrencyLimit::new(Below::rejecting_the_first_token(), 1);
    let layer = BearerAuthLayer::for_origin(Issuer::new(), "https://api.example.com").unwrap();
    let mut auth = layer.layer(limited);
    let request = |url: &str| Request::new(Method::GET, url.parse().unwrap());

    let ready = ServiceExt::<Request>::ready(&mut auth).await.unwrap();
    let failing = ready.call(request("https://{{host}}/"));
    let other = auth.clone().oneshot(request("https://api.example.com"));
    let response = without_hanging(other).await.unwrap();

    assert_eq!(response.status(), 200);
    assert!(failing.await.is_err());
}
