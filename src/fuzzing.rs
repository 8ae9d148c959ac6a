//! What the targets in `fuzz/` reach of the private parts. There is no such module otherwise.

use std::time::Duration;

use http::Uri;

#[cfg(feature = "oauth2")]
pub use crate::oauth2::fuzzing::{
    Discovered, discovered, jwt_lifetime, metadata_response, retry_after, token_response,
};
use crate::origin::{Origin, Origins};
use crate::token::{AccessToken, Lifetime};

/// How long a token lives, if that is known as a time from when it was asked for.
pub fn lifetime(token: &AccessToken) -> Option<Duration> {
    match token.lifetime() {
        Lifetime::For(lifetime) => Some(lifetime),
        _ => None,
    }
}

/// Whether a layer for `origin` alone puts a token on a request to `uri`.
pub fn allows(origin: &Origin, uri: &Uri) -> bool {
    let mut origins = Origins::none();
    origins.push(origin.clone());
    origins.allow(uri)
}
