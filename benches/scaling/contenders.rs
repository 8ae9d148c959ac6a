//! Ways to send a request that comes back with the answer.

use std::convert::Infallible;
use std::future::{self, Future};
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service};
use tower_bearer::{AccessToken, BearerAuthLayer, replay, token_fn};
use tower_http::auth::AddAuthorizationLayer;

pub(crate) type HttpRequest = Request<Full<Bytes>>;

const ORIGIN: &str = "https://api.example.com";

pub(crate) const WAYS: [&str; 3] = [
    "a clone for each thread",
    "cloned for each request",
    "one client, cloned for each request",
];
pub(crate) const NAMES: [&str; 4] = [
    "bare service",
    "AddAuthorizationLayer",
    "BearerAuth, Never",
    "BearerAuth, InMemory",
];
pub(crate) const BARE: usize = 0;
pub(crate) const STATIC: usize = 1;

/// In the order of their names, and makes of each what a thread sends requests with: for each way of use.
#[derive(Clone)]
pub(crate) struct Contenders(Arc<[Box<Ways>]>);

type Ways = dyn Fn() -> [Sending; WAYS.len()] + Send + Sync;

/// Sends a request so often, and returns it as it came back at last.
pub(crate) type Sending = Box<dyn FnMut(HttpRequest, usize) -> HttpRequest>;

impl Contenders {
    pub(crate) fn new(token: &AccessToken, provider_calls: &Arc<AtomicUsize>) -> Self {
        let secret = token.header_value().to_str().expect("ASCII");
        let secret = secret.strip_prefix("Bearer ").expect("a bearer token");
        let add_authorization = AddAuthorizationLayer::bearer(secret).as_sensitive(true);

        let (token, calls) = (token.clone(), Arc::clone(provider_calls));
        let provider = token_fn(move |_| {
            calls.fetch_add(1, Ordering::Relaxed);
            let token = token.clone();
            future::ready(Ok(token.with_expires_in(Duration::from_secs(3600))))
        });
        let in_memory = BearerAuthLayer::for_origin(provider, ORIGIN).expect("an origin");
        futures_executor::block_on(in_memory.cache().token()).expect("a token");
        let never = in_memory.clone().with_replay(replay::Never);
        Self(Arc::new([
            ways(GiveBack),
            ways(add_authorization.layer(GiveBack)),
            ways(never.layer(GiveBack)),
            ways(in_memory.layer(GiveBack)),
        ]))
    }

    /// By contender and way of use. To be called by the thread that sends, so that its clones are in memory
    /// of its own.
    pub(crate) fn for_this_thread(&self) -> Vec<[Sending; WAYS.len()]> {
        self.0.iter().map(|ways| ways()).collect()
    }
}

fn ways<S>(service: S) -> Box<Ways>
where
    S: Service<HttpRequest, Response = Response<HttpRequest>> + Clone + Send + Sync + 'static,
{
    let shared = Arc::new(service);
    Box::new(move || {
        let (mut own, cloned, shared) = ((*shared).clone(), (*shared).clone(), Arc::clone(&shared));
        [
            Box::new(move |request, times| {
                again(request, times, |request| send(&mut own, request))
            }),
            Box::new(move |request, times| {
                again(request, times, |request| send(&mut cloned.clone(), request))
            }),
            Box::new(move |request, times| {
                again(request, times, |request| {
                    send(&mut S::clone(&shared), request)
                })
            }),
        ]
    })
}

fn again(
    mut request: HttpRequest,
    times: usize,
    mut send: impl FnMut(HttpRequest) -> HttpRequest,
) -> HttpRequest {
    for _ in 0..times {
        request.headers_mut().remove(AUTHORIZATION);
        request = send(request);
    }
    request
}

fn send<S>(service: &mut S, request: HttpRequest) -> HttpRequest
where
    S: Service<HttpRequest, Response = Response<HttpRequest>>,
{
    let cx = &mut Context::from_waker(Waker::noop());
    let Poll::Ready(Ok(())) = service.poll_ready(cx) else {
        panic!("the service is always ready");
    };
    let response = pin!(service.call(request));
    let Poll::Ready(Ok(response)) = response.poll(cx) else {
        panic!("the service answers at once");
    };
    response.into_body()
}

/// Is always ready and answers at once, with the request.
#[derive(Clone)]
struct GiveBack;

impl Service<HttpRequest> for GiveBack {
    type Response = Response<HttpRequest>;
    type Error = Infallible;
    type Future = future::Ready<Result<Response<HttpRequest>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequest) -> Self::Future {
        future::ready(Ok(Response::new(black_box(request))))
    }
}

/// Three headers and a small body. Nothing of it is shared with other requests that are built.
pub(crate) fn request() -> HttpRequest {
    Request::post(format!("{ORIGIN}/v1/accounts"))
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, "scaling/1.0")
        .body(Full::new(Bytes::from_static(b"{\"page\":1}")))
        .expect("a request")
}
