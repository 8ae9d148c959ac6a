use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use tower_service::Service;

use crate::cache::{Held, Slot, Verdict, Witness};
use crate::config::{AnsweredElsewhere, Config, Settings};
use crate::provider::TokenProvider;
use crate::rejection::{Challenge, NotRetried, NotRetriedReason};
use crate::replay::Replay;
use crate::telemetry::{self, Rejection};

/// A request that gets a token: whose and which.
pub(crate) struct Authorized<P> {
    pub(super) config: Settings<P>,
    /// `None` is the default slot, so that the common case counts no reference.
    slot: Option<Arc<Slot>>,
}

/// What was put on a request.
pub(crate) enum Hit {
    /// A token, and what there is to go with it.
    Token {
        generation: u64,
        headers: Option<Arc<[(HeaderName, HeaderValue)]>>,
    },
    /// Nothing, since it brings a token of its own.
    ItsOwn,
    /// Nothing, since there is no token.
    None,
}

impl Hit {
    #[inline]
    fn of(held: &Held) -> Self {
        Self::Token {
            generation: held.generation,
            headers: held.token.shared_headers(),
        }
    }
}

impl<P: TokenProvider> Authorized<P> {
    pub(crate) fn new(config: Settings<P>, slot: Option<Arc<Slot>>) -> Self {
        Self { config, slot }
    }

    /// Puts the token on a request, if there is one.
    #[inline(always)] // See `BearerAuth::begin`.
    pub(crate) fn authorize(&self, headers: &mut HeaderMap) -> Hit {
        let config = &*self.config;
        if self.slot.is_none() && !(telemetry::IS_ON && config.leaves_alone(headers)) {
            let (seen, others) = (self.config.local(), self.config.locals());
            if let Some(fresh) = config.cache.hit_seen(seen, others) {
                return match config.put_token(headers, fresh.header_value()) {
                    true => Hit::of(fresh.held()),
                    false => Hit::ItsOwn,
                };
            }
        }
        self.authorize_by_slot(headers)
    }

    #[inline(never)] // See `BearerAuth::begin`.
    fn authorize_by_slot(&self, headers: &mut HeaderMap) -> Hit {
        // Who names a token was asked before.
        if self.slot.is_none() && self.config.leaves_alone(headers) {
            return Hit::ItsOwn;
        }
        let hit = self.config.cache.hit(self.slot(), |held| {
            headers.insert(AUTHORIZATION, held.token.header_value().clone());
            Hit::of(held)
        });
        hit.unwrap_or(Hit::None)
    }

    /// For the second send.
    pub(super) fn again(&self) -> Self {
        Self {
            config: self.config.clone(),
            slot: self.slot.clone(),
        }
    }

    pub(crate) fn config(&self) -> &Config<P> {
        &self.config
    }

    pub(crate) fn slot(&self) -> &Arc<Slot> {
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

/// What a rejection comes to.
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
    /// Whether the caller gets the response, by what can be seen at once. Most do; of all others
    /// [`is_settled_by`](Self::is_settled_by) decides. That is lent the response, which has to be moved for it once more:
    /// a twentieth of the instructions of a hit.
    #[inline(always)] // See `BearerAuth::begin`.
    pub(super) fn is_accepted_by(&self, response: &Response<ResBody>) -> bool {
        let is_first = matches!(self.attempt, Attempt::First(_));
        let is_accepted = is_first
            && self.authorized.config.is_rejection.is_none()
            && response.status() != StatusCode::UNAUTHORIZED
            && !AnsweredElsewhere::marks(response);
        if is_accepted && response.status().is_success() {
            self.prove();
        }
        is_accepted
    }

    /// Whether the caller gets the response, since it does not reject the token.
    pub(super) fn is_settled_by(&self, response: &Response<ResBody>) -> bool {
        let is_elsewhere = AnsweredElsewhere::marks(response);
        let is_rejection = self.authorized.config.is_rejection(response);
        if is_rejection && !is_elsewhere {
            return false;
        }
        if response.status().is_success() && !is_elsewhere {
            self.prove();
        }
        if let Attempt::Second = self.attempt {
            telemetry::rejected(match is_rejection {
                true => Rejection::Failed,
                false => Rejection::Healed,
            });
        }
        true
    }

    /// There is no response.
    pub(super) fn fail(&self) {
        if let Attempt::Second = self.attempt {
            telemetry::rejected(Rejection::Failed);
        }
    }

    /// Notes that a server accepted the token.
    #[inline(always)] // See `BearerAuth::begin`.
    fn prove(&self) {
        let now = || self.authorized.config.cache.engine().now();
        self.authorized.slot().prove(self.generation, now);
    }

    /// What becomes of a request whose token was rejected.
    #[cold]
    pub(super) fn rejected(self, response: Response<ResBody>) -> Judgement<S, P, R, B> {
        let config = &self.authorized.config;
        let engine = config.cache.engine();
        let slot = self.authorized.slot();
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
