//! How large the future is.

use std::future::{Pending, pending};

use http::{Request, Response};
use tower::util::ServiceFn;
use tower::{Layer, Service, service_fn};
use tower_bearer::TokenCache;
use tower_bearer::future::ResponseFuture;
use tower_bearer::replay::{Never, Replay, ReplayBody, Streaming};

use self::layer_support::{Issuer, URL, get, layer, token};

mod layer_support;

type Answer = Pending<Result<Response<()>, std::convert::Infallible>>;

fn small() -> ServiceFn<fn(Request<String>) -> Answer> {
    service_fn(|_| pending())
}

/// The size of the future, beyond that of the inner one.
fn overhead<S, R, B>(_: &ResponseFuture<S, Issuer, R, B>) -> usize
where
    S: Service<Request<R::Body>>,
    R: Replay<B>,
{
    size_of::<ResponseFuture<S, Issuer, R, B>>() - size_of::<S::Future>()
}

#[test]
fn without_replaying_the_future_is_little_larger_than_the_inner_one() {
    let layer = layer(&Issuer::new());
    let never = layer.with_replay(Never).layer(small()).call(get(URL));

    assert!(overhead(&never) <= 64, "{} bytes", overhead(&never));
}

#[test]
fn with_replaying_it_is_at_most_a_request_and_the_service_larger() {
    let layer = layer(&Issuer::new());
    let kept = size_of::<Request<String>>() + size_of_val(&small());
    let in_memory = layer.layer(small()).call(get(URL));

    let overhead = overhead(&in_memory);
    assert!(overhead <= kept, "{overhead} bytes, and {kept} are kept");
}

#[test]
fn with_streaming_it_is_as_large_as_when_the_body_is_in_memory() {
    let layer = layer(&Issuer::new());
    let in_memory = layer.layer(small()).call(get(URL));
    let small = service_fn(|_: Request<ReplayBody<String>>| -> Answer { pending() });
    let streaming = layer
        .with_replay(Streaming::up_to(64))
        .layer(small)
        .call(get(URL));

    let (streaming, in_memory) = (overhead(&streaming), overhead(&in_memory));
    assert!(
        streaming <= in_memory + 64,
        "{streaming} and {in_memory} bytes"
    );
}

#[cfg(feature = "tonic")]
#[test]
fn that_of_a_channel_is_as_large_as_with_streaming() {
    use tonic::body::Body;
    use tower_bearer::tonic::GrpcFuture;

    fn of_channel<S: Service<Request<Body>>>(_: &GrpcFuture<S, Issuer>) -> usize {
        size_of::<GrpcFuture<S, Issuer>>() - size_of::<S::Future>()
    }

    let channel = || service_fn(|_: Request<Body>| -> Answer { pending() });
    let layer = layer(&Issuer::new());
    let request = || get(URL).map(Body::new);
    let replay = Streaming::up_to(64).map_body(Body::new as fn(_) -> _);
    let streaming = layer.clone().with_replay(replay);
    let streaming = streaming.layer(channel()).call(request());
    let grpc = layer.into_grpc(64).layer(channel()).call(request());

    assert_eq!(of_channel(&grpc), overhead(&streaming));
}

#[cfg(feature = "reqwest")]
#[test]
fn over_reqwest_it_holds_the_request_and_where_it_goes_beside() {
    use reqwest::{Body, Client, Request};
    use tower_bearer::replay::InMemory;
    use tower_bearer::reqwest::ResponseFuture;

    fn overhead<R: Replay<Body, Body: Into<Body>>>() -> usize {
        size_of::<ResponseFuture<Client, Issuer, R>>()
            - size_of::<<Client as Service<Request>>::Future>()
    }

    let kept = size_of::<http::Request<Body>>() + size_of::<Client>();
    let (never, in_memory) = (overhead::<Never>(), overhead::<InMemory>());
    assert!(never <= 64, "{never} bytes");
    assert!(in_memory <= kept, "{in_memory} bytes");
    let streaming = overhead::<Streaming>();
    assert!(streaming <= in_memory + 64, "{streaming} bytes");
}

/// Up to the fetch itself, which is boxed.
#[test]
fn the_futures_of_a_cache_fit_where_they_are_awaited() {
    let cache = TokenCache::new(Issuer::new());
    let sizes = [
        size_of_val(&cache.token()),
        size_of_val(&cache.refresh()),
        size_of_val(&cache.replacement_for(&token("abc"))),
        size_of_val(&cache.close()),
    ];

    assert!(sizes.iter().all(|size| *size <= 128), "{sizes:?}");
}
