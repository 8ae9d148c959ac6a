//! What the layer is told and its services follow: which requests get a token, and how.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response};

use crate::cache::{Held, Slot, TokenCache};
use crate::error::{BoxError, MissingTokenRequest, OriginNotAllowed};
use crate::origin::Origins;
use crate::provider::{PassThrough, TokenRequest};
use crate::rejection::{self, IsRejection};
use crate::telemetry;

pub(crate) struct Config<P> {
    pub(crate) cache: TokenCache<P>,
    pub(crate) origins: Origins,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) refuse_other_origins: bool,
    pub(crate) require_token_request: bool,
    pub(crate) choose_token: Option<Arc<ChooseToken>>,
    pub(crate) is_rejection: Option<Arc<IsRejection>>,
    pub(crate) replace_authorization: bool,
}

/// Says which token a request needs that does not say so itself.
pub(crate) type ChooseToken = dyn Fn(&Parts) -> Option<TokenRequest> + Send + Sync;

/// Marks a response of another origin than the one that was asked, to which a client below the layer was
/// redirected. It says nothing of the token, which did not get there.
#[derive(Clone, Copy)]
#[cfg_attr(not(feature = "reqwest"), allow(dead_code))]
pub(crate) struct AnsweredElsewhere;

impl AnsweredElsewhere {
    pub(crate) fn marks<B>(response: &Response<B>) -> bool {
        // Nobody else marks one.
        cfg!(feature = "reqwest") && response.extensions().get::<Self>().is_some()
    }
}

/// What becomes of a request.
pub(crate) enum Admission {
    /// It is passed on without a token.
    Pass,
    /// It is not sent.
    Refuse(BoxError),
    /// It gets the token of a slot, or of the default one.
    Authorize(Option<Arc<Slot>>),
}

impl<P> Config<P> {
    pub(crate) fn admit(&self, request: &mut Parts) -> Admission {
        if request.extensions.get::<PassThrough>().is_some() {
            return Admission::Pass;
        }
        let has_its_own = request.headers.contains_key(AUTHORIZATION);
        if has_its_own && !self.replace_authorization {
            return Admission::Pass;
        }
        if !self.origins.allow(&request.uri) {
            if self.refuse_other_origins {
                return Admission::Refuse(OriginNotAllowed.into());
            }
            // Only present here if it must not pass.
            request.headers.remove(AUTHORIZATION);
            telemetry::other_origin();
            return Admission::Pass;
        }
        let chosen = match (request.extensions.get::<TokenRequest>(), &self.choose_token) {
            (Some(token), _) => Some(token.clone()),
            (None, Some(choose)) => choose(request),
            (None, None) => None,
        };
        match chosen {
            Some(token) if token == *self.cache.slot().request() => Admission::Authorize(None),
            Some(token) => Admission::Authorize(Some(self.cache.engine().slot(&token))),
            None if self.require_token_request => Admission::Refuse(MissingTokenRequest.into()),
            None => Admission::Authorize(None),
        }
    }

    /// Whether a response rejects the token of its request, unless it is [from elsewhere](AnsweredElsewhere).
    pub(crate) fn is_rejection<B>(&self, response: &Response<B>) -> bool {
        let (status, headers) = (response.status(), response.headers());
        match &self.is_rejection {
            None => rejection::unauthorized(status, headers),
            Some(is_rejection) => is_rejection(status, headers),
        }
    }

    /// Puts the token and what goes with it on a request.
    pub(crate) fn authorize(&self, headers: &mut HeaderMap, held: &Held) {
        // Replaces whatever there is, so that no request carries two.
        headers.insert(AUTHORIZATION, held.token.header_value().clone());
        for (name, value) in held.token.headers().iter().chain(&self.headers) {
            if !headers.contains_key(name) {
                headers.insert(name, value.clone());
            }
        }
    }
}

impl<P> Clone for Config<P> {
    fn clone(&self) -> Self {
        Self {
            cache: self.cache.clone(),
            origins: self.origins.clone(),
            headers: self.headers.clone(),
            choose_token: self.choose_token.clone(),
            is_rejection: self.is_rejection.clone(),
            ..*self
        }
    }
}
