use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use crate::cache::TokenCache;
use crate::config::{Admission, Config};
use crate::error::BoxError;
use crate::future::{Authorized, ResponseFuture};
use crate::provider::TokenProvider;
use crate::replay::{InMemory, Replay};

/// The service that [`BearerAuthLayer`](crate::BearerAuthLayer) makes.
///
/// Clones share the tokens. The response type is that of the inner service; its errors pass through as
/// they are, beside those in [`error`](crate::error).
///
/// # Readiness
///
/// Only an inner service that was polled ready is called, and before the retry it is polled ready again.
/// A request that waits for a token holds no slot of the inner service.
pub struct BearerAuth<S, P, R = InMemory> {
    inner: S,
    config: Arc<Config<P>>,
    replay: R,
}

impl<S, P, R> BearerAuth<S, P, R> {
    pub(crate) fn new(inner: S, config: Arc<Config<P>>, replay: R) -> Self {
        Self {
            inner,
            config,
            replay,
        }
    }

    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }

    /// The cache that this service shares with all others of its layer.
    pub fn cache(&self) -> &TokenCache<P> {
        &self.config.cache
    }
}

impl<S: Clone, P: TokenProvider, R> BearerAuth<S, P, R> {
    /// Begins a request. `call` calls the inner service, which is ready; `wrap` makes of a clone of it,
    /// which is not, what the future calls.
    pub(crate) fn begin<W, B>(
        &mut self,
        request: Request<B>,
        call: impl FnOnce(&mut S, Request<R::Body>) -> W::Future,
        wrap: impl FnOnce(S) -> W,
    ) -> ResponseFuture<W, P, R, B>
    where
        W: Service<Request<R::Body>>,
        R: Replay<B>,
    {
        let (mut parts, body) = request.into_parts();
        let slot = match self.config.admit(&mut parts) {
            Admission::Authorize(slot) => slot,
            Admission::Pass => {
                let request = Request::from_parts(parts, self.replay.pass(body));
                return ResponseFuture::passing(call(&mut self.inner, request));
            }
            Admission::Refuse(error) => {
                self.give_back();
                return ResponseFuture::refused(error);
            }
        };
        let authorized = Authorized::new(Arc::clone(&self.config), slot);
        let (body, kept) = self.replay.keep(&parts, body);
        let mut request = Request::from_parts(parts, body);

        match authorized.try_authorize(&mut request) {
            Some(generation) => {
                let retry = kept.map(|kept| (wrap(self.inner.clone()), kept));
                let response = call(&mut self.inner, request);
                ResponseFuture::sending(response, authorized, generation, retry)
            }
            None => {
                // Nothing is held while the request waits.
                self.give_back();
                let service = wrap(self.inner.clone());
                ResponseFuture::acquiring(service, authorized, request, kept)
            }
        }
    }

    /// Gives the ready service back.
    pub(crate) fn give_back(&mut self) {
        self.inner = self.inner.clone();
    }
}

impl<S, P, R, B, ResBody> Service<Request<B>> for BearerAuth<S, P, R>
where
    S: Service<Request<R::Body>, Response = Response<ResBody>, Error: Into<BoxError>> + Clone,
    P: TokenProvider,
    R: Replay<B>,
{
    type Response = Response<ResBody>;
    type Error = BoxError;
    type Future = ResponseFuture<S, P, R, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.begin(request, S::call, |service| service)
    }
}

impl<S: Clone, P, R: Clone> Clone for BearerAuth<S, P, R> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            config: Arc::clone(&self.config),
            replay: self.replay.clone(),
        }
    }
}

impl<S: fmt::Debug, P, R> fmt::Debug for BearerAuth<S, P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerAuth")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
