//! The client credentials grant, against token endpoints on real sockets.

#![cfg(feature = "oauth2")]
// Helpers of tests are not tests to clippy.
#![allow(clippy::unwrap_used)]

mod answers;
mod credentials;
mod echoes;
#[path = "../error_support/mod.rs"]
mod error_support;
mod field;
mod requests;
#[cfg(feature = "reqwest")]
mod reqwest;
mod server;
mod support;
mod transport;
