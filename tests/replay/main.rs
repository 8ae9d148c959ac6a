//! Bodies that are streams: kept as they pass, and sent again.

// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

mod any_order;
mod elsewhere;
mod failures;
#[path = "../layer_support/mod.rs"]
mod layer_support;
mod sizes;
mod sockets;
mod support;
mod transitions;
