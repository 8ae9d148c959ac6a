use tower_bearer::BearerAuthLayer;
use tower_bearer::provider::BoxTokenProvider;

fn layer(provider: BoxTokenProvider) {
    let _ = BearerAuthLayer::for_origin(provider);
}

fn main() {}
