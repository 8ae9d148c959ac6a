use std::fmt;
use std::future::Future;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::TokenTypeIdentifier;
use crate::error::{BoxError, FetchError};
use crate::oauth2::client::Text;
use crate::oauth2::endpoint::Endpoint;
use crate::oauth2::error::{TokenEndpointError, TokenEndpointErrorKind};
use crate::oauth2::grants::turns::Turns;
use crate::oauth2::invalid_config::{InvalidConfig, InvalidConfigKind};
use crate::provider::{BoxTokenProvider, FetchContext, TokenProvider};

/// The token that is exchanged, and what kind of token it is (RFC 8693 §2.1).
///
/// ```
/// use tower_bearer::oauth2::{SubjectToken, TokenTypeIdentifier};
/// use tower_bearer::TokenCache;
///
/// // A token that the platform keeps in a file, such as a Kubernetes service account's.
/// let of_file = SubjectToken::from_fn(TokenTypeIdentifier::JWT, || async {
///     let text = tokio::fs::read_to_string("/var/run/secrets/tokens/id").await?;
///     Ok(text.trim_end().to_owned())
/// });
///
/// // The access token that a cache has, while it is good.
/// fn of_cache(tokens: TokenCache) -> SubjectToken {
///     SubjectToken::from_fn(TokenTypeIdentifier::ACCESS_TOKEN, move || {
///         let tokens = tokens.clone();
///         async move { Ok(tokens.token().await?.expose_secret().to_owned()) }
///     })
/// }
/// # let _ = (of_file, of_cache);
/// ```
///
/// # Security
///
/// Zeroed when dropped. What was read for a fetch is zeroed when that fetch ends.
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
    Provider(BoxTokenProvider, Arc<Turns>),
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

    /// The access token that `provider` fetches, anew for every fetch and one at a time.
    ///
    /// It is asked for the default [`TokenRequest`](crate::TokenRequest), so for its own scopes, and is
    /// told of no rejection: what a server rejects is the token that this one was exchanged for. Its error
    /// is the error of the fetch, as it is.
    pub fn access_token_of(provider: impl TokenProvider) -> Self {
        Self {
            token_type: TokenTypeIdentifier::ACCESS_TOKEN,
            inner: Inner::Provider(BoxTokenProvider::new(provider), Arc::default()),
        }
    }

    pub(super) fn token_type(&self) -> &TokenTypeIdentifier {
        &self.token_type
    }

    pub(super) fn validate(&self) -> Result<(), InvalidConfig> {
        self.token_type.validate()?;
        match &self.inner {
            Inner::Text(text) => text.validate(InvalidConfigKind::SubjectToken),
            Inner::Provider(..) => Ok(()),
        }
    }

    /// The text, to be sent to `endpoint`.
    pub(super) async fn read(&self, endpoint: &Endpoint) -> Result<Zeroizing<String>, FetchError> {
        let text = match &self.inner {
            Inner::Text(text) => text.read(InvalidConfigKind::SubjectToken).await,
            Inner::Provider(provider, turns) => {
                // A provider may count on one fetch at a time for one request, and here come all scopes.
                let provider = provider.clone();
                let fetch = async move {
                    let token = provider.fetch_token(FetchContext::default()).await;
                    token.map_err(FetchError::from_provider)
                };
                let token = turns.run(|_| fetch).await?;
                return Ok(Zeroizing::new(token.expose_secret().to_owned()));
            }
        };
        let source = match text {
            Ok(text) => return Ok(text),
            Err(source) => match source.downcast::<FetchError>() {
                Ok(error) => return Err(*error),
                Err(source) => source,
            },
        };
        let error = TokenEndpointError::new(TokenEndpointErrorKind::SubjectToken);
        Err(error.with_source(source).at(endpoint.name()).into())
    }
}

impl fmt::Debug for SubjectToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubjectToken")
            .field("token_type", &self.token_type)
            .finish_non_exhaustive()
    }
}
