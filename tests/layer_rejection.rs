//! What the layer does about a 401.

use http::StatusCode;
use tower::{Layer, Service, ServiceExt};
use tower_bearer::rejection::NotRetriedReason;
use tower_bearer::{FetchError, FetchErrorKind};

use self::layer_support::{Api, Issuer, URL, get, layer, reason, token, unauthorized};

mod layer_support;

#[tokio::test]
async fn a_401_costs_one_fetch_and_the_request_is_sent_again_with_the_new_token() {
    let (issuer, api) = (Issuer::new(), Api::rejecting(&["token-1"]));
    let mut client = layer(&issuer).layer(api.clone());

    let response = client.ready().await.unwrap().call(get(URL)).await.unwrap();

    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.body(), "welcome");
    assert!(reason(&response).is_none());
    assert_eq!(api.tokens(), ["token-1", "token-2"]);
    assert_eq!(issuer.fetches(), 2);

    // Also where the first send was a hit of the cache, and the new token is kept.
    client.ready().await.unwrap().call(get(URL)).await.unwrap();
    assert_eq!(api.tokens(), ["token-2"]);
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test]
async fn a_401_to_a_token_from_the_cache_is_healed_as_well() {
    let (issuer, api) = (Issuer::new(), Api::rejecting(&["token-1"]));
    let layer = layer(&issuer);
    layer.cache().token().await.unwrap();
    let client = layer.layer(api.clone());

    let response = client.oneshot(get(URL)).await.unwrap();

    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(api.tokens(), ["token-1", "token-2"]);
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test]
async fn the_provider_is_told_which_token_was_rejected() {
    let (issuer, api) = (Issuer::new(), Api::rejecting(&["token-1"]));
    let client = layer(&issuer).layer(api);

    client.oneshot(get(URL)).await.unwrap();

    let asked = issuer.asked();
    assert!(asked[0].rejected_token().is_none());
    assert_eq!(asked[1].rejected_token(), Some(&token("token-1")));
}

#[tokio::test]
async fn a_second_401_is_returned_as_it_is_after_two_sends() {
    let (issuer, api) = (Issuer::new(), Api::rejecting(&["token-1", "token-2"]));
    let client = layer(&issuer).layer(api.clone());

    let response = client.oneshot(get(URL)).await.unwrap();

    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.body(), "no token-2");
    assert!(reason(&response).is_none());
    assert_eq!(api.tokens(), ["token-1", "token-2"]);
}

#[tokio::test]
async fn a_second_401_drops_the_second_token_too() {
    let (issuer, api) = (Issuer::new(), Api::rejecting(&["token-1", "token-2"]));
    let client = layer(&issuer).layer(api.clone());

    client.clone().oneshot(get(URL)).await.unwrap();
    let response = client.oneshot(get(URL)).await.unwrap();

    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(api.tokens(), ["token-1", "token-2", "token-3"]);
}

#[tokio::test]
async fn other_statuses_reject_no_token() {
    for status in [200, 302, 400, 403, 407, 500, 503] {
        let api = Api::answering(move |_| {
            let mut response = unauthorized("");
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            response
        });
        let issuer = Issuer::new();
        let client = layer(&issuer).layer(api.clone());

        client.clone().oneshot(get(URL)).await.unwrap();
        let response = client.oneshot(get(URL)).await.unwrap();

        assert_eq!(response.status(), status);
        assert_eq!(api.tokens(), ["token-1", "token-1"]);
        assert!(reason(&response).is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_401s_at_once_cost_one_fetch_and_are_all_healed() {
    const N: usize = 10_000;
    let (issuer, api) = (Issuer::new(), Api::rejecting(&["token-1"]));
    let layer = layer(&issuer);
    layer.cache().token().await.unwrap();
    let client = layer.layer(api.clone());
    api.gate().shut();

    let requests: Vec<_> = (0..N)
        .map(|_| tokio::spawn(client.clone().oneshot(get(URL))))
        .collect();
    api.arrived(N).await;
    api.gate().open();
    for request in requests {
        let response = request.await.unwrap().unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }

    assert_eq!(
        issuer.fetches(),
        2,
        "one before and one because of the 401s"
    );
    let tokens = api.tokens();
    assert_eq!(tokens.len(), 2 * N);
    assert!(tokens[..N].iter().all(|token| token == "token-1"));
    assert!(tokens[N..].iter().all(|token| token == "token-2"));
}

#[tokio::test]
async fn a_late_401_costs_no_fetch_and_the_request_is_sent_again_with_the_newer_token() {
    let (issuer, api) = (Issuer::new(), Api::rejecting(&["token-1"]));
    let layer = layer(&issuer);
    let old = layer.cache().token().await.unwrap();
    let client = layer.layer(api.clone());
    api.gate().shut();
    let late = tokio::spawn(client.oneshot(get(URL)));
    api.arrived(1).await;

    // Meanwhile somebody else has noticed.
    layer.cache().invalidate(&old);
    layer.cache().token().await.unwrap();
    assert_eq!(issuer.fetches(), 2);
    api.gate().open();

    assert_eq!(late.await.unwrap().unwrap().status(), StatusCode::OK);
    assert_eq!(api.tokens(), ["token-1", "token-2"]);
    assert_eq!(issuer.fetches(), 2);
    assert_eq!(layer.cache().cached(), Some(token("token-2")));
}

#[tokio::test]
async fn if_the_issuer_returns_the_same_token_the_caller_gets_the_401_and_why() {
    let issuer = Issuer::answering([token("same").into(), token("same").into()]);
    let api = Api::rejecting(&["same"]);
    let client = layer(&issuer).layer(api.clone());

    let response = client.oneshot(get(URL)).await.unwrap();

    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.body(), "no same");
    assert!(matches!(
        reason(&response),
        Some(NotRetriedReason::SameToken)
    ));
    assert_eq!(api.tokens(), ["same"]);
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test]
async fn if_the_fetch_fails_the_caller_gets_the_401_and_why() {
    let failure = FetchError::denied("hunter2");
    let issuer = Issuer::answering([token("token-1").into(), failure.into()]);
    let api = Api::rejecting(&["token-1"]);
    let client = layer(&issuer).layer(api.clone());

    let response = client.clone().oneshot(get(URL)).await.unwrap();

    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.body(), "no token-1");
    let Some(NotRetriedReason::FetchFailed(error)) = reason(&response) else {
        panic!("{:?}", reason(&response));
    };
    assert_eq!(error.kind(), FetchErrorKind::Denied);
    assert_eq!(api.tokens(), ["token-1"]);

    // During the pause that follows the rejected token stays in use, and nothing is fetched.
    let response = client.oneshot(get(URL)).await.unwrap();
    assert_eq!(response.body(), "no token-1");
    assert!(matches!(
        reason(&response),
        Some(NotRetriedReason::FetchFailed(_))
    ));
    assert_eq!(api.tokens(), ["token-1"]);
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test]
async fn with_the_budget_spent_the_caller_gets_the_401_and_why_and_other_routes_go_on() {
    let issuer = Issuer::new();
    let api = Api::answering(|parts| match parts.uri.path() {
        "/always-401" => unauthorized("never"),
        _ => http::Response::new("welcome".to_owned()),
    });
    let client = layer(&issuer).layer(api.clone());
    let bad = "https://api.example.com/always-401";

    let mut responses = Vec::new();
    for _ in 0..20 {
        responses.push(client.clone().oneshot(get(bad)).await.unwrap());
        let good = client.clone().oneshot(get(URL)).await.unwrap();
        assert_eq!(good.status(), StatusCode::OK);
    }

    assert_eq!(issuer.fetches(), 1 + 3);
    let last = responses.last().unwrap();
    assert_eq!(last.body(), "never");
    assert!(matches!(reason(last), Some(NotRetriedReason::BudgetSpent)));
    assert_eq!(
        api.tokens().last().unwrap(),
        "token-4",
        "the last token stays"
    );
}

#[tokio::test]
async fn if_the_fetch_fails_nothing_is_sent_and_the_error_says_so() {
    let issuer = Issuer::answering([FetchError::denied("no").into()]);
    let api = Api::accepting();
    let client = layer(&issuer).layer(api.clone());

    for _ in 0..3 {
        let error = client.clone().oneshot(get(URL)).await.unwrap_err();
        let error = error.downcast_ref::<FetchError>().unwrap();
        assert_eq!(error.kind(), FetchErrorKind::Denied);
    }

    assert!(api.sent().is_empty());
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test]
async fn the_reason_holds_no_secret() {
    let failure = FetchError::denied("hunter2");
    let issuer = Issuer::answering([token("hunter2").into(), failure.into()]);
    let client = layer(&issuer).layer(Api::rejecting(&["hunter2"]));

    let response = client.oneshot(get(URL)).await.unwrap();
    let cause = response
        .extensions()
        .get::<tower_bearer::rejection::NotRetried>()
        .unwrap();

    assert!(!format!("{cause} {cause:?} {cause:#?}").contains("hunter2"));
    assert!(cause.to_string().contains("refuses this client"));
}
