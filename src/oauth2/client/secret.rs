use std::future::Future;

use zeroize::Zeroizing;

use super::text::{Text, made_of_text};
use crate::error::BoxError;
use crate::oauth2::error::{TokenEndpointError, TokenEndpointErrorKind};
use crate::oauth2::invalid_config::{InvalidConfig, InvalidConfigKind};

/// A client secret: fixed, or read for every fetch so that it can rotate.
///
/// ```
/// use tower_bearer::oauth2::{ClientCredentials, ClientSecret};
///
/// let secret = ClientSecret::from_fn(|| async {
///     let text = tokio::fs::read_to_string("/run/secrets/oauth2").await?;
///     Ok(text.trim_end().to_owned())
/// });
/// let builder = ClientCredentials::builder("https://id.example.com/token", "my-service", secret);
/// # let _ = builder;
/// ```
///
/// # Security
///
/// Zeroed when dropped. What was read for a fetch is zeroed when that fetch ends.
#[derive(Clone)]
pub struct ClientSecret {
    text: Text,
}

impl ClientSecret {
    /// Reads the secret by a closure, once for every fetch.
    ///
    /// If it fails, so does the fetch, as one that may get better by itself.
    pub fn from_fn<F, Fut>(f: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, BoxError>> + Send + 'static,
    {
        Self {
            text: Text::from_fn(f),
        }
    }

    /// Checks what can be checked without reading.
    pub(crate) fn validate(&self) -> Result<(), InvalidConfig> {
        self.text.validate(InvalidConfigKind::ClientSecret)
    }

    /// The secret, unless it has to be read.
    #[cfg(feature = "jwt")]
    pub(crate) fn fixed(&self) -> Option<&str> {
        self.text.fixed()
    }

    pub(crate) async fn read(&self) -> Result<Zeroizing<String>, TokenEndpointError> {
        let secret = self.text.read(InvalidConfigKind::ClientSecret).await;
        secret.map_err(|source| {
            TokenEndpointError::new(TokenEndpointErrorKind::ClientSecret).with_source(source)
        })
    }
}

made_of_text!(ClientSecret);
