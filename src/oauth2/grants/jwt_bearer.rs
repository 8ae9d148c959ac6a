use super::{Grant, GrantBuilder, GrantProvider};
use crate::error::FetchError;
use crate::oauth2::client::request::GrantRequest;
use crate::oauth2::client::{Assertion, Credential, TokenClient};
use crate::oauth2::endpoint::TokenEndpoint;
use crate::oauth2::error::TokenEndpointError;
use crate::oauth2::invalid_config::InvalidConfig;
use crate::oauth2::transport::Transport;
use crate::provider::FetchContext;
use crate::token::AccessToken;

/// The JWT bearer grant (RFC 7523 §2.1), as a [`TokenProvider`](crate::TokenProvider): a signed JWT says who
/// wants a token, and for whom.
///
/// ```
/// use tower_bearer::oauth2::{Assertion, JwtBearer};
/// use tower_bearer::provider::FileToken;
///
/// // A token of the platform's, for one of an issuer that trusts it.
/// let assertion = Assertion::of(FileToken::new("/var/run/secrets/tokens/id"));
/// let builder = JwtBearer::builder("https://id.example.com/token", assertion)
///     .with_scope("orders:read");
/// # let _ = builder;
/// ```
///
/// With the feature `jwt`, `oauth2::jwt::JwtAssertion` makes and signs one.
pub type JwtBearer<T> = GrantProvider<JwtBearerGrant, T>;

/// Configures [`JwtBearer`].
pub type JwtBearerBuilder = GrantBuilder<JwtBearerGrant>;

/// Marks the JWT bearer grant: see [`JwtBearer`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct JwtBearerGrant {
    assertion: Assertion,
}

impl JwtBearer<()> {
    /// Starts with where to ask, and by what.
    ///
    /// All of it is checked by [`build`](GrantBuilder::build). No client authenticates itself (RFC 7521
    /// §4.1) unless [`with_client`](JwtBearerBuilder::with_client) names one.
    pub fn builder(
        token_endpoint: impl Into<TokenEndpoint>,
        assertion: impl Into<Assertion>,
    ) -> JwtBearerBuilder {
        let assertion = assertion.into();
        let inside = assertion.inside();
        GrantBuilder::new(token_endpoint, JwtBearerGrant { assertion }).with_inside(inside)
    }
}

impl JwtBearerBuilder {
    /// Sets a client that authenticates itself beside the assertion, where a server wants that.
    #[must_use]
    pub fn with_client(
        self,
        client_id: impl Into<String>,
        credential: impl Into<Credential>,
    ) -> Self {
        self.for_client(client_id, credential)
    }
}

impl Grant for JwtBearerGrant {
    const TYPE: &'static str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    const PARAMETERS: &'static [&'static str] = &["assertion"];

    fn validate(&self) -> Result<(), InvalidConfig> {
        Ok(())
    }

    async fn fetch<T: Transport>(
        &self,
        client: &TokenClient<T>,
        cx: FetchContext,
    ) -> Result<AccessToken, FetchError> {
        let wanted = cx.token_request();
        let endpoint = client.endpoint().await?;
        let at = |error: TokenEndpointError| error.at(endpoint.name());
        let for_whom = client.assertion_context(&endpoint, wanted).map_err(at)?;
        let assertion = self.assertion.make(for_whom).await.map_err(at)?;
        let request = GrantRequest::new(Self::TYPE).with("assertion", &assertion);
        let answer = client.fetch(&endpoint, request, wanted).await?;
        Ok(answer.token)
    }
}
