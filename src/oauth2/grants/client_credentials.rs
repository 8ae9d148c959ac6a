use super::{Grant, GrantBuilder, GrantProvider};
use crate::error::FetchError;
use crate::oauth2::client::request::GrantRequest;
use crate::oauth2::client::{Credential, TokenClient};
use crate::oauth2::endpoint::TokenEndpoint;
use crate::oauth2::invalid_config::InvalidConfig;
use crate::oauth2::transport::Transport;
use crate::provider::FetchContext;
use crate::token::AccessToken;

/// The client credentials grant (RFC 6749 §4.4), as a [`TokenProvider`](crate::TokenProvider): the client
/// asks on its own behalf.
///
/// ```
/// use tower_bearer::oauth2::ClientCredentials;
///
/// let builder = ClientCredentials::builder("https://id.example.com/token", "my-service", "s3cret")
///     .with_scope("orders:read");
/// # let _ = builder;
/// ```
pub type ClientCredentials<T> = GrantProvider<ClientCredentialsGrant, T>;

/// Configures [`ClientCredentials`].
pub type ClientCredentialsBuilder = GrantBuilder<ClientCredentialsGrant>;

/// Marks the client credentials grant: see [`ClientCredentials`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientCredentialsGrant {}

impl ClientCredentials<()> {
    /// Starts with what every client has: where to ask, as whom, and what proves it, such as a secret.
    ///
    /// All of it is checked by [`build`](GrantBuilder::build).
    pub fn builder(
        token_endpoint: impl Into<TokenEndpoint>,
        client_id: impl Into<String>,
        credential: impl Into<Credential>,
    ) -> ClientCredentialsBuilder {
        GrantBuilder::new(token_endpoint, ClientCredentialsGrant {})
            .for_client(client_id, credential)
    }
}

impl Grant for ClientCredentialsGrant {
    const TYPE: &'static str = "client_credentials";
    const PARAMETERS: &'static [&'static str] = &[];

    fn validate(&self) -> Result<(), InvalidConfig> {
        Ok(())
    }

    async fn fetch<T: Transport>(
        &self,
        client: &TokenClient<T>,
        cx: FetchContext,
    ) -> Result<AccessToken, FetchError> {
        let endpoint = client.endpoint().await?;
        let request = GrantRequest::new(Self::TYPE);
        let answer = client.fetch(&endpoint, request, cx.token_request()).await?;
        Ok(answer.token)
    }
}
