//! Bodies that are streams, kept as they pass.
//!
//! A body is read once, by two: by the first request's body, and should that be rejected, by the second's.
//!
//! ```text
//!            ┌───────────────────────── is sent ──────────────────────────┐
//!  the body: │ recorded │ held back │ unread                              │
//!            └────────────────────────────────────────────────────────────┘
//!
//!  Recording ── rejected, will be sent again ──▶ Offered ── is sent again ──▶ TakenOver
//!      │                                            │
//!      │ accepted, failed,                          │ there is no other token
//!      │ or over the limit                          │
//!      └───────────────────▶ Alone ◀────────────────┘
//! ```
//!
//! - `Recording`: the first body reads. What it passes on it records too, up to the limit.
//! - `Offered`: the same, but what is over the limit it holds back, and waits.
//! - `Alone`: the first body reads, and nothing is recorded any more.
//! - `TakenOver`: the second body has what was recorded, and reads the rest. The first ends in an error.

use std::fmt;

use http::Request;
use http_body::Body;

pub use self::body::ReplayBody;
use self::recording::Recording;
use self::second::Second;
use super::head::Head;
use super::in_memory::copy;
use super::{MapBody, Replay};
use crate::error::BoxError;

mod body;
mod first;
mod recorded;
mod recording;
mod second;
mod shared;

/// Replays bodies of any type: what passes is kept, up to a limit, and the unread rest is sent after it.
///
/// Nothing is delayed, read ahead or buffered up front. Chunks are copied as they are sent to the inner
/// service, and the copies kept until there is a response that is no rejection. A body longer than the limit
/// is sent once, as if by [`Never`](super::Never): from the chunk on that exceeds it nothing is kept. A body that [says](Body::size_hint) that it is longer is
/// not kept to begin with. Those that [`InMemory`](super::InMemory) knows are replayed whatever their
/// length.
///
/// If the server rejects the request before it has read its body, the retry sends what has passed, takes
/// the unread rest from the first body, trailers included, and the first body ends in an error
/// ([`TakenOver`]). That fails the first exchange only: over HTTP/1.1 its connection is closed, over HTTP/2 its
/// stream is reset. While the new token is fetched the first body goes on up to the limit and pauses there;
/// should there be no new token, it continues, and the caller gets the rejection with its body.
///
/// # A server that neither reads nor resets
///
/// hyper looks at a body again when the server takes more of it. Over HTTP/2, a server that rejects a long
/// upload and then neither reads it nor resets its stream (RFC 9113 §8.1 lets it choose) may leave no room
/// on the connection for the retry, which waits behind it. That is so with bodies in memory too. Put a
/// time limit around such uploads.
///
/// ```
/// use tower_bearer::{BearerAuthLayer, replay, token_fn};
///
/// # let provider = token_fn(|_| async { Err("none".into()) });
/// let layer = BearerAuthLayer::for_origin(provider, "https://api.example.com")?
///     .with_replay(replay::Streaming::up_to(64 * 1024));
/// # Ok::<(), tower_bearer::origin::InvalidOrigin>(())
/// ```
///
/// # The inner body
///
/// The inner service gets a [`ReplayBody`]. One that takes any body, such as that of `hyper-util`, needs
/// nothing else. For one that takes only its own type see [`map_body`](Self::map_body).
///
/// [`Bytes`]: bytes::Bytes
#[derive(Clone, Copy, Debug)]
pub struct Streaming {
    limit: usize,
}

impl Streaming {
    /// Keeps at most so many bytes of a request's body and trailers.
    ///
    /// Up to about as much memory is used per request under way, until its response begins: the copies grow
    /// in steps.
    pub fn up_to(bytes: usize) -> Self {
        Self { limit: bytes }
    }

    /// Turns the [`ReplayBody`] into the type that the inner service takes, such as by
    /// `tonic::body::Body::new`.
    ///
    /// Without it, over a service that takes only bodies of its own type, the compiler says that
    /// `Service<http::Request<ReplayBody<..>>>` is not satisfied.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
    /// use tower_bearer::{error::BoxError, replay};
    ///
    /// type BoxBody = UnsyncBoxBody<Bytes, BoxError>;
    ///
    /// let policy = replay::Streaming::up_to(64 * 1024)
    ///     .map_body(|body: replay::ReplayBody<BoxBody>| body.boxed_unsync());
    /// # let _ = policy;
    /// ```
    #[must_use]
    pub fn map_body<F>(self, map: F) -> MapBody<Self, F> {
        MapBody::new(self, map)
    }
}

impl<B> Replay<B> for Streaming
where
    B: Body<Error: Into<BoxError>> + 'static,
{
    type Body = ReplayBody<B>;
    type Kept = Kept<B>;

    fn keep(&self, request: &mut Request<B>) -> Option<Kept<B>> {
        let body = match copy(request.body_mut()) {
            Some(copy) => KeptBody::Copy(copy),
            None if request.body().size_hint().lower() > self.limit as u64 => return None,
            None => KeptBody::Whole,
        };
        let head = Head::of(request);
        Some(Kept { head, body })
    }

    fn prepare(&self, request: Request<B>, kept: Option<&mut Kept<B>>) -> Request<ReplayBody<B>> {
        match kept {
            Some(Kept { body, .. }) if matches!(body, KeptBody::Whole) => request.map(|whole| {
                let (first, recording) = recording::record(whole, self.limit);
                *body = KeptBody::Recording(recording);
                ReplayBody::first(first)
            }),
            _ => request.map(ReplayBody::passing),
        }
    }

    fn is_replayable(kept: &mut Kept<B>) -> bool {
        match &kept.body {
            KeptBody::Copy(_) => true,
            KeptBody::Recording(recording) => recording.offer(),
            KeptBody::Whole => false,
        }
    }

    fn replay(kept: Kept<B>) -> Request<ReplayBody<B>> {
        let body = match kept.body {
            KeptBody::Copy(body) => ReplayBody::passing(body),
            KeptBody::Recording(recording) => ReplayBody::second(recording.take_over()),
            KeptBody::Whole => ReplayBody::second(Second::lost()),
        };
        kept.head.with_body(body)
    }
}

/// What [`Streaming`] keeps of a request.
pub struct Kept<B> {
    head: Head,
    body: KeptBody<B>,
}

enum KeptBody<B> {
    Copy(B),
    Recording(Recording<B>),
    /// Still with the request.
    Whole,
}

impl<B> fmt::Debug for Kept<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}

/// How the body of a request ends that was rejected while it was being sent: the request was sent again,
/// with the rest of the body.
///
/// It is seen by what sends the first request, and not by the caller.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TakenOver;

impl fmt::Display for TakenOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request was rejected, and its body is sent again with another token")
    }
}

impl std::error::Error for TakenOver {}
