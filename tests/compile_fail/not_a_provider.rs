use tower_bearer::{BearerAuthLayer, TokenCache};

struct Wrong;

fn main() {
    let _ = BearerAuthLayer::for_every_https_origin(Wrong);
    let _ = TokenCache::new(Wrong);
}
