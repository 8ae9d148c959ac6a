//! Faults of a token endpoint and of an API, on real sockets: what a caller sees of each, and that the
//! next request after the pause works with the same client.

// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

#[path = "../error_support/mod.rs"]
mod error_support;
#[path = "../layer_support/mod.rs"]
mod layer_support;
mod scene;
#[path = "../socket_support/mod.rs"]
mod socket_support;

mod api;
mod api_http2;
mod dead;
mod token_answers;
mod token_connections;
