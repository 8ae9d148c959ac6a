use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use tower::util::BoxCloneService;
use tower_bearer::BearerAuthLayer;
use tower_bearer::oauth2::ClientCredentials;

// It takes other bodies than token requests have.
type Http = BoxCloneService<Request<Empty<Bytes>>, Response<Empty<Bytes>>, Infallible>;

fn layer(http: Http) {
    let builder = ClientCredentials::builder("https://id.example.com/token", "id", "secret");
    let provider = builder.build(http).unwrap();
    let _ = BearerAuthLayer::for_origin(provider, "https://api.example.com");
}

fn main() {}
