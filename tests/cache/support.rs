//! An issuer that answers when the test says so, and ways to wait that cannot wait for ever.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready_ok};
use tower_bearer::error::BoxError;
use tower_bearer::testing::ManualClock;
use tower_bearer::{AccessToken, FetchContext, TokenCache, TokenProvider, TokenRequest};

/// What a provider returns.
pub(crate) type Answer = Result<AccessToken, BoxError>;

/// A provider whose fetches wait until its [`Desk`] answers them. Needs no runtime.
pub(crate) struct Issuer {
    asked: mpsc::UnboundedSender<Asked>,
    calls: Calls,
}

/// Where the fetches of an [`Issuer`] arrive.
pub(crate) struct Desk {
    asked: mpsc::UnboundedReceiver<Asked>,
    calls: Calls,
}

/// A fetch that waits for its answer.
pub(crate) struct Asked {
    pub(crate) cx: FetchContext,
    reply: oneshot::Sender<Answer>,
}

/// How often a provider was called.
#[derive(Clone, Default)]
pub(crate) struct Calls(Arc<AtomicUsize>);

pub(crate) fn issuer() -> (Issuer, Desk) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let calls = Calls::default();
    let issuer = Issuer {
        asked: sender,
        calls: calls.clone(),
    };
    let desk = Desk {
        asked: receiver,
        calls,
    };
    (issuer, desk)
}

impl TokenProvider for Issuer {
    async fn fetch_token(&self, cx: FetchContext) -> Answer {
        self.calls.add();
        let (reply, answer) = oneshot::channel();
        self.asked
            .send(Asked { cx, reply })
            .map_err(|_| "the desk is closed")?;
        answer.await?
    }
}

impl Desk {
    /// The next fetch, which must have begun.
    #[track_caller]
    pub(crate) fn now(&mut self) -> Asked {
        self.asked.try_recv().expect("a fetch has begun")
    }

    /// Waits for the next fetch.
    pub(crate) async fn next(&mut self) -> Asked {
        self.asked.recv().await.expect("the issuer exists")
    }

    #[track_caller]
    pub(crate) fn assert_idle(&mut self) {
        assert!(self.asked.try_recv().is_err(), "a fetch has begun");
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.get()
    }
}

impl Asked {
    pub(crate) fn answer(self, token: AccessToken) {
        // The fetch may have been given up.
        let _ = self.reply.send(Ok(token));
    }

    pub(crate) fn fail(self, error: impl Into<BoxError>) {
        let _ = self.reply.send(Err(error.into()));
    }

    /// Whether the fetch was dropped before it was answered.
    pub(crate) fn is_dropped(&self) -> bool {
        self.reply.is_closed()
    }
}

impl Calls {
    pub(crate) fn add(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst)
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A provider that answers at once; `f` is given the number of the call, from zero.
pub(crate) fn at_once(
    f: impl Fn(usize, FetchContext) -> Answer + Send + Sync + 'static,
) -> (impl TokenProvider, Calls) {
    let calls = Calls::default();
    let counted = calls.clone();
    let provider = tower_bearer::token_fn(move |cx| std::future::ready(f(counted.add(), cx)));
    (provider, calls)
}

pub(crate) fn token(text: &str, seconds: u64) -> AccessToken {
    AccessToken::new(text)
        .expect("visible ASCII")
        .with_expires_in(secs(seconds))
}

/// A token request for one scope.
pub(crate) fn key(scope: impl ToString) -> TokenRequest {
    TokenRequest::default().with_scope(&scope.to_string())
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[cfg(feature = "test-util")]
pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The output of a future that must not wait.
#[track_caller]
pub(crate) fn now<F: Future>(future: F) -> F::Output {
    match tokio_test::task::spawn(future).poll() {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("had to wait"),
    }
}

/// Lets the tasks of a `current_thread` runtime run until they wait.
pub(crate) async fn tasks_run() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// Runs `f` on a thread of its own, and fails rather than hang if it does not return.
#[cfg(feature = "test-util")]
#[track_caller]
pub(crate) fn returns<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let _ = sender.send(f());
    });
    match receiver.recv_timeout(secs(60)) {
        Ok(output) => output,
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("hangs"),
        Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
            Ok(()) => unreachable!("it returned without a value"),
            Err(payload) => std::panic::resume_unwind(payload),
        },
    }
}

/// A cache whose fetches are answered by hand, and whose clock is turned by hand.
pub(crate) fn by_hand() -> (TokenCache<Issuer>, ManualClock, Desk) {
    let clock = ManualClock::new();
    let (issuer, desk) = issuer();
    let builder = TokenCache::builder(issuer).with_clock(clock.clone());
    (builder.build(), clock, desk)
}

/// Has the issuer return `text` by way of `refresh`.
pub(crate) fn install(cache: &TokenCache<Issuer>, desk: &mut Desk, text: &str) -> AccessToken {
    let mut caller = spawn(cache.refresh());
    assert_pending!(caller.poll());
    desk.now().answer(token(text, 3600));
    assert_ready_ok!(caller.poll())
}
