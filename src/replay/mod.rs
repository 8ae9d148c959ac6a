//! How a request is kept for the one retry.
//!
//! A [`Replay`] policy decides which bodies can be sent twice and how. [`InMemory`], the default, knows
//! the common bodies that are in memory anyway; [`Never`] keeps nothing. A request whose body cannot be
//! replayed is sent once; if it is rejected, the caller gets the rejection and the next request a new
//! token.
//!
//! ```
//! use tower_bearer::{BearerAuthLayer, replay, token_fn};
//!
//! # let provider = token_fn(|_| async { Err("none".into()) });
//! let layer = BearerAuthLayer::for_origin(provider, "https://api.example.com")?
//!     .with_replay(replay::Never);
//! # Ok::<(), tower_bearer::origin::InvalidOrigin>(())
//! ```

use std::convert::Infallible;

use http::Request;
use http::request::Parts;

mod in_memory;

pub use self::in_memory::InMemory;

/// Decides which requests with bodies of type `B` are replayed, and how.
pub trait Replay<B>: Clone {
    /// The body that the inner service gets.
    type Body;

    /// What is kept to make the same request again.
    type Kept;

    /// Takes the body of a request that is sent once and never again.
    fn pass(&self, body: B) -> Self::Body;

    /// Takes the body of a request that may have to be sent again, and keeps what that takes, if it can
    /// be done. `head` is the request as the caller made it, without a token.
    ///
    /// Must neither wait nor read ahead.
    fn keep(&self, head: &Parts, body: B) -> (Self::Body, Option<Self::Kept>);

    /// The same request once more. Called at most once, after the first was rejected.
    ///
    /// `None` if it cannot be replayed after all.
    fn replay(kept: Self::Kept) -> Option<Request<Self::Body>>;
}

/// Replays nothing: every request is sent once.
///
/// A rejected token is still dropped, so that the next request gets a new one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Never;

impl<B> Replay<B> for Never {
    type Body = B;
    type Kept = Infallible;

    fn pass(&self, body: B) -> B {
        body
    }

    fn keep(&self, _: &Parts, body: B) -> (B, Option<Infallible>) {
        (body, None)
    }

    fn replay(kept: Infallible) -> Option<Request<B>> {
        match kept {}
    }
}
