//! What is measured and how one request is sent.

#![allow(dead_code)] // No bench uses all of it.

use std::convert::Infallible;
use std::future::{self, Future};
use std::hint::black_box;
use std::pin::pin;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use tower::{Layer, Service};
use tower_bearer::{
    AccessToken, BearerAuthLayer, TokenCache, TokenProvider, TokenRequest, replay, token_fn,
};
use tower_http::auth::AddAuthorizationLayer;

use self::hand_written::HandWritten;

mod hand_written;

pub type HttpRequest = Request<Full<Bytes>>;

const ORIGIN: &str = "https://api.example.com";

/// One way to send a request.
pub struct Contender {
    /// The same in all benches.
    pub name: &'static str,
    pub sent: Sent,
    /// In bytes.
    pub future_size: usize,
    pub send: Box<dyn FnMut(HttpRequest)>,
}

/// What is sent, and the contender that does nothing to it.
#[derive(Clone, Copy)]
pub struct Sent {
    pub bare: &'static str,
    pub request: fn() -> HttpRequest,
}

impl Sent {
    const fn new(bare: &'static str, request: fn() -> HttpRequest) -> Self {
        Self { bare, request }
    }
}

const PLAIN: Sent = Sent::new("bare", request);
const KEYED: Sent = Sent::new("bare_keyed", request_keyed);
const AT_RUN_TIME: Sent = Sent::new("bare_at_run_time", request_at_run_time);
const OTHER_EXTENSIONS: Sent =
    Sent::new("bare_with_other_extensions", request_with_other_extensions);

/// The bare services, and then all that is compared with them: what is in `instructions`, by the same names.
pub fn all() -> Vec<Contender> {
    let bare = |sent: Sent| Contender::new(sent.bare, Ready, NO_TOKEN, sent);
    vec![
        bare(PLAIN),
        bare(KEYED),
        bare(AT_RUN_TIME),
        bare(OTHER_EXTENSIONS),
        Contender::new(
            "add_authorization",
            static_token().layer(Ready),
            TOKEN,
            PLAIN,
        ),
        Contender::new("hand_written", hand_written(Ready), TOKEN, PLAIN),
        Contender::new("never", never().layer(Ready), TOKEN, PLAIN),
        Contender::new(
            "never_short_token",
            short_token().layer(Ready),
            SHORT_TOKEN,
            PLAIN,
        ),
        Contender::new(
            "never_eight_origins",
            eight_origins().layer(Ready),
            TOKEN,
            PLAIN,
        ),
        Contender::new(
            "never_with_other_extensions",
            never().layer(Ready),
            TOKEN,
            OTHER_EXTENSIONS,
        ),
        Contender::new("never_keyed", never().layer(Ready), TOKEN, KEYED),
        Contender::new("in_memory", in_memory().layer(Ready), TOKEN, PLAIN),
        Contender::new(
            "in_memory_at_run_time",
            in_memory().layer(Ready),
            TOKEN,
            AT_RUN_TIME,
        ),
        Contender::new("in_memory_keyed", in_memory().layer(Ready), TOKEN, KEYED),
    ]
}

impl Contender {
    fn new<S>(name: &'static str, mut service: S, token: Option<usize>, sent: Sent) -> Self
    where
        S: Service<HttpRequest, Response = Response<()>> + 'static,
    {
        if LOOKS {
            send(&mut service, (sent.request)());
            let expected = token.map(|length| "Bearer ".len() + length);
            assert_eq!(*arrived(), Vec::from_iter(expected), "{name}");
        }
        Self {
            name,
            sent,
            future_size: size_of::<S::Future>(),
            send: Box::new(move |request| send(&mut service, request)),
        }
    }

    pub fn is_bare(&self) -> bool {
        self.name == self.sent.bare
    }
}

/// Lengths of the tokens with which requests arrive.
const TOKEN: Option<usize> = Some(1024);
const SHORT_TOKEN: Option<usize> = Some(1);
const NO_TOKEN: Option<usize> = None;

pub fn static_token() -> AddAuthorizationLayer {
    AddAuthorizationLayer::bearer(&token())
}

/// That has a token.
pub fn hand_written<S>(service: S) -> HandWritten<S> {
    HandWritten::new(service, &token())
}

pub fn in_memory() -> BearerAuthLayer<impl TokenProvider> {
    layer(&token())
}

/// Requests are sent once.
pub fn never() -> BearerAuthLayer<impl TokenProvider, replay::Never> {
    in_memory().with_replay(replay::Never)
}

pub fn short_token() -> BearerAuthLayer<impl TokenProvider, replay::Never> {
    layer("x").with_replay(replay::Never)
}

/// Of which the last is the one.
pub fn eight_origins() -> BearerAuthLayer<impl TokenProvider, replay::Never> {
    let cache = in_memory().cache().clone();
    let mut layer =
        BearerAuthLayer::for_origin(cache, "https://ap1.example.com").expect("an origin");
    for number in 2..8 {
        let origin = format!("https://ap{number}.example.com");
        layer = layer.allow_origin(origin).expect("an origin");
    }
    layer
        .allow_origin(ORIGIN)
        .expect("an origin")
        .with_replay(replay::Never)
}

/// Of 1,024 bytes.
fn token() -> String {
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

/// That asks for a token by name, rather than for the default one.
pub fn request_keyed() -> HttpRequest {
    let mut request = request();
    request.extensions_mut().insert(ACCOUNTS.clone());
    request
}

pub fn request_with_other_extensions() -> HttpRequest {
    let mut request = request();
    request.extensions_mut().insert(1_u8);
    request.extensions_mut().insert("text");
    request.extensions_mut().insert(String::from("text"));
    request
}

static ACCOUNTS: LazyLock<TokenRequest> = LazyLock::new(|| {
    TokenRequest::default()
        .with_scope("accounts:read")
        .with_tenant("example")
});

/// A layer whose cache holds `token`, under the default key and under `ACCOUNTS`.
fn layer(token: &str) -> BearerAuthLayer<impl TokenProvider + use<>> {
    let token = AccessToken::new(token)
        .expect("a token")
        .with_expires_in(Duration::from_secs(3600));
    let cache = TokenCache::new(token_fn(move |_| future::ready(Ok(token.clone()))));
    for cache in [cache.clone(), cache.for_request(&ACCOUNTS)] {
        futures_executor::block_on(cache.token()).expect("a token");
    }
    BearerAuthLayer::for_origin(cache, ORIGIN).expect("an origin")
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

/// Whether it is looked at what arrives: by `cargo test`. What is measured would be compiled otherwise for it.
const LOOKS: bool = cfg!(debug_assertions);

/// How long each `Authorization` of the last request is.
fn arrived() -> MutexGuard<'static, Vec<usize>> {
    static ARRIVED: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    ARRIVED.lock().unwrap_or_else(PoisonError::into_inner)
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
        if LOOKS {
            let tokens = request.headers().get_all(AUTHORIZATION);
            let mut arrived = arrived();
            arrived.clear();
            arrived.extend(tokens.iter().map(HeaderValue::len));
        }
        drop(black_box(request));
        future::ready(Ok(Response::new(())))
    }
}
