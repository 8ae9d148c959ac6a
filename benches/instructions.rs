//! What the layer costs a request for which there is a token at hand, in instructions: the same figure on
//! a busy machine as on an idle one. Needs valgrind, and `gungraun-runner` of the version of `gungraun` in
//! `Cargo.lock`.
//!
//! Each contender has sent a request before the one that is counted. Under valgrind a clock is read by a
//! system call, whose instructions are not counted: `overhead` says what it takes.
//!
//! `benches/run --check` counts, and compares what each contender adds to its bare service with
//! `instructions.baseline`. The bare service of a contender is the one whose name ends alike: that of
//! `never_keyed` is `bare_keyed`, and if there is none, `bare`. What a compiler, a C library or a processor
//! of another kind makes of the same source differs, though by little.
//!
//! What is aimed at, without being reached in all: over its bare service, `never` at most 1.5 times what
//! `add_authorization` adds, although that one looks at no origin and at no clock; `in_memory` at most 4 times,
//! and `never_keyed` at most 8 times. Neither the token's length, nor up to eight origins, nor other extensions
//! of the request should matter to `never`. What is reached is in README.
//!
//! `cargo test` counts nothing: it needs neither of the tools. `overhead` sends the same, and there `cargo test`
//! looks at what arrives: the token, once.

#![allow(missing_docs)] // The macros make public items.

/// Counting is all that this does, and it takes valgrind.
fn main() {
    let mut args = std::env::args().skip(1);
    if args.any(|arg| arg == "--bench" || arg == "--gungraun-run") {
        counted::run();
    }
}

mod contenders;

mod counted {
    use gungraun::{library_benchmark, library_benchmark_group, main};
    use tower::{Layer, Service};

    use super::contenders::{
        HttpRequest, Ready, eight_origins, hand_written, in_memory, never, request,
        request_at_run_time as at_run_time, request_keyed as keyed,
        request_with_other_extensions as other_extensions, send, short_token, static_token,
    };

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

    #[library_benchmark]
    #[bench::bare(warm(Ready, request))]
    #[bench::bare_keyed(warm(Ready, keyed))]
    #[bench::bare_at_run_time(warm(Ready, at_run_time))]
    #[bench::bare_with_other_extensions(warm(Ready, other_extensions))]
    #[bench::add_authorization(warm(static_token().layer(Ready), request))]
    #[bench::hand_written(warm(hand_written(Ready), request))]
    #[bench::never(warm(never().layer(Ready), request))]
    #[bench::never_short_token(warm(short_token().layer(Ready), request))]
    #[bench::never_eight_origins(warm(eight_origins().layer(Ready), request))]
    #[bench::never_with_other_extensions(warm(never().layer(Ready), other_extensions))]
    #[bench::never_keyed(warm(never().layer(Ready), keyed))]
    #[bench::in_memory(warm(in_memory().layer(Ready), request))]
    #[bench::in_memory_at_run_time(warm(in_memory().layer(Ready), at_run_time))]
    #[bench::in_memory_keyed(warm(in_memory().layer(Ready), keyed))]
    fn hit<S>((mut service, request): (S, HttpRequest)) -> S
    where
        S: Service<HttpRequest, Response = http::Response<()>>,
    {
        send(&mut service, request);
        service
    }

    library_benchmark_group!(name = hits, benchmarks = hit);
    main!(library_benchmark_groups = hits);

    pub(super) fn run() {
        main();
    }
}
