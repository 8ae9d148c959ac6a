use std::fmt;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use crate::cache::TokenCache;
use crate::config::{Admission, Settings};
use crate::error::BoxError;
use crate::future::{Authorized, Hit, ResponseFuture};
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
    config: Settings<P>,
    replay: R,
}

impl<S, P, R> BearerAuth<S, P, R> {
    pub(crate) fn new(inner: S, config: Settings<P>, replay: R) -> Self {
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
    ///
    /// A hit is inlined into it, and nothing else: a twelfth of the instructions that it takes.
    pub(crate) fn begin<W, B>(
        &mut self,
        mut request: Request<B>,
        call: impl FnOnce(&mut S, Request<R::Body>) -> W::Future,
        wrap: impl FnOnce(S) -> W,
    ) -> ResponseFuture<W, P, R, B>
    where
        W: Service<Request<R::Body>>,
        R: Replay<B>,
    {
        let config = self.config.clone();
        let slot = match config.admit(&mut request) {
            Admission::Authorize(slot) => slot,
            Admission::Pass => return self.pass(request, call),
            Admission::Refuse(error) => {
                self.give_back();
                return ResponseFuture::refused(error);
            }
        };
        let authorized = Authorized::new(config, slot);
        match authorized.authorize(request.headers_mut()) {
            Hit::Token {
                generation,
                headers,
            } => {
                let mut kept = self.replay.keep(&mut request);
                let config = authorized.config();
                config.put_headers(request.headers_mut(), headers.as_deref());
                let request = self.replay.prepare(request, kept.as_mut());
                let response = call(&mut self.inner, request);
                let retry = kept.map(|kept| (wrap(self.inner.clone()), kept));
                ResponseFuture::sending(response, authorized, generation, retry)
            }
            Hit::ItsOwn => self.pass(request, call),
            Hit::None => self.acquire(request, authorized, wrap),
        }
    }

    /// Waits for a token, and holds nothing meanwhile.
    #[inline(never)]
    fn acquire<W, B>(
        &mut self,
        mut request: Request<B>,
        authorized: Authorized<P>,
        wrap: impl FnOnce(S) -> W,
    ) -> ResponseFuture<W, P, R, B>
    where
        W: Service<Request<R::Body>>,
        R: Replay<B>,
    {
        self.give_back();
        let service = wrap(self.inner.clone());
        let mut kept = self.replay.keep(&mut request);
        let request = self.replay.prepare(request, kept.as_mut());
        ResponseFuture::acquiring(service, authorized, request, kept)
    }

    /// Sends a request as it is.
    fn pass<W, B>(
        &mut self,
        request: Request<B>,
        call: impl FnOnce(&mut S, Request<R::Body>) -> W::Future,
    ) -> ResponseFuture<W, P, R, B>
    where
        W: Service<Request<R::Body>>,
        R: Replay<B>,
    {
        let request = self.replay.prepare(request, None);
        ResponseFuture::passing(call(&mut self.inner, request))
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
            config: self.config.clone(),
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
