//! Providers that are not asked, and tokens that are not taken.

#[cfg(feature = "test-util")]
use std::convert::Infallible;

#[cfg(feature = "test-util")]
use http::{Request, Response, StatusCode, header};
#[cfg(feature = "test-util")]
use tower::{Layer, ServiceExt, service_fn};
#[cfg(feature = "test-util")]
use tower_bearer::BearerAuthLayer;
use tower_bearer::TokenProvider;
use tower_bearer::error::BoxError;
use tower_bearer::provider::{Chain, TokenProviderExt};
use tower_bearer::{BoxTokenProvider, FetchContext, FetchError, FetchErrorKind, TokenCache};

use super::support::{Calls, at_once, key, now, secs, token};
use super::{bad, chain_error, fetch, good, rejected, unavailable};

#[test]
fn of_a_thousand_keys_few_ask_a_provider_that_is_dead() {
    type Make = fn() -> BoxError;
    let denied: Make = || FetchError::denied("x").into();
    for error in [unavailable as Make, denied] {
        let (dead, dead_calls) = bad(error);
        let (good, good_calls) = good("b");
        let cache = TokenCache::new(dead.fallback(good));
        for number in 0..1000 {
            let token = now(cache.for_request(&key(number)).token()).unwrap();
            assert_eq!(token.expose_secret(), "b");
        }
        assert_eq!(good_calls.get(), 1000);
        // As many as in a minute at most, should this take so long.
        assert!(dead_calls.get() <= 8, "{}", dead_calls.get());
    }
}

#[test]
fn if_nobody_else_has_a_token_those_that_failed_are_asked_again_at_once() {
    let second_time = |call, _| match call {
        0 => Err(unavailable()),
        _ => Ok(token("a", 3600)),
    };
    let fallback = at_once(second_time).0.fallback(bad(unavailable).0);
    fetch(&fallback, FetchContext::default()).unwrap_err();
    assert_eq!(fetch(&fallback, FetchContext::default()).unwrap(), "a");

    let (a, a_calls) = bad(unavailable);
    let chain = Chain::new("a", a).or("b", at_once(second_time).0);
    let (c, c_calls) = bad(unavailable);
    let chain = chain.or("c", c);
    fetch(&chain, FetchContext::default()).unwrap_err();
    assert_eq!(fetch(&chain, FetchContext::default()).unwrap(), "a");
    assert_eq!((a_calls.get(), c_calls.get()), (2, 1));
}

#[test]
fn a_failure_of_one_key_brings_nobody_to_ask_those_that_failed_again() {
    let (dead, dead_calls) = bad(|| FetchError::denied("x").into());
    let (picky, _) = bad(|| FetchError::invalid_request("x").into());
    let fallback = dead.fallback(picky);
    for _ in 0..5 {
        let error = fetch(&fallback, FetchContext::default()).unwrap_err();
        assert_eq!(error.kind(), FetchErrorKind::InvalidRequest);
        assert_eq!(chain_error(&error).failures().len(), 2);
    }
    assert_eq!(dead_calls.get(), 1);
}

/// One provider that always has the same token, and one whose tokens are new.
fn fixed_and_new(chained: bool) -> BoxTokenProvider {
    let fixed = good("fixed").0;
    let new = at_once(|call, _| Ok(token(&format!("new-{call}"), 60))).0;
    match chained {
        true => Chain::new("a", fixed).or("b", new).boxed(),
        false => fixed.fallback(new).boxed(),
    }
}

#[test]
fn a_rejected_token_does_not_come_back_later() {
    for chained in [true, false] {
        let provider = fixed_and_new(chained);
        let cx = FetchContext::default;
        assert_eq!(fetch(&provider, cx()).unwrap(), "fixed");
        assert_eq!(fetch(&provider, rejected("fixed")).unwrap(), "new-0");
        assert_eq!(fetch(&provider, cx()).unwrap(), "new-1");
        assert_eq!(fetch(&provider, rejected("new-1")).unwrap(), "new-2");
        assert_eq!(fetch(&provider, cx()).unwrap(), "new-3");

        // What was asked for then may be all that it is no good for.
        let other = FetchContext::new(key("other"));
        assert_eq!(fetch(&provider, other).unwrap(), "fixed");
    }
}

#[test]
fn a_provider_whose_token_was_rejected_is_back_when_it_has_another() {
    let (first, _) = at_once(|call, _| match call {
        3 => Ok(token("young", 3600)),
        _ => Ok(token("old", 3600)),
    });
    let provider = first.fallback(good("b").0);
    assert_eq!(fetch(&provider, FetchContext::default()).unwrap(), "old");
    assert_eq!(fetch(&provider, rejected("old")).unwrap(), "b");
    assert_eq!(fetch(&provider, FetchContext::default()).unwrap(), "b");
    assert_eq!(fetch(&provider, FetchContext::default()).unwrap(), "young");
    // Whoever goes back to the old one has a reason.
    assert_eq!(fetch(&provider, FetchContext::default()).unwrap(), "old");
}

#[test]
fn a_rejected_token_does_not_take_the_place_of_one_that_cannot_be_renewed_now() {
    let (second, _) = at_once(|call, _| match call {
        0 => Ok(token("b", 60)),
        _ => Err(unavailable()),
    });
    let provider = good("a").0.fallback(second);
    assert_eq!(fetch(&provider, rejected("a")).unwrap(), "b");

    let error = fetch(&provider, FetchContext::default()).unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::Unavailable);
    assert_eq!(
        chain_error(&error).to_string(),
        "no provider of the chain has a token: first: denied; fallback: unavailable"
    );
}

#[test]
fn a_rejected_token_that_nobody_had_another_for_stays_in_use() {
    let provider = good("a").0.fallback(bad(unavailable).0);
    assert_eq!(fetch(&provider, rejected("a")).unwrap(), "a");
    assert_eq!(fetch(&provider, FetchContext::default()).unwrap(), "a");
}

#[cfg(feature = "test-util")]
#[tokio::test]
async fn after_one_401_no_renewal_within_an_hour_brings_the_revoked_token_back() {
    const URL: &str = "https://api.example.com/";
    let clock = tower_bearer::testing::ManualClock::new();
    let cache = TokenCache::builder(fixed_and_new(false)).with_clock(clock.clone());
    let layer = BearerAuthLayer::for_origin(cache.build(), URL).unwrap();
    let revoked = Calls::default();
    let counted = revoked.clone();
    let client = layer.layer(service_fn(move |request: Request<String>| {
        let mut response = Response::new(());
        if request.headers()[header::AUTHORIZATION] == "Bearer fixed" {
            counted.add();
            *response.status_mut() = StatusCode::UNAUTHORIZED;
        }
        std::future::ready(Ok::<_, Infallible>(response))
    }));

    for _ in 0..3600 {
        let request = Request::get(URL).body(String::new()).unwrap();
        let response = client.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        super::support::tasks_run().await;
        clock.advance(secs(1));
    }
    assert_eq!(revoked.get(), 1);
}

// --- Retry-After

fn asks_for(seconds: u64) -> (impl TokenProvider, Calls) {
    bad(move || {
        FetchError::unavailable("x")
            .with_retry_after(secs(seconds))
            .into()
    })
}

#[test]
fn who_asked_to_be_left_alone_is_left_alone_while_another_has_a_token() {
    let (a, calls) = asks_for(600);
    let chain = Chain::new("a", a).or("b", good("b").0);
    for _ in 0..5 {
        assert_eq!(fetch(&chain, FetchContext::default()).unwrap(), "b");
    }
    assert_eq!(calls.get(), 1);

    let (a, calls) = asks_for(600);
    let fallback = a.fallback(good("b").0);
    for _ in 0..5 {
        assert_eq!(fetch(&fallback, FetchContext::default()).unwrap(), "b");
    }
    assert_eq!(calls.get(), 1);
}

#[test]
fn the_chain_asks_for_a_pause_if_each_of_them_does_and_then_for_the_shortest() {
    let retry_after = |chain: &Chain| {
        let error = fetch(chain, FetchContext::default()).unwrap_err();
        error.retry_after()
    };

    let chain = Chain::new("a", asks_for(600).0).or("b", asks_for(500).0);
    assert_eq!(retry_after(&chain), Some(secs(500)));
    // Later it is what is left of that.
    let left = retry_after(&chain).unwrap();
    assert!(left < secs(500) && left > secs(400), "{left:?}");

    let (b, calls) = bad(unavailable);
    let chain = Chain::new("a", asks_for(600).0).or("b", b);
    for calls_so_far in 1..=3 {
        assert_eq!(retry_after(&chain), None);
        assert_eq!(calls.get(), calls_so_far);
    }
}
