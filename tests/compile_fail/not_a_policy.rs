use std::convert::Infallible;

use http::{Request, Response};
use tower::Layer;
use tower::util::{BoxCloneService, BoxService};
use tower_bearer::BearerAuthLayer;
use tower_bearer::provider::BoxTokenProvider;

type Http = BoxCloneService<Request<String>, Response<String>, Infallible>;

fn boxed(layer: BearerAuthLayer<BoxTokenProvider>, http: Http) {
    let client = layer.with_replay(true).layer(http);
    let _ = BoxService::<Request<String>, _, _>::new(client);
}

fn main() {}
