//! What the layer costs a request for which there is a token at hand, in instructions: the same figure on
//! a busy machine as on an idle one. Needs valgrind and gungraun-runner.
//!
//! Each contender has sent a request before the one that is counted. Under valgrind a clock is read by a
//! system call, whose instructions are not counted.

use std::sync::LazyLock;

use gungraun::{library_benchmark, library_benchmark_group, main};
use tower::{Layer, Service};
use tower_bearer::{BearerAuthLayer, TokenProvider, TokenRequest};
use tower_http::auth::AddAuthorizationLayer;

use self::contenders::{
    HttpRequest, ORIGIN, Ready, accounts, request, request_at_run_time, send, token,
};

mod contenders;

/// A service that has sent a request before, and another request.
fn warm<S>(mut service: S, request: fn() -> HttpRequest) -> (S, HttpRequest)
where
    S: Service<HttpRequest, Response = http::Response<()>>,
{
    for _ in 0..3 {
        send(&mut service, request());
    }
    (service, request())
}

fn keyed() -> HttpRequest {
    static ACCOUNTS: LazyLock<TokenRequest> = LazyLock::new(accounts);

    let mut request = request();
    request.extensions_mut().insert(ACCOUNTS.clone());
    request
}

fn with_other_extensions() -> HttpRequest {
    let mut request = request();
    request.extensions_mut().insert(1_u8);
    request.extensions_mut().insert("text");
    request.extensions_mut().insert(String::from("text"));
    request
}

fn static_token() -> AddAuthorizationLayer {
    AddAuthorizationLayer::bearer(&token())
}

fn never() -> BearerAuthLayer<impl TokenProvider, tower_bearer::replay::Never> {
    contenders::never(&token(), &accounts())
}

fn in_memory() -> BearerAuthLayer<impl TokenProvider> {
    contenders::layer(&token(), &accounts())
}

fn short_token() -> BearerAuthLayer<impl TokenProvider, tower_bearer::replay::Never> {
    contenders::never("x", &accounts())
}

/// Of which the last is the one.
fn eight_origins() -> BearerAuthLayer<impl TokenProvider, tower_bearer::replay::Never> {
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
        .with_replay(tower_bearer::replay::Never)
}

#[library_benchmark]
#[bench::bare(warm(Ready, request))]
#[bench::bare_keyed(warm(Ready, keyed))]
#[bench::bare_with_other_extensions(warm(Ready, with_other_extensions))]
#[bench::add_authorization(warm(static_token().layer(Ready), request))]
#[bench::never(warm(never().layer(Ready), request))]
#[bench::never_short_token(warm(short_token().layer(Ready), request))]
#[bench::never_eight_origins(warm(eight_origins().layer(Ready), request))]
#[bench::never_with_other_extensions(warm(never().layer(Ready), with_other_extensions))]
#[bench::in_memory(warm(in_memory().layer(Ready), request))]
#[bench::bare_at_run_time(warm(Ready, request_at_run_time))]
#[bench::in_memory_at_run_time(warm(in_memory().layer(Ready), request_at_run_time))]
#[bench::keyed(warm(never().layer(Ready), keyed))]
#[bench::keyed_in_memory(warm(in_memory().layer(Ready), keyed))]
fn hit<S>((mut service, request): (S, HttpRequest)) -> S
where
    S: Service<HttpRequest, Response = http::Response<()>>,
{
    send(&mut service, request);
    service
}

library_benchmark_group!(name = hits, benchmarks = hit);
main!(library_benchmark_groups = hits);
