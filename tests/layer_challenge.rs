//! What a server says when it rejects a token, and what is made of it.

use http::header::WWW_AUTHENTICATE;
use http::request::Parts;
use http::{Response, StatusCode};
use tower::{Layer, ServiceExt};
use tower_bearer::FetchError;
use tower_bearer::rejection::{self, NotRetriedReason};

use self::layer_support::{Api, Issuer, URL, bearer, get, layer, reason, token, unauthorized};

mod layer_support;

const EXPIRED: &str = r#"Bearer realm="api", error="invalid_token""#;
const NOT_ENOUGH: &str = r#"Bearer error="insufficient_scope", scope="orders:write""#;

fn challenged(challenges: &[&str]) -> Response<String> {
    let mut response = unauthorized("no");
    for challenge in challenges {
        let value = challenge.parse().unwrap();
        response.headers_mut().append(WWW_AUTHENTICATE, value);
    }
    response
}

/// Answers the token so, and welcomes all others.
fn api(rejected: &'static str, answer: fn() -> Response<String>) -> Api<String> {
    Api::answering(move |parts| {
        if carries(parts, rejected) {
            answer()
        } else {
            Response::new("welcome".to_owned())
        }
    })
}

fn carries(parts: &Parts, token: &str) -> bool {
    bearer(&http::Request::from_parts(parts.clone(), ())) == Some(token)
}

#[tokio::test]
async fn a_401_that_says_that_a_new_token_would_not_help_is_returned_and_condemns_nothing() {
    let (issuer, api) = (Issuer::new(), api("token-1", || challenged(&[NOT_ENOUGH])));
    let client = layer(&issuer).layer(api.clone());

    for _ in 0..3 {
        let response = client.clone().oneshot(get(URL)).await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert!(reason(&response).is_none());
    }
    assert_eq!(api.tokens(), ["token-1"; 3]);
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test]
async fn a_challenge_that_cannot_be_read_is_a_401_like_any_other() {
    for garbage in ["", ",", "\"", "Bearer error=\"insuff", "=;=", "Bearer \\"] {
        let issuer = Issuer::new();
        let api = Api::answering(move |parts| {
            if carries(parts, "token-1") {
                challenged(&[garbage])
            } else {
                Response::default()
            }
        });
        let response = layer(&issuer).layer(api).oneshot(get(URL)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{garbage}");
    }
}

#[tokio::test]
async fn the_provider_is_told_what_the_server_said() {
    let api = api("token-1", || {
        challenged(&["Basic realm=\"x\"", EXPIRED, "DPoP algs=\"ES256\", Bearer"])
    });
    let issuer = Issuer::new();
    layer(&issuer).layer(api).oneshot(get(URL)).await.unwrap();

    let asked = issuer.asked();
    assert!(asked[0].challenges().is_empty());
    let challenges = asked[1].challenges();
    let schemes: Vec<_> = challenges.iter().map(|c| c.scheme()).collect();
    assert_eq!(schemes, ["Basic", "Bearer", "DPoP", "Bearer"]);
    assert_eq!(challenges[1].error(), Some("invalid_token"));
    // Not what was asked for: that is the caller's to say.
    assert_eq!(asked[1].token_request(), asked[0].token_request());
}

#[tokio::test]
async fn what_a_server_said_of_one_token_is_not_said_of_the_next() {
    let api = api("token-1", || challenged(&[EXPIRED]));
    let issuer = Issuer::new();
    let layer = layer(&issuer);
    let client = layer.layer(api);
    client.clone().oneshot(get(URL)).await.unwrap();
    layer.cache().invalidate(&token("token-2"));
    client.oneshot(get(URL)).await.unwrap();

    let asked = issuer.asked();
    assert_eq!(asked[2].rejected_token(), Some(&token("token-2")));
    assert!(asked[2].challenges().is_empty());
}

#[tokio::test]
async fn what_the_server_said_is_told_again_after_a_failed_fetch() {
    let down = FetchError::unavailable("down");
    let issuer = Issuer::answering([token("token-1").into(), down.into()]);
    let layer = layer(&issuer);
    let client = layer.layer(api("token-1", || challenged(&[EXPIRED])));
    let response = client.clone().oneshot(get(URL)).await.unwrap();
    assert!(matches!(
        reason(&response),
        Some(NotRetriedReason::FetchFailed(_))
    ));
    layer.cache().reset_backoff();
    layer.cache().refresh().await.unwrap();

    let asked = issuer.asked();
    assert_eq!(asked[2].rejected_token(), Some(&token("token-1")));
    assert_eq!(asked[2].challenges(), asked[1].challenges());
    assert_eq!(asked[2].challenges()[0].error(), Some("invalid_token"));
}

#[tokio::test]
async fn what_counts_as_a_rejection_can_be_replaced() {
    let api = api("token-1", || {
        let mut response = unauthorized("no");
        *response.status_mut() = StatusCode::FORBIDDEN;
        let ended = "ended".parse().unwrap();
        response.headers_mut().insert("x-token", ended);
        response
    });
    let issuer = Issuer::new();
    let plain = layer(&issuer).layer(api.clone());
    let response = plain.oneshot(get(URL)).await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(api.tokens(), ["token-1"]);

    let issuer = Issuer::new();
    let knowing = layer(&issuer).with_rejection(|status, headers| {
        status == StatusCode::FORBIDDEN && headers.get("x-token").is_some()
    });
    let response = knowing.layer(api.clone()).oneshot(get(URL)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(api.tokens(), ["token-1", "token-2"]);

    // And is replaced altogether: a 401 is nothing to it.
    let api = Api::rejecting(&["token-1"]);
    let issuer = Issuer::new();
    let never = layer(&issuer).with_rejection(|_, _| false);
    let response = never.layer(api.clone()).oneshot(get(URL)).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(api.tokens(), ["token-1"]);
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test]
async fn grpc_rejects_a_token_under_the_status_200() {
    let api = api("token-1", || {
        Response::builder()
            .header("content-type", "application/grpc")
            .header("grpc-status", "16")
            .body(String::new())
            .unwrap()
    });
    let issuer = Issuer::new();
    let client = layer(&issuer).with_rejection(rejection::grpc_unauthenticated);

    let response = client.layer(api.clone()).oneshot(get(URL)).await.unwrap();

    assert_eq!(response.body(), "welcome");
    assert_eq!(api.tokens(), ["token-1", "token-2"]);
}

#[tokio::test]
async fn a_predicate_that_panics_breaks_its_own_request_and_no_other() {
    let (issuer, api) = (Issuer::new(), Api::rejecting(&["token-1"]));
    let layer = layer(&issuer).with_rejection(|status, _| {
        assert_ne!(status, StatusCode::OK, "a predicate of somebody's");
        status == StatusCode::UNAUTHORIZED
    });
    let client = layer.layer(api.clone());

    // Healed, and then the predicate looks at a success.
    let request = tokio::spawn(client.clone().oneshot(get(URL)));
    assert!(request.await.unwrap_err().is_panic());
    assert_eq!(api.tokens(), ["token-1", "token-2"]);

    let cache = layer.cache();
    assert_eq!(cache.token().await.unwrap(), token("token-2"));
    let careful = layer.with_rejection(rejection::unauthorized);
    let response = careful.layer(api.clone()).oneshot(get(URL)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(api.tokens(), ["token-2"]);
    assert_eq!(issuer.fetches(), 2);
}
