use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use zeroize::Zeroizing;

use super::TokenTypeIdentifier;
use crate::cache::TokenCache;
use crate::error::{BoxError, FetchError};
use crate::layer::IntoTokenCache;
use crate::oauth2::client::Text;
use crate::oauth2::endpoint::Endpoint;
use crate::oauth2::error::{TokenEndpointError, TokenEndpointErrorKind};
use crate::oauth2::invalid_config::{InvalidConfig, InvalidConfigKind};
use crate::provider::TokenProvider;
use crate::token::AccessToken;

/// The token that is exchanged, and what kind of token it is (RFC 8693 §2.1).
///
/// ```
/// use tower_bearer::oauth2::{SubjectToken, TokenTypeIdentifier};
/// use tower_bearer::provider::FileToken;
/// use tower_bearer::TokenCache;
///
/// // A token that the platform keeps in a file, such as a Kubernetes service account's.
/// let file = FileToken::new("/var/run/secrets/tokens/sts");
/// let of_file = SubjectToken::of(TokenTypeIdentifier::JWT, file);
///
/// // The access token of a cache that serves others too.
/// fn of_cache(tokens: &TokenCache) -> SubjectToken {
///     SubjectToken::access_token_of(tokens.clone())
/// }
/// # let _ = (of_file, of_cache);
/// ```
///
/// # Security
///
/// A fixed text is zeroed when dropped. What a closure returned for a fetch is zeroed when that fetch ends.
#[derive(Clone)]
pub struct SubjectToken {
    token_type: TokenTypeIdentifier,
    inner: Inner,
}

/// The token of who acts (RFC 8693 §2.1), made as a [`SubjectToken`] is.
pub type ActorToken = SubjectToken;

#[derive(Clone)]
enum Inner {
    Text(Text),
    Cache(Arc<dyn Tokens>),
}

impl SubjectToken {
    /// A fixed text.
    pub fn new(token_type: TokenTypeIdentifier, token: impl Into<String>) -> Self {
        Self {
            token_type,
            inner: Inner::Text(Text::Fixed(Zeroizing::new(token.into()))),
        }
    }

    /// Reads the token by a closure, once for every fetch.
    ///
    /// If it fails, so does the fetch: as a [`FetchError`] says if that is what the closure returns, and
    /// otherwise as one that may get better by itself.
    pub fn from_fn<F, Fut>(token_type: TokenTypeIdentifier, f: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, BoxError>> + Send + 'static,
    {
        Self {
            token_type,
            inner: Inner::Text(Text::from_fn(f)),
        }
    }

    /// The access token that `tokens` has: see [`of`](Self::of).
    pub fn access_token_of<C>(tokens: C) -> Self
    where
        C: IntoTokenCache<Provider: TokenProvider>,
    {
        Self::of(TokenTypeIdentifier::ACCESS_TOKEN, tokens)
    }

    /// The token that `tokens` has, which is a [provider](TokenProvider) or a [`TokenCache`] to share.
    ///
    /// A provider is asked by a cache of its own, so that exchanges for any number of scopes share one token
    /// and one fetch of it; it is asked for the default [`TokenRequest`](crate::TokenRequest), so for its own
    /// scopes. Its error is the error of the fetch, as it is. A pause after a failure is that cache's own: to be
    /// able to [end](TokenCache::reset_backoff) it, pass a cache.
    ///
    /// If the exchange is refused by `invalid_request` (RFC 8693 §2.2.2) or `invalid_grant`, which servers say of
    /// a subject token that they do not accept, the token is [invalidated](TokenCache::invalidate) in the cache:
    /// the next exchange gets a new one. The rejection of a token that it was exchanged for is none of this one.
    pub fn of<C>(token_type: TokenTypeIdentifier, tokens: C) -> Self
    where
        C: IntoTokenCache<Provider: TokenProvider>,
    {
        Self {
            token_type,
            inner: Inner::Cache(Arc::new(tokens.into_token_cache())),
        }
    }

    pub(super) fn token_type(&self) -> &TokenTypeIdentifier {
        &self.token_type
    }

    pub(super) fn validate(&self) -> Result<(), InvalidConfig> {
        self.token_type.validate()?;
        match &self.inner {
            Inner::Text(text) => text.validate(InvalidConfigKind::SubjectToken),
            Inner::Cache(_) => Ok(()),
        }
    }

    /// The token, to be sent to `endpoint`.
    pub(super) async fn read(&self, endpoint: &Endpoint) -> Result<Read<'_>, FetchError> {
        let text = match &self.inner {
            Inner::Text(text) => text.read(InvalidConfigKind::SubjectToken).await,
            Inner::Cache(tokens) => return Ok(Read::Token(tokens.token().await?, &**tokens)),
        };
        let source = match text {
            Ok(text) => return Ok(Read::Text(text)),
            Err(source) => match source.downcast::<FetchError>() {
                Ok(error) => return Err(*error),
                Err(source) => source,
            },
        };
        let error = TokenEndpointError::new(TokenEndpointErrorKind::SubjectToken);
        Err(error.with_source(source).at(endpoint.name()).into())
    }
}

/// A token that was read for one exchange.
pub(super) enum Read<'a> {
    Text(Zeroizing<String>),
    Token(AccessToken, &'a dyn Tokens),
}

impl Read<'_> {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Token(token, _) => token.expose_secret(),
        }
    }

    /// States that the server does not accept it.
    pub(super) fn refused(&self) {
        if let Self::Token(token, tokens) = self {
            tokens.invalidate(token);
        }
    }
}

/// A [`TokenCache`], whatever its provider.
pub(super) trait Tokens: Send + Sync {
    fn token(&self) -> BoxFuture<'_, Result<AccessToken, FetchError>>;
    fn invalidate(&self, token: &AccessToken);
}

impl<P: TokenProvider> Tokens for TokenCache<P> {
    fn token(&self) -> BoxFuture<'_, Result<AccessToken, FetchError>> {
        Box::pin(Self::token(self))
    }

    fn invalidate(&self, token: &AccessToken) {
        Self::invalidate(self, token);
    }
}

impl fmt::Debug for SubjectToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubjectToken")
            .field("token_type", &self.token_type)
            .finish_non_exhaustive()
    }
}
