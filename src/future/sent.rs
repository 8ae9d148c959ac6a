use std::sync::Arc;

use http::{Request, Response};
use tower_service::Service;

use crate::cache::{Slot, Verdict, Witness};
use crate::config::{AnsweredElsewhere, Config};
use crate::provider::TokenProvider;
use crate::rejection::{Challenge, NotRetried, NotRetriedReason};
use crate::replay::Replay;
use crate::telemetry::{self, Rejection};

/// A request that gets a token: whose and which.
pub(crate) struct Authorized<P> {
    pub(super) config: Arc<Config<P>>,
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

    /// For the second send.
    pub(super) fn again(&self) -> Self {
        Self {
            config: Arc::clone(&self.config),
            slot: self.slot.clone(),
        }
    }

    pub(super) fn slot(&self) -> &Arc<Slot> {
        self.slot.as_ref().unwrap_or(self.config.cache.slot())
    }
}

/// A request under way.
pub(super) struct Sent<S, P, R: Replay<B>, B> {
    pub(super) authorized: Authorized<P>,
    /// Of the token that it carries.
    pub(super) generation: u64,
    pub(super) attempt: Attempt<S, R, B>,
}

pub(super) enum Attempt<S, R: Replay<B>, B> {
    /// With what it takes to send it again, if that can be done.
    First(Option<(S, R::Kept)>),
    Second,
}

/// What a response comes to.
pub(super) enum Judgement<S, P, R, B>
where
    S: Service<Request<R::Body>>,
    R: Replay<B>,
{
    Done(S::Response),
    /// The request is to be sent again, once there is another token.
    Retry(Rejected<S, P, S::Response, R::Kept>),
}

/// A request that was rejected and can be sent again.
pub(super) struct Rejected<S, P, Response, Kept> {
    pub(super) service: S,
    pub(super) authorized: Authorized<P>,
    pub(super) kept: Kept,
    /// Of the token that was rejected.
    pub(super) generation: u64,
    pub(super) response: Response,
}

impl<S, P, R, B, ResBody> Sent<S, P, R, B>
where
    S: Service<Request<R::Body>, Response = Response<ResBody>>,
    P: TokenProvider,
    R: Replay<B>,
{
    /// There was no response to judge.
    pub(super) fn failed(&self) {
        if let Attempt::Second = self.attempt {
            telemetry::rejected(Rejection::Failed);
        }
    }

    pub(super) fn judge(self, response: Response<ResBody>) -> Judgement<S, P, R, B> {
        let config = &self.authorized.config;
        let engine = config.cache.engine();
        let slot = self.authorized.slot();
        let is_elsewhere = AnsweredElsewhere::marks(&response);
        let is_rejection = config.is_rejection(&response);
        if !is_rejection || is_elsewhere {
            if response.status().is_success() && !is_elsewhere {
                slot.prove(self.generation, || engine.now());
            }
            if let Attempt::Second = self.attempt {
                telemetry::rejected(match is_rejection {
                    true => Rejection::Failed,
                    false => Rejection::Healed,
                });
            }
            return Judgement::Done(response);
        }
        let challenges = || Challenge::parse_all(response.headers());
        let verdict = engine.reject(slot, self.generation, challenges, Witness::OfAll);
        let retry = match self.attempt {
            Attempt::First(retry) => retry,
            Attempt::Second => {
                telemetry::rejected(Rejection::RejectedAgain);
                return Judgement::Done(response);
            }
        };
        if let Verdict::Keep(reason) = verdict {
            return Judgement::Done(not_retried(response, reason));
        }
        let again = retry
            .and_then(|(service, mut kept)| R::is_replayable(&mut kept).then_some((service, kept)));
        let Some((service, kept)) = again else {
            let reason = NotRetriedReason::BodyNotReplayable;
            return Judgement::Done(not_retried(response, reason));
        };
        Judgement::Retry(Rejected {
            service,
            authorized: self.authorized,
            kept,
            generation: self.generation,
            response,
        })
    }
}

/// The response that rejects a request, with the reason why that is the end of it.
pub(super) fn not_retried<B>(mut response: Response<B>, reason: NotRetriedReason) -> Response<B> {
    let cause = NotRetried::new(reason);
    telemetry::rejected(Rejection::NotRetried(cause.reason()));
    response.extensions_mut().insert(cause);
    response
}
