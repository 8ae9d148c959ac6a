//! The issuer and the API, which answer when the test says so, and the log of what they saw.

use std::convert::Infallible;
use std::future::Future;
use std::mem;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use tokio::sync::oneshot;
use tower::Service;
use tower_bearer::error::BoxError;
use tower_bearer::{
    AccessToken, FetchContext, FetchError, TokenCache, TokenProvider, TokenRequest,
};

use crate::ops::{Fault, Key, Life, RetryAfter};

/// What a fetch comes to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Token(String, Life),
    Fail(Fault, Option<RetryAfter>),
    Panic,
}

#[derive(Debug)]
pub(crate) enum Event {
    Began {
        fetch: usize,
        key: Key,
        rejected: Option<String>,
    },
    /// Without an answer it was dropped.
    Ended {
        fetch: usize,
        answer: Option<Answer>,
    },
    Sent {
        send: usize,
        caller: usize,
        token: Option<String>,
    },
    /// The response has been taken.
    Replied { send: usize, status: StatusCode },
}

/// An event, and what `cached` said about A and B just before.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) event: Event,
    pub(crate) usable: Usable,
}

pub(crate) type Usable = [Option<String>; 2];

/// Which caller a request is from: an extension, so that it is on the second send as well.
#[derive(Clone, Copy)]
pub(crate) struct SentBy(pub(crate) usize);

#[derive(Default)]
pub(crate) struct World {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Of A and B.
    handles: Vec<TokenCache<Issuer>>,
    log: Vec<Seen>,
    fetches: Vec<Fetch>,
    sends: Vec<Option<oneshot::Sender<StatusCode>>>,
    shut: bool,
    /// So many were polled ready, and neither called nor given back.
    reserved: usize,
    waiting: Vec<Waker>,
}

struct Fetch {
    key: Key,
    reply: Option<oneshot::Sender<Answer>>,
}

impl World {
    pub(crate) fn watch(&self, handles: Vec<TokenCache<Issuer>>) {
        let before = mem::replace(&mut self.lock().handles, handles);
        // Outside of the lock, since the last one ends fetches.
        drop(before);
    }

    pub(crate) fn take_log(&self) -> Vec<Seen> {
        mem::take(&mut self.lock().log)
    }

    pub(crate) fn usable(&self) -> Usable {
        self.lock().usable()
    }

    /// The fetches of `key` that have no answer yet; those of the whole crowd are one queue.
    pub(crate) fn unanswered(&self, key: Key) -> Vec<usize> {
        let is_meant = |other: Key| match key {
            Key::Crowd(_) => matches!(other, Key::Crowd(_)),
            _ => key == other,
        };
        let state = self.lock();
        let fetches = state.fetches.iter().enumerate();
        fetches
            .filter(|(_, fetch)| is_meant(fetch.key) && is_open(&fetch.reply))
            .map(|(i, _)| i)
            .collect()
    }

    pub(crate) fn key_of(&self, fetch: usize) -> Key {
        self.lock().fetches[fetch].key
    }

    pub(crate) fn answer(&self, fetch: usize, answer: Answer) {
        let reply = self.lock().fetches[fetch].reply.take();
        let sent = reply.expect("one answer a fetch").send(answer);
        assert!(sent.is_ok(), "it was looked at just now");
    }

    /// Sends without a response, whose callers are still there.
    pub(crate) fn in_flight(&self) -> Vec<usize> {
        let state = self.lock();
        let sends = state.sends.iter().enumerate();
        sends
            .filter(|(_, reply)| is_open(reply))
            .map(|(i, _)| i)
            .collect()
    }

    pub(crate) fn respond(&self, send: usize, status: StatusCode) {
        let reply = self.lock().sends[send].take();
        let sent = reply.expect("one response a send").send(status);
        assert!(sent.is_ok(), "it was looked at just now");
    }

    pub(crate) fn set_shut(&self, shut: bool) {
        let waiting = {
            let mut state = self.lock();
            state.shut = shut;
            mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn reserved(&self) -> usize {
        self.lock().reserved
    }

    fn begin(&self, cx: &FetchContext) -> (usize, oneshot::Receiver<Answer>) {
        let key = key_of(cx.token_request());
        let rejected = cx
            .rejected_token()
            .map(|token| token.expose_secret().to_owned());
        let (reply, answer) = oneshot::channel();
        let mut state = self.lock();
        let fetch = state.fetches.len();
        let reply = Some(reply);
        state.fetches.push(Fetch { key, reply });
        state.note(Event::Began {
            fetch,
            key,
            rejected,
        });
        (fetch, answer)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic under the lock")
    }
}

impl State {
    fn note(&mut self, event: Event) {
        let usable = self.usable();
        self.log.push(Seen { event, usable });
    }

    fn usable(&self) -> Usable {
        let text = |i: usize| {
            let token = self.handles.get(i)?.cached()?;
            Some(token.expose_secret().to_owned())
        };
        [text(0), text(1)]
    }
}

fn is_open<T>(reply: &Option<oneshot::Sender<T>>) -> bool {
    reply.as_ref().is_some_and(|reply| !reply.is_closed())
}

pub(crate) fn token_request(key: Key) -> TokenRequest {
    match key {
        Key::A => TokenRequest::default(),
        Key::B => TokenRequest::default().with_scope("b"),
        Key::Crowd(n) => TokenRequest::default().with_tenant(n.to_string()),
    }
}

fn key_of(request: &TokenRequest) -> Key {
    match request.tenant() {
        Some(n) => Key::Crowd(n.parse().expect("made above")),
        None if *request == token_request(Key::A) => Key::A,
        None => Key::B,
    }
}

/// The provider.
pub(crate) struct Issuer {
    pub(crate) world: Arc<World>,
}

impl TokenProvider for Issuer {
    async fn fetch_token(&self, cx: FetchContext) -> Result<AccessToken, BoxError> {
        let (fetch, answer) = self.world.begin(&cx);
        let mut ending = Ending {
            world: &self.world,
            fetch,
            answer: None,
        };
        let answer = answer.await.expect("the world outlives its issuer");
        ending.answer = Some(answer.clone());
        drop(ending);
        match answer {
            Answer::Token(text, life) => {
                let token = AccessToken::new(&text)?;
                Ok(match life {
                    Life::Unknown => token,
                    life => token.with_expires_in(life.duration()),
                })
            }
            Answer::Fail(fault, retry_after) => Err(error(fault, retry_after)),
            // Without the hook, which would print it.
            Answer::Panic => resume_unwind(Box::new("the issuer panics")),
        }
    }
}

fn error(fault: Fault, retry_after: Option<RetryAfter>) -> BoxError {
    let error = match fault {
        Fault::Unavailable => FetchError::unavailable("down"),
        Fault::Denied => FetchError::denied("no"),
        Fault::InvalidRequest => FetchError::invalid_request("what?"),
        Fault::Other => return "of its own kind".into(),
    };
    match retry_after {
        Some(seconds) => error.with_retry_after(Duration::from_secs(seconds)).into(),
        None => error.into(),
    }
}

/// Notes that a fetch ended, or was dropped.
struct Ending<'a> {
    world: &'a World,
    fetch: usize,
    answer: Option<Answer>,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.world.lock().note(Event::Ended {
            fetch: self.fetch,
            answer: self.answer.take(),
        });
    }
}

/// The service below the layer. Insists on being polled ready, each clone for itself.
pub(crate) struct Api {
    pub(crate) world: Arc<World>,
    ready: bool,
}

impl Api {
    pub(crate) fn new(world: Arc<World>) -> Self {
        let ready = false;
        Self { world, ready }
    }

    fn take_reservation(&mut self) -> bool {
        let was_ready = mem::take(&mut self.ready);
        if was_ready {
            self.world.lock().reserved -= 1;
        }
        was_ready
    }
}

impl Clone for Api {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.world))
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.take_reservation();
    }
}

impl Service<Request<String>> for Api {
    /// The body is the number of the send.
    type Response = Response<usize>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<usize>, Infallible>>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        let mut state = self.world.lock();
        if state.shut {
            state.waiting.push(cx.waker().clone());
            return Poll::Pending;
        }
        if !mem::replace(&mut self.ready, true) {
            state.reserved += 1;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        assert!(self.take_reservation(), "called without being ready");
        let SentBy(caller) = *request.extensions().get().expect("the same on both sends");
        assert_eq!(*request.body(), caller.to_string(), "another body");
        let mut values = request.headers().get_all(AUTHORIZATION).iter();
        let token = values.next().map(|value| {
            let value = value.to_str().expect("visible ASCII");
            value.strip_prefix("Bearer ").unwrap_or(value).to_owned()
        });
        assert!(values.next().is_none(), "more than one Authorization");

        let (reply, response) = oneshot::channel();
        let send = {
            let mut state = self.world.lock();
            let send = state.sends.len();
            state.sends.push(Some(reply));
            state.note(Event::Sent {
                send,
                caller,
                token,
            });
            send
        };
        let world = Arc::clone(&self.world);
        Box::pin(async move {
            let status = response.await.expect("the world outlives its API");
            world.lock().note(Event::Replied { send, status });
            let response = Response::builder().status(status).body(send);
            Ok(response.expect("a status and a body"))
        })
    }
}
