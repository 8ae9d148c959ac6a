//! What is measured and how one request is sent.

#![allow(dead_code)] // No bench uses all of it.

use std::convert::Infallible;
use std::future::{self, Future};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use tower::Service;
use tower_bearer::{
    AccessToken, BearerAuthLayer, TokenCache, TokenProvider, TokenRequest, replay, token_fn,
};

pub type HttpRequest = Request<Full<Bytes>>;

pub const ORIGIN: &str = "https://api.example.com";

/// Of 1,024 bytes.
pub fn token() -> String {
    "x".repeat(1024)
}

/// Three headers and a small body.
pub fn request() -> HttpRequest {
    request_with(HeaderValue::from_static)
}

/// The same, whose header values were made at run time.
pub fn request_at_run_time() -> HttpRequest {
    request_with(|text| HeaderValue::from_str(text).expect("a header value"))
}

fn request_with(value: impl Fn(&'static str) -> HeaderValue) -> HttpRequest {
    Request::post(format!("{ORIGIN}/v1/accounts"))
        .header(ACCEPT, value("application/json"))
        .header(CONTENT_TYPE, value("application/json"))
        .header(USER_AGENT, value("contenders/1.0"))
        .body(Full::new(Bytes::from_static(b"{\"page\":1}")))
        .expect("a request")
}

/// What is asked for by name, rather than the default token.
pub fn accounts() -> TokenRequest {
    TokenRequest::default()
        .with_scope("accounts:read")
        .with_tenant("example")
}

/// A layer whose cache holds `token`, under the default key and under `accounts`.
pub fn layer(token: &str, accounts: &TokenRequest) -> BearerAuthLayer<impl TokenProvider + use<>> {
    let token = AccessToken::new(token)
        .expect("a token")
        .with_expires_in(Duration::from_secs(3600));
    let cache = TokenCache::new(token_fn(move |_| future::ready(Ok(token.clone()))));
    for cache in [cache.clone(), cache.for_request(accounts)] {
        futures_executor::block_on(cache.token()).expect("a token");
    }
    BearerAuthLayer::for_origin(cache, ORIGIN).expect("an origin")
}

/// The same, whose requests are sent once.
pub fn never(
    token: &str,
    accounts: &TokenRequest,
) -> BearerAuthLayer<impl TokenProvider + use<>, replay::Never> {
    layer(token, accounts).with_replay(replay::Never)
}

/// Never inlined, so that all contenders are called alike.
#[inline(never)]
pub fn send<S>(service: &mut S, request: HttpRequest)
where
    S: Service<HttpRequest, Response = Response<()>>,
{
    let cx = &mut Context::from_waker(Waker::noop());
    let Poll::Ready(Ok(())) = service.poll_ready(cx) else {
        panic!("the service is always ready");
    };
    let response = pin!(service.call(request));
    let Poll::Ready(Ok(response)) = response.poll(cx) else {
        panic!("the service answers at once");
    };
    black_box(response);
}

/// Is always ready and answers at once.
#[derive(Clone)]
pub struct Ready;

impl Service<HttpRequest> for Ready {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = future::Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequest) -> Self::Future {
        drop(black_box(request));
        future::ready(Ok(Response::new(())))
    }
}
