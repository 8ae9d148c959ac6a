//! Generated gRPC clients over a channel with the layer, against a server on loopback.

mod connections;
mod deadlines;
mod errors;
mod interceptors;
mod streams;
mod streams_left;
mod streams_rejected;
mod support;
mod unary;
