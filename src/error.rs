//! What can go wrong, one opaque type a failure.
//!
//! The error type of [`BearerAuth`] is [`BoxError`]: errors of the inner service pass through it as
//! they are, and those below are what the layer adds. Downcast to tell them apart.
//!
//! ```
//! use tower_bearer::error::{BoxError, FetchError, FetchErrorKind};
//!
//! fn is_temporary(error: &BoxError) -> bool {
//!     error
//!         .downcast_ref::<FetchError>()
//!         .is_some_and(|error| error.kind() == FetchErrorKind::Unavailable)
//! }
//!
//! let error: BoxError = FetchError::unavailable("connection refused").into();
//! assert!(is_temporary(&error));
//! ```
//!
//! # Security
//!
//! No `Display` or `Debug` of a type in this crate contains a token, a client secret or an answer of
//! the token endpoint that could hold one. The error of a provider or transport that somebody else
//! wrote is never part of our text; it is reachable through [`source`](std::error::Error::source). That of a
//! parser, which was given a token to read, and what a command complained about are to be asked for by name.
//!
//! [`BearerAuth`]: crate::BearerAuth

use std::error::Error;
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// The same type as `tower::BoxError`.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// No access token could be fetched.
///
/// One failed fetch is one failure: everyone who waited for it gets a clone of the same error.
/// During the pause that follows, callers without a usable token get it too, at once.
///
/// A [provider](crate::TokenProvider) may return any error. One that returns this type also says
/// what [kind](Self::kind) of failure it was and so how long the pause is and what it covers.
#[derive(Clone)]
pub struct FetchError {
    inner: Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    kind: FetchErrorKind,
    /// Whether no issuer was asked: what is missing is on this machine.
    is_local: bool,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// What kind of failure a [`FetchError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FetchErrorKind {
    /// The issuer cannot be reached or cannot serve now. It may get better by itself.
    ///
    /// Pauses every key of the cache.
    Unavailable,
    /// The issuer refuses this client: wrong credentials, a disabled or blocked account.
    ///
    /// Pauses every key of the cache, for longer than [`Unavailable`](Self::Unavailable), since
    /// somebody has to do something.
    Denied,
    /// The issuer refuses what was asked for, such as RFC 6749's `invalid_scope`.
    ///
    /// Pauses only the key that was asked for, for as long as [`Denied`](Self::Denied).
    InvalidRequest,
    /// The fetch did not end within its time limit. Pauses like [`Unavailable`](Self::Unavailable).
    TimedOut,
    /// The provider panicked; the payload of the panic is dropped. Pauses like
    /// [`Unavailable`](Self::Unavailable).
    Panicked,
    /// The issuer returned a token whose lifetime was over when it came, which pauses only its own key;
    /// or no token was good for long enough to be used.
    Expired,
    /// The cache was [closed](crate::TokenCache::close), so no fetch was begun.
    Closed,
    /// The provider returned an error that does not say what it is. Pauses like
    /// [`Unavailable`](Self::Unavailable).
    Other,
}

impl FetchError {
    /// The issuer could not be reached, or says that it cannot serve now.
    pub fn unavailable(source: impl Into<BoxError>) -> Self {
        Self::with_source(FetchErrorKind::Unavailable, source.into())
    }

    /// The issuer refuses this client.
    pub fn denied(source: impl Into<BoxError>) -> Self {
        Self::with_source(FetchErrorKind::Denied, source.into())
    }

    /// The issuer refuses what was asked for.
    pub fn invalid_request(source: impl Into<BoxError>) -> Self {
        Self::with_source(FetchErrorKind::InvalidRequest, source.into())
    }

    /// States how long the issuer asked us to stay away, as in `Retry-After`.
    ///
    /// The pause lasts at least this long; more than one hour counts as one hour.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Duration) -> Self {
        Arc::make_mut(&mut self.inner).retry_after = Some(retry_after);
        self
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> FetchErrorKind {
        self.inner.kind
    }

    /// How long the issuer asked us to stay away, if it did.
    pub fn retry_after(&self) -> Option<Duration> {
        self.inner.retry_after
    }

    pub(crate) fn new(kind: FetchErrorKind) -> Self {
        Self {
            inner: Arc::new(Inner {
                kind,
                is_local: false,
                retry_after: None,
                source: None,
            }),
        }
    }

    /// States that no issuer was asked, so that our text blames none.
    pub(crate) fn local(mut self) -> Self {
        Arc::make_mut(&mut self.inner).is_local = true;
        self
    }

    /// Whether the failure [is one of this machine](Self::local).
    pub(crate) fn is_local(&self) -> bool {
        self.inner.is_local
    }

    /// Takes what a provider returned: its own `FetchError`, or anything else as the source of one.
    pub(crate) fn from_provider(error: BoxError) -> Self {
        match error.downcast::<Self>() {
            Ok(error) => *error,
            Err(other) => Self::with_source(FetchErrorKind::Other, other),
        }
    }

    fn with_source(kind: FetchErrorKind, source: BoxError) -> Self {
        let mut error = Self::new(kind);
        Arc::make_mut(&mut error.inner).source = Some(source.into());
        error
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.inner.kind {
            FetchErrorKind::Unavailable if self.inner.is_local => {
                "no access token: it cannot be had now from where it is kept on this machine"
            }
            FetchErrorKind::Denied if self.inner.is_local => {
                "no access token: there is none where it is kept on this machine"
            }
            FetchErrorKind::InvalidRequest if self.inner.is_local => {
                "no access token: the one that is kept on this machine is not what was asked for"
            }
            FetchErrorKind::Unavailable => "no access token: the issuer is unavailable",
            FetchErrorKind::Denied => {
                "no access token: the issuer refuses this client; check its credentials and account"
            }
            FetchErrorKind::InvalidRequest => {
                "no access token: the issuer refuses what was asked for; \
                 check scopes, resource and audience"
            }
            FetchErrorKind::TimedOut => "no access token: the fetch exceeded its time limit",
            FetchErrorKind::Panicked => "no access token: the token provider panicked",
            FetchErrorKind::Expired => {
                "no access token: none that the issuer returned was good for long enough to be used"
            }
            FetchErrorKind::Closed => "no access token: the token cache is closed",
            FetchErrorKind::Other => "no access token: the token provider failed",
        })?;
        match self.inner.retry_after {
            Some(after) => write!(f, " (asked to wait {} s)", after.as_secs()),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The source's `Debug` is somebody else's and may hold anything.
        f.debug_struct("FetchError")
            .field("kind", &self.inner.kind)
            .field("retry_after", &self.inner.retry_after)
            .finish_non_exhaustive()
    }
}

impl Error for FetchError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.inner.source.as_ref().map(|source| &**source as _)
    }
}

/// Drops what is not ours, whose destructor may panic.
pub(crate) fn discard<T>(value: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        // As may that of the payload. To leak it is the lesser evil.
        mem::forget(payload);
    }
}

/// A request was for an origin that the layer was not made for.
///
/// Returned only if the layer was told so by
/// [`with_other_origins_refused`](crate::BearerAuthLayer::with_other_origins_refused). The request
/// was not sent.
#[derive(Debug)]
#[non_exhaustive]
pub struct OriginNotAllowed;

impl fmt::Display for OriginNotAllowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "request not sent: its origin is not one that this layer may send access tokens to; \
             name it with `allow_origin`",
        )
    }
}

impl Error for OriginNotAllowed {}

/// A request did not say which token it needs.
///
/// Returned only if the layer was told so by
/// [`with_token_request_required`](crate::BearerAuthLayer::with_token_request_required). The request
/// was not sent.
#[derive(Debug)]
#[non_exhaustive]
pub struct MissingTokenRequest;

impl fmt::Display for MissingTokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "request not sent: it does not say which access token it needs; \
             put a `TokenRequest` into its extensions",
        )
    }
}

impl Error for MissingTokenRequest {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_providers_own_fetch_error_keeps_its_kind() {
        let error = FetchError::denied("no").with_retry_after(Duration::from_secs(7));
        let error = FetchError::from_provider(Box::new(error));

        assert_eq!(error.kind(), FetchErrorKind::Denied);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    }

    #[test]
    fn no_issuer_is_blamed_for_what_is_missing_on_this_machine() {
        let kinds = [
            FetchError::denied("x"),
            FetchError::unavailable("x"),
            FetchError::invalid_request("x"),
        ];
        for error in kinds {
            assert!(error.to_string().contains("the issuer"), "{error}");
            let kind = error.kind();
            let error = error.local().with_retry_after(Duration::from_secs(7));
            assert!(!error.to_string().contains("issuer"), "{error}");
            assert_eq!(error.kind(), kind);
        }
    }

    #[test]
    fn a_foreign_error_is_reachable_but_not_in_our_text() {
        let error = FetchError::from_provider("password is hunter2".into());

        assert_eq!(error.kind(), FetchErrorKind::Other);
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        assert_eq!(error.source().unwrap().to_string(), "password is hunter2");
    }
}
