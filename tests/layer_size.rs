//! How large the future is.

use std::future::{Pending, pending};

use http::{Request, Response};
use tower::util::ServiceFn;
use tower::{Layer, Service, service_fn};
use tower_bearer::future::ResponseFuture;
use tower_bearer::replay::{Never, Replay};

use self::layer_support::{Issuer, URL, get, layer};

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
