//! What the types of the layer promise.

use std::cell::Cell;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Frame, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use static_assertions::{assert_impl_all, assert_not_impl_any};
use tower::{Layer, Service};
use tower_bearer::error::{BoxError, MissingTokenRequest, OriginNotAllowed};
use tower_bearer::future::ResponseFuture;
use tower_bearer::provider::BoxTokenProvider;
use tower_bearer::read_ahead::{self, ReadAhead, ReadAheadBody, ReadAheadLayer};
use tower_bearer::rejection::NotRetried;
use tower_bearer::replay::{InMemory, Never, ReplayBody, Streaming};
use tower_bearer::{
    AccessToken, BearerAuth, BearerAuthLayer, FetchError, FetchErrorKind, TokenCache, TokenRequest,
};

use self::layer_support::socket::HttpClient;
use self::layer_support::{Issuer, URL, get, layer, token};

mod layer_support;

type Body = Full<Bytes>;
type Auth<R = InMemory> = BearerAuth<HttpClient, BoxTokenProvider, R>;

type Answer<R = InMemory> = ResponseFuture<HttpClient, BoxTokenProvider, R, Body>;

assert_impl_all!(BearerAuthLayer<BoxTokenProvider>: Clone, Send, Sync, Unpin, std::fmt::Debug);
assert_impl_all!(TokenCache: Clone, Send, Sync, Unpin);
assert_impl_all!(AccessToken: Clone, Send, Sync, Unpin);
assert_impl_all!(TokenRequest: Clone, Send, Sync, Unpin);
assert_impl_all!(Auth: Clone, Send, Sync, Unpin, Service<Request<Body>, Error = BoxError>);
assert_impl_all!(Auth<Never>: Clone, Send, Sync, Unpin, Service<Request<Body>, Error = BoxError>);
// It is `Send`, `Sync` and `Unpin` if the future of the inner service is.
assert_impl_all!(Answer: Send, Sync, Unpin, Future);
assert_impl_all!(Answer<Never>: Send, Sync, Unpin, Future);
assert_not_impl_any!(ResponseFuture<Frugal, BoxTokenProvider, InMemory, Odd>: Send, Sync, Unpin);
// What is kept of a stream is shared by two, of which one may be on another thread.
type Stream = UnsyncBoxBody<Bytes, BoxError>;
type Streamed = Client<HttpConnector, ReplayBody<Stream>>;
assert_impl_all!(ReplayBody<Stream>: Send, Unpin);
assert_impl_all!(ResponseFuture<Streamed, BoxTokenProvider, Streaming, Stream>: Send, Unpin, Future);
assert_impl_all!(ReadAheadLayer: Clone, Copy, Send, Sync, Unpin, std::fmt::Debug);
assert_impl_all!(ReadAhead<HttpClient>: Clone, Send, Sync, Unpin, std::fmt::Debug);
assert_impl_all!(ReadAheadBody<Incoming>: Send, Sync, Unpin, std::fmt::Debug);
assert_impl_all!(ReadAheadBody<Stream>: Send, Unpin);
assert_impl_all!(read_ahead::ResponseFuture<Answer, Incoming>: Send, Sync, Unpin, Future);
// reqwest's own is `Send`, `Sync` and `Unpin`.
#[cfg(feature = "reqwest")]
mod over_reqwest {
    use reqwest::Client;
    use tower_bearer::reqwest::{ReqwestTransport, ResponseFuture};

    use super::*;

    assert_impl_all!(ResponseFuture<Client, BoxTokenProvider>: Send, Sync, Unpin, Future);
    assert_impl_all!(ResponseFuture<Client, BoxTokenProvider, Never>: Send, Sync, Unpin, Future);
    assert_impl_all!(ResponseFuture<Client, BoxTokenProvider, Streaming>: Send, Unpin, Future);
    assert_impl_all!(ReqwestTransport: Clone, Send, Sync, Unpin, std::fmt::Debug);
}

assert_impl_all!(FetchError: std::error::Error, Clone, Send, Sync);
assert_impl_all!(OriginNotAllowed: std::error::Error, Send, Sync);
assert_impl_all!(MissingTokenRequest: std::error::Error, Send, Sync);
assert_impl_all!(NotRetried: std::fmt::Display, Clone, Send, Sync);

#[cfg(feature = "tonic")]
mod grpc {
    use tonic::Status;
    use tonic::body::Body;
    use tower_bearer::tonic::{GrpcAuth, GrpcAuthLayer, GrpcFuture};

    use super::*;

    type Channel = Client<HttpConnector, Body>;
    type Auth = GrpcAuth<Channel, BoxTokenProvider>;
    type Answer = GrpcFuture<Channel, BoxTokenProvider>;

    assert_impl_all!(GrpcAuthLayer<BoxTokenProvider>: Clone, Send, Sync, Unpin, std::fmt::Debug);
    assert_impl_all!(Auth: Clone, Send, Sync, Unpin, std::fmt::Debug);
    assert_impl_all!(Auth: Service<Request<Body>, Error = Status, Future = Answer>);
    // Bodies of tonic's are not `Sync`.
    assert_impl_all!(Answer: Send, Unpin, Future, std::fmt::Debug);
}

/// A body of which nothing but `Send` is known.
struct Odd(#[allow(dead_code)] Cell<u8>);
assert_not_impl_any!(Odd: Clone, Sync, Default);

impl hyper::body::Body for Odd {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(None)
    }
}

/// A service of which nothing but `Clone` is known, whose future is neither `Unpin` nor `Send`, and
/// whose response cannot be copied.
#[derive(Clone)]
struct Frugal;

impl<B> Service<Request<B>> for Frugal {
    type Response = Response<Odd>;
    type Error = &'static str;
    type Future = Small;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Small {
        Small {
            _anything: [0; 2],
            _not_unpin: std::marker::PhantomPinned,
            _not_send: PhantomData,
        }
    }
}

struct Small {
    _anything: [u64; 2],
    _not_unpin: std::marker::PhantomPinned,
    _not_send: PhantomData<*const ()>,
}

impl Future for Small {
    type Output = Result<Response<Odd>, &'static str>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(Response::new(Odd(Cell::new(1)))))
    }
}

#[tokio::test]
async fn a_body_need_be_neither_clone_nor_sync_nor_default_and_a_future_neither_send_nor_unpin() {
    let request = || Request::get(URL).body(Odd(Cell::new(1))).unwrap();
    let layer = layer(&Issuer::new());

    let response = layer.layer(Frugal).call(request()).await.unwrap();
    assert_eq!(response.status(), 200);
    let never = layer.clone().with_replay(Never);
    let response = never.layer(Frugal).call(request()).await.unwrap();
    assert_eq!(response.status(), 200);
    let streaming = layer.with_replay(Streaming::up_to(64));
    let response = streaming.layer(Frugal).call(request()).await.unwrap();
    assert_eq!(response.status(), 200);
}

/// Those of `async fn`s are not `Unpin`.
#[test]
fn the_futures_of_a_cache_can_be_spawned() {
    fn is_send<F: Future + Send>(_: F) {}

    let cache = TokenCache::new(Issuer::new());
    is_send(cache.token());
    is_send(cache.refresh());
    is_send(cache.replacement_for(&token("abc")));
    is_send(cache.close());
    let boxed = TokenCache::new(BoxTokenProvider::new(Issuer::new()));
    is_send(boxed.token());
    is_send(async move { boxed.token().await });
}

#[tokio::test]
async fn the_response_type_is_unchanged() {
    let response: Response<Odd> = layer(&Issuer::new())
        .layer(Frugal)
        .call(get(URL))
        .await
        .unwrap();
    drop(response);
}

#[test]
fn debug_of_the_future_shows_no_secret() {
    let request = Request::get("https://api.example.com/?key=hunter2")
        .header("x-key", "hunter2")
        .body("hunter2".to_owned())
        .unwrap();
    let future = layer(&Issuer::new()).layer(Frugal).call(request);

    assert!(!format!("{future:?}").contains("hunter2"));
}

#[test]
fn errors_say_what_to_do_and_nothing_of_the_request() {
    let source = "password hunter2";
    let error: BoxError = FetchError::denied(source).into();
    assert!(!format!("{error} {error:?}").contains("hunter2"));
    let kind = error.downcast_ref::<FetchError>().unwrap().kind();
    assert_eq!(kind, FetchErrorKind::Denied);
}
