//! A gRPC service, its generated client, and a server on loopback that wants tokens.

mod guard;
mod server;

pub use self::server::{FORBIDDEN, Server};

/// What `tonic` makes of `proto/echo.proto`.
pub mod echo {
    tonic::include_proto!("echo.v1");
}
