//! The grants, one file each, and what they share: a builder and the provider that it makes.

use std::error::Error;
use std::fmt;
use std::future::Future;

use http::StatusCode;

use super::client::TokenClient;
use super::error::TokenEndpointError;
use super::invalid_config::InvalidConfig;
use super::transport::Transport;
use crate::error::{BoxError, FetchError};
use crate::provider::{FetchContext, TokenProvider};
use crate::token::AccessToken;

mod builder;
mod client_credentials;
mod jwt_bearer;
mod refresh_token;
mod token_exchange;
mod turns;

pub use self::builder::GrantBuilder;
pub use self::client_credentials::{
    ClientCredentials, ClientCredentialsBuilder, ClientCredentialsGrant,
};
pub use self::jwt_bearer::{JwtBearer, JwtBearerBuilder, JwtBearerGrant};
pub use self::refresh_token::{
    RefreshToken, RefreshTokenBuilder, RefreshTokenGrant, RefreshTokenRotation, RefreshTokenSource,
};
pub use self::token_exchange::{
    ActorToken, SubjectToken, TokenExchange, TokenExchangeBuilder, TokenExchangeGrant,
    TokenTypeIdentifier,
};

/// A grant (RFC 6749 §1.3): what a token endpoint gives a token for.
///
/// Implemented by the types of this module, and by no others.
pub trait Grant: Send + Sync + 'static {
    /// Its `grant_type`.
    #[doc(hidden)]
    const TYPE: &'static str;

    /// The parameters that it sets itself, beside those of every token request.
    #[doc(hidden)]
    const PARAMETERS: &'static [&'static str];

    #[doc(hidden)]
    fn validate(&self) -> Result<(), InvalidConfig>;

    #[doc(hidden)]
    fn fetch<T: Transport>(
        &self,
        client: &TokenClient<T>,
        cx: FetchContext,
    ) -> impl Future<Output = Result<AccessToken, FetchError>> + Send;
}

/// A [`TokenProvider`] that asks a token endpoint by the grant `G`, over the transport `T`.
///
/// A [`TokenRequest`](crate::TokenRequest) replaces the defaults of the builder: its scopes all default
/// scopes, its resources all default resources, its audience and each of its parameters the default of
/// that name.
///
/// # Errors
///
/// Every error is a [`FetchError`] that says what is concerned:
///
/// | answer | [`FetchErrorKind`](crate::FetchErrorKind) |
/// |---|---|
/// | none, 408, 429, 5xx, a redirect, no JSON, more than 1 MiB, no usable token | `Unavailable` |
/// | `temporarily_unavailable`, `server_error`, `slow_down` | `Unavailable` |
/// | `invalid_scope`, `invalid_target`, fewer scopes than were asked for | `InvalidRequest` |
/// | any other 4xx | `Denied` |
///
/// `Retry-After` is passed on. A [`TokenEndpointError`] is the
/// [`source`](std::error::Error::source). A `TokenRequest` with a tenant, which grants have no use for
/// ([an assertion](super::Assertion::with_tenant_inside) may have), or with a parameter that the grant sets itself is `InvalidRequest`, and nothing is sent.
///
/// # Security
///
/// A parameter of a `TokenRequest` is part of a key and not zeroed. A secret belongs in a
/// [`ClientSecret`](super::ClientSecret) or [`with_parameter`](GrantBuilder::with_parameter).
pub struct GrantProvider<G, T> {
    grant: G,
    client: TokenClient<T>,
}

impl<G: Grant, T: Transport> TokenProvider for GrantProvider<G, T> {
    async fn fetch_token(&self, cx: FetchContext) -> Result<AccessToken, BoxError> {
        Ok(self.grant.fetch(&self.client, cx).await?)
    }
}

impl<G: Grant, T> fmt::Debug for GrantProvider<G, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrantProvider")
            .field("grant_type", &G::TYPE)
            .field("token_endpoint", self.client.endpoint.name())
            .field("credential", &self.client.client.credential)
            .finish_non_exhaustive()
    }
}

/// The code of a refusal, whatever it is judged to concern. None if the server says by its status that it cannot
/// serve now.
fn refusal_code(error: &FetchError) -> Option<&str> {
    let error = error.source()?.downcast_ref::<TokenEndpointError>()?;
    let status = error.status()?;
    let is_temporary = status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
        );
    error.error_code().filter(|_| !is_temporary)
}
