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
        // Of a request with a token, until its response is there. Only in `Calling`.
        sent: Option<Sent<S, P, R, B>>,
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
        // Waits for a response: Sending above, if there is `sent`, and else Passing.
        Calling { #[pin] response: S::Future },
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
            sent: None,
        }
    }

    pub(crate) fn passing(response: S::Future) -> Self {
        Self {
            state: State::Calling { response },
            sent: None,
        }
    }

    #[inline(always)] // See `BearerAuth::begin`.
    pub(crate) fn sending(
        response: S::Future,
        authorized: Authorized<P>,
        generation: u64,
        retry: Option<(S, R::Kept)>,
    ) -> Self {
        let attempt = Attempt::First(retry);
        Self {
            state: State::Calling { response },
            sent: Some(Sent {
                authorized,
                generation,
                attempt,
            }),
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
            sent: None,
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
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.as_mut().project();
        let StateProj::Calling { response } = this.state.project() else {
            return self.poll_prepared(cx);
        };
        let answer = response.poll(cx).map_err(Into::into);
        let Some(sent) = this.sent else {
            // Passing => done
            return answer;
        };
        // Looked at where it is, since each move is of a hundred bytes and more.
        let is_accepted = match &answer {
            Poll::Ready(Ok(response)) => sent.is_accepted_by(response),
            Poll::Ready(Err(_)) => false,
            Poll::Pending => return answer,
        };
        if is_accepted {
            // Sending => done
            *this.sent = None;
            return answer;
        }
        self.judge(cx, answer)
    }
}

impl<S, P, R, B, ResBody> ResponseFuture<S, P, R, B>
where
    S: Service<Request<R::Body>, Response = Response<ResBody>, Error: Into<BoxError>> + Clone,
    P: TokenProvider,
    R: Replay<B>,
{
    /// Looks closer at what is not accepted at once.
    #[cold] // So that a hit is laid out for what is.
    fn judge(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        answer: Poll<Result<Response<ResBody>, BoxError>>,
    ) -> Poll<Result<Response<ResBody>, BoxError>> {
        let mut this = self.as_mut().project();
        let answer = ready!(answer);
        let sent = this.sent.take().expect("of a request with a token");
        let rejection = match answer {
            Ok(response) if !sent.is_settled_by(&response) => response,
            // Sending => done | error
            answer => {
                if answer.is_err() {
                    sent.fail();
                }
                return Poll::Ready(answer);
            }
        };
        match sent.rejected(rejection) {
            // Sending => done
            Judgement::Done(response) => Poll::Ready(Ok(response)),
            // Sending => Preparing, once
            Judgement::Retry(rejected) => {
                let next = Box::new(Prepare::again(rejected));
                this.state.set(State::Preparing { next });
                self.poll_prepared(cx)
            }
        }
    }

    /// Polls whatever is not `Calling`.
    fn poll_prepared(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<ResBody>, BoxError>> {
        let mut this = self.as_mut().project();
        let prepared = match this.state.as_mut().project() {
            StateProj::Preparing { next } => ready!(next.poll(cx)),
            StateProj::Refused { error } => Err(error.take().expect("polled after completion")),
            StateProj::Calling { .. } => return self.poll(cx),
        };
        let ended = match prepared {
            // Preparing => Sending
            Ok(Prepared::Send(response, sent)) => {
                this.state.set(State::Calling { response });
                *this.sent = Some(sent);
                return self.poll(cx);
            }
            // Preparing => done
            Ok(Prepared::Done(response)) => Ok(response),
            // Preparing, Refused => error
            Err(error) => Err(error),
        };
        // Lets go of the request.
        this.state.set(State::Refused { error: None });
        Poll::Ready(ended)
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
