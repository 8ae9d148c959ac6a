//! How a request is kept for the one retry.
//!
//! A [`Replay`] policy decides which bodies can be sent twice and how. A request whose body cannot be
//! replayed is sent once; if it is rejected, the caller gets the rejection and the next request a new
//! token.
//!
//! | policy | replays |
//! |---|---|
//! | [`InMemory`], the default | the common bodies that are in memory anyway |
//! | [`try_clone()`] | bodies of a type that knows how to copy itself |
//! | [`Streaming`] | those of `InMemory`, and streams of up to so many bytes |
//! | [`Never`] | nothing |
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

mod head;
mod in_memory;
mod map_body;
mod streaming;
mod try_clone;

pub use self::in_memory::{Copied, InMemory};
pub use self::map_body::{MapBody, MapKept};
pub use self::streaming::{Kept, ReplayBody, Streaming, TakenOver};
pub use self::try_clone::{TryClone, try_clone};

/// Decides which requests with bodies of type `B` are replayed, and how.
///
/// One around another, for requests that may be sent twice only if they are `GET`:
///
/// ```
/// use http::{Method, Request};
/// use tower_bearer::replay::Replay;
///
/// #[derive(Clone)]
/// struct OnlyGet<R>(R);
///
/// impl<B, R: Replay<B>> Replay<B> for OnlyGet<R> {
///     type Body = R::Body;
///     type Kept = R::Kept;
///
///     fn keep(&self, request: &mut Request<B>) -> Option<R::Kept> {
///         if request.method() == Method::GET { self.0.keep(request) } else { None }
///     }
///
///     fn prepare(&self, request: Request<B>, kept: Option<&mut R::Kept>) -> Request<R::Body> {
///         self.0.prepare(request, kept)
///     }
///
///     fn is_replayable(kept: &mut R::Kept) -> bool {
///         R::is_replayable(kept)
///     }
///
///     fn replay(kept: R::Kept) -> Request<R::Body> {
///         R::replay(kept)
///     }
/// }
/// # use tower_bearer::{BearerAuthLayer, replay::InMemory, token_fn};
/// # let provider = token_fn(|_| async { Err("none".into()) });
/// # let layer = BearerAuthLayer::for_origin(provider, "https://api.example.com")?.with_replay(OnlyGet(InMemory));
/// # Ok::<(), tower_bearer::origin::InvalidOrigin>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say how requests with bodies of type `{B}` are replayed",
    label = "not a `Replay<{B}>`",
    note = "use one of the policies in `tower_bearer::replay`: `InMemory`, `Streaming::up_to(bytes)`, `try_clone(f)` or `Never`"
)]
pub trait Replay<B>: Clone {
    /// The body that the inner service gets.
    type Body;

    /// What is kept to make the same request again.
    type Kept;

    /// Keeps what it takes to make a request again, if that can be done, and leaves it as it is.
    ///
    /// It is as the caller made it, but for the token, which it carries already if one was at hand: what is made of
    /// `Kept` is given its own, so that the header `Authorization` need not be kept.
    ///
    /// Must neither wait nor read ahead.
    ///
    /// # Security
    ///
    /// What is kept with the header `Authorization` holds the token.
    fn keep(&self, request: &mut Request<B>) -> Option<Self::Kept>;

    /// Makes the body one for the inner service, and leaves all else of the request as it is. `kept` is what was
    /// kept of it just before, if it may have to be made again.
    ///
    /// # Security
    ///
    /// The token is among the headers, if one was at hand: it does not come back if they are made anew.
    fn prepare(&self, request: Request<B>, kept: Option<&mut Self::Kept>) -> Request<Self::Body>;

    /// Whether the request can still be made again. Asked at most once, when it was rejected.
    ///
    /// After a `true` a new token is fetched. What is kept must stay replayable meanwhile. It is dropped if
    /// there is no other token: the caller gets the rejection then, of which the first body must not
    /// cut off the rest.
    ///
    /// A policy around another passes this on, as all else.
    fn is_replayable(kept: &mut Self::Kept) -> bool;

    /// The same request once more. Called at most once, when there is a token for it and the rejection
    /// has been dropped.
    ///
    /// What the first body holds must be let go now, rather than when the new one is read: it may be in
    /// the way.
    fn replay(kept: Self::Kept) -> Request<Self::Body>;
}

/// Replays nothing: every request is sent once.
///
/// A rejected token is still dropped, so that the next request gets a new one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Never;

impl<B> Replay<B> for Never {
    type Body = B;
    type Kept = Infallible;

    fn keep(&self, _: &mut Request<B>) -> Option<Infallible> {
        None
    }

    fn prepare(&self, request: Request<B>, _: Option<&mut Infallible>) -> Request<B> {
        request
    }

    fn is_replayable(kept: &mut Infallible) -> bool {
        match *kept {}
    }

    fn replay(kept: Infallible) -> Request<B> {
        match kept {}
    }
}
