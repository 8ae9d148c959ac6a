//! What threads share state by: that of `std` and of others, or, under a scheduler that tries one
//! interleaving of threads after another, what that scheduler knows of.
//!
//! The second kind exists in the unit tests that are built with `--cfg shuttle`, and nowhere else: see
//! `cache::interleavings`. `Arc` needs no second kind.

#[cfg(not(all(test, shuttle)))]
pub(crate) use self::real::*;
#[cfg(all(test, shuttle))]
pub(crate) use self::scheduled::*;

#[cfg(all(test, shuttle))]
mod scheduled;

#[cfg(not(all(test, shuttle)))]
mod real {
    pub(crate) use std::collections::HashMap;
    pub(crate) use std::hash::RandomState;
    pub(crate) use std::sync::atomic;
    pub(crate) use std::sync::{
        Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError,
    };
    pub(crate) use std::thread_local;

    pub(crate) use arc_swap::ArcSwapOption;
    pub(crate) use tokio::runtime;
    pub(crate) use tokio::sync::Notify;
    pub(crate) use tokio::sync::futures::Notified;
}
