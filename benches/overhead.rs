//! What the layer costs a request for which there is a token at hand.
//!
//! The inner service answers at once and the futures are polled by hand, so that nothing but the layers
//! is measured. Building requests is not part of it. After criterion's own groups comes a table of costs
//! over the bare service, for which all contenders are measured in turn, many times over: what happens
//! to the machine meanwhile happens to all of them.

// It is how a bench speaks.
#![allow(clippy::print_stdout)]

use std::convert::Infallible;
use std::future::{self, Future};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BatchSize, Criterion};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use tower::{Layer, Service};
use tower_bearer::{AccessToken, BearerAuthLayer, TokenCache, TokenRequest, replay, token_fn};
use tower_http::auth::AddAuthorizationLayer;
use tower_http::set_header::SetRequestHeaderLayer;

type HttpRequest = Request<Full<Bytes>>;

const ORIGIN: &str = "https://api.example.com";

/// Requests that are timed together.
const BATCH: u32 = 128;

/// So often all contenders are measured.
const ROUNDS: usize = 20_000;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let mut group = criterion.benchmark_group("hit");
    for contender in &mut contenders() {
        let request = &contender.request;
        let send = &mut contender.send;
        group.bench_function(contender.name, |bencher| {
            bencher.iter_batched(|| request.clone(), &mut *send, BatchSize::SmallInput);
        });
    }
    group.finish();
    criterion.final_summary();

    // As criterion decides it: `cargo test` only runs everything once.
    let is_bench = std::env::args().any(|arg| arg == "--bench");
    let is_test = std::env::args().any(|arg| arg == "--test" || arg == "--list");
    if is_bench && !is_test {
        compare();
    }
}

/// One way to send a request.
struct Contender {
    name: &'static str,
    /// The contender that sends the same request and does nothing to it.
    bare: usize,
    request: HttpRequest,
    send: Box<dyn FnMut(HttpRequest)>,
}

const BARE: usize = 0;
const BARE_WITH_EXTENSION: usize = 1;
const STATIC_HEADER: usize = 2;

fn contenders() -> Vec<Contender> {
    let token = "x".repeat(1024);
    let bearer = HeaderValue::try_from(format!("Bearer {token}")).expect("a header value");
    let static_header = SetRequestHeaderLayer::overriding(AUTHORIZATION, bearer);
    let static_token = AddAuthorizationLayer::bearer(&token);

    // What is asked for: the default token, or one by name.
    let accounts = TokenRequest::default()
        .with_scope("accounts:read")
        .with_tenant("example");
    let cache = warm_cache(&token, &accounts);
    let in_memory = BearerAuthLayer::for_origin(cache, ORIGIN).expect("an origin");
    let never = in_memory.clone().with_replay(replay::Never);

    let request = request();
    let mut request_by_name = request.clone();
    request_by_name.extensions_mut().insert(accounts.clone());

    let plain = |name, send| Contender {
        name,
        bare: BARE,
        request: request.clone(),
        send,
    };
    let by_name = |name, send| Contender {
        name,
        bare: BARE_WITH_EXTENSION,
        request: request_by_name.clone(),
        send,
    };
    let mut keyed = never.layer(Ready);
    let keyed_anew = Box::new(move |mut request: HttpRequest| {
        request.extensions_mut().insert(accounts.clone());
        send(&mut keyed, request);
    });

    // In the order of the constants above.
    vec![
        plain("bare service", sending(Ready)),
        by_name("bare service, request with extension", sending(Ready)),
        plain("SetRequestHeaderLayer", sending(static_header.layer(Ready))),
        plain("AddAuthorizationLayer", sending(static_token.layer(Ready))),
        plain("BearerAuth, Never", sending(never.layer(Ready))),
        plain("BearerAuth, InMemory", sending(in_memory.layer(Ready))),
        by_name("BearerAuth, Never, keyed", sending(never.layer(Ready))),
        plain("the same, extension put on", keyed_anew),
    ]
}

/// Three headers and a small body.
fn request() -> HttpRequest {
    Request::post(format!("{ORIGIN}/v1/accounts"))
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, "overhead/1.0")
        .body(Full::new(Bytes::from_static(b"{\"page\":1}")))
        .expect("a request")
}

fn warm_cache(token: &str, by_name: &TokenRequest) -> TokenCache<impl tower_bearer::TokenProvider> {
    let token = AccessToken::new(token)
        .expect("a token")
        .with_expires_in(Duration::from_secs(3600));
    let cache = TokenCache::new(token_fn(move |_| future::ready(Ok(token.clone()))));
    for cache in [cache.clone(), cache.for_request(by_name)] {
        futures_executor::block_on(cache.token()).expect("a token");
    }
    cache
}

fn sending<S, E>(mut service: S) -> Box<dyn FnMut(HttpRequest)>
where
    S: Service<HttpRequest, Response = Response<()>, Error = E> + 'static,
{
    Box::new(move |request| send(&mut service, request))
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
        panic!("the service answers at once");
    };
    black_box(response);
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

/// Measures all contenders in turn, and prints what they cost over the bare service: the median of the
/// differences within a round.
fn compare() {
    let mut contenders = contenders();
    let mut nanos: Vec<Vec<f64>> = vec![Vec::new(); contenders.len()];
    for round in 0..ROUNDS {
        for turn in 0..contenders.len() {
            // Nobody always comes after the same one.
            let i = (turn + round) % contenders.len();
            nanos[i].push(nanos_per_request(&mut contenders[i]));
        }
    }

    let over_bare = |i: usize| {
        let bare = &nanos[contenders[i].bare];
        median(nanos[i].iter().zip(bare).map(|(own, bare)| own - bare))
    };
    let static_header = over_bare(STATIC_HEADER);
    println!("\n{ROUNDS} rounds of {BATCH} requests each, medians");
    println!("| contender | ns/request | over bare | ratio to static header |");
    println!("|---|--:|--:|--:|");
    for (i, contender) in contenders.iter().enumerate() {
        let (name, own) = (contender.name, median(nanos[i].iter().copied()));
        if i == BARE || i == BARE_WITH_EXTENSION {
            println!("| {name} | {own:.1} | | |");
        } else {
            let over = over_bare(i);
            let ratio = over / static_header;
            println!("| {name} | {own:.1} | {over:.1} | {ratio:.2} |");
        }
    }
    println!("\nKeyed requests are compared with the bare service and the same extension.");
    println!("Where it is put on, that counts too, and its removal with the request.");
}

fn nanos_per_request(contender: &mut Contender) -> f64 {
    let requests: Vec<_> = (0..BATCH).map(|_| contender.request.clone()).collect();
    let start = Instant::now();
    for request in requests {
        (contender.send)(request);
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
