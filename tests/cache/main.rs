//! The token cache by itself, without the layer.

mod keys;
mod secrets;
mod single_flight;
mod support;

#[cfg(feature = "test-util")]
mod attacks;
#[cfg(feature = "test-util")]
mod backoff;
#[cfg(feature = "test-util")]
mod clocks;
#[cfg(feature = "test-util")]
mod failures;
#[cfg(feature = "test-util")]
mod freshness;
#[cfg(feature = "test-util")]
mod handle;
#[cfg(feature = "test-util")]
mod queue;
#[cfg(feature = "test-util")]
mod rejection;
#[cfg(feature = "test-util")]
mod replacement;
#[cfg(feature = "test-util")]
mod runtimes;
