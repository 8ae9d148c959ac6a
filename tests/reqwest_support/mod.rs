//! What the tests of reqwest share: clients, and a service below the layer that is no client.

// Each test binary uses a part of it, and a panic here is a failed test.
#![allow(dead_code, clippy::unwrap_used)]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures_util::future::{Ready, ready};
use http::header::AUTHORIZATION;
use http::request::Parts;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Request, Response};
use tower::Service;
use tower_bearer::rejection::{NotRetried, NotRetriedReason};
use tower_bearer::{BearerAuth, BearerAuthLayer};

use crate::layer_support::socket::{Server, answer};
use crate::layer_support::{Issuer, bearer};

pub(crate) type AuthClient = BearerAuth<Client, Issuer>;

/// Rejects `token-1`.
pub(crate) async fn api() -> Server {
    Server::start(|request| match bearer(request) {
        Some("token-1") => answer(401, "no token-1"),
        _ => answer(200, "welcome"),
    })
    .await
}

pub(crate) fn layer_for(server: &Server, issuer: &Issuer) -> BearerAuthLayer<Issuer> {
    BearerAuthLayer::for_origin(issuer.clone(), server.origin()).unwrap()
}

/// Follows no redirects.
pub(crate) fn client() -> Client {
    let builder = direct().redirect(Policy::none());
    builder.build().unwrap()
}

/// Follows redirects by the default policy.
pub(crate) fn following() -> Client {
    direct().build().unwrap()
}

/// With reqwest's defaults, except for a proxy of the environment, which would be asked for loopback too.
pub(crate) fn direct() -> ClientBuilder {
    Client::builder().no_proxy()
}

pub(crate) fn reason(response: &Response) -> Option<&NotRetriedReason> {
    response.extensions().get().map(NotRetried::reason)
}

/// Answers in place of a client, and keeps what it was given. Panics if it is called without having been
/// polled ready; a clone has to be made ready anew.
pub(crate) struct Below {
    answer: Arc<dyn Fn(&Parts) -> Response + Send + Sync>,
    given: Arc<Mutex<Vec<Request>>>,
    ready: bool,
}

impl Below {
    /// The answer has the URL that was asked for, unless it has one.
    pub(crate) fn answering(answer: impl Fn(&Parts) -> Response + Send + Sync + 'static) -> Self {
        Self {
            answer: Arc::new(answer),
            given: Arc::default(),
            ready: false,
        }
    }

    /// Rejects `token-1`.
    pub(crate) fn rejecting_the_first_token() -> Self {
        Self::answering(|head| {
            let is_first = head
                .headers
                .get(AUTHORIZATION)
                .is_some_and(|it| it == "Bearer token-1");
            let status = if is_first { 401 } else { 200 };
            http::Response::builder()
                .status(status)
                .body("")
                .unwrap()
                .into()
        })
    }

    /// What it was given since the last time.
    pub(crate) fn given(&self) -> Vec<Request> {
        std::mem::take(&mut self.given.lock().unwrap())
    }
}

impl Clone for Below {
    fn clone(&self) -> Self {
        Self {
            answer: Arc::clone(&self.answer),
            given: Arc::clone(&self.given),
            ready: false,
        }
    }
}

impl Service<Request> for Below {
    type Response = Response;
    type Error = Infallible;
    type Future = Ready<Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        assert!(
            std::mem::take(&mut self.ready),
            "called without being ready"
        );
        let copy = request.try_clone().unwrap();
        let (head, _) = http::Request::try_from(copy).unwrap().into_parts();
        self.given.lock().unwrap().push(request);
        ready(Ok((self.answer)(&head)))
    }
}
