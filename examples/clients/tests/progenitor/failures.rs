use std::error::Error as _;
use std::iter::successors;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::header::{LOCATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use progenitor_client::{ClientHooks, Error, OperationInfo};
use tower_bearer::error::BoxError;
use tower_bearer::origin::InvalidOrigin;
use tower_bearer::{
    AccessToken, BoxTokenProvider, FetchError, FetchErrorKind, TokenCache, token_fn,
};
use tower_bearer_clients::notes::api;
use tower_bearer_clients::site::{Answer, Site, json};

use super::sdk::{self, Client, types::Problem};

/// Gives `answers` one after the other, and the last of them from then on. Counts.
fn scripted<const N: usize>(
    answers: [Result<&'static str, FetchError>; N],
) -> (TokenCache, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let provider = token_fn(move |_| {
        let number = counted.fetch_add(1, Ordering::SeqCst);
        let answer = answers[number.min(N - 1)].clone();
        async move { Ok::<_, BoxError>(AccessToken::new(answer?)?) }
    });
    (TokenCache::new(BoxTokenProvider::new(provider)), calls)
}

fn client(site: &Site, tokens: TokenCache) -> Client {
    sdk::client(&format!("{}/v1", site.origin()), tokens).unwrap()
}

fn carries(token: &'static str) -> impl Fn(&HeaderMap) -> bool + Send + Sync {
    move |headers| {
        headers
            .get("authorization")
            .is_some_and(|value| value == token)
    }
}

/// What the service said, and the status under which it did.
fn problem(error: Error<Problem>) -> (u16, String) {
    match error {
        Error::ErrorResponse(problem) => (problem.status().as_u16(), problem.into_inner().title),
        other => panic!("{other:?}"),
    }
}

fn sent(site: &Site, header: &str) -> Vec<String> {
    let all = site.received();
    all.iter()
        .map(|request| request.header(header).to_owned())
        .collect()
}

#[tokio::test]
async fn if_no_other_token_is_to_be_had_the_caller_gets_the_answer_that_came_first() {
    for second in [Ok("a"), Err(FetchError::unavailable("down"))] {
        let site = api::start(|_| false).await;
        let (tokens, calls) = scripted([Ok("a"), second]);
        let client = client(&site, tokens);

        let error = client.list_notes().await.unwrap_err();
        assert_eq!(problem(error), (401, "token revoked".into()));
        assert_eq!(sent(&site, "authorization"), ["Bearer a"]);
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test]
async fn nothing_is_sent_a_third_time() {
    let site = api::start(|_| false).await;
    let (tokens, calls) = scripted([Ok("a"), Ok("b"), Ok("c")]);
    let client = client(&site, tokens);

    let error = client.list_notes().await.unwrap_err();
    assert_eq!(problem(error), (401, "token revoked".into()));
    assert_eq!(sent(&site, "authorization"), ["Bearer a", "Bearer b"]);
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_401_that_a_new_token_would_not_change_costs_nothing() {
    let site = api::start_rejecting_with(
        |_| false,
        |_| {
            let mut answer = json(StatusCode::UNAUTHORIZED, r#"{"title":"not yours"}"#);
            let challenge = HeaderValue::from_static("Bearer error=\"insufficient_scope\"");
            answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            answer
        },
    )
    .await;
    let (tokens, calls) = scripted([Ok("a"), Ok("b")]);
    let client = client(&site, tokens);

    for sent in 1..=3 {
        let error = client.list_notes().await.unwrap_err();
        assert_eq!(problem(error), (401, "not yours".into()));
        assert_eq!(site.received().len(), sent);
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_redirect_takes_no_token_elsewhere() {
    let elsewhere = api::start(|_| true).await;
    let to = HeaderValue::try_from(format!("{}/v1/notes", elsewhere.origin())).unwrap();
    let away = move |_: &_| -> Answer {
        let mut answer = json(StatusCode::TEMPORARY_REDIRECT, "");
        answer.headers_mut().insert(LOCATION, to.clone());
        answer
    };
    let site = api::start_rejecting_with(|_| false, away).await;
    let (tokens, _) = scripted([Ok("a")]);
    let client = client(&site, tokens);

    let error = client.list_notes().await.unwrap_err();
    assert_eq!(error.status().unwrap(), 307);
    assert_eq!(site.received().len(), 1);
    assert!(elsewhere.received().is_empty());
}

#[tokio::test]
async fn what_goes_with_a_token_goes_with_both() {
    let site = api::start(carries("Bearer b")).await;
    let calls = AtomicUsize::new(0);
    let provider = token_fn(move |_| {
        let text = ["a", "b"][calls.fetch_add(1, Ordering::SeqCst)];
        async move {
            let (name, value) = (HeaderName::from_static("x-project"), text.parse()?);
            Ok(AccessToken::new(text)?.with_header(name, value))
        }
    });
    let tokens = TokenCache::new(BoxTokenProvider::new(provider));

    client(&site, tokens).list_notes().await.unwrap();
    assert_eq!(sent(&site, "x-project"), ["a", "b"]);
}

#[tokio::test]
async fn without_a_token_nothing_is_sent_and_no_secret_is_told() {
    let site = api::start(|_| true).await;
    let (tokens, _) = scripted([Err(FetchError::denied("hunter2 is our secret no more"))]);
    let client = client(&site, tokens);

    let error = client.list_notes().await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(!text.contains("hunter2"), "{text}");
    // By `pre`, or by `exec`, which can only fail with an error of reqwest's.
    match &error {
        Error::Custom(text) => assert!(text.contains("the issuer refuses this client"), "{text}"),
        error => {
            let mut causes = successors(error.source(), |error| (*error).source());
            let ours = causes.find_map(|error| error.downcast_ref::<FetchError>());
            assert_eq!(ours.unwrap().kind(), FetchErrorKind::Denied);
        }
    }
    assert!(site.received().is_empty());
}

/// For which no generated operation asks.
fn request(site: &Site) -> (reqwest::Request, OperationInfo) {
    let url = format!("{}/v1/notes", site.origin()).parse().unwrap();
    let info = OperationInfo {
        operation_id: "by_hand",
    };
    (reqwest::Request::new(Method::GET, url), info)
}

#[tokio::test]
async fn a_token_that_has_gone_since_pre_is_not_left_out() {
    let site = api::start(|_| true).await;
    let (tokens, _) = scripted([Err(FetchError::denied("no"))]);
    let client = client(&site, tokens);

    let (request, info) = request(&site);
    let error = client.exec(request, &info).await.unwrap_err();
    let mut causes = successors(error.source(), |error| (*error).source());
    let ours = causes.find_map(|error| error.downcast_ref::<FetchError>());
    assert_eq!(ours.unwrap().kind(), FetchErrorKind::Denied);
    assert!(site.received().is_empty());
}

#[tokio::test]
async fn an_authorization_of_the_callers_own_is_left_alone() {
    let site = api::start(|_| false).await;
    let (tokens, calls) = scripted([Ok("a"), Ok("b")]);
    let client = client(&site, tokens);

    let (mut request, info) = request(&site);
    let own = HeaderValue::from_static("Basic abc");
    request.headers_mut().insert("authorization", own);
    let response = client.exec(request, &info).await.unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(sent(&site, "authorization"), ["Basic abc"]);
    assert_eq!(calls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_service_to_which_a_token_would_go_unencrypted_is_refused() {
    for base in ["http://notes.example.com/v1", "ftp://notes.example.com"] {
        let (tokens, calls) = scripted([Ok("a")]);
        let error = sdk::client(base, tokens).err().unwrap();
        assert!(error.is::<InvalidOrigin>(), "{error}");
        assert_eq!(calls.load(Ordering::SeqCst), 0);
    }
}
