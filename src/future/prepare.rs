use std::task::{Context, Poll, ready};

use http::{Request, Response};
use tower_service::Service;

use super::sent::{Attempt, Authorized, Rejected, Sent, not_retried};
use crate::cache::{Acquire, Held};
use crate::error::{BoxError, FetchError, FetchErrorKind};
use crate::provider::TokenProvider;
use crate::rejection::NotRetriedReason;
use crate::replay::Replay;
use crate::telemetry::{self, Rejection};

/// So often a token may become useless while the service becomes ready, before the request fails.
const MAX_ROUNDS: u8 = 3;

/// A request that waits to be sent: for a token, and then for the service.
pub(super) struct Prepare<S, P, R, B>
where
    S: Service<Request<R::Body>>,
    R: Replay<B>,
{
    /// Not ready, or made ready in `Readying`.
    service: S,
    authorized: Authorized<P>,
    /// `None` once it was sent, and while a rejection is kept.
    request: Option<Request<R::Body>>,
    purpose: Purpose<S::Response, R, B>,
    step: Step,
    rounds: u8,
}

enum Purpose<Response, R: Replay<B>, B> {
    First(Option<R::Kept>),
    Again {
        rejected: u64,
        /// What the caller gets if there is no other token. Dropped, and the request made again, before
        /// the service is made ready: a connection or permit of the first must not stand in the way.
        held: Option<(Response, R::Kept)>,
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

    fn take_held(&mut self) -> Option<(Response, R::Kept)> {
        match self {
            Self::First(_) => None,
            Self::Again { held, .. } => held.take(),
        }
    }
}

enum Step {
    // Waits for a token.
    Acquiring(Acquire),
    // Waits for the service.
    Readying,
}

pub(super) enum Prepared<S, P, R, B>
where
    S: Service<Request<R::Body>>,
    R: Replay<B>,
{
    Send(S::Future, Sent<S, P, R, B>),
    Done(S::Response),
}

impl<S, P, R, B> Prepare<S, P, R, B>
where
    S: Service<Request<R::Body>>,
    R: Replay<B>,
{
    /// Of a request for which there was no token.
    pub(super) fn first(
        service: S,
        authorized: Authorized<P>,
        request: Request<R::Body>,
        kept: Option<R::Kept>,
    ) -> Self {
        Self::new(service, authorized, Some(request), Purpose::First(kept))
    }

    /// Of a request whose token was rejected.
    pub(super) fn again(rejected: Rejected<S, P, S::Response, R::Kept>) -> Self {
        let purpose = Purpose::Again {
            rejected: rejected.generation,
            held: Some((rejected.response, rejected.kept)),
        };
        Self::new(rejected.service, rejected.authorized, None, purpose)
    }

    fn new(
        service: S,
        authorized: Authorized<P>,
        request: Option<Request<R::Body>>,
        purpose: Purpose<S::Response, R, B>,
    ) -> Self {
        Self {
            service,
            authorized,
            request,
            purpose,
            step: Step::Acquiring(Acquire::default()),
            rounds: 0,
        }
    }
}

impl<S, P, R, B, ResBody> Prepare<S, P, R, B>
where
    S: Service<Request<R::Body>, Response = Response<ResBody>, Error: Into<BoxError>> + Clone,
    P: TokenProvider,
    R: Replay<B>,
{
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Prepared<S, P, R, B>, BoxError>> {
        let prepared = ready!(self.poll_prepared(cx));
        if let (Err(_), Purpose::Again { .. }) = (&prepared, &self.purpose) {
            telemetry::rejected(Rejection::Failed);
        }
        Poll::Ready(prepared)
    }

    fn poll_prepared(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Prepared<S, P, R, B>, BoxError>> {
        let rejected = self.purpose.rejected();
        loop {
            let engine = self.authorized.config.cache.engine();
            match &mut self.step {
                // Acquiring => Readying | done | error
                Step::Acquiring(acquire) => {
                    let acquired =
                        ready!(acquire.poll(cx, engine, self.authorized.slot(), rejected));
                    match (acquired, self.purpose.take_held()) {
                        (Ok(held), Some((response, _))) if rejected == Some(held.generation) => {
                            let reason = NotRetriedReason::SameToken;
                            let response = not_retried(response, reason);
                            return Poll::Ready(Ok(Prepared::Done(response)));
                        }
                        (Err(error), Some((response, _))) => {
                            let reason = NotRetriedReason::FetchFailed(error);
                            let response = not_retried(response, reason);
                            return Poll::Ready(Ok(Prepared::Done(response)));
                        }
                        (Err(error), None) => return Poll::Ready(Err(error.into())),
                        (Ok(_), Some((response, kept))) => {
                            drop(response);
                            self.request = Some(R::replay(kept));
                            self.step = Step::Readying;
                        }
                        (Ok(_), None) => self.step = Step::Readying,
                    }
                }
                // Readying => Sending | Acquiring, a few times | error
                Step::Readying => {
                    ready!(self.service.poll_ready(cx)).map_err(Into::into)?;
                    // Taken only now, so that it cannot expire in between. Should the issuer have
                    // returned the rejected one again meanwhile, the caller gets its second rejection.
                    if let Some(held) = engine.usable(self.authorized.slot()) {
                        return Poll::Ready(Ok(self.send(&held)));
                    }
                    // It has expired, or somebody else's request was rejected.
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
    fn send(&mut self, held: &Held) -> Prepared<S, P, R, B> {
        let mut request = self.request.take().expect("one request per send");
        let authorized = self.authorized.again();
        let config = authorized.config();
        config.authorize(request.headers_mut(), held);
        telemetry::used(|| held.at_use(authorized.config.cache.engine().now()));
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
