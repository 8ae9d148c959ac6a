use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use reqwest::{Body, Request, Response};
use tower_service::Service;

use super::adapter::{Adapter, with_head};
use crate::error::BoxError;
use crate::future;
use crate::provider::TokenProvider;
use crate::replay::Replay;

pin_project! {
    /// Response future of [`BearerAuth`](crate::BearerAuth) for a [`reqwest::Request`].
    ///
    /// It is [`Unpin`] if the future of the service below is, as that of a [`reqwest::Client`] is.
    ///
    /// ```
    /// use tower::Service;
    /// use tower_bearer::{BearerAuth, TokenProvider, reqwest::ResponseFuture};
    ///
    /// fn begin<P: TokenProvider>(
    ///     client: &mut BearerAuth<reqwest::Client, P>,
    ///     request: reqwest::Request,
    /// ) -> ResponseFuture<reqwest::Client, P> {
    ///     client.call(request)
    /// }
    /// # let _ = begin::<tower_bearer::BoxTokenProvider>;
    /// ```
    ///
    /// # Cancel safety
    ///
    /// That of [`future::ResponseFuture`](crate::future::ResponseFuture): dropping it cancels the request, but
    /// not a token fetch.
    pub struct ResponseFuture<S, P, R = crate::replay::InMemory>
    where
        S: Service<Request, Response = Response>,
        R: Replay<Body>,
        R::Body: Into<Body>,
    {
        #[pin]
        inner: future::ResponseFuture<Adapter<S>, P, R, Body>,
    }
}

impl<S, P, R> ResponseFuture<S, P, R>
where
    S: Service<Request, Response = Response>,
    R: Replay<Body, Body: Into<Body>>,
{
    pub(super) fn new(inner: future::ResponseFuture<Adapter<S>, P, R, Body>) -> Self {
        Self { inner }
    }

    pub(super) fn refused(error: BoxError) -> Self {
        Self::new(future::ResponseFuture::refused(error))
    }
}

impl<S, P, R> Future for ResponseFuture<S, P, R>
where
    S: Service<Request, Response = Response, Error: Into<BoxError>> + Clone,
    P: TokenProvider,
    R: Replay<Body, Body: Into<Body>>,
{
    type Output = Result<Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().inner.poll(cx).map_ok(with_head)
    }
}

impl<S, P, R> fmt::Debug for ResponseFuture<S, P, R>
where
    S: Service<Request, Response = Response>,
    R: Replay<Body, Body: Into<Body>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
