use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower_service::Service;
use zeroize::Zeroizing;

use super::client_auth::ClientAuth;
use super::client_secret::ClientSecret;
use super::endpoint::TokenEndpoint;
use super::error::{TokenEndpointError, TokenEndpointErrorKind};
use super::invalid_config::{InvalidConfig, InvalidConfigKind};
use super::request::GrantRequest;
use super::wire::Wire;
use crate::error::{BoxError, FetchError};
use crate::provider::{FetchContext, TokenProvider, TokenRequest};
use crate::token::AccessToken;

/// The client credentials grant (RFC 6749 §4.4), as a [`TokenProvider`].
///
/// The transport `T` is any `Service<http::Request<Full<Bytes>>>` with a body that can be read. It is
/// cloned for every fetch, made ready, and called once. It must not follow redirects.
///
/// A [`TokenRequest`] replaces the defaults of the builder: its scopes all default scopes, its resources
/// all default resources, its audience and each of its parameters the default of that name.
///
/// # Errors
///
/// Every error is a [`FetchError`] that says what is concerned:
///
/// | answer | [`FetchErrorKind`](crate::FetchErrorKind) |
/// |---|---|
/// | none, 408, 429, 5xx, a redirect, no JSON, more than 1 MiB, no usable token | `Unavailable` |
/// | `temporarily_unavailable`, `server_error`, `slow_down` | `Unavailable` |
/// | `invalid_scope`, `invalid_target` | `InvalidRequest` |
/// | any other 4xx | `Denied` |
///
/// `Retry-After` is passed on. A [`TokenEndpointError`] is the [`source`](std::error::Error::source).
/// A [`TokenRequest`] with a tenant, which this grant has no use for, or with a parameter that the grant
/// sets itself is `InvalidRequest`, and nothing is sent.
///
/// # Security
///
/// A parameter of a [`TokenRequest`] is part of a key and not zeroed. A secret belongs in
/// [`ClientSecret`] or [`with_parameter`](super::ClientCredentialsBuilder::with_parameter).
pub struct ClientCredentials<T> {
    pub(super) config: Config,
    // A mutex, so that a transport need not be `Sync`. Held to clone it, no longer.
    pub(super) transport: Mutex<T>,
}

pub(super) struct Config {
    pub(super) endpoint: TokenEndpoint,
    pub(super) grant: Grant,
}

#[derive(Clone)]
pub(super) struct Grant {
    pub(super) client_id: String,
    pub(super) client_secret: ClientSecret,
    pub(super) client_auth: ClientAuth,
    pub(super) defaults: TokenRequest,
    pub(super) wire: Wire,
    // Not in `defaults`, since they may be secrets.
    pub(super) parameters: BTreeMap<String, Zeroizing<String>>,
}

impl<T, B> TokenProvider for ClientCredentials<T>
where
    T: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + 'static,
    T::Future: Send,
    T::Error: Into<BoxError>,
    B: Body + Send,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    async fn fetch_token(&self, cx: FetchContext) -> Result<AccessToken, BoxError> {
        let Config { endpoint, grant } = &self.config;
        let fetch = async {
            let request = grant.request(cx.token_request()).await?;
            endpoint.send(self.transport(), request, &grant.wire).await
        };
        let token = fetch.await;
        token.map_err(|error| FetchError::from(error.at(endpoint.name())).into())
    }
}

impl<T: Clone> ClientCredentials<T> {
    fn transport(&self) -> T {
        // A clone that panicked has not changed what it was to copy.
        let transport = self.transport.lock();
        transport.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Grant {
    pub(super) fn validate(&self) -> Result<(), InvalidConfig> {
        let id = &self.client_id;
        if id.trim().is_empty() || id.chars().any(char::is_control) {
            return Err(InvalidConfig::new(InvalidConfigKind::ClientId));
        }
        if self.client_auth == ClientAuth::BasicRaw && id.contains(':') {
            return Err(InvalidConfig::new(InvalidConfigKind::ColonInClientId));
        }
        self.client_secret.validate()?;
        let scope = &self.wire.scope_parameter;
        if (scope != "scope" && is_reserved(scope))
            || self.parameters.keys().any(|name| self.sets(name))
        {
            return Err(InvalidConfig::new(InvalidConfigKind::ReservedParameter));
        }
        Ok(())
    }

    /// Whether the grant sets that parameter itself. Twice is not allowed (RFC 6749 §3.2).
    fn sets(&self, name: &str) -> bool {
        is_reserved(name) || name == self.wire.scope_parameter
    }

    async fn request(&self, wanted: &TokenRequest) -> Result<GrantRequest, TokenEndpointError> {
        // To leave either out would keep a token under a key that it was not fetched for.
        if wanted.tenant().is_some() || wanted.parameters().any(|(name, _)| self.sets(name)) {
            return Err(TokenEndpointError::new(TokenEndpointErrorKind::NotSent));
        }
        let secret = self.client_secret.read().await?;

        let mut request = GrantRequest::new("client_credentials");
        self.client_auth
            .apply(&self.client_id, &secret, &mut request);

        let scopes = or(wanted, &self.defaults, |request| request.scopes().len() > 0);
        if scopes.scopes().len() > 0 {
            let scope: Vec<_> = scopes.scopes().collect();
            request.add(&self.wire.scope_parameter, &scope.join(" "));
        }
        let resources = or(wanted, &self.defaults, |request| {
            request.resources().len() > 0
        });
        for resource in resources.resources() {
            request.add("resource", resource);
        }
        if let Some(audience) = wanted.audience().or(self.defaults.audience()) {
            request.add("audience", audience);
        }
        let mut parameters: BTreeMap<&str, &str> = BTreeMap::new();
        let defaults = self.parameters.iter();
        parameters.extend(defaults.map(|(name, value)| (name.as_str(), value.as_str())));
        parameters.extend(wanted.parameters());
        for (name, value) in parameters {
            request.add(name, value);
        }
        Ok(request)
    }
}

/// `wanted` if it has something to say, else the defaults.
fn or<'a>(
    wanted: &'a TokenRequest,
    defaults: &'a TokenRequest,
    speaks: impl Fn(&TokenRequest) -> bool,
) -> &'a TokenRequest {
    if speaks(wanted) { wanted } else { defaults }
}

/// Whether a parameter has a meaning of its own, or no name.
fn is_reserved(name: &str) -> bool {
    matches!(
        name,
        "" | "grant_type" | "client_id" | "client_secret" | "scope" | "resource" | "audience"
    )
}

impl<T> fmt::Debug for ClientCredentials<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentials")
            .field("token_endpoint", self.config.endpoint.name())
            .field("client_auth", &self.config.grant.client_auth)
            .finish_non_exhaustive()
    }
}
