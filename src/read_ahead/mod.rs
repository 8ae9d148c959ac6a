//! Reads the body of a rejection at once, so that its connection can be used for the retry.
//!
//! When a request is sent again, the 401 is dropped with what is unread of its body. Over HTTP/1.1 a
//! connection can be used again once the whole body has been read. Of one that is dropped, hyper 1 reads
//! what one read gives: all of a body whose length is stated and that came with its head, up to about
//! 7 KiB; never all of a chunked one, however short. If that is not the end it closes the connection, and
//! the retry opens another. Over HTTP/2 it resets the stream, and the connection stays: there is nothing to
//! gain there.
//!
//! Where rejections are chunked or long and connections are dear, put a [`ReadAheadLayer`] below the
//! layer, directly above the client:
//!
//! ```
//! use bytes::Bytes;
//! use http_body_util::Full;
//! use hyper_util::client::legacy::Client;
//! use hyper_util::rt::TokioExecutor;
//! use tower::ServiceBuilder;
//! use tower_bearer::read_ahead::ReadAheadLayer;
//! use tower_bearer::{BearerAuthLayer, token_fn};
//!
//! # let provider = token_fn(|_| async { Err("none".into()) });
//! let http = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
//! let client = ServiceBuilder::new()
//!     .layer(BearerAuthLayer::for_origin(provider, "https://api.example.com")?)
//!     .layer(ReadAheadLayer::up_to(64 * 1024))
//!     .service(http);
//! # let _ = client;
//! # Ok::<(), tower_bearer::origin::InvalidOrigin>(())
//! ```

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_timer::Delay;
use futures_util::FutureExt as _;
use http::Response;
use http::response::Parts;
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

pub use self::body::ReadAheadBody;

mod body;

/// A response waits for its body no longer. About what a new connection would cost.
const TIME_LIMIT: Duration = Duration::from_millis(100);

/// Reads the bodies of responses with a status from 400 to 499 before it passes them on.
///
/// They are passed on with what was read, and nothing is lost: if a body is longer, or is waited for for
/// more than a tenth of a second, the rest follows as the caller reads it. All other responses pass as they
/// come, also those with another status that a [predicate](crate::BearerAuthLayer::with_rejection) takes for
/// rejections.
///
/// The type of the response's body changes to [`ReadAheadBody`].
#[derive(Clone, Copy, Debug)]
pub struct ReadAheadLayer {
    limit: usize,
}

impl ReadAheadLayer {
    /// Reads so many bytes of a body and up to one chunk more; none if the body [says](Body::size_hint) that
    /// it is longer. Nor are more than 256 chunks read.
    pub fn up_to(bytes: usize) -> Self {
        Self { limit: bytes }
    }
}

impl<S> Layer<S> for ReadAheadLayer {
    type Service = ReadAhead<S>;

    fn layer(&self, inner: S) -> ReadAhead<S> {
        let limit = self.limit;
        ReadAhead { inner, limit }
    }
}

/// The service that [`ReadAheadLayer`] makes.
#[derive(Clone, Copy, Debug)]
pub struct ReadAhead<S> {
    inner: S,
    limit: usize,
}

impl<S, Request, B> Service<Request> for ReadAhead<S>
where
    S: Service<Request, Response = Response<B>>,
    B: Body + Unpin,
{
    type Response = Response<ReadAheadBody<B>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        ResponseFuture {
            state: State::Waiting {
                response: self.inner.call(request),
                limit: self.limit,
            },
        }
    }
}

pin_project! {
    /// Response future of [`ReadAhead`].
    ///
    /// # Cancel safety
    ///
    /// Dropping it cancels the request, as it does with the inner service.
    ///
    /// # Panics
    ///
    /// If it is polled after it has returned its response.
    pub struct ResponseFuture<F, B: Body> {
        #[pin]
        state: State<F, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, B: Body> {
        // Waits for the head.
        Waiting {
            #[pin]
            response: F,
            limit: usize,
        },
        // Waits for the body, for a while. Boxed, since it is seldom needed.
        Reading { reading: Option<Box<Reading<B>>> },
    }
}

struct Reading<B: Body> {
    head: Parts,
    body: ReadAheadBody<B>,
    limit: usize,
    /// Made when there is something to wait for.
    time_limit: Option<Delay>,
}

impl<F, B, E> Future for ResponseFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body + Unpin,
{
    type Output = Result<Response<ReadAheadBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                // Waiting => Reading | done
                StateProj::Waiting { response, limit } => {
                    let (head, body) = ready!(response.poll(cx))?.into_parts();
                    let is_of_use =
                        head.status.is_client_error() && body.size_hint().lower() <= *limit as u64;
                    let body = ReadAheadBody::new(body);
                    if !is_of_use {
                        return Poll::Ready(Ok(Response::from_parts(head, body)));
                    }
                    let reading = Box::new(Reading {
                        head,
                        body,
                        limit: *limit,
                        time_limit: None,
                    });
                    State::Reading {
                        reading: Some(reading),
                    }
                }
                // Reading => done
                StateProj::Reading { reading } => {
                    let at_work = reading.as_mut().expect("polled after completion");
                    ready!(at_work.poll(cx));
                    let Reading { head, body, .. } =
                        *reading.take().expect("polled after completion");
                    return Poll::Ready(Ok(Response::from_parts(head, body)));
                }
            };
            state.set(next);
        }
    }
}

impl<B: Body + Unpin> Reading<B> {
    /// Reads to the end or a limit.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.body.poll_read_ahead(cx, self.limit).is_ready() {
            return Poll::Ready(());
        }
        let time_limit = self
            .time_limit
            .get_or_insert_with(|| Delay::new(TIME_LIMIT));
        time_limit.poll_unpin(cx)
    }
}

impl<F, B: Body> std::fmt::Debug for ResponseFuture<F, B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
