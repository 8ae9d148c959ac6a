use tower_bearer::{AccessToken, BearerAuthLayer};

fn main() {
    let provider = |_| async { Ok(AccessToken::new("abc")?) };
    let _ = BearerAuthLayer::for_origin(provider, "https://api.example.com");
}
