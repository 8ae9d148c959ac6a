//! For tests of code that uses this crate.

pub use crate::clock::ManualClock;
