//! Several providers, of which the first that has a token gives it.
#![allow(clippy::unwrap_used)]

use std::error::Error;
use std::time::{Duration, SystemTime};

use tower_bearer::error::BoxError;
use tower_bearer::provider::{Chain, ChainError, EnvToken, TokenProviderExt};
use tower_bearer::{
    AccessToken, FetchContext, FetchError, FetchErrorKind, TokenProvider, TokenRequest,
};

use self::support::{Answer, Calls, at_once, now, secs, token};

#[allow(dead_code)] // It is made for the cache.
#[path = "cache/support.rs"]
mod support;

#[path = "provider_chain/passed_over.rs"]
mod passed_over;

fn fetch(provider: &impl TokenProvider, cx: FetchContext) -> Result<String, FetchError> {
    match now(provider.fetch_token(cx)) {
        Ok(token) => Ok(token.expose_secret().to_owned()),
        Err(error) => Err(*error.downcast().expect("a FetchError")),
    }
}

fn rejected(text: &str) -> FetchContext {
    FetchContext::default().with_rejected_token(AccessToken::new(text).unwrap())
}

fn good(text: &'static str) -> (impl TokenProvider, Calls) {
    at_once(move |_, _| Ok(token(text, 3600)))
}

fn bad(error: impl Fn() -> BoxError + Send + Sync + 'static) -> (impl TokenProvider, Calls) {
    at_once(move |_, _| Err(error()))
}

fn unavailable() -> BoxError {
    FetchError::unavailable("hunter2").into()
}

fn chain_error(error: &FetchError) -> &ChainError {
    error.source().unwrap().downcast_ref().unwrap()
}

#[test]
fn the_first_provider_that_has_a_token_gives_it_and_no_other_is_asked() {
    let (a, a_calls) = bad(unavailable);
    let (b, b_calls) = good("b");
    let (c, c_calls) = good("c");
    let chain = Chain::new("a", a).or("b", b).or("c", c);

    for fetches in 1..=3 {
        assert_eq!(fetch(&chain, FetchContext::default()).unwrap(), "b");
        assert_eq!(b_calls.get(), fetches);
    }
    // Having failed, it is left alone for a while.
    assert_eq!((a_calls.get(), c_calls.get()), (1, 0));
}

#[test]
fn all_are_asked_for_the_same() {
    fn check(cx: &FetchContext) {
        assert_eq!(cx.token_request().audience(), Some("audience"));
        assert_eq!(cx.rejected_token().unwrap().expose_secret(), "old");
    }
    let answer = |answer: fn() -> Answer| {
        at_once(move |_, cx| {
            check(&cx);
            answer()
        })
        .0
    };
    let cx = FetchContext::new(TokenRequest::default().with_audience("audience"))
        .with_rejected_token(AccessToken::new("old").unwrap());

    let chain = Chain::new("a", answer(|| Err("no".into()))).or("b", answer(|| Ok(token("b", 9))));
    assert_eq!(fetch(&chain, cx.clone()).unwrap(), "b");
    let fallback = answer(|| Err("no".into())).fallback(answer(|| Ok(token("b", 9))));
    assert_eq!(fetch(&fallback, cx).unwrap(), "b");
}

#[test]
fn the_token_that_was_rejected_leads_to_the_next_provider() {
    let chain = Chain::new("a", good("a").0).or("b", good("b").0);
    assert_eq!(fetch(&chain, rejected("b")).unwrap(), "a");
    assert_eq!(fetch(&chain, rejected("a")).unwrap(), "b");
    // Both are rejected now.
    assert_eq!(fetch(&chain, rejected("b")).unwrap(), "b");

    let fallback = good("a").0.fallback(good("b").0);
    assert_eq!(fetch(&fallback, rejected("a")).unwrap(), "b");
}

#[test]
fn a_rejected_token_is_returned_again_if_there_is_no_other() {
    let chain = Chain::new("a", bad(unavailable).0)
        .or("b", good("b").0)
        .or("c", bad(unavailable).0);
    assert_eq!(fetch(&chain, rejected("b")).unwrap(), "b");

    let fallback = good("a").0.fallback(bad(unavailable).0);
    assert_eq!(fetch(&fallback, rejected("a")).unwrap(), "a");
}

#[test]
fn a_token_that_has_ended_leads_to_the_next_provider() {
    type End = fn(AccessToken) -> AccessToken;
    let ends: [End; 2] = [
        |token| token.with_expires_at(SystemTime::now() - secs(1)),
        |token| token.with_expires_in(Duration::ZERO),
    ];
    for end in ends {
        let ended = || good("a").0.map_token(move |token| Ok(end(token)));
        let chain = Chain::new("a", ended()).or("b", good("b").0);
        assert_eq!(fetch(&chain, FetchContext::default()).unwrap(), "b");

        let error = fetch(&Chain::new("a", ended()), FetchContext::default()).unwrap_err();
        assert_eq!(
            chain_error(&error).to_string(),
            "no provider of the chain has a token: a: expired"
        );
    }
}

#[test]
fn if_all_fail_each_is_named_with_its_kind_and_without_its_words() {
    let chain = Chain::new(
        "environment",
        bad(|| FetchError::denied("hunter2").into()).0,
    )
    .or("file", bad(unavailable).0)
    .or(String::from("own"), bad(|| "hunter2".into()).0);
    let error = fetch(&chain, FetchContext::default()).unwrap_err();

    let reason = chain_error(&error);
    assert_eq!(
        reason.to_string(),
        "no provider of the chain has a token: environment: denied; file: unavailable; own: failed"
    );
    let shown = format!("{error} {error:?} {reason:?} {chain:?}");
    assert!(!shown.contains("hunter2"), "{shown}");

    let kinds: Vec<_> = reason
        .failures()
        .map(|(name, error)| (name, error.kind()))
        .collect();
    assert_eq!(
        kinds,
        [
            ("environment", FetchErrorKind::Denied),
            ("file", FetchErrorKind::Unavailable),
            ("own", FetchErrorKind::Other),
        ]
    );
    // What decides is the cause.
    let cause: &FetchError = reason.source().unwrap().downcast_ref().unwrap();
    assert_eq!(cause.kind(), FetchErrorKind::Unavailable);
    assert_eq!(cause.source().unwrap().to_string(), "hunter2");
}

#[test]
fn no_issuer_is_blamed_if_none_was_asked() {
    let unset = || EnvToken::new("TOKEN_THAT_IS_NOT_SET");
    let chain = Chain::new("a", unset()).or("b", unset());
    let error = fetch(&chain, FetchContext::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no access token: there is none where it is kept on this machine"
    );

    let asks_one = unset().fallback(bad(|| FetchError::denied("x").into()).0);
    let error = fetch(&asks_one, FetchContext::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no access token: the issuer refuses this client; check its credentials and account"
    );
}

#[test]
fn the_pause_is_that_of_the_failure_that_may_pass_the_soonest() {
    use FetchErrorKind::{Denied, InvalidRequest, Unavailable};
    type Make = fn() -> BoxError;
    let denied: Make = || FetchError::denied("x").into();
    let invalid: Make = || FetchError::invalid_request("x").into();
    let other: Make = || "x".into();

    for (first, second, expected) in [
        (denied, denied, Denied),
        (denied, invalid, InvalidRequest),
        (invalid, denied, InvalidRequest),
        (denied, unavailable as Make, Unavailable),
        (unavailable as Make, invalid, Unavailable),
        (denied, other, Unavailable),
    ] {
        let chain = Chain::new("a", bad(first).0).or("b", bad(second).0);
        let error = fetch(&chain, FetchContext::default()).unwrap_err();
        assert_eq!(error.kind(), expected);

        let fallback = bad(first).0.fallback(bad(second).0);
        let error = fetch(&fallback, FetchContext::default()).unwrap_err();
        assert_eq!(error.kind(), expected);
    }
}
