//! For who measures before adopting: what there is, what it shows, and how to measure your own.
//!
//! Figures are in the README of the repository, with the machine that they are from. This page says how they are
//! made.
//!
//! # What is measured
//!
//! Each is run by `cargo bench -p tower-bearer --bench NAME` in a checkout. The head of its file says how its figures
//! are made. By `cargo test -p tower-bearer --bench NAME` all but `instructions` run once, quickly, and assert what must
//! hold, such as the number of fetches. `benches/run` runs all of them, and writes README's figures and its plot.
//!
//! | name | shows | against |
//! |---|---|---|
//! | `overhead` | nanoseconds that the layer adds to a request with a token at hand | tower-http's `AddAuthorizationLayer`, which sets a fixed header; a layer as one writes it by hand |
//! | `instructions` | the same in instructions, counted by callgrind: the same on a busy machine as on an idle one | the same; and itself as it was, by a baseline in the repository |
//! | `allocations` | the same in allocations, and how large futures are | the same |
//! | `storms` | ten thousand tasks on a cold cache, a rejected token, a dead issuer: fetches, and the time over the issuer's own | locks as one writes them by hand |
//! | `latency` | percentiles of requests while tokens live for a second: whether a renewal can be seen | the same, and a service without tokens |
//! | `keys` | up to a million keys: time for each lookup, bytes for each key, who goes first | the same with fewer keys |
//! | `end_to_end` | requests a second of hyper-util's client to a server on loopback, HTTP/1.1 and HTTP/2 | the same client, with a fixed header set by hand; and that against itself, which is the noise |
//! | `scaling` | what two threads do more than one, with a service cloned once a thread or once a request | the bare service, and `AddAuthorizationLayer` |
//!
//! `instructions` needs valgrind, and `gungraun-runner` of the version of `gungraun` in `Cargo.lock`. The others need
//! nothing but patience: a minute or two each.
//!
//! Where contenders are compared, they take turns in one run, so that what happens to the machine happens to all of
//! them. The cost of a contender is what it adds to the bare service, request by request: everything else, such as
//! making the request and the future of the service below, is in both and falls out.
//!
//! # What a hit does
//!
//! A hit is a request for which there is a token that has not ended. In order:
//!
//! | step | why it costs what it does |
//! |---|---|
//! | take the layer's settings, as this thread has them | a reference that, up to 32 threads, only this one counts: that of a shared `Arc` would be written to by all |
//! | look at the request: is it marked, is its origin named, which token does it want? | comparisons: extensions are looked through only if there are some, and an origin that is spelled as it was named is found, among several too, and known by its first and last bytes |
//! | read the clock | one read of the monotonic clock; on Linux usually without a system call |
//! | take the token that this thread saw last, if it is still the current one and fresh | a lock that, up to 32 threads, only this one takes, and that is only tried; two comparisons. Whatever other threads do, nobody waits |
//! | put it on | an insertion into the headers, which also tells whether there was an `Authorization` before, and a reference to the thread's own header value, made when the token came. A token's length does not matter |
//! | copy the request, should it have to be sent again | [`InMemory`]: one allocation, into which all headers are written, however they were made; one more if there are values marked sensitive, which are shared instead, and if there are long ones; what cloning extensions takes; and references. [`Never`]: nothing |
//! | call the service | directly, without a box: the future is the inner one, and beside it what it takes to judge the response |
//! | look at the response, where it is | its status. The first success with a token is noted |
//!
//! What `AddAuthorizationLayer` does of this is the insertion, since its token never changes. The rest is what an
//! expiry, an origin and a retry cost.
//!
//! # What costs more
//!
//! | what | costs |
//! |---|---|
//! | a copy for the retry, [`InMemory`], over [`Never`] | the allocations above. `String` and `Vec<u8>` bodies are copied, `Bytes` are not, and extensions are cloned |
//! | [`Streaming`] | a copy of what is sent, up to its limit |
//! | a [`TokenRequest`](crate::TokenRequest) on the request | a lookup by a hash that was computed when it was made, and another for an `Authorization`; the token's own header value is then one that all threads share. To make a new one for each request allocates, and hashes it |
//! | [extra headers](crate::BearerAuthLayer::with_header) | a lookup, an insertion and a reference each |
//! | [`with_token_chosen_by`](crate::BearerAuthLayer::with_token_chosen_by), [`with_rejection`](crate::BearerAuthLayer::with_rejection) | a call through a pointer, and what your function does |
//! | feature `metrics` | two records in histograms for each use: what your recorder takes |
//! | feature `tracing` | a look whether anybody wants the level trace |
//! | a service in a box, such as a `BoxCloneSyncService` | an allocation for each future, and for each clone |
//! | more origins | nothing, other than now and then for one that is taken for another at first: a comparison for each |
//!
//! A miss takes the time of the issuer, beside which all this is nothing.
//!
//! # Measure your own
//!
//! Put a service that answers at once where your client is, and poll by hand: then nothing is left but the layers.
//! Measure with and without in turn, and take the median of the differences:
//!
//! ```
//! use std::convert::Infallible;
//! use std::future::{self, Future};
//! use std::hint::black_box;
//! use std::pin::pin;
//! use std::task::{Context, Poll, Waker};
//! use std::time::Instant;
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{Layer, Service, service_fn};
//! use tower_bearer::{AccessToken, BearerAuthLayer, token_fn};
//!
//! const BATCH: usize = 128;
//!
//! /// Nanoseconds for each request.
//! fn time<S, E>(mut service: S) -> f64
//! where
//!     S: Service<Request<Full<Bytes>>, Response = Response<()>, Error = E>,
//! {
//!     // Made before the clock starts, and each is sent once, as requests are.
//!     let request = || Request::get("https://api.example.com/orders").body(Full::default()).unwrap();
//!     let requests: Vec<_> = (0..BATCH).map(|_| request()).collect();
//!     let cx = &mut Context::from_waker(Waker::noop());
//!     let start = Instant::now();
//!     for request in requests {
//!         assert!(service.poll_ready(cx).is_ready());
//!         let Poll::Ready(Ok(response)) = pin!(service.call(request)).poll(cx) else {
//!             panic!("answers at once");
//!         };
//!         black_box(response);
//!     }
//!     start.elapsed().as_nanos() as f64 / BATCH as f64
//! }
//!
//! let bare = service_fn(|request: Request<Full<Bytes>>| {
//!     drop(black_box(request));
//!     future::ready(Ok::<_, Infallible>(Response::new(())))
//! });
//! let provider = token_fn(|_| async { Ok(AccessToken::new("abc")?) });
//! let layer = BearerAuthLayer::for_origin(provider, "https://api.example.com")?;
//! futures_executor::block_on(layer.cache().token())?; // a hit from the first request on
//!
//! let mut over_bare: Vec<_> = (0..99).map(|_| -time(bare) + time(layer.layer(bare))).collect();
//! over_bare.sort_by(f64::total_cmp);
//! println!("{:.0} ns", over_bare[over_bare.len() / 2]);
//! # Ok::<(), tower_bearer::error::BoxError>(())
//! ```
//!
//! In a stack with sockets, compare requests a second over the same connections, with the same bytes on the wire:
//! give the contender without the layer the same `Authorization`. Take short blocks in turn, and measure one of them
//! against itself, to know the noise.
//!
//! # Pitfalls
//!
//! - *Debug builds.* Their figures say nothing of a release build's, nor which of two contenders is better.
//! - *Requests.* To make or clone one allocates, which a hit without a copy does not, unless the request's header map
//!   has to grow for the token. Make them before the clock starts.
//! - *Batches.* criterion's `iter_batched` with `SmallInput` makes many requests before it sends one, and by then their
//!   memory may be cold. Compare contenders of one run, and no figure with one that was made otherwise.
//! - *Time that is not divided by turns.* Two contenders measured one after another differ by the frequency of the
//!   processor, by neighbours and by the order in which code was laid out.
//! - *Clocks under valgrind.* There a read of the clock is a system call, whose instructions are not counted: look at
//!   the nanoseconds beside them.
//! - *One thread.* Contenders that share a reference count are as fast as any on one thread, and stand in each
//!   other's way on two.
//! - *Features.* Cargo unites those of a build: if another crate wants `metrics`, it is on.
//!
//! [`InMemory`]: crate::replay::InMemory
//! [`Never`]: crate::replay::Never
//! [`Streaming`]: crate::replay::Streaming
