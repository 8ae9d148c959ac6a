//! Many keys: what a lookup costs, what a key weighs, whether their number is bounded, and who goes first.
//!
//! A client of many tenants puts a `TokenRequest` on each request. All goes through the layer, as in such a client: the
//! inner service answers at once and the futures are polled by hand, so that nothing but the layer is measured. Building
//! requests is not part of it. Keys are wanted in random order, so that with a million of them nearly every lookup
//! misses the processor's caches several times: for the map, for what is kept of the key, and for its token. That is
//! part of what is measured.

// It is how a bench speaks.
#![allow(clippy::print_stdout)]

use std::convert::Infallible;
use std::future::{self, Future};
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service};
use tower_bearer::cache::TokenCacheBuilder;
use tower_bearer::error::BoxError;
use tower_bearer::{
    AccessToken, BearerAuth, BearerAuthLayer, FetchContext, TokenCache, TokenProvider,
    TokenRequest, replay,
};

mod forgetting;
mod lookups;
mod memory;
mod threads;

type HttpRequest = Request<Full<Bytes>>;

const ORIGIN: &str = "https://api.example.com";
const TOKEN_LENGTH: usize = 1024;

/// How much is done.
struct Effort {
    sizes: &'static [usize],
    /// How long each thing is measured.
    time: Duration,
}

fn main() {
    // As criterion decides it: `cargo test` only runs everything once.
    let is_bench = std::env::args().any(|arg| arg == "--bench");
    let is_test = std::env::args().any(|arg| arg == "--test" || arg == "--list");
    let effort = match is_bench && !is_test {
        true => Effort {
            sizes: &[1, 100, 10_000, 1_000_000],
            time: Duration::from_secs(8),
        },
        false => Effort {
            sizes: &[1, 100, 500],
            time: Duration::from_millis(20),
        },
    };

    memory::report(effort.sizes);
    let clients: Vec<_> = effort.sizes.iter().map(|size| Client::new(*size)).collect();
    lookups::report(&clients, effort.time);
    threads::report(&clients, effort.time);
    let largest = clients.last().expect("a size");
    forgetting::report_longest_lookup(largest, effort.time);
    drop(clients);
    forgetting::report_bound(effort.sizes);
    forgetting::report_who_goes_first();
}

/// A layer over a service that answers at once, whose cache holds a token for each of the keys.
struct Client {
    cache: TokenCache<Issuer>,
    keys: Vec<TokenRequest>,
    service: BearerAuth<Ready, Issuer, replay::Never>,
}

impl Client {
    fn new(size: usize) -> Self {
        let cache = Issuer::default().cache(size).build();
        let keys: Vec<_> = (0..size).map(key).collect();
        keys.iter().for_each(|key| fetch(&cache, key));
        let layer = BearerAuthLayer::for_origin(cache.clone(), ORIGIN).expect("an origin");
        Self {
            cache,
            keys,
            service: layer.with_replay(replay::Never).layer(Ready),
        }
    }

    /// For keys drawn at random.
    fn requests(&self, number: usize) -> Vec<HttpRequest> {
        let keys = std::iter::repeat_with(|| &self.keys[fastrand::usize(..self.keys.len())]);
        keys.take(number).map(request).collect()
    }
}

fn key(number: usize) -> TokenRequest {
    TokenRequest::default()
        .with_scope("accounts:read")
        .with_tenant(format!("tenant-{number:07}"))
}

/// Three headers, a small body, and the key.
fn request(key: &TokenRequest) -> HttpRequest {
    Request::post("https://api.example.com/v1/accounts")
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, "keys/1.0")
        .extension(key.clone())
        .body(Full::new(Bytes::from_static(b"{\"page\":1}")))
        .expect("a request")
}

fn fetch(cache: &TokenCache<impl TokenProvider>, key: &TokenRequest) {
    let token = futures_executor::block_on(cache.for_request(key).token());
    token.expect("a token");
}

fn send<S>(service: &mut S, request: HttpRequest)
where
    S: Service<HttpRequest, Response = Response<()>>,
{
    let cx = &mut Context::from_waker(Waker::noop());
    let Poll::Ready(Ok(())) = service.poll_ready(cx) else {
        panic!("the service is always ready");
    };
    let response = pin!(service.call(request));
    let Poll::Ready(Ok(response)) = response.poll(cx) else {
        panic!("the token is cached and the service answers at once");
    };
    black_box(response);
}

/// Answers at once, with another token each time.
#[derive(Clone, Default)]
struct Issuer {
    calls: Arc<AtomicUsize>,
}

impl Issuer {
    /// For one key more than `max_keys`: the default one.
    fn cache(&self, max_keys: usize) -> TokenCacheBuilder<Self> {
        TokenCache::builder(self.clone()).with_max_keys(max_keys + 1)
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

impl TokenProvider for Issuer {
    async fn fetch_token(&self, _: FetchContext) -> Result<AccessToken, BoxError> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let token = AccessToken::new(&format!("{number:0TOKEN_LENGTH$}"))?;
        Ok(token.with_expires_in(Duration::from_secs(24 * 3600)))
    }
}

/// Is always ready and answers at once.
#[derive(Clone)]
struct Ready;

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

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
