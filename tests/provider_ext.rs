//! What can be put around a provider.
#![allow(clippy::unwrap_used)]

use std::io;
use std::time::Duration;

use futures_executor::block_on;
use http::{HeaderName, HeaderValue};
use static_assertions::assert_impl_all;
use tokio_test::assert_pending;
use tokio_test::task::spawn;
use tower_bearer::error::BoxError;
use tower_bearer::provider::{
    EnvToken, Fallback, MapRequest, MapToken, Retry, StaticToken, Timeout, TokenProviderExt,
};
use tower_bearer::{
    AccessToken, BoxTokenProvider, FetchContext, FetchError, FetchErrorKind, TokenCache,
    TokenProvider, TokenRequest,
};

use self::support::{at_once, issuer, now, secs, token};

#[allow(dead_code)] // It is made for the cache.
#[path = "cache/support.rs"]
mod support;

type F = fn(AccessToken) -> Result<AccessToken, BoxError>;
type G = fn(TokenRequest) -> TokenRequest;
assert_impl_all!(Timeout<StaticToken>: TokenProvider, Clone);
assert_impl_all!(Retry<StaticToken>: TokenProvider, Clone);
assert_impl_all!(MapToken<StaticToken, F>: TokenProvider, Clone);
assert_impl_all!(MapRequest<StaticToken, G>: TokenProvider, Clone);
assert_impl_all!(Fallback<StaticToken, EnvToken>: TokenProvider);

fn kind(error: &BoxError) -> FetchErrorKind {
    error.downcast_ref::<FetchError>().unwrap().kind()
}

// --- A time limit

#[test]
fn a_fetch_that_exceeds_its_own_limit_is_dropped() {
    let (issuer, mut desk) = issuer();
    let provider = issuer.timeout(Duration::from_millis(1));

    let error = block_on(provider.fetch_token(FetchContext::default())).unwrap_err();
    assert_eq!(kind(&error), FetchErrorKind::TimedOut);
    assert!(desk.now().is_dropped());
}

#[test]
fn what_comes_in_time_is_passed_on_whatever_the_limit() {
    for limit in [Duration::ZERO, secs(5), Duration::MAX] {
        let (provider, _) = at_once(|calls, _| match calls {
            0 => Ok(token("a", 3600)),
            _ => Err(io::Error::other("b").into()),
        });
        let provider = provider.timeout(limit);

        let got = now(provider.fetch_token(FetchContext::default())).unwrap();
        assert_eq!(got.expose_secret(), "a");
        let error = now(provider.fetch_token(FetchContext::default())).unwrap_err();
        assert!(error.is::<io::Error>());
    }
}

// --- Another try

/// Fails so often, and then has a token.
fn fails(
    times: usize,
    error: impl Fn() -> BoxError + Send + Sync + 'static,
) -> (Retry<impl TokenProvider>, support::Calls) {
    let (provider, calls) = at_once(move |call, _| match call < times {
        true => Err(error()),
        false => Ok(token("a", 3600)),
    });
    let retry = provider.retry(3);
    (retry.with_pauses(Duration::ZERO, Duration::ZERO), calls)
}

#[test]
fn what_may_pass_by_itself_is_tried_again_up_to_the_number_of_tries() {
    type Make = fn() -> BoxError;
    let errors: [Make; 2] = [
        || FetchError::unavailable("x").into(),
        || io::Error::other("x").into(),
    ];
    for error in errors {
        let (provider, calls) = fails(2, error);
        let got = block_on(provider.fetch_token(FetchContext::default())).unwrap();
        assert_eq!((got.expose_secret(), calls.get()), ("a", 3));

        let (provider, calls) = fails(3, error);
        let got = block_on(provider.fetch_token(FetchContext::default())).unwrap_err();
        assert_eq!(calls.get(), 3);
        // As it is.
        assert_eq!(got.is::<FetchError>(), error().is::<FetchError>());
        assert_eq!(got.is::<io::Error>(), error().is::<io::Error>());
    }
}

#[test]
fn a_fetch_that_exceeds_its_own_limit_is_tried_again() {
    let (issuer, mut desk) = issuer();
    let provider = issuer
        .timeout(Duration::from_millis(1))
        .retry(2)
        .with_pauses(Duration::ZERO, Duration::ZERO);

    let error = block_on(provider.fetch_token(FetchContext::default())).unwrap_err();
    assert_eq!(kind(&error), FetchErrorKind::TimedOut);
    assert_eq!(desk.calls(), 2);
    assert!(desk.now().is_dropped() && desk.now().is_dropped());
}

#[test]
fn what_somebody_has_to_mend_is_not_tried_again() {
    type Make = fn() -> FetchError;
    let errors: [Make; 2] = [
        || FetchError::denied("x"),
        || FetchError::invalid_request("x"),
    ];
    for error in errors {
        let (provider, calls) = fails(1, move || error().into());
        let got = now(provider.fetch_token(FetchContext::default())).unwrap_err();
        assert_eq!(kind(&got), error().kind());
        assert_eq!(calls.get(), 1);
    }
}

#[test]
fn an_issuer_that_asks_for_more_time_than_the_pause_is_given_it() {
    let asks_for = |asked| {
        fails(1, move || {
            let error = FetchError::unavailable("x");
            error.with_retry_after(asked).into()
        })
    };

    let (provider, calls) = asks_for(Duration::from_nanos(1));
    let error = now(provider.fetch_token(FetchContext::default())).unwrap_err();
    let error: &FetchError = error.downcast_ref().unwrap();
    assert_eq!(error.retry_after(), Some(Duration::from_nanos(1)));
    assert_eq!(calls.get(), 1);

    let (provider, calls) = asks_for(Duration::ZERO);
    block_on(provider.fetch_token(FetchContext::default())).unwrap();
    assert_eq!(calls.get(), 2);
}

#[test]
fn no_number_of_tries_is_less_than_one() {
    for tries in [0, 1] {
        let (provider, calls) = at_once(|_, _| Err("x".into()));
        let provider = provider.retry(tries);
        now(provider.fetch_token(FetchContext::default())).unwrap_err();
        assert_eq!(calls.get(), 1);
    }
}

#[test]
fn a_fetch_that_is_dropped_in_a_pause_asks_no_more() {
    let (provider, calls) = at_once(|_, _| Err("x".into()));
    let provider = provider.retry(9).with_pauses(Duration::MAX, Duration::MAX);

    let mut fetch = spawn(provider.fetch_token(FetchContext::default()));
    assert_pending!(fetch.poll());
    assert_pending!(fetch.poll());
    drop(fetch);
    assert_eq!(calls.get(), 1);
}

#[test]
fn every_try_is_told_the_same() {
    let (provider, calls) = at_once(|_, cx| {
        assert_eq!(cx.token_request().tenant(), Some("t"));
        assert_eq!(cx.rejected_token().unwrap().expose_secret(), "old");
        Err("x".into())
    });
    let provider = provider
        .retry(3)
        .with_pauses(Duration::ZERO, Duration::ZERO);
    let cx = FetchContext::new(TokenRequest::default().with_tenant("t"))
        .with_rejected_token(token("old", 1));

    block_on(provider.fetch_token(cx)).unwrap_err();
    assert_eq!(calls.get(), 3);
}

// --- Other tokens, other requests

#[test]
fn the_token_can_be_changed_and_an_error_is_left_alone() {
    let project = HeaderName::from_static("x-goog-user-project");
    let name = project.clone();
    let (provider, _) = at_once(|call, _| match call {
        0 => Ok(token("a", 3600)),
        _ => Err(io::Error::other("x").into()),
    });
    let provider = provider.map_token(move |token| {
        Ok(token.with_header(name.clone(), HeaderValue::from_static("billing")))
    });

    let got = now(provider.fetch_token(FetchContext::default())).unwrap();
    assert_eq!(got.expose_secret(), "a");
    assert_eq!(
        got.headers(),
        [(project, HeaderValue::from_static("billing"))]
    );
    let error = now(provider.fetch_token(FetchContext::default())).unwrap_err();
    assert!(error.is::<io::Error>());
}

#[test]
fn a_token_can_be_refused_with_an_error_that_says_what_kind_of_failure_that_is() {
    let (provider, _) = at_once(|_, _| Ok(token("a", 3600)));
    let provider = provider.map_token(|_| Err(FetchError::denied("not of this account").into()));

    let error = now(provider.fetch_token(FetchContext::default())).unwrap_err();
    assert_eq!(kind(&error), FetchErrorKind::Denied);
}

#[test]
fn what_is_asked_for_can_be_changed_and_why_is_left_alone() {
    let (provider, calls) = at_once(|_, cx| {
        assert_eq!(cx.token_request().audience(), Some("other"));
        assert_eq!(cx.token_request().tenant(), Some("t"));
        assert_eq!(cx.rejected_token().unwrap().expose_secret(), "old");
        Ok(token("a", 3600))
    });
    let provider = provider.map_request(|request| request.with_audience("other"));
    let request = TokenRequest::default()
        .with_tenant("t")
        .with_audience("one");
    let cx = FetchContext::new(request).with_rejected_token(token("old", 1));

    now(provider.fetch_token(cx)).unwrap();
    assert_eq!(calls.get(), 1);
}

#[test]
fn all_of_them_together_are_a_provider_like_any_other() {
    let (provider, _) = at_once(|_, _| Ok(token("a", 3600)));
    let boxed: BoxTokenProvider = provider
        .timeout(secs(5))
        .retry(3)
        .map_request(|request| request.with_scope("x"))
        .map_token(Ok)
        .fallback(EnvToken::new("TOKEN_THAT_IS_NOT_SET"))
        .boxed();

    let cache: TokenCache = TokenCache::new(boxed);
    assert_eq!(now(cache.token()).unwrap().expose_secret(), "a");
}

#[test]
fn debug_shows_nothing_of_what_is_wrapped() {
    let secret = || StaticToken::new(token("hunter2", 3600));
    let shown = [
        format!("{:?}", secret().timeout(secs(5))),
        format!("{:?}", secret().retry(3)),
        format!("{:?}", secret().fallback(secret())),
        format!("{:?}", secret().map_token(Ok)),
        format!("{:?}", secret().map_request(|request| request)),
    ];
    assert_eq!(
        shown,
        [
            "Timeout { limit: 5s, .. }",
            "Retry { tries: 3, first: 200ms, longest: 5s, .. }",
            "Fallback { .. }",
            "MapToken { .. }",
            "MapRequest { .. }",
        ]
    );
}

#[test]
fn a_provider_of_one_token_has_none_for_a_tenant_unless_it_is_left_out() {
    let fixed = StaticToken::new(token("hunter2", 3600));
    let of_tenant = || FetchContext::new(TokenRequest::default().with_tenant("t").with_scope("s"));
    // One that is set wherever these tests run.
    let variable = EnvToken::new("CARGO_PKG_NAME");

    let errors = [
        now(fixed.fetch_token(of_tenant())).unwrap_err(),
        now(variable.fetch_token(of_tenant())).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(kind(&error), FetchErrorKind::InvalidRequest);
        assert_eq!(
            error.to_string(),
            "no access token: the one that is kept on this machine is not what was asked for"
        );
        assert_eq!(
            error.source().unwrap().to_string(),
            "this provider has one token and knows no tenants; `map_request` can leave the tenant out"
        );
    }
    let scope = FetchContext::new(TokenRequest::default().with_scope("s"));
    now(fixed.fetch_token(scope.clone())).unwrap();
    now(variable.fetch_token(scope)).unwrap();
    let for_all = fixed.map_request(|_| TokenRequest::default());
    now(for_all.fetch_token(of_tenant())).unwrap();
}
