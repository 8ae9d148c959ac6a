//! After a failure: who waits, who does not, and how often the issuer is asked.

use std::time::Duration;

use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok};
use tower_bearer::testing::ManualClock;
use tower_bearer::{FetchError, FetchErrorKind, TokenCache, TokenProvider};

use crate::support::{Answer, Calls, Desk, at_once, issuer, key, millis, now, secs, token};

/// A cache whose issuer answers by `f`, at once.
fn cache(
    f: impl Fn(usize) -> Answer + Send + Sync + 'static,
) -> (TokenCache<impl TokenProvider>, ManualClock, Calls) {
    let clock = ManualClock::new();
    let (provider, calls) = at_once(move |i, _| f(i));
    let builder = TokenCache::builder(provider).with_clock(clock.clone());
    (builder.build(), clock, calls)
}

/// Fails once with what `error` returns and then returns tokens.
fn fails_once(
    error: impl Fn() -> FetchError + Send + Sync + 'static,
) -> (TokenCache<impl TokenProvider>, ManualClock, Calls) {
    cache(move |i| match i {
        0 => Err(error().into()),
        _ => Ok(token("two", 3600)),
    })
}

fn kind<P: TokenProvider>(cache: &TokenCache<P>) -> Option<FetchErrorKind> {
    now(cache.token()).err().map(|error| error.kind())
}

#[test]
fn callers_during_the_pause_get_the_last_failure_at_once_and_nobody_asks_the_issuer() {
    let (cache, clock, calls) = fails_once(|| FetchError::unavailable("down"));
    let first = now(cache.token()).unwrap_err();

    clock.advance(millis(499)); // the first pause is a second, of which jitter leaves half
    for _ in 0..100 {
        let error = now(cache.token()).unwrap_err();
        assert_eq!(error.kind(), FetchErrorKind::Unavailable);
        assert!(std::ptr::eq(source(&error), source(&first)));
        assert!(now(cache.refresh()).is_err());
        cache.warm_up();
    }
    assert_eq!(calls.get(), 1);
}

fn source(error: &FetchError) -> *const () {
    std::error::Error::source(error).expect("a source") as *const _ as *const ()
}

#[test]
fn after_the_pause_one_fetch_probes_for_everyone_and_the_cache_recovers_by_itself() {
    let clock = ManualClock::new();
    let (issuer, mut desk) = issuer();
    let cache = TokenCache::builder(issuer)
        .with_clock(clock.clone())
        .build();
    let handles: Vec<_> = (0..100).map(|i| cache.for_request(&key(i))).collect();
    let mut caller = spawn(handles[0].token());
    assert_pending!(caller.poll());
    desk.now().fail(FetchError::unavailable("down"));
    assert_ready_err!(caller.poll());

    clock.advance(secs(1));
    let mut callers: Vec<_> = handles.iter().map(|handle| spawn(handle.token())).collect();
    for caller in &mut callers {
        assert_pending!(caller.poll());
    }
    assert_eq!(desk.calls(), 2);

    // It works: the queue follows.
    while let Some(at) = callers.iter_mut().position(|caller| caller.is_woken()) {
        let _ = callers.swap_remove(at).poll();
    }
    drain(&mut desk, &mut callers, |_| Ok(token("two", 3600)));
    assert_eq!(desk.calls(), 101);
}

/// Answers fetches until no caller is left.
fn drain<F>(
    desk: &mut Desk,
    callers: &mut Vec<tokio_test::task::Spawn<F>>,
    answer: impl Fn(usize) -> Answer,
) where
    F: Future<Output = Result<tower_bearer::AccessToken, FetchError>>,
{
    while !callers.is_empty() {
        let asked = desk.now();
        match answer(desk.calls()) {
            Ok(token) => asked.answer(token),
            Err(error) => asked.fail(error),
        }
        callers.retain_mut(|caller| caller.poll().is_pending());
    }
}

#[test]
fn when_the_probe_fails_everyone_in_the_queue_gets_its_failure() {
    let clock = ManualClock::new();
    let (issuer, mut desk) = issuer();
    let cache = TokenCache::builder(issuer)
        .with_clock(clock.clone())
        .build();
    let handles: Vec<_> = (0..100).map(|i| cache.for_request(&key(i))).collect();
    let mut callers: Vec<_> = handles.iter().map(|handle| spawn(handle.token())).collect();
    for caller in &mut callers {
        assert_pending!(caller.poll());
    }
    assert_eq!(desk.calls(), 4); // before the first success

    desk.now().fail(FetchError::denied("no"));
    assert_ready_err!(callers[0].poll());
    for caller in &mut callers[4..] {
        assert!(caller.is_woken());
        let error = assert_ready_err!(caller.poll());
        assert_eq!(error.kind(), FetchErrorKind::Denied);
    }
    assert_eq!(desk.calls(), 4);
}

#[test]
fn retry_after_is_obeyed() {
    let (cache, clock, calls) =
        fails_once(|| FetchError::unavailable("busy").with_retry_after(secs(120)));
    assert_eq!(kind(&cache), Some(FetchErrorKind::Unavailable));
    clock.advance(millis(119_999));
    assert_eq!(kind(&cache), Some(FetchErrorKind::Unavailable));
    assert_eq!(calls.get(), 1);

    clock.advance(millis(1));
    assert_eq!(kind(&cache), None);
}

#[test]
fn retry_after_counts_as_one_hour_at_most() {
    for asked in [secs(3601), secs(86_400), Duration::MAX] {
        let (cache, clock, calls) =
            fails_once(move || FetchError::unavailable("busy").with_retry_after(asked));
        assert!(kind(&cache).is_some());
        clock.advance(secs(3600) - millis(1));
        assert!(kind(&cache).is_some());
        assert_eq!(calls.get(), 1);

        clock.advance(millis(1));
        assert_eq!(kind(&cache), None);
    }
}

#[test]
fn a_refusal_that_somebody_has_to_mend_pauses_longer() {
    for error in [FetchError::denied, FetchError::invalid_request] {
        let (cache, clock, calls) = fails_once(move || error("no".to_owned()));
        assert!(kind(&cache).is_some());
        clock.advance(millis(14_999));
        assert!(kind(&cache).is_some());
        assert_eq!(calls.get(), 1);

        clock.advance(millis(15_001));
        assert_eq!(kind(&cache), None);
    }
}

#[test]
fn what_the_issuer_refuses_to_one_key_pauses_no_other() {
    let (cache, _, calls) = fails_once(|| FetchError::invalid_request("invalid_scope"));
    assert!(kind(&cache).is_some());

    assert_eq!(kind(&cache.for_request(&key("other"))), None);
    assert_eq!(kind(&cache), Some(FetchErrorKind::InvalidRequest));
    let error = now(cache.refresh()).unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::InvalidRequest);
    assert_eq!(calls.get(), 2);
}

#[test]
fn what_concerns_the_endpoint_or_the_client_pauses_every_key() {
    let answers: [fn() -> Answer; 4] = [
        || Err(FetchError::unavailable("down").into()),
        || Err(FetchError::denied("invalid_client").into()),
        || Err("whatever".into()),
        || panic!("on purpose"),
    ];
    for answer in answers {
        let (cache, _, calls) = cache(move |_| answer());
        let expected = kind(&cache);

        assert!(expected.is_some());
        assert_eq!(kind(&cache.for_request(&key("other"))), expected);
        assert_eq!(calls.get(), 1);
    }
}

/// The number of token requests in a minute of `callers` for `keys`, each of whom asks again as soon
/// as it was told that there is no token. The endpoint takes `latency` to fail.
fn requests_in_a_dead_minute(callers: usize, keys: usize, latency: Duration) -> usize {
    let clock = ManualClock::new();
    let (issuer, mut desk) = issuer();
    let cache = TokenCache::builder(issuer)
        .with_clock(clock.clone())
        .build();
    let handles: Vec<_> = (0..keys).map(|i| cache.for_request(&key(i))).collect();
    let mut waiting: Vec<_> = Vec::new();

    let step = millis(50);
    for _ in 0..(secs(60).as_millis() / (step + latency).as_millis()) {
        while waiting.len() < callers {
            waiting.push(spawn(handles[waiting.len() % keys].token()));
        }
        waiting.retain_mut(|caller| caller.poll().is_pending());
        clock.advance(latency);
        while !waiting.is_empty() {
            desk.now().fail(FetchError::unavailable("down"));
            waiting.retain_mut(|caller| caller.poll().is_pending());
        }
        clock.advance(step);
    }
    desk.calls()
}

#[test]
fn a_thousand_callers_against_a_dead_endpoint_cause_at_most_twelve_requests_in_a_minute() {
    for latency in [Duration::ZERO, millis(10), secs(1)] {
        for keys in [1, 3, 1000] {
            let requests = requests_in_a_dead_minute(1000, keys, latency);
            assert!(requests <= 12, "{requests} for {keys} keys");
            assert!(requests >= 3, "{requests}: it was not tried again");
        }
    }
}

#[test]
fn after_sixty_failures_in_a_row_the_cache_recovers_within_three_minutes() {
    let (cache, clock, calls) = cache(|i| match i {
        0..60 => Err(FetchError::unavailable("down").into()),
        _ => Ok(token("back", 3600)),
    });
    let mut waited = Duration::ZERO;
    let mut failed_at = 0;
    while kind(&cache).is_some() {
        if calls.get() > failed_at {
            failed_at = calls.get();
            waited = Duration::ZERO;
        }
        clock.advance(millis(100));
        waited += millis(100);
        assert!(
            waited <= secs(180) + millis(100),
            "after {failed_at} failures"
        );
    }
    assert_eq!(calls.get(), 61);
}

#[test]
fn at_most_sixteen_fetches_run_at_once() {
    let (issuer, mut desk) = issuer();
    let cache = TokenCache::new(issuer);
    let handles: Vec<_> = (0..200).map(|i| cache.for_request(&key(i))).collect();
    let mut callers: Vec<_> = handles.iter().map(|handle| spawn(handle.token())).collect();
    let mut running = std::collections::VecDeque::new();
    let mut most = 0;
    loop {
        callers.retain_mut(|caller| caller.poll().is_pending());
        while running.len() < desk.calls() - (200 - callers.len()) {
            running.push_back(desk.now());
        }
        most = most.max(running.len());
        let Some(asked) = running.pop_front() else {
            break;
        };
        asked.answer(token("one", 3600));
    }

    assert_eq!(most, 16);
    assert_eq!(desk.calls(), 200);
}

#[test]
fn a_reset_ends_the_pause_of_every_key() {
    let (cache, _, calls) = cache(|i| match i {
        0 => Err(FetchError::invalid_request("no").into()),
        1 => Err(FetchError::denied("no").into()),
        _ => Ok(token("three", 3600)),
    });
    let other = cache.for_request(&key("other"));
    assert_eq!(kind(&cache), Some(FetchErrorKind::InvalidRequest));
    assert_eq!(kind(&other), Some(FetchErrorKind::Denied));

    cache.for_request(&key("third")).reset_backoff();
    assert_eq!((kind(&cache), kind(&other)), (None, None));
    assert_eq!(calls.get(), 4);
}

#[test]
fn a_success_forgets_the_failures_before() {
    let (cache, clock, _) = cache(|i| match i {
        10 | 12.. => Ok(token("good", 60)),
        _ => Err(FetchError::unavailable("down").into()),
    });
    while kind(&cache).is_some() {
        clock.advance(secs(60));
    }

    // The next pause is the first again, of a second.
    clock.advance(secs(60));
    assert!(kind(&cache).is_some());
    clock.advance(secs(1));
    assert_eq!(kind(&cache), None);
}

#[test]
fn a_success_that_was_under_way_when_another_fetch_failed_ends_no_retry_after() {
    let clock = ManualClock::new();
    let (issuer, mut desk) = issuer();
    let cache = TokenCache::builder(issuer)
        .with_clock(clock.clone())
        .build();
    let other = cache.for_request(&key("other"));
    let (mut one, mut two) = (spawn(cache.token()), spawn(other.token()));
    assert_pending!(one.poll());
    assert_pending!(two.poll());
    let (first, second) = (desk.now(), desk.now());

    clock.advance(millis(10));
    first.fail(FetchError::unavailable("busy").with_retry_after(secs(60)));
    assert_ready_err!(one.poll());
    second.answer(token("two", 3600));
    assert_ready_ok!(two.poll());

    clock.advance(secs(59));
    assert!(now(cache.token()).is_err());
    assert_eq!(desk.calls(), 2);
}
