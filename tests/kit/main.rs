//! The test kit, as a user's tests use it: over real sockets, by HTTP/1.1 and HTTP/2.

// Helpers of tests are not tests to clippy.
#![allow(clippy::unwrap_used)]

mod api;
mod endpoint;
mod faults;
mod provider;
mod secrets;
mod support;
