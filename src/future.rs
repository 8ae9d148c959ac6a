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
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::cache::{Acquire, Held, Slot, Verdict, Witness};
use crate::config::Config;
use crate::error::{BoxError, FetchError, FetchErrorKind};
use crate::provider::TokenProvider;
use crate::rejection::{NotRetried, NotRetriedReason, is_rejection};
use crate::replay::Replay;
use crate::telemetry;

pin_project! {
    /// Response future of [`BearerAuth`](crate::BearerAuth).
    ///
    /// # Cancel safety
    ///
    /// Dropping it cancels the request, as it does with the inner service. It does not cancel a token
    /// fetch that the request started or waits for.
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
        let next = Box::new(Prepare {
            service,
            authorized,
            request: Some(request),
            purpose: Purpose::First(kept),
            step: Step::Acquiring(Acquire::default()),
            rounds: 0,
        });
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
                    let response = ready!(response.poll(cx)).map_err(Into::into)?;
                    let sent = sent.take().expect("polled after completion");
                    match sent.judge(response) {
                        Judgement::Done(response) => return Poll::Ready(Ok(response)),
                        Judgement::Retry(next) => State::Preparing { next },
                    }
                }
                // Preparing => Sending | done | error
                StateProj::Preparing { next } => match ready!(next.poll(cx))? {
                    Prepared::Send(response, sent) => State::Sending {
                        response,
                        sent: Some(sent),
                    },
                    Prepared::Done(response) => return Poll::Ready(Ok(response)),
                },
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

/// A request that gets a token: whose and which.
pub(crate) struct Authorized<P> {
    config: Arc<Config<P>>,
    /// `None` is the default slot, so that the common case counts no reference.
    slot: Option<Arc<Slot>>,
}

impl<P: TokenProvider> Authorized<P> {
    pub(crate) fn new(config: Arc<Config<P>>, slot: Option<Arc<Slot>>) -> Self {
        Self { config, slot }
    }

    /// Puts the cached token on the request, if there is one. Returns its generation.
    pub(crate) fn try_authorize<B>(&self, request: &mut Request<B>) -> Option<u64> {
        self.config.cache.hit(self.slot(), |held| {
            self.config.authorize(request.headers_mut(), held);
            held.generation
        })
    }

    fn slot(&self) -> &Arc<Slot> {
        self.slot.as_ref().unwrap_or(self.config.cache.slot())
    }
}

/// A request under way.
struct Sent<S, P, R: Replay<B>, B> {
    authorized: Authorized<P>,
    /// Of the token that it carries.
    generation: u64,
    attempt: Attempt<S, R, B>,
}

enum Attempt<S, R: Replay<B>, B> {
    /// With what it takes to send it again, if that can be done.
    First(Option<(S, R::Kept)>),
    Second,
}

enum Judgement<S, P, R, B>
where
    S: Service<Request<R::Body>>,
    R: Replay<B>,
{
    Done(S::Response),
    Retry(Box<Prepare<S, P, R, B>>),
}

impl<S, P, R, B, ResBody> Sent<S, P, R, B>
where
    S: Service<Request<R::Body>, Response = Response<ResBody>>,
    P: TokenProvider,
    R: Replay<B>,
{
    fn judge(self, response: Response<ResBody>) -> Judgement<S, P, R, B> {
        let engine = self.authorized.config.cache.engine();
        let slot = self.authorized.slot();
        if !is_rejection(&response) {
            if response.status().is_success() {
                slot.prove(self.generation, || engine.now());
            }
            return Judgement::Done(response);
        }
        let verdict = engine.reject(slot, self.generation, Witness::OfAll);
        let retry = match self.attempt {
            Attempt::First(retry) => retry,
            Attempt::Second => return Judgement::Done(response),
        };
        if let Verdict::Keep(reason) = verdict {
            return Judgement::Done(not_retried(response, reason));
        }
        let again = retry.and_then(|(service, kept)| Some((service, R::replay(kept)?)));
        let Some((service, request)) = again else {
            let reason = NotRetriedReason::BodyNotReplayable;
            return Judgement::Done(not_retried(response, reason));
        };
        Judgement::Retry(Box::new(Prepare {
            service,
            authorized: self.authorized,
            request: Some(request),
            purpose: Purpose::Again {
                rejected: self.generation,
                response: Some(response),
            },
            step: Step::Acquiring(Acquire::default()),
            rounds: 0,
        }))
    }
}

fn not_retried<B>(mut response: Response<B>, reason: NotRetriedReason) -> Response<B> {
    let cause = NotRetried::new(reason);
    telemetry::not_retried(&cause);
    response.extensions_mut().insert(cause);
    response
}

/// So often a token may become useless while the service becomes ready, before the request fails.
const MAX_ROUNDS: u8 = 3;

/// A request that waits to be sent.
struct Prepare<S, P, R, B>
where
    S: Service<Request<R::Body>>,
    R: Replay<B>,
{
    /// Not ready, or made ready in `Readying`.
    service: S,
    authorized: Authorized<P>,
    request: Option<Request<R::Body>>,
    purpose: Purpose<S::Response, R, B>,
    step: Step,
    rounds: u8,
}

enum Purpose<Response, R: Replay<B>, B> {
    First(Option<R::Kept>),
    Again {
        rejected: u64,
        /// What the caller gets if there is no other token. Dropped before the service is made ready
        /// again: its connection or permit must not stand in the way.
        response: Option<Response>,
    },
}

impl<Response, R: Replay<B>, B> Purpose<Response, R, B> {
    /// The generation of the token that was rejected.
    fn rejected(&self) -> Option<u64> {
        match self {
            Self::First(_) => None,
            Self::Again { rejected, .. } => Some(*rejected),
        }
    }

    fn take_response(&mut self) -> Option<Response> {
        match self {
            Self::First(_) => None,
            Self::Again { response, .. } => response.take(),
        }
    }
}

enum Step {
    // Waits for a token.
    Acquiring(Acquire),
    // Waits for the service.
    Readying(Arc<Held>),
}

enum Prepared<S, P, R, B>
where
    S: Service<Request<R::Body>>,
    R: Replay<B>,
{
    Send(S::Future, Sent<S, P, R, B>),
    Done(S::Response),
}

impl<S, P, R, B, ResBody> Prepare<S, P, R, B>
where
    S: Service<Request<R::Body>, Response = Response<ResBody>, Error: Into<BoxError>> + Clone,
    P: TokenProvider,
    R: Replay<B>,
{
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Prepared<S, P, R, B>, BoxError>> {
        let rejected = self.purpose.rejected();
        loop {
            let engine = self.authorized.config.cache.engine();
            match &mut self.step {
                // Acquiring => Readying | done | error
                Step::Acquiring(acquire) => {
                    let acquired =
                        ready!(acquire.poll(cx, engine, self.authorized.slot(), rejected));
                    match (acquired, self.purpose.take_response()) {
                        (Ok(held), Some(response)) if rejected == Some(held.generation) => {
                            let reason = NotRetriedReason::SameToken;
                            let response = not_retried(response, reason);
                            return Poll::Ready(Ok(Prepared::Done(response)));
                        }
                        (Err(error), Some(response)) => {
                            let reason = NotRetriedReason::FetchFailed(error);
                            let response = not_retried(response, reason);
                            return Poll::Ready(Ok(Prepared::Done(response)));
                        }
                        (Err(error), None) => return Poll::Ready(Err(error.into())),
                        // Drops the rejection.
                        (Ok(held), _) => self.step = Step::Readying(held),
                    }
                }
                // Readying => Sending | Acquiring, a few times | error
                Step::Readying(held) => {
                    ready!(self.service.poll_ready(cx)).map_err(Into::into)?;
                    // Taken only now, so that it cannot expire in between.
                    let now = engine.now();
                    match self.authorized.slot().usable(now) {
                        Some(newest) if rejected != Some(newest.generation) => {
                            return Poll::Ready(Ok(self.send(newest)));
                        }
                        // The one that was rejected is back in use, which is no reason to send it again.
                        Some(_) if held.is_usable(now) => {
                            let held = Arc::clone(held);
                            return Poll::Ready(Ok(self.send(held)));
                        }
                        // It has expired, or somebody else's request was rejected.
                        _ => {}
                    }
                    self.rounds += 1;
                    if self.rounds == MAX_ROUNDS {
                        let error = FetchError::new(FetchErrorKind::Expired);
                        return Poll::Ready(Err(error.into()));
                    }
                    // Gives the ready service back.
                    self.service = self.service.clone();
                    self.step = Step::Acquiring(Acquire::default());
                }
            }
        }
    }

    /// Calls the service, which is ready.
    fn send(&mut self, held: Arc<Held>) -> Prepared<S, P, R, B> {
        let mut request = self.request.take().expect("one request per send");
        let authorized = Authorized {
            config: Arc::clone(&self.authorized.config),
            slot: self.authorized.slot.clone(),
        };
        authorized.config.authorize(request.headers_mut(), &held);
        let attempt = match &mut self.purpose {
            Purpose::First(kept) => {
                Attempt::First(kept.take().map(|kept| (self.service.clone(), kept)))
            }
            Purpose::Again { .. } => Attempt::Second,
        };
        let sent = Sent {
            authorized,
            generation: held.generation,
            attempt,
        };
        Prepared::Send(self.service.call(request), sent)
    }
}
