use std::future::Future;

use zeroize::Zeroizing;

use crate::error::BoxError;
use crate::oauth2::client::{Text, made_of_text};
use crate::oauth2::error::{TokenEndpointError, TokenEndpointErrorKind};
use crate::oauth2::invalid_config::{InvalidConfig, InvalidConfigKind};

/// Where the refresh token comes from: a fixed text, or a closure that reads it where others put it.
///
/// ```
/// use tower_bearer::oauth2::{Credential, RefreshToken, RefreshTokenSource};
///
/// let source = RefreshTokenSource::from_fn(|| async {
///     let text = tokio::fs::read_to_string("/var/lib/my-service/refresh-token").await?;
///     Ok(text.trim_end().to_owned())
/// });
/// let endpoint = "https://id.example.com/token";
/// let builder = RefreshToken::builder(endpoint, "my-app", Credential::none(), source);
/// # let _ = builder;
/// ```
///
/// # Security
///
/// Zeroed when dropped, as is what was read.
#[derive(Clone)]
pub struct RefreshTokenSource {
    text: Text,
}

impl RefreshTokenSource {
    /// Reads the refresh token by a closure: before every token request, and again if the token endpoint
    /// says `invalid_grant` (RFC 6749 §5.2).
    ///
    /// So it notices what another process has put there. What the closure returns is used unless it is the
    /// same as last time, or one that this process itself has had replaced: a closure that goes on
    /// returning the first refresh token does no harm.
    ///
    /// It is no lock: two processes that ask at the same moment send the same refresh token, and a server
    /// that takes this for theft revokes it. Let one process ask, or give each a refresh token of its own.
    ///
    /// If it fails, so does the fetch, as one that may get better by itself. What is in memory is not
    /// used instead, since somebody else may have used it up.
    pub fn from_fn<F, Fut>(f: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, BoxError>> + Send + 'static,
    {
        Self {
            text: Text::from_fn(f),
        }
    }

    pub(super) fn is_fixed(&self) -> bool {
        self.text.fixed().is_some()
    }

    pub(super) fn validate(&self) -> Result<(), InvalidConfig> {
        self.text.validate(InvalidConfigKind::RefreshToken)
    }

    pub(super) async fn read(&self) -> Result<Zeroizing<String>, TokenEndpointError> {
        let token = self.text.read(InvalidConfigKind::RefreshToken).await;
        token.map_err(|source| {
            TokenEndpointError::new(TokenEndpointErrorKind::RefreshToken).with_source(source)
        })
    }
}

made_of_text!(RefreshTokenSource);
