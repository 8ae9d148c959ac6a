use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::first::First;
use super::second::Second;
use super::shared::read;
use crate::error::BoxError;

pin_project! {
    /// The request body that [`Streaming`](super::Streaming) gives to the inner service.
    ///
    /// Its data, trailers, [size hint](Body::size_hint) and errors are those of the caller's body.
    pub struct ReplayBody<B> {
        #[pin]
        body: Repr<B>,
    }
}

pin_project! {
    #[project = ReprProj]
    enum Repr<B> {
        Passing { #[pin] body: B },
        First { body: First<B> },
        Second { body: Second<B> },
    }
}

impl<B> ReplayBody<B> {
    pub(super) fn passing(body: B) -> Self {
        let body = Repr::Passing { body };
        Self { body }
    }

    /// The caller's body, if it is passed on as it is.
    #[cfg(feature = "reqwest")]
    pub(crate) fn into_passing(self) -> Result<B, Self> {
        match self.body {
            Repr::Passing { body } => Ok(body),
            body => Err(Self { body }),
        }
    }

    pub(super) fn first(body: First<B>) -> Self {
        let body = Repr::First { body };
        Self { body }
    }

    pub(super) fn second(body: Second<B>) -> Self {
        let body = Repr::Second { body };
        Self { body }
    }
}

impl<B> Body for ReplayBody<B>
where
    B: Body<Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().body.project() {
            ReprProj::Passing { body } => read(body, cx),
            ReprProj::First { body } => body.poll_frame(cx),
            ReprProj::Second { body } => body.poll_frame(cx),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Repr::Passing { body } => body.size_hint(),
            Repr::First { body } => body.size_hint(),
            Repr::Second { body } => body.size_hint(),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Repr::Passing { body } => body.is_end_stream(),
            Repr::First { body } => body.is_end_stream(),
            Repr::Second { body } => body.is_end_stream(),
        }
    }
}

impl<B> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayBody").finish_non_exhaustive()
    }
}
