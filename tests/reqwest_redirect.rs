//! Redirects that reqwest follows by itself, below the layer, between servers on real sockets.

// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use http::HeaderName;
use http::header::AUTHORIZATION;
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Response};
use tower::{Layer, ServiceExt};
use tower_bearer::error::BoxError;
use tower_bearer::rejection;
use tower_bearer::testing::ManualClock;
use tower_bearer::{BearerAuthLayer, TokenCache};

use self::layer_support::socket::{Server, answer, redirect};
use self::layer_support::{Issuer, bearer, token};
use self::reqwest_support::{Below, following, layer_for, reason};

mod layer_support;
mod reqwest_support;

const APP: &str = "x-app";

/// Redirects everything to the other.
async fn redirecting_to(other: &Server) -> Server {
    let to = other.url("/taken");
    Server::start(move |_| redirect(302, &to)).await
}

async fn send(
    layer: &BearerAuthLayer<Issuer>,
    http: Client,
    url: &str,
) -> Result<Response, BoxError> {
    let request = http.get(url).build().unwrap();
    layer.layer(http).oneshot(request).await
}

#[tokio::test]
async fn a_401_from_another_origin_concerns_no_token_and_is_returned_as_it_is() {
    let other = Server::start(|_| answer(401, "who are you")).await;
    let server = redirecting_to(&other).await;
    let issuer = Issuer::new();
    let layer = layer_for(&server, &issuer);

    let response = send(&layer, following(), &server.url("/")).await.unwrap();

    assert_eq!(response.status(), 401);
    assert_eq!(response.url().as_str(), other.url("/taken"));
    assert!(reason(&response).is_none());
    assert_eq!(response.text().await.unwrap(), "who are you");
    let (at_server, at_other) = (server.received(), other.received());
    assert_eq!(at_server.len(), 1, "not sent again");
    assert_eq!(bearer(&at_server[0]), Some("token-1"));
    assert!(!at_other[0].headers().contains_key(AUTHORIZATION));
    assert_eq!(layer.cache().cached(), Some(token("token-1")));
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test]
async fn nor_does_one_from_another_origin_to_which_tokens_may_go() {
    let other = Server::start(|_| answer(401, "")).await;
    let server = redirecting_to(&other).await;
    let issuer = Issuer::new();
    let layer = layer_for(&server, &issuer)
        .allow_origin(other.origin())
        .unwrap();

    let response = send(&layer, following(), &server.url("/")).await.unwrap();

    // reqwest took the token off.
    assert_eq!(bearer(&other.received()[0]), None);
    assert_eq!(response.status(), 401);
    assert_eq!(layer.cache().cached(), Some(token("token-1")));
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test]
async fn nor_does_one_that_is_a_rejection_by_another_word() {
    let other = Server::start(|_| answer(419, "")).await;
    let server = redirecting_to(&other).await;
    let issuer = Issuer::new();
    let layer = layer_for(&server, &issuer).with_rejection(|status, headers| {
        status == 419 || rejection::unauthorized(status, headers)
    });

    let response = send(&layer, following(), &server.url("/")).await.unwrap();

    assert_eq!(response.status(), 419);
    assert_eq!((server.received().len(), issuer.fetches()), (1, 1));
}

#[tokio::test]
async fn a_401_after_a_redirect_within_the_origin_is_healed() {
    let server = Server::start(|request| match (request.uri().path(), bearer(request)) {
        ("/old", _) => redirect(307, "/new"),
        (_, Some("token-1")) => answer(401, "revoked"),
        _ => answer(200, "welcome back"),
    })
    .await;
    let issuer = Issuer::new();
    let layer = layer_for(&server, &issuer);
    let http = following();
    let request = http.post(server.url("/old")).body("payload").build();

    let response = layer.layer(http).oneshot(request.unwrap()).await.unwrap();

    assert_eq!(response.url().path(), "/new");
    assert_eq!(response.text().await.unwrap(), "welcome back");
    let received = server.received();
    let seen: Vec<_> = received
        .iter()
        .map(|request| (request.uri().path(), bearer(request).unwrap()))
        .collect();
    let expected = [
        ("/old", "token-1"),
        ("/new", "token-1"),
        ("/old", "token-2"),
        ("/new", "token-2"),
    ];
    assert_eq!(seen, expected);
    assert!(received.iter().all(|request| request.body() == "payload"));
}

#[tokio::test]
async fn a_redirect_away_and_back_loses_the_token_which_cannot_be_known() {
    let (back, away) = (
        tokio::sync::watch::Sender::new(String::new()),
        tokio::sync::watch::Sender::new(String::new()),
    );
    let to = away.subscribe();
    let server = Server::start(move |request| match request.uri().path() {
        "/end" => match bearer(request) {
            Some(_) => answer(200, ""),
            None => answer(401, "no token"),
        },
        _ => redirect(302, &to.borrow()),
    })
    .await;
    let to = back.subscribe();
    let other = Server::start(move |_| redirect(302, &to.borrow())).await;
    back.send_replace(server.url("/end"));
    away.send_replace(other.url("/"));
    let issuer = Issuer::new();
    let layer = layer_for(&server, &issuer);

    let response = send(&layer, following(), &server.url("/")).await.unwrap();

    // Sent twice in vain, and no more.
    assert_eq!(response.status(), 401);
    let received = server.received();
    let seen: Vec<_> = received.iter().map(bearer).collect();
    assert_eq!(seen, [Some("token-1"), None, Some("token-2"), None]);
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test]
async fn what_is_said_of_the_default_policy_is_so_extra_headers_go_to_any_server() {
    let other = Server::start(|_| answer(200, "")).await;
    let server = redirecting_to(&other).await;
    let layer = layer_for(&server, &Issuer::new())
        .with_header(HeaderName::from_static(APP), "app".parse().unwrap());

    send(&layer, following(), &server.url("/")).await.unwrap();

    assert_eq!(other.received()[0].headers()[APP], "app");
}

/// As in the documentation.
fn within_the_origin() -> Client {
    let within_the_origin = Policy::custom(|attempt: Attempt<'_>| {
        let next = attempt.url().origin();
        let stays = attempt.previous().iter().all(|url| url.origin() == next);
        match attempt.previous().len() {
            // For other origins, the caller gets the redirect.
            _ if !stays => attempt.stop(),
            more if more > 10 => attempt.error("too many redirects"),
            _ => attempt.follow(),
        }
    });
    reqwest_support::direct()
        .redirect(within_the_origin)
        .build()
        .unwrap()
}

#[tokio::test]
async fn with_a_policy_that_stays_within_the_origin_nothing_leaves_it() {
    let other = Server::start(|_| answer(200, "")).await;
    let to = other.url("/");
    let server = Server::start(move |request| match request.uri().path() {
        "/old" => redirect(302, "/new"),
        "/circle" => redirect(302, "/circle"),
        "/away" => redirect(302, &to),
        _ => answer(200, "found"),
    })
    .await;
    let layer = layer_for(&server, &Issuer::new());

    let response = send(&layer, within_the_origin(), &server.url("/old")).await;
    assert_eq!(response.unwrap().text().await.unwrap(), "found");
    assert_eq!(bearer(&server.received()[1]), Some("token-1"));

    let response = send(&layer, within_the_origin(), &server.url("/away")).await;
    assert_eq!(response.unwrap().status(), 302);
    assert!(other.received().is_empty());

    server.received();
    let error = send(&layer, within_the_origin(), &server.url("/circle")).await;
    let error = error.unwrap_err().downcast::<reqwest::Error>().unwrap();
    assert!(error.is_redirect());
    assert_eq!(server.received().len(), 11);
}

#[tokio::test]
async fn without_redirects_the_caller_gets_them_and_they_concern_no_token() {
    let other = Server::start(|_| answer(401, "")).await;
    let server = redirecting_to(&other).await;
    let issuer = Issuer::new();
    let layer = layer_for(&server, &issuer);
    let http = reqwest_support::client();

    let response = send(&layer, http, &server.url("/")).await.unwrap();

    assert_eq!(response.status(), 302);
    assert!(other.received().is_empty());
    assert_eq!(issuer.fetches(), 1);
}

/// What is returned for a 401 that says to come from `url`, and how often a token was fetched.
async fn rejected_from(url: Option<&str>) -> (u16, usize) {
    use reqwest::ResponseBuilderExt as _;

    let url = url.map(|url| url.parse::<reqwest::Url>().unwrap());
    let below = Below::answering(move |head| {
        let is_first = head.headers[AUTHORIZATION] == "Bearer token-1";
        let response = http::Response::builder().status(if is_first { 401 } else { 200 });
        let response = match &url {
            Some(url) => response.url(url.clone()),
            None => response,
        };
        response.body("").unwrap().into()
    });
    let issuer = Issuer::new();
    let url = layer_support::URL.parse().unwrap();
    let request = reqwest::Request::new(http::Method::GET, url);
    let auth = layer_support::layer(&issuer).layer(below);
    let response = auth.oneshot(request).await.unwrap();
    (response.status().as_u16(), issuer.fetches())
}

#[tokio::test]
async fn scheme_host_and_port_must_all_be_those_of_the_request() {
    for url in [
        "http://api.example.com:443/items",
        "https://api.example.com:8443/items",
        "https://example.com/items",
        "https://api.example.com./items",
    ] {
        assert_eq!(rejected_from(Some(url)).await, (401, 1), "{url}");
    }
    for url in [
        "https://api.example.com/other#fragment",
        "https://API.example.com:443/",
        "https://user@api.example.com/",
    ] {
        assert_eq!(rejected_from(Some(url)).await, (200, 2), "{url}");
    }
}

#[tokio::test]
async fn a_response_that_says_no_url_is_from_where_the_request_went() {
    assert_eq!(rejected_from(None).await, (200, 2));
}

/// How many tokens are fetched in fifty minutes if all are rejected, and if after each rejection there is a
/// success that says to come from `url`.
async fn fetches_with_successes(url: Option<&'static str>) -> usize {
    use reqwest::ResponseBuilderExt as _;

    let below = Below::answering(|head| {
        let response = http::Response::builder();
        let response = match head.headers.get("x-from") {
            Some(url) => response.url(url.to_str().unwrap().parse().unwrap()),
            None => response.status(401),
        };
        response.body("").unwrap().into()
    });
    let issuer = Issuer::new();
    let clock = ManualClock::new();
    let cache = TokenCache::builder(issuer.clone())
        .with_clock(clock.clone())
        .build();
    let layer = BearerAuthLayer::for_origin(cache, layer_support::ORIGIN).unwrap();
    let request = |from: Option<&str>| {
        let url = layer_support::URL.parse().unwrap();
        let mut request = reqwest::Request::new(http::Method::GET, url);
        if let Some(url) = from {
            request.headers_mut().insert("x-from", url.parse().unwrap());
        }
        request
    };
    for _ in 0..50 {
        clock.advance(Duration::from_secs(60));
        let auth = layer.layer(below.clone());
        let response = auth.clone().oneshot(request(None)).await.unwrap();
        assert_eq!(response.status(), 401);
        if url.is_some() {
            let response = auth.oneshot(request(url)).await.unwrap();
            assert_eq!(response.status(), 200);
        }
    }
    issuer.fetches()
}

#[tokio::test]
async fn a_success_from_another_origin_does_not_prove_that_the_token_works() {
    let without = fetches_with_successes(None).await;
    let elsewhere = fetches_with_successes(Some("https://elsewhere.example.com")).await;
    let here = fetches_with_successes(Some(layer_support::ORIGIN)).await;

    assert_eq!(elsewhere, without);
    assert!(here > 4 * without, "{here} {without}");
}
