use std::convert::Infallible;

use http::{Request, Response};
use tower::util::BoxService;
use tower::{Layer, ServiceBuilder};
use tower_bearer::BearerAuthLayer;
use tower_bearer::provider::BoxTokenProvider;

type Http = BoxService<Request<String>, Response<String>, Infallible>;

fn in_a_stack(layer: BearerAuthLayer<BoxTokenProvider>, http: Http) {
    let _ = ServiceBuilder::new().layer(layer).service(http);
}

fn alone(layer: BearerAuthLayer<BoxTokenProvider>, http: Http) {
    let _ = layer.layer(http);
}

fn main() {}
