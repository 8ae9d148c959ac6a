use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::answer::redact::Redactor;
use super::asked::Asked;
use crate::error::{BoxError, FetchError, FetchErrorKind};

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
    content_encoding: Option<&'static str>,
    concerns: FetchErrorKind,
    retry_after: Option<Duration>,
    // Shared, since all who wait for one answer get its error.
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// What a server says of why it refuses (RFC 6749 §5.2), fit to be shown.
#[derive(Clone, Default)]
pub(crate) struct Refusal {
    pub(crate) error: Option<String>,
    pub(crate) error_description: Option<String>,
    pub(crate) error_uri: Option<String>,
    /// A piece of the body, if it is not what RFC 6749 says.
    pub(crate) text: Option<String>,
}

/// What a [`TokenEndpointError`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenEndpointErrorKind {
    /// Nothing was sent: the [`TokenRequest`](crate::TokenRequest) names a tenant, or a parameter that
    /// the grant sets itself, or what a metadata server cannot be asked for.
    NotSent,
    /// Nothing was sent: the client secret could not be read, or cannot be right.
    ClientSecret,
    /// Nothing was sent: an assertion could not be made, or is none.
    Assertion,
    /// Nothing was sent: the refresh token could not be read, or cannot be right.
    RefreshToken,
    /// Nothing was sent: the refresh token that came last could not be saved.
    RefreshTokenNotSaved,
    /// Nothing was sent: the subject token or the actor token of a token exchange could not be read, or
    /// cannot be right.
    SubjectToken,
    /// The transport failed, before or within the answer.
    Transport,
    /// The server refused, by its status or by an `error` in its answer.
    Rejected,
    /// The server answered with a redirect, which was not followed.
    Redirected,
    /// The answer has more than 1 MiB.
    TooLarge,
    /// The answer is not a JSON object.
    NotJson,
    /// The answer has no `access_token`.
    MissingToken,
    /// The `access_token` cannot be sent in a header.
    InvalidToken,
    /// The `token_type` is not `Bearer`.
    UnsupportedTokenType,
    /// The token is for fewer scopes than were asked for.
    ScopesNotGranted,
    /// The metadata that was read is another issuer's (RFC 8414 §3.3). No token endpoint was asked.
    IssuerMismatch,
    /// The issuer's metadata names no token endpoint, or one that is no `https` URL. It was not asked.
    InvalidMetadata,
    /// The issuer's metadata names a token endpoint on another origin than those that are allowed. It was
    /// not asked.
    TokenEndpointOrigin,
    /// What answered is not the metadata server.
    NotMetadataServer,
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
    /// Of an answer with a status of success, only if it is a registered one.
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

    /// Whether what the token was asked for by is of no use any more (RFC 6749 §5.2).
    pub(crate) fn is_invalid_grant(&self) -> bool {
        // Not if the server says in the same breath that it cannot serve now.
        self.error_code() == Some("invalid_grant") && self.inner.concerns == FetchErrorKind::Denied
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
        let concerns = match kind {
            TokenEndpointErrorKind::NotSent | TokenEndpointErrorKind::ScopesNotGranted => {
                FetchErrorKind::InvalidRequest
            }
            // Somebody has to correct a configuration, theirs or ours.
            TokenEndpointErrorKind::IssuerMismatch
            | TokenEndpointErrorKind::InvalidMetadata
            | TokenEndpointErrorKind::TokenEndpointOrigin => FetchErrorKind::Denied,
            _ => FetchErrorKind::Unavailable,
        };
        Self {
            inner: Box::new(Inner {
                kind,
                asked: Asked::TokenEndpoint,
                endpoint: None,
                status: None,
                refusal: Refusal::default(),
                content_encoding: None,
                concerns,
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
        let by_kind = match inner.kind {
            TokenEndpointErrorKind::NotSent => {
                " was not asked: the token request names a tenant, which this grant has no use for, \
                 or sets a parameter that the grant sets itself"
            }
            TokenEndpointErrorKind::ClientSecret => {
                " was not asked: the client secret could not be read, is empty, or has control \
                 characters (is there a line break to trim?)"
            }
            TokenEndpointErrorKind::Assertion => {
                " was not asked: the assertion could not be made, is empty, or has white space in it"
            }
            TokenEndpointErrorKind::RefreshToken => {
                " was not asked: the refresh token could not be read, is empty, or has control characters \
                 (is there a line break to trim?)"
            }
            TokenEndpointErrorKind::RefreshTokenNotSaved => {
                " was not asked: the refresh token that it gave last could not be saved, and the next one \
                 would be lost the same way; it is kept in memory, and saving it is tried again"
            }
            TokenEndpointErrorKind::SubjectToken => {
                " was not asked: the subject token or the actor token could not be read, is empty, or has \
                 control characters (is there a line break to trim?)"
            }
            TokenEndpointErrorKind::Transport => ": the connection failed",
            TokenEndpointErrorKind::Rejected => " refused",
            TokenEndpointErrorKind::Redirected => {
                " answered with a redirect, which is not followed, since the client secret would go \
                 along; configure the URL that it leads to"
            }
            TokenEndpointErrorKind::TooLarge => " answered with more than 1 MiB",
            TokenEndpointErrorKind::NotJson => {
                " answered with something else than a JSON object; is this the URL of a token endpoint?"
            }
            TokenEndpointErrorKind::MissingToken => " answered without an access_token",
            TokenEndpointErrorKind::InvalidToken => {
                " answered with an access_token that cannot be sent in a header"
            }
            TokenEndpointErrorKind::UnsupportedTokenType => {
                " answered with a token whose token_type is not Bearer"
            }
            TokenEndpointErrorKind::ScopesNotGranted => {
                " granted fewer scopes than were asked for (`with_fewer_scopes_accepted` takes the \
                 token all the same); it lacks"
            }
            TokenEndpointErrorKind::IssuerMismatch => {
                " is another issuer's than the one that was configured (RFC 8414 section 3.3)"
            }
            TokenEndpointErrorKind::InvalidMetadata => {
                " names no token endpoint that can be used: `token_endpoint` must be an https URL \
                 without user, password and fragment"
            }
            TokenEndpointErrorKind::TokenEndpointOrigin => {
                " names a token endpoint on another origin than the issuer's, which is not sent the \
                 client's credentials unless `Issuer::with_token_endpoint_origin` allows it"
            }
            TokenEndpointErrorKind::NotMetadataServer => {
                ": what answered is not the metadata server; does the transport use a proxy?"
            }
        };
        f.write_str(inner.asked.says(inner.kind).unwrap_or(by_kind))?;
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
        if inner.asked == Asked::TokenEndpoint {
            f.write_str(inner.refusal.hint())?;
        }
        let may_be_ours =
            inner.asked == Asked::TokenEndpoint || inner.concerns == FetchErrorKind::Denied;
        if inner.kind == TokenEndpointErrorKind::Rejected && may_be_ours {
            f.write_str(inner.asked.advice(inner.refusal.is_silent()))?;
        }
        Ok(())
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

impl Refusal {
    fn is_silent(&self) -> bool {
        self.error.is_none() && self.text.is_none()
    }

    /// What to do about it, at a token endpoint.
    fn hint(&self) -> &'static str {
        match self.error.as_deref() {
            Some("invalid_client") => {
                "; check the client id and secret, and whether the server wants them sent another way \
                 (`ClientAuth`)"
            }
            Some("unauthorized_client" | "unsupported_grant_type") => {
                "; this grant must be enabled for this client"
            }
            Some("invalid_grant") => {
                "; what the token was asked for by (a refresh token, an assertion) has ended, was \
                 revoked or used before, or is not this client's"
            }
            Some("invalid_scope") => "; check which scopes this client may ask for",
            Some("invalid_target") => "; check the resource and the audience",
            _ => "",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = [&self.error, &self.error_description, &self.text];
        for text in texts.into_iter().flatten() {
            write!(f, ": {text}")?;
        }
        if let Some(uri) = &self.error_uri {
            write!(f, " (see {uri})")?;
        }
        Ok(())
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
