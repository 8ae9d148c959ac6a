//! The future of one request.
//!
//! ```text
//!           own Authorization, other origin, marked
//!  call ───▶ Passing ───────────────────────────────────────────────▶ done
//!   │ │
//!   │ └────▶ Refused ────────────────────────────────────────────────▶ error
//!   │ hit
//!   ├──────▶ Sending ── not rejected, or rejected for the 2nd time ──▶ done
//!   │         ▲   │
//!   │         │   ├─── rejected, cannot be sent again ───────────────▶ done: the 401 and why
//!   │         │   │
//!   │ miss    │   │ rejected: keeps the 401
//!   └──────▶ Acquiring ── no token ──────────────────────────────────▶ the 401 and why, or an error
//!             │   ▲
//!       token │   │ expired or rejected meanwhile
//!             ▼   │
//!            Readying ── the service fails ──────────────────────────▶ error
//!             │
//!             └──▶ Sending
//! ```
//!
//! A request is in `Sending` at most twice.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use self::prepare::{Prepare, Prepared};
use self::sent::{Attempt, Judgement, Sent};
pub(crate) use self::sent::{Authorized, Hit};
use crate::error::BoxError;
use crate::provider::TokenProvider;
use crate::replay::Replay;

mod prepare;
mod sent;

pin_project! {
    /// Response future of [`BearerAuth`](crate::BearerAuth).
    ///
    /// It is [`Unpin`] if the future of the inner service is.
    ///
    /// # Cancel safety
    ///
    /// Dropping it cancels the request, as it does with the inner service. It does not cancel a token
    /// fetch that the request started or waits for.
    ///
    /// # Panics
    ///
    /// If it is polled after it has returned its response, unless the inner future does otherwise.
    pub struct ResponseFuture<S, P, R, B>
    where
        S: Service<Request<R::Body>>,
        R: Replay<B>,
    {
        #[pin]
        state: State<S, P, R, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, P, R, B>
    where
        S: Service<Request<R::Body>>,
        R: Replay<B>,
    {
        // Waits for nothing.
        Refused { error: Option<BoxError> },
        // Waits for the response to a request that is none of our business.
        Passing { #[pin] response: S::Future },
        // Waits for the response to a request with a token.
        Sending {
            #[pin]
            response: S::Future,
            sent: Option<Sent<S, P, R, B>>,
        },
        // Waits for a token and then for the service: Acquiring and Readying above. Boxed, so that a
        // request with a token at hand does not carry its size.
        Preparing { next: Box<Prepare<S, P, R, B>> },
    }
}

impl<S, P, R, B> ResponseFuture<S, P, R, B>
where
    S: Service<Request<R::Body>>,
    R: Replay<B>,
{
    pub(crate) fn refused(error: BoxError) -> Self {
        let error = Some(error);
        Self {
            state: State::Refused { error },
        }
    }

    pub(crate) fn passing(response: S::Future) -> Self {
        Self {
            state: State::Passing { response },
        }
    }

    pub(crate) fn sending(
        response: S::Future,
        authorized: Authorized<P>,
        generation: u64,
        retry: Option<(S, R::Kept)>,
    ) -> Self {
        let attempt = Attempt::First(retry);
        let sent = Some(Sent {
            authorized,
            generation,
            attempt,
        });
        Self {
            state: State::Sending { response, sent },
        }
    }

    pub(crate) fn acquiring(
        service: S,
        authorized: Authorized<P>,
        request: Request<R::Body>,
        kept: Option<R::Kept>,
    ) -> Self {
        let next = Box::new(Prepare::first(service, authorized, request, kept));
        Self {
            state: State::Preparing { next },
        }
    }
}

impl<S, P, R, B, ResBody> Future for ResponseFuture<S, P, R, B>
where
    S: Service<Request<R::Body>, Response = Response<ResBody>, Error: Into<BoxError>> + Clone,
    P: TokenProvider,
    R: Replay<B>,
{
    type Output = Result<Response<ResBody>, BoxError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                // Refused => error
                StateProj::Refused { error } => {
                    let error = error.take().expect("polled after completion");
                    return Poll::Ready(Err(error));
                }
                // Passing => done
                StateProj::Passing { response } => return response.poll(cx).map_err(Into::into),
                // Sending => done | Preparing, once
                StateProj::Sending { response, sent } => {
                    let response = ready!(response.poll(cx));
                    // Looked at where it is, since each move is of a hundred bytes and more.
                    let pending = sent.as_ref().expect("polled after completion");
                    let is_settled = pending.is_settled_by(response.as_ref().ok());
                    if is_settled {
                        *sent = None;
                        return Poll::Ready(response.map_err(Into::into));
                    }
                    let sent = sent.take().expect("looked at above");
                    match sent.rejected(response.map_err(Into::into)?) {
                        Judgement::Done(response) => return Poll::Ready(Ok(response)),
                        Judgement::Retry(rejected) => State::Preparing {
                            next: Box::new(Prepare::again(rejected)),
                        },
                    }
                }
                // Preparing => Sending | done | error
                StateProj::Preparing { next } => {
                    let ended = match ready!(next.poll(cx)) {
                        Ok(Prepared::Send(response, sent)) => {
                            let sent = Some(sent);
                            state.set(State::Sending { response, sent });
                            continue;
                        }
                        Ok(Prepared::Done(response)) => Ok(response),
                        Err(error) => Err(error),
                    };
                    // Lets go of the request.
                    state.set(State::Refused { error: None });
                    return Poll::Ready(ended);
                }
            };
            state.set(next);
        }
    }
}

impl<S, P, R, B> fmt::Debug for ResponseFuture<S, P, R, B>
where
    S: Service<Request<R::Body>>,
    R: Replay<B>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
