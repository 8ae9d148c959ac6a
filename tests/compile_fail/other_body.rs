use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use tower::Layer;
use tower::util::{BoxCloneService, BoxService};
use tower_bearer::provider::BoxTokenProvider;
use tower_bearer::{BearerAuthLayer, replay};

type Body = UnsyncBoxBody<Bytes, Infallible>;
type Http = BoxCloneService<Request<Body>, Response<String>, Infallible>;

fn boxed(layer: BearerAuthLayer<BoxTokenProvider>, http: Http) {
    let client = layer
        .with_replay(replay::Streaming::up_to(1024))
        .layer(http);
    let _ = BoxService::<Request<Body>, _, _>::new(client);
}

fn main() {}
