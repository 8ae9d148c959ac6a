use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use futures_executor::block_on;
use tokio_test::task::spawn;

use super::*;
use crate::clock::ManualClock;
use crate::error::BoxError;
use crate::provider::token_fn;

type Answers = fn(usize) -> Result<AccessToken, BoxError>;

/// A provider that answers by the number of the call, from zero.
struct Scripted(Answers, AtomicUsize);

impl TokenProvider for Scripted {
    async fn fetch_token(&self, _: FetchContext) -> Result<AccessToken, BoxError> {
        self.0(self.1.fetch_add(1, Ordering::SeqCst))
    }
}

fn member(answers: Answers) -> (Member<Scripted>, ManualClock) {
    let clock = ManualClock::new();
    let provider = Scripted(answers, AtomicUsize::new(0));
    let member = Member::with_clock(provider, Clock::Manual(clock.clone()));
    (member, clock)
}

impl Member<Scripted> {
    fn ask_now(&self) -> Answer {
        block_on(self.ask(&FetchContext::default()))
    }

    fn calls(&self) -> usize {
        self.provider.1.load(Ordering::SeqCst)
    }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn down(_: usize) -> Result<AccessToken, BoxError> {
    Err(FetchError::unavailable("down").into())
}

fn left(member: &Member<Scripted>) -> Option<Duration> {
    match member.ask_now() {
        Answer::Failed(error) => error.retry_after(),
        _ => None,
    }
}

#[test]
fn who_has_failed_is_left_alone_for_a_pause_that_grows_as_that_of_the_cache() {
    let (member, clock) = member(down);
    for _ in 0..3600 {
        match member.ask_now() {
            Answer::Failed(error) | Answer::LeftAlone(error) => {
                assert_eq!(error.to_string(), FetchError::unavailable("").to_string());
            }
            Answer::Token(_) | Answer::Again(_) => panic!("it has none"),
        }
        clock.advance(secs(1));
    }
    assert!((20..50).contains(&member.calls()), "{}", member.calls());
}

#[test]
fn a_success_ends_the_pauses() {
    let (member, clock) = member(|call| match call {
        0..=9 => down(call),
        _ => Ok(AccessToken::new("a")?),
    });
    for _ in 0..10 {
        member.ask_now();
        clock.advance(secs(180));
    }
    assert!(matches!(member.ask_now(), Answer::Token(_)));
    assert!(matches!(member.ask_now(), Answer::Token(_)));
    assert_eq!(member.calls(), 12);
}

#[test]
fn what_concerns_one_key_keeps_nobody_away() {
    let (member, _) = member(|_| Err(FetchError::invalid_request("x").into()));
    for _ in 0..5 {
        assert!(matches!(member.ask_now(), Answer::Failed(_)));
    }
    assert_eq!(member.calls(), 5);
}

#[test]
fn it_can_be_asked_all_the_same_unless_its_issuer_wants_to_be_left_alone() {
    let cx = FetchContext::default();
    let (failing, _) = member(down);
    failing.ask_now();
    assert!(matches!(failing.ask_now(), Answer::LeftAlone(_)));
    block_on(failing.ask_all_the_same(&cx));
    assert_eq!(failing.calls(), 2);

    let (asks, _) = member(|_| Err(FetchError::denied("x").with_retry_after(secs(9)).into()));
    asks.ask_now();
    block_on(asks.ask_all_the_same(&cx));
    assert_eq!(asks.calls(), 1);
}

#[test]
fn an_issuer_is_left_alone_for_as_long_as_it_asked_and_an_hour_at_most() {
    const CASES: [(Answers, u64); 3] = [
        (|_| Err(asks_for(100)), 100),
        (|_| Err(asks_for(3600)), 3600),
        (|_| Err(asks_for(u64::MAX)), 3600),
    ];
    fn asks_for(seconds: u64) -> BoxError {
        let error = FetchError::unavailable("x");
        error.with_retry_after(secs(seconds)).into()
    }
    for (answers, kept) in CASES {
        let (member, clock) = member(answers);
        member.ask_now();
        assert_eq!(left(&member), Some(secs(kept)));
        clock.advance(secs(kept - 1));
        assert_eq!(left(&member), Some(secs(1)));

        // Answers of requests that were under way together.
        let began = member.clock.now();
        member.failed(
            began,
            &FetchError::unavailable("x").with_retry_after(Duration::ZERO),
        );
        member.failed(began, &FetchError::unavailable("x"));
        assert_eq!(left(&member), Some(secs(1)));
        assert_eq!(member.calls(), 1);

        clock.advance(secs(3));
        member.ask_now();
        assert_eq!(member.calls(), 2);
    }
}

#[test]
fn after_a_failure_one_at_a_time_finds_out_whether_it_is_over() {
    let clock = ManualClock::new();
    let hangs = token_fn(|_| std::future::pending());
    let member = Member::with_clock(hangs, Clock::Manual(clock.clone()));
    let cx = FetchContext::default();
    member.failed(clock.now(), &FetchError::unavailable("x"));
    clock.advance(secs(1));

    for _ in 0..2 {
        let mut probe = spawn(member.ask(&cx));
        assert!(probe.poll().is_pending());
        let mut other = spawn(member.ask(&cx));
        assert!(matches!(other.poll(), Poll::Ready(Answer::LeftAlone(_))));
        // Dropped, it leaves room for the next.
    }
}

#[test]
fn a_probe_that_panics_leaves_room_for_the_next() {
    let (member, clock) = member(|call| match call {
        0 => down(call),
        1 => panic!("boom"),
        _ => Ok(AccessToken::new("a")?),
    });
    member.ask_now();
    clock.advance(secs(1));
    let asked = std::panic::AssertUnwindSafe(|| member.ask_now());
    assert!(std::panic::catch_unwind(asked).is_err());

    assert!(matches!(member.ask_now(), Answer::Token(_)));
}

#[test]
fn no_more_than_so_many_rejected_tokens_are_remembered() {
    let (member, _) = member(|_| Ok(AccessToken::new("a")?));
    let rejected = |key: usize| {
        let request = TokenRequest::default().with_scope(&key.to_string());
        FetchContext::new(request).with_rejected_token(AccessToken::new("a").unwrap())
    };
    for key in 0..MAX_REJECTED + 5 {
        member.pass_over(&rejected(key));
        member.pass_over(&rejected(key));
    }
    assert_eq!(member.lock().rejected.len(), MAX_REJECTED);
    // The last one is among them.
    let cx = FetchContext::new(rejected(MAX_REJECTED + 4).token_request().clone());
    assert!(matches!(block_on(member.ask(&cx)), Answer::Failed(_)));
}
