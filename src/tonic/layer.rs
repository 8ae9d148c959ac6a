#[cfg(doc)]
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tonic::Status;
use tonic::body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::status::{explain, into_status};
use crate::cache::TokenCache;
use crate::error::BoxError;
use crate::future::ResponseFuture;
use crate::layer::{BearerAuthLayer, InnerService};
use crate::provider::TokenProvider;
#[cfg(doc)]
use crate::rejection::NotRetried;
use crate::rejection::grpc_unauthenticated;
use crate::replay::{MapBody, ReplayBody, Streaming};
use crate::service::BearerAuth;

/// How calls are kept for the retry.
type GrpcReplay = MapBody<Streaming, fn(ReplayBody<Body>) -> Body>;

impl<P, R> BearerAuthLayer<P, R> {
    /// Makes a layer for a `tonic` channel of this one. See [`tonic`](mod@crate::tonic).
    ///
    /// It also sends tokens [with relative URIs](Self::with_relative_uris), takes `UNAUTHENTICATED` for a
    /// [rejection](grpc_unauthenticated) unless [told](Self::with_rejection) before what is one, and keeps
    /// [up to](Streaming::up_to) `replay_up_to` bytes of a request's messages for the retry, in place of any
    /// [policy](Self::with_replay) that was set before.
    ///
    /// # Security
    ///
    /// The channel's endpoint decides where tokens go, which cannot be checked here. Make it of the same
    /// text as the layer's origin, which may be plain `http` only over loopback.
    #[must_use]
    pub fn into_grpc(self, replay_up_to: usize) -> GrpcAuthLayer<P> {
        let auth = match self.config.is_rejection {
            None => self.with_rejection(grpc_unauthenticated),
            Some(_) => self,
        };
        let replay = Streaming::up_to(replay_up_to).map_body(Body::new as fn(_) -> _);
        let auth = auth.with_relative_uris().with_replay(replay);
        GrpcAuthLayer { auth }
    }
}

/// A [`BearerAuthLayer`] for `tonic` channels.
///
/// Made by [`into_grpc`](BearerAuthLayer::into_grpc).
pub struct GrpcAuthLayer<P> {
    auth: BearerAuthLayer<P, GrpcReplay>,
}

impl<P> GrpcAuthLayer<P> {
    /// The cache that the services of this layer share.
    pub fn cache(&self) -> &TokenCache<P> {
        self.auth.cache()
    }
}

impl<S: InnerService, P> Layer<S> for GrpcAuthLayer<P> {
    type Service = GrpcAuth<S, P>;

    fn layer(&self, inner: S) -> GrpcAuth<S, P> {
        GrpcAuth {
            auth: self.auth.layer(inner),
        }
    }
}

impl<P> Clone for GrpcAuthLayer<P> {
    fn clone(&self) -> Self {
        Self {
            auth: self.auth.clone(),
        }
    }
}

impl<P> fmt::Debug for GrpcAuthLayer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GrpcAuthLayer").field(&self.auth).finish()
    }
}

/// A [`BearerAuth`] around a `tonic` channel, whose errors are a [`Status`].
///
/// Errors of the layer and of the channel become one by [`into_status`]. HTTP's 401 without a `grpc-status`,
/// which is a proxy's, becomes `UNAUTHENTICATED`, with its headers as the metadata. A rejection with one
/// that was not sent again becomes the status that `tonic` would make of it, with its code, message, details
/// and metadata. In both, the [`NotRetried`] is the [source](Error::source) if there is one, which would
/// be lost with the extensions of the response:
///
/// ```
/// use tonic::Status;
/// use tower_bearer::rejection::NotRetried;
///
/// fn why_not_retried(status: &Status) -> Option<&NotRetried> {
///     std::error::Error::source(status)?.downcast_ref()
/// }
/// # assert!(why_not_retried(&Status::unauthenticated("no")).is_none());
/// ```
///
/// All other responses pass as they are.
pub struct GrpcAuth<S, P> {
    auth: BearerAuth<S, P, GrpcReplay>,
}

impl<S, P> GrpcAuth<S, P> {
    /// The cache that this service shares with all others of its layer.
    pub fn cache(&self) -> &TokenCache<P> {
        self.auth.cache()
    }
}

impl<S, P, B> Service<Request<Body>> for GrpcAuth<S, P>
where
    S: Service<Request<Body>, Response = Response<B>, Error: Into<BoxError>> + Clone,
    P: TokenProvider,
{
    type Response = Response<B>;
    // A `Status`, and not a `BoxError`: with that, a boxed service makes the calls of generated clients not
    // `Send` as the compiler sees it (https://github.com/rust-lang/rust/issues/64552).
    type Error = Status;
    type Future = GrpcFuture<S, P>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        self.auth.poll_ready(cx).map_err(into_status)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        GrpcFuture {
            response: self.auth.call(request),
        }
    }
}

impl<S: Clone, P> Clone for GrpcAuth<S, P> {
    fn clone(&self) -> Self {
        Self {
            auth: self.auth.clone(),
        }
    }
}

impl<S: fmt::Debug, P> fmt::Debug for GrpcAuth<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GrpcAuth").field(&self.auth).finish()
    }
}

pin_project! {
    /// Response future of [`GrpcAuth`].
    ///
    /// ```
    /// use http::{Request, Response};
    /// use tonic::body::Body;
    /// use tower::Service;
    /// use tower_bearer::TokenProvider;
    /// use tower_bearer::error::BoxError;
    /// use tower_bearer::tonic::{GrpcAuth, GrpcFuture};
    ///
    /// fn begin<S, P>(client: &mut GrpcAuth<S, P>, request: Request<Body>) -> GrpcFuture<S, P>
    /// where
    ///     S: Service<Request<Body>, Response = Response<Body>, Error = BoxError> + Clone,
    ///     P: TokenProvider,
    /// {
    ///     client.call(request)
    /// }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// As that of [`ResponseFuture`].
    pub struct GrpcFuture<S, P>
    where
        S: Service<Request<Body>>,
    {
        #[pin]
        response: ResponseFuture<S, P, GrpcReplay, Body>,
    }
}

impl<S, P, B> Future for GrpcFuture<S, P>
where
    S: Service<Request<Body>, Response = Response<B>, Error: Into<BoxError>> + Clone,
    P: TokenProvider,
{
    type Output = Result<Response<B>, Status>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().response.poll(cx).map(explain)
    }
}

impl<S, P> fmt::Debug for GrpcFuture<S, P>
where
    S: Service<Request<Body>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcFuture").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use bytes::Bytes;
    use http::header::AUTHORIZATION;
    use http_body::Body as _;
    use http_body_util::{BodyExt as _, BodyStream, Full, StreamBody};
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::provider::{BoxTokenProvider, token_fn};
    use crate::token::AccessToken;

    #[tokio::test]
    async fn a_call_that_is_unauthenticated_is_sent_again_as_it_was() {
        let provider = token_fn(|cx| async move {
            let first = cx.rejected_token().is_none();
            Ok(AccessToken::new(if first { "first" } else { "second" })?)
        });
        let auth = BearerAuthLayer::for_origin(provider, "https://api.example.com").unwrap();
        let sent = Arc::new(Mutex::new(Vec::new()));
        let for_channel = Arc::clone(&sent);
        let channel = service_fn(move |request: Request<Body>| {
            let sent = Arc::clone(&for_channel);
            async move {
                let token = request.headers()[AUTHORIZATION].clone();
                let body = request.into_body();
                let length = body.size_hint().exact();
                let text = body.collect().await.unwrap().to_bytes();
                let rejects = token == "Bearer first";
                sent.lock().unwrap().push((token, length, text));
                let status = if rejects { "16" } else { "0" };
                let response = Response::builder().header("grpc-status", status);
                Ok::<_, Infallible>(response.body(()).unwrap())
            }
        });

        // How long it is, a body of gRPC does not say.
        let body = Body::new(StreamBody::new(BodyStream::new(Full::from("hello"))));
        let request = Request::post("/echo.v1.Echo/Say").body(body).unwrap();
        let response = auth.into_grpc(5).layer(channel).oneshot(request).await;

        assert_eq!(response.unwrap().headers()["grpc-status"], "0");
        let hello = Bytes::from("hello");
        assert_eq!(
            *sent.lock().unwrap(),
            [
                ("Bearer first".parse().unwrap(), None, hello.clone()),
                ("Bearer second".parse().unwrap(), None, hello),
            ]
        );
    }

    /// The codes of responses that are sent again, by a layer whose predicate was set before.
    async fn healed(
        set: impl Fn(BearerAuthLayer<BoxTokenProvider>) -> BearerAuthLayer<BoxTokenProvider>,
    ) -> Vec<&'static str> {
        let mut healed = Vec::new();
        for rejection in ["16", "7"] {
            let provider = BoxTokenProvider::new(token_fn(|cx| async move {
                let first = cx.rejected_token().is_none();
                Ok(AccessToken::new(if first { "first" } else { "second" })?)
            }));
            let auth = BearerAuthLayer::for_origin(provider, "https://api.example.com").unwrap();
            let auth = set(auth).into_grpc(5);
            let channel = service_fn(move |request: Request<Body>| async move {
                let rejects = request.headers()[AUTHORIZATION] == "Bearer first";
                let status = if rejects { rejection } else { "0" };
                let response = Response::builder().header("grpc-status", status);
                Ok::<_, Infallible>(response.body(()).unwrap())
            });
            let request = Request::new(Body::empty());
            let response = auth.layer(channel).oneshot(request).await.unwrap();
            if response.headers()["grpc-status"] == "0" {
                healed.push(rejection);
            }
        }
        healed
    }

    #[tokio::test]
    async fn a_predicate_that_was_set_before_is_kept() {
        assert_eq!(healed(|layer| layer).await, ["16"]);
        let set = |layer: BearerAuthLayer<_>| {
            layer.with_rejection(|_, headers| headers["grpc-status"] == "7")
        };
        assert_eq!(healed(set).await, ["7"]);
    }
}
