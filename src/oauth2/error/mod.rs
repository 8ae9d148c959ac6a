use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

pub(crate) use self::asked::Asked;
pub use self::kind::TokenEndpointErrorKind;
pub(crate) use self::refusal::Refusal;
use super::answer::redact::Redactor;
use crate::error::{BoxError, FetchError, FetchErrorKind};

mod asked;
mod kind;
mod refusal;

/// A token endpoint did not give a usable token, or it could not be found out where it is.
///
/// It is the [`source`](Error::source) of the [`FetchError`] of a provider in this module.
///
/// ```
/// use std::error::Error;
/// use tower_bearer::FetchError;
/// use tower_bearer::oauth2::TokenEndpointError;
///
/// fn is_wrong_secret(error: &FetchError) -> bool {
///     error
///         .source()
///         .and_then(|source| source.downcast_ref::<TokenEndpointError>())
///         .is_some_and(|error| error.error_code() == Some("invalid_client"))
/// }
/// # assert!(!is_wrong_secret(&FetchError::denied("no")));
/// ```
///
/// # Security
///
/// What it quotes of a server is cut to 512 bytes, its control characters are escaped, and every secret
/// that was sent is cut out of it, raw or encoded. A successful answer is never quoted, but for the issuer
/// and the origin of the token endpoint that an [`Issuer`](super::Issuer)'s metadata names, and only if
/// they are URLs. The error of a transport is reachable through [`source`](Error::source) and not part of
/// our text.
#[derive(Clone)]
pub struct TokenEndpointError {
    inner: Box<Inner>,
}

#[derive(Clone)]
struct Inner {
    kind: TokenEndpointErrorKind,
    asked: Asked,
    endpoint: Option<Arc<str>>,
    status: Option<StatusCode>,
    refusal: Refusal,
    /// What to look at if the client is not believed.
    advice: &'static str,
    hint: Option<String>,
    content_encoding: Option<&'static str>,
    concerns: FetchErrorKind,
    retry_after: Option<Duration>,
    // Shared, since all who wait for one answer get its error.
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl TokenEndpointError {
    /// What this is about.
    pub fn kind(&self) -> TokenEndpointErrorKind {
        self.inner.kind
    }

    /// The status of the answer, if there was one.
    pub fn status(&self) -> Option<StatusCode> {
        self.inner.status
    }

    /// The `error` of RFC 6749 §5.2, such as `invalid_client`.
    ///
    /// Of an answer with a status of success, only if it has the shape of one: lower case letters and `_`.
    pub fn error_code(&self) -> Option<&str> {
        self.inner.refusal.error.as_deref()
    }

    /// The `error_description` of RFC 6749 §5.2.
    pub fn error_description(&self) -> Option<&str> {
        self.inner.refusal.error_description.as_deref()
    }

    /// A piece of the answer, if the server refused by a text that is not what RFC 6749 §5.2 says.
    pub fn text(&self) -> Option<&str> {
        match self.inner.kind {
            TokenEndpointErrorKind::Rejected => self.inner.refusal.text.as_deref(),
            _ => None,
        }
    }

    /// The `error_uri` of RFC 6749 §5.2.
    pub fn error_uri(&self) -> Option<&str> {
        self.inner.refusal.error_uri.as_deref()
    }

    /// Whether this is about the metadata of an [`Issuer`](super::Issuer), so that no token endpoint was
    /// asked.
    pub fn is_discovery(&self) -> bool {
        self.inner.asked == Asked::Issuer
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.inner.retry_after
    }

    pub(crate) fn new(kind: TokenEndpointErrorKind) -> Self {
        Self {
            inner: Box::new(Inner {
                kind,
                asked: Asked::TokenEndpoint,
                endpoint: None,
                status: None,
                refusal: Refusal::default(),
                advice: "check the client, if the server wants one, and what the token is asked for by",
                hint: None,
                content_encoding: None,
                concerns: kind.concerns(),
                retry_after: None,
                source: None,
            }),
        }
    }

    pub(crate) fn rejected(refusal: Refusal, concerns: FetchErrorKind) -> Self {
        let mut error = Self::new(TokenEndpointErrorKind::Rejected);
        error.inner.refusal = refusal;
        error.inner.concerns = concerns;
        error
    }

    /// `missing` is what we asked for, and no text of a server.
    pub(crate) fn scopes_not_granted(missing: &str) -> Self {
        let mut error = Self::new(TokenEndpointErrorKind::ScopesNotGranted);
        error.inner.refusal.text = Some(Redactor::new(Vec::new()).clean(missing));
        error
    }

    /// `text` is ours, or was cleaned.
    pub(crate) fn with_text(mut self, text: String) -> Self {
        self.inner.refusal.text = Some(text);
        self
    }

    pub(crate) fn with_advice(mut self, advice: &'static str) -> Self {
        self.inner.advice = advice;
        self
    }

    /// `hint` is ours.
    pub(crate) fn with_hint(mut self, hint: String) -> Self {
        self.inner.hint = Some(hint);
        self
    }

    pub(crate) fn concerning(mut self, concerns: FetchErrorKind) -> Self {
        self.inner.concerns = concerns;
        self
    }

    /// Says that somebody else than a token endpoint was asked.
    pub(crate) fn of(mut self, asked: Asked) -> Self {
        self.inner.asked = asked;
        self
    }

    pub(crate) fn at(mut self, endpoint: &Arc<str>) -> Self {
        self.inner.endpoint = Some(Arc::clone(endpoint));
        self
    }

    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.inner.status = Some(status);
        self
    }

    pub(crate) fn with_content_encoding(mut self, encoding: Option<&'static str>) -> Self {
        self.inner.content_encoding = encoding;
        self
    }

    pub(crate) fn with_retry_after(mut self, retry_after: Option<Duration>) -> Self {
        self.inner.retry_after = retry_after;
        self
    }

    pub(crate) fn with_source(mut self, source: BoxError) -> Self {
        self.inner.source = Some(source.into());
        self
    }
}

impl From<TokenEndpointError> for FetchError {
    fn from(error: TokenEndpointError) -> Self {
        let retry_after = error.inner.retry_after;
        let error = match error.inner.concerns {
            FetchErrorKind::Denied => Self::denied(error),
            FetchErrorKind::InvalidRequest => Self::invalid_request(error),
            _ => Self::unavailable(error),
        };
        match retry_after {
            Some(after) => error.with_retry_after(after),
            None => error,
        }
    }
}

impl fmt::Display for TokenEndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.inner;
        f.write_str(inner.asked.name())?;
        if let Some(endpoint) = &inner.endpoint {
            write!(f, " {endpoint}")?;
        }
        if let Some(status) = inner.status {
            write!(f, " (HTTP status {})", status.as_u16())?;
        }
        f.write_str(inner.asked.says(inner.kind).unwrap_or(inner.kind.text()))?;
        if let Some(kind) = inner.io_error_kind() {
            write!(f, ": {kind}")?;
        }
        if let Some(encoding) = inner.content_encoding {
            write!(
                f,
                " (its content-encoding is {encoding}; let the transport decode it)"
            )?;
        }
        inner.refusal.fmt(f)?;
        if inner.kind != TokenEndpointErrorKind::Rejected {
            return Ok(());
        }
        if let Some(hint) = &inner.hint {
            write!(f, ": {hint}")?;
        }
        match inner.asked {
            Asked::TokenEndpoint if inner.refusal.is_silent() => {
                write!(f, " and did not say why; {}, and the URL", inner.advice)
            }
            Asked::TokenEndpoint if self.error_code() == Some("invalid_client") => {
                write!(f, "; {}", inner.advice)
            }
            Asked::TokenEndpoint => f.write_str(inner.refusal.hint()),
            // An issuer may have its metadata at another place than the one that fails.
            Asked::Issuer => f.write_str(inner.asked.advice()),
            asked if inner.concerns == FetchErrorKind::Denied => f.write_str(asked.advice()),
            _ => Ok(()),
        }
    }
}

impl Inner {
    /// What the system says of why a transport failed, which is a text of the standard library.
    fn io_error_kind(&self) -> Option<io::ErrorKind> {
        if self.kind != TokenEndpointErrorKind::Transport {
            return None;
        }
        let mut next = self
            .source
            .as_deref()
            .map(|error| error as &(dyn Error + 'static));
        while let Some(error) = next {
            match error.downcast_ref::<io::Error>().map(io::Error::kind) {
                None | Some(io::ErrorKind::Other) => next = error.source(),
                kind => return kind,
            }
        }
        None
    }
}

impl fmt::Debug for TokenEndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The source's `Debug` is somebody else's and may hold anything.
        f.debug_struct("TokenEndpointError")
            .field("kind", &self.inner.kind)
            .field("endpoint", &self.inner.endpoint)
            .field("status", &self.inner.status)
            .field("error_code", &self.error_code())
            .field("error_description", &self.error_description())
            .field("error_uri", &self.error_uri())
            .finish_non_exhaustive()
    }
}

impl Error for TokenEndpointError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.inner.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_failed_transport_only_what_the_system_says_is_named() {
        let text = |source: BoxError| {
            let error = TokenEndpointError::new(TokenEndpointErrorKind::Transport);
            error.with_source(source).to_string()
        };
        let failed = "token endpoint: the connection failed";

        assert_eq!(text("hunter2".into()), failed);
        assert_eq!(text(io::Error::other("hunter2").into()), failed);
        let reset = io::Error::new(io::ErrorKind::ConnectionReset, "hunter2");
        assert_eq!(text(reset.into()), format!("{failed}: connection reset"));
    }
}
