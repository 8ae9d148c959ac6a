//! The scripted provider.

use std::time::Duration;

use futures_executor::block_on;
use tokio_test::{assert_pending, assert_ready, task};
use tower_bearer::testing::{Answer, Gate, ManualClock, ScriptedProvider};
use tower_bearer::{
    AccessToken, FetchContext, FetchError, FetchErrorKind, TokenCache, TokenProvider, TokenRequest,
};

fn fetch(provider: &ScriptedProvider) -> Result<AccessToken, FetchErrorKind> {
    let result = block_on(provider.fetch_token(FetchContext::default()));
    result.map_err(|error| error.downcast::<FetchError>().unwrap().kind())
}

#[test]
fn the_script_comes_first_and_the_nth_fetch_after_it_gets_the_nth_token() {
    let provider = ScriptedProvider::answering([
        Answer::token("a"),
        AccessToken::new("b").unwrap().into(),
        Ok(AccessToken::new("c").unwrap()).into(),
    ]);
    provider.push(FetchError::denied("no"));

    let texts = [(); 3].map(|()| fetch(&provider).unwrap().expose_secret().to_owned());
    assert_eq!(texts, ["a", "b", "c"]);
    assert_eq!(fetch(&provider), Err(FetchErrorKind::Denied));
    assert_eq!(fetch(&provider).unwrap().expose_secret(), "token-5");
    assert_eq!(provider.clone().fetches(), 5);
}

#[test]
fn each_kind_of_failure_can_be_had() {
    for kind in [
        FetchErrorKind::Unavailable,
        FetchErrorKind::Denied,
        FetchErrorKind::InvalidRequest,
        FetchErrorKind::TimedOut,
        FetchErrorKind::Panicked,
        FetchErrorKind::Expired,
        FetchErrorKind::Closed,
        FetchErrorKind::Other,
    ] {
        let provider = ScriptedProvider::answering([Answer::failure(kind)]);
        assert_eq!(fetch(&provider), Err(kind));
    }
    let provider = ScriptedProvider::answering([Answer::error("anybody's")]);
    let error = block_on(provider.fetch_token(FetchContext::default())).unwrap_err();
    assert_eq!(error.to_string(), "anybody's");
    assert!(!error.is::<FetchError>());
}

#[test]
fn what_is_always_answered_comes_whenever_the_script_is_at_its_end() {
    let provider = ScriptedProvider::answering([Answer::token("a")]);
    provider.answer_always(|| Answer::failure(FetchErrorKind::Unavailable));

    assert_eq!(fetch(&provider).unwrap().expose_secret(), "a");
    assert_eq!(fetch(&provider), Err(FetchErrorKind::Unavailable));
    provider.push(Answer::token("b"));
    assert_eq!(fetch(&provider).unwrap().expose_secret(), "b");
    for _ in 0..3 {
        assert_eq!(fetch(&provider), Err(FetchErrorKind::Unavailable));
    }
    assert_eq!(provider.fetches(), 6);
}

#[test]
fn a_panic_of_the_provider_is_a_failed_fetch_of_the_cache() {
    let provider = ScriptedProvider::answering([Answer::panic()]);
    let cache = TokenCache::new(provider);

    let error = block_on(cache.token()).unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::Panicked);
}

#[test]
fn a_fetch_that_hangs_is_ended_by_the_time_limit_of_the_cache() {
    let (provider, clock) = (
        ScriptedProvider::answering([Answer::hang()]),
        ManualClock::new(),
    );
    let cache = TokenCache::builder(provider)
        .with_clock(clock.clone())
        .build();
    let mut fetch = task::spawn(cache.token());
    assert_pending!(fetch.poll());

    clock.advance(Duration::from_secs(3600));

    let error = assert_ready!(fetch.poll()).unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::TimedOut);
}

#[test]
fn lifetimes_are_an_hour_or_as_set_or_unsaid() {
    let (provider, clock) = (ScriptedProvider::new(), ManualClock::new());
    let cache = TokenCache::builder(provider.clone())
        .with_default_lifetime(Duration::from_secs(7))
        .with_clock(clock.clone())
        .build();
    for seconds in [3600, 60, 7] {
        block_on(cache.token()).unwrap();
        clock.advance(Duration::from_secs(seconds - 1));
        assert!(cache.cached().is_some(), "{seconds}");
        clock.advance(Duration::from_secs(1));
        assert!(cache.cached().is_none(), "{seconds}");
        match seconds {
            3600 => provider.set_lifetime(Duration::from_secs(60)),
            _ => provider.set_lifetime(None),
        }
    }
}

#[test]
fn what_was_asked_is_kept_in_order() {
    let provider = ScriptedProvider::new();
    let rejected = AccessToken::new("old").unwrap();
    let first = FetchContext::new(TokenRequest::default().with_scope("a"));
    let second = FetchContext::default().with_rejected_token(rejected.clone());
    block_on(provider.fetch_token(first)).unwrap();
    block_on(provider.fetch_token(second)).unwrap();

    let asked = provider.asked();
    assert_eq!(
        *asked[0].token_request(),
        TokenRequest::default().with_scope("a")
    );
    assert_eq!(asked[1].rejected_token(), Some(&rejected));
    assert!(!format!("{provider:?} {asked:?}").contains("old"));
}

#[test]
fn answers_are_held_and_released_all_together_or_one_by_one() {
    let gate = Gate::new();
    let late = Answer::token("late").after(&gate);
    assert!(!format!("{late:?}").contains("\"late\""));
    let provider = ScriptedProvider::answering([late]);
    provider.hold();
    let mut first = task::spawn(provider.fetch_token(FetchContext::default()));
    let mut second = task::spawn(provider.fetch_token(FetchContext::default()));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    assert_eq!(provider.fetches(), 2);

    provider.release();
    assert_pending!(first.poll());
    assert_eq!(
        assert_ready!(second.poll()).unwrap().expose_secret(),
        "token-2"
    );
    gate.open();
    assert!(first.is_woken());
    assert_eq!(assert_ready!(first.poll()).unwrap().expose_secret(), "late");
}

#[test]
fn a_fetch_is_waited_for_without_a_runtime() {
    let provider = ScriptedProvider::new();
    let mut two = task::spawn(provider.wait_for_fetches(2));
    assert_pending!(two.poll());
    fetch(&provider).unwrap();
    assert_pending!(two.poll());
    fetch(&provider).unwrap();
    assert!(two.is_woken());
    assert_ready!(two.poll());
    assert_ready!(task::spawn(provider.wait_for_fetches(1)).poll());
}
