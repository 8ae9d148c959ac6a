//! Token endpoints that an issuer's metadata names (RFC 8414, OpenID Connect Discovery 1.0), on real sockets.

#![cfg(feature = "oauth2")]
// Helpers of tests are not tests to clippy.
#![allow(clippy::unwrap_used)]

#[path = "../error_support/mod.rs"]
mod error_support;
#[path = "../token_endpoint/server.rs"]
mod server;

mod again;
mod refused;
mod support;
mod used;
