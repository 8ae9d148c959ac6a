//! What a call has to pass before the service hears of it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::loopback::{Counter, Gate};

/// What the server sees, and how it is held.
pub(super) struct Seen {
    /// Whether these headers hold a token that will do.
    pub(super) accepts: Box<dyn Fn(&HeaderMap) -> bool + Send + Sync>,
    pub(super) is_behind_proxy: AtomicBool,
    pub(super) received: Counter,
    pub(super) accepted: Counter,
    pub(super) rejected: Counter,
    /// Calls that ended before the server was done.
    pub(super) given_up: Counter,
    /// Before the token is looked at.
    pub(super) arrivals: Gate,
    /// After that.
    pub(super) answers: Gate,
    pub(super) heads: Mutex<Vec<HeaderMap>>,
}

impl Seen {
    pub(super) fn new(accepts: impl Fn(&HeaderMap) -> bool + Send + Sync + 'static) -> Self {
        Self {
            accepts: Box::new(accepts),
            is_behind_proxy: AtomicBool::new(false),
            received: Counter::new(),
            accepted: Counter::new(),
            rejected: Counter::new(),
            given_up: Counter::new(),
            arrivals: Gate::open(),
            answers: Gate::open(),
            heads: Mutex::default(),
        }
    }

    async fn pass(&self, headers: &HeaderMap) -> Result<(), Response<Body>> {
        self.heads.lock().expect("no panic").push(headers.clone());
        self.received.add_one();
        self.arrivals.pass().await;
        if (self.accepts)(headers) {
            self.accepted.add_one();
            return Ok(());
        }
        self.rejected.add_one();
        Err(match self.is_behind_proxy.load(Ordering::Relaxed) {
            false => Status::unauthenticated("token revoked").into_http(),
            true => Response::builder()
                .status(StatusCode::UNAUTHORIZED)
                .header(WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")
                .header(CONTENT_TYPE, "text/html")
                .body(Body::new(Full::new(Bytes::from("<h1>Unauthorized</h1>"))))
                .expect("valid response"),
        })
    }
}

/// Lets calls pass to the service below, or rejects them.
#[derive(Clone)]
pub(super) struct Guard(pub(super) Arc<Seen>);

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded {
            inner,
            seen: Arc::clone(&self.0),
        }
    }
}

#[derive(Clone)]
pub(super) struct Guarded<S> {
    inner: S,
    seen: Arc<Seen>,
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let ready = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, ready);
        let seen = Arc::clone(&self.seen);
        Box::pin(async move {
            match seen.pass(request.headers()).await {
                Ok(()) => ready.call(request).await,
                // Drops what the client is still sending.
                Err(rejection) => Ok(rejection),
            }
        })
    }
}

/// Counts what is dropped before it is [done](Self::done).
pub(super) struct Pending {
    seen: Arc<Seen>,
    is_done: bool,
}

impl Pending {
    pub(super) fn new(seen: &Arc<Seen>) -> Self {
        Self {
            seen: Arc::clone(seen),
            is_done: false,
        }
    }

    pub(super) fn done(&mut self) {
        self.is_done = true;
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.is_done {
            self.seen.given_up.add_one();
        }
    }
}
