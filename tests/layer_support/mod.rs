//! What the tests of the layer share: an API that insists on being polled ready, and short forms of the test
//! kit's parts.

// Each test binary uses a part of it, and a panic here is a failed test.
#![allow(dead_code, clippy::unwrap_used)]

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use tokio::sync::watch;
use tower::Service;
use tower_bearer::rejection::{NotRetried, NotRetriedReason};
pub(crate) use tower_bearer::testing::Gate;
/// Issues `token-1`, `token-2` and so on, unless told otherwise.
pub(crate) use tower_bearer::testing::ScriptedProvider as Issuer;
use tower_bearer::{AccessToken, BearerAuthLayer};

pub(crate) mod permits;
pub(crate) mod socket;

pub(crate) const ORIGIN: &str = "https://api.example.com";
pub(crate) const URL: &str = "https://api.example.com/items?page=2";

pub(crate) fn layer(issuer: &Issuer) -> BearerAuthLayer<Issuer> {
    BearerAuthLayer::for_origin(issuer.clone(), ORIGIN).unwrap()
}

pub(crate) fn get(uri: &str) -> Request<String> {
    Request::get(uri).body(String::new()).unwrap()
}

pub(crate) fn token(text: &str) -> AccessToken {
    AccessToken::new(text)
        .unwrap()
        .with_expires_in(Duration::from_secs(3600))
}

/// Whether these are the same POST of `payload` to `/items?x=1`, with two values of `x-many`, by one token and
/// then the other.
#[track_caller]
pub(crate) fn assert_same_post_twice(received: &[Request<Bytes>]) {
    assert_eq!(received.len(), 2);
    for (request, token) in received.iter().zip(["token-1", "token-2"]) {
        assert_eq!(request.method(), Method::POST);
        assert_eq!(request.uri(), "/items?x=1");
        assert_eq!(request.version(), Version::HTTP_11);
        assert_eq!(request.body(), "payload");
        assert_eq!(request.headers()["content-length"], "7");
        let many: Vec<_> = request.headers().get_all("x-many").iter().collect();
        assert_eq!(many, ["first", "second"]);
        assert_eq!(bearer(request), Some(token));
    }
}

/// The only token that a request carries.
pub(crate) fn bearer<B>(request: &Request<B>) -> Option<&str> {
    let mut values = request.headers().get_all(AUTHORIZATION).iter();
    let value = values.next()?.to_str().unwrap();
    assert!(values.next().is_none(), "more than one Authorization");
    Some(value.strip_prefix("Bearer ").unwrap_or(value))
}

pub(crate) fn reason<B>(response: &Response<B>) -> Option<&NotRetriedReason> {
    response.extensions().get().map(NotRetried::reason)
}

type Answer = dyn Fn(&Parts) -> Response<String> + Send + Sync;

/// The service below the layer. Panics if it is called without having been polled ready, or twice for
/// once; a clone has to be made ready anew.
pub(crate) struct Api<B> {
    shared: Arc<Shared<B>>,
    ready: bool,
}

struct Shared<B> {
    answer: Box<Answer>,
    gate: Gate,
    sent: Mutex<Vec<Request<B>>>,
    arrived: watch::Sender<usize>,
}

impl<B> Api<B> {
    pub(crate) fn answering(
        answer: impl Fn(&Parts) -> Response<String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                answer: Box::new(answer),
                gate: open_gate(),
                sent: Mutex::default(),
                arrived: watch::Sender::new(0),
            }),
            ready: false,
        }
    }

    pub(crate) fn accepting() -> Self {
        Self::rejecting(&[])
    }

    /// Rejects these tokens; the body of the 401 names the one it was for.
    pub(crate) fn rejecting(tokens: &'static [&'static str]) -> Self {
        Self::answering(move |parts| {
            let request = Request::from_parts(parts.clone(), ());
            match bearer(&request) {
                Some(token) if tokens.contains(&token) => unauthorized(&format!("no {token}")),
                _ => Response::new("welcome".to_owned()),
            }
        })
    }

    /// Answers come once it is open.
    pub(crate) fn gate(&self) -> &Gate {
        &self.shared.gate
    }

    /// What was sent since the last time.
    pub(crate) fn sent(&self) -> Vec<Request<B>> {
        std::mem::take(&mut self.shared.sent.lock().unwrap())
    }

    /// The tokens of what was sent since the last time.
    pub(crate) fn tokens(&self) -> Vec<String> {
        let sent = self.sent();
        let tokens = sent.iter().map(|request| bearer(request).unwrap_or("none"));
        tokens.map(str::to_owned).collect()
    }

    /// Waits until so many requests have arrived, and there must not be more.
    pub(crate) async fn arrived(&self, n: usize) {
        let mut arrived = self.shared.arrived.subscribe();
        let arrived = arrived.wait_for(|arrived| *arrived >= n);
        assert_eq!(*without_hanging(arrived).await.unwrap(), n);
    }
}

pub(crate) fn unauthorized(body: &str) -> Response<String> {
    Response::builder()
        .status(StatusCode::UNAUTHORIZED)
        .body(body.to_owned())
        .unwrap()
}

impl<B> Clone for Api<B> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            ready: false,
        }
    }
}

impl<B: Send + 'static> Service<Request<B>> for Api<B> {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<String>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        assert!(
            std::mem::take(&mut self.ready),
            "called without being ready"
        );
        let (parts, body) = request.into_parts();
        let response = (self.shared.answer)(&parts);
        let request = Request::from_parts(parts, body);
        self.shared.sent.lock().unwrap().push(request);
        self.shared.arrived.send_modify(|arrived| *arrived += 1);
        let gate = self.shared.gate.clone();
        Box::pin(async move {
            gate.pass().await;
            Ok(response)
        })
    }
}

pub(crate) fn open_gate() -> Gate {
    let gate = Gate::new();
    gate.open();
    gate
}

/// Fails instead of waiting for ever: at once where time is paused, else after a minute.
pub(crate) async fn without_hanging<F: Future>(future: F) -> F::Output {
    let limit = Duration::from_secs(60);
    let result = tokio::time::timeout(limit, future).await;
    result.expect("hangs")
}
