//! What the layer is told and its services follow: which requests get a token, and how.

use std::mem;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};

use crate::cache::{Held, Seen, Slot, TokenCache};
use crate::error::{BoxError, MissingTokenRequest, OriginNotAllowed};
use crate::origin::Origins;
use crate::provider::{PassThrough, TokenRequest};
use crate::rejection::{self, IsRejection};
use crate::spread::Spread;
use crate::sync::Mutex;
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

/// As services and their requests hold it.
pub(crate) type Settings<P> = Spread<Config<P>, Mutex<Seen>>;

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
    /// What becomes of a request. One that is authorized may still turn out to [bring its own
    /// token](Self::put_token).
    #[inline(always)] // See `BearerAuth::begin`.
    pub(crate) fn admit<B>(&self, request: &mut Request<B>) -> Admission {
        let is_plain = request.extensions().is_empty()
            && self.choose_token.is_none()
            && !self.require_token_request;
        match is_plain {
            true if self.origins.allow(request.uri()) => Admission::Authorize(None),
            true => self.admit_elsewhere(request.headers_mut()),
            false => self.admit_marked(request),
        }
    }

    /// Of a request that has extensions, or of a layer that chooses the token.
    #[inline(never)] // See `BearerAuth::begin`.
    fn admit_marked<B>(&self, request: &mut Request<B>) -> Admission {
        if request.extensions().get::<PassThrough>().is_some() {
            return Admission::Pass;
        }
        if !self.origins.allow(request.uri()) {
            return self.admit_elsewhere(request.headers_mut());
        }
        match (request.extensions().get(), &self.choose_token) {
            (None, None) if !self.require_token_request => Admission::Authorize(None),
            // Before anybody is asked.
            _ if self.leaves_alone(request.headers()) => Admission::Pass,
            (Some(token), _) => self.admit_for(token),
            (None, Some(choose)) => match with_parts(request, |parts| choose(parts)) {
                Some(token) => self.admit_for(&token),
                None if self.require_token_request => Admission::Refuse(MissingTokenRequest.into()),
                None => Admission::Authorize(None),
            },
            (None, None) => Admission::Refuse(MissingTokenRequest.into()),
        }
    }

    fn admit_for(&self, token: &TokenRequest) -> Admission {
        if token == self.cache.slot().request() {
            Admission::Authorize(None)
        } else {
            Admission::Authorize(Some(self.cache.engine().slot(token)))
        }
    }

    fn admit_elsewhere(&self, headers: &mut HeaderMap) -> Admission {
        if self.leaves_alone(headers) {
            return Admission::Pass;
        }
        if self.refuse_other_origins {
            return Admission::Refuse(OriginNotAllowed.into());
        }
        // Only present here if it must not pass.
        headers.remove(AUTHORIZATION);
        telemetry::other_origin();
        Admission::Pass
    }

    /// Whether a request brings a token of its own, and is to keep it.
    pub(crate) fn leaves_alone(&self, headers: &HeaderMap) -> bool {
        !self.replace_authorization && headers.contains_key(AUTHORIZATION)
    }

    /// Whether a response rejects the token of its request, unless it is [from elsewhere](AnsweredElsewhere).
    pub(crate) fn is_rejection<B>(&self, response: &Response<B>) -> bool {
        let (status, headers) = (response.status(), response.headers());
        match &self.is_rejection {
            None => rejection::unauthorized(status, headers),
            Some(is_rejection) => is_rejection(status, headers),
        }
    }

    /// Puts the token on a request, unless [that brings its own](Self::leaves_alone). Then it returns false.
    ///
    /// To look first whether it does would cost half as much again.
    #[inline(always)] // See `BearerAuth::begin`.
    pub(crate) fn put_token(&self, headers: &mut HeaderMap, value: HeaderValue) -> bool {
        // Of several values only one could be put back.
        let has_repeated = headers.len() > headers.keys_len();
        if has_repeated && self.leaves_alone(headers) {
            return false;
        }
        match headers.try_insert(AUTHORIZATION, value) {
            Ok(Some(own)) if !self.replace_authorization => {
                headers.insert(AUTHORIZATION, own);
                false
            }
            Ok(_) => true,
            // It wants room before it looks.
            Err(_) if self.leaves_alone(headers) => false,
            Err(error) => panic!("the request has no room for a token: {error}"),
        }
    }

    /// Puts the token and what goes with it on a request.
    pub(crate) fn authorize(&self, headers: &mut HeaderMap, held: &Held) {
        headers.insert(AUTHORIZATION, held.token.header_value().clone());
        self.put_headers(headers, Some(held.token.headers()));
    }

    /// Puts on a request what goes with the token.
    #[inline]
    pub(crate) fn put_headers(
        &self,
        headers: &mut HeaderMap,
        of_token: Option<&[(HeaderName, HeaderValue)]>,
    ) {
        if of_token.is_some() || !self.headers.is_empty() {
            self.put_some(headers, of_token.unwrap_or_default());
        }
    }

    #[inline(never)] // See `BearerAuth::begin`.
    fn put_some(&self, headers: &mut HeaderMap, of_token: &[(HeaderName, HeaderValue)]) {
        for (name, value) in of_token.iter().chain(&self.headers) {
            if !headers.contains_key(name) {
                headers.insert(name, value.clone());
            }
        }
    }
}

/// Lends the head of a request.
fn with_parts<B, T>(request: &mut Request<B>, f: impl FnOnce(&Parts) -> T) -> T {
    let (mut parts, ()) = Request::new(()).into_parts();
    let mut swap = |parts: &mut Parts| {
        mem::swap(request.method_mut(), &mut parts.method);
        mem::swap(request.uri_mut(), &mut parts.uri);
        mem::swap(request.version_mut(), &mut parts.version);
        mem::swap(request.headers_mut(), &mut parts.headers);
        mem::swap(request.extensions_mut(), &mut parts.extensions);
    };
    swap(&mut parts);
    let value = f(&parts);
    swap(&mut parts);
    value
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

#[cfg(test)]
pub(crate) mod tests;
