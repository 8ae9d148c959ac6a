//! Metadata servers of Google Cloud and Azure, on real sockets.

#![cfg(feature = "oauth2")]
// Helpers of tests are not tests to clippy.
#![allow(clippy::unwrap_used)]

#[path = "../error_support/mod.rs"]
mod error_support;
#[path = "../token_endpoint/server.rs"]
mod server;

mod azure;
mod gce;
mod support;
