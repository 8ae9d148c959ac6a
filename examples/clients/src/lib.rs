//! Clients that others wrote, with tower-bearer below them. See the examples beside this.
//!
//! What the examples and the tests of a client share is here: what the author of an SDK writes, and servers
//! on loopback.

pub mod grpc;
pub mod kubernetes;
pub mod notes;
pub mod site;

/// A token endpoint on loopback.
#[path = "../../loopback/mod.rs"]
pub mod loopback;
