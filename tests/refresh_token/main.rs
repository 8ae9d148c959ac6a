//! The refresh token grant, against token endpoints on real sockets.

#![cfg(feature = "oauth2")]
// Helpers of tests are not tests to clippy.
#![allow(clippy::unwrap_used)]

mod cache;
mod dropped;
#[path = "../error_support/mod.rs"]
mod error_support;
mod refused;
mod request;
mod rotation;
#[path = "../token_endpoint/server.rs"]
mod server;
mod shared_store;
mod support;
