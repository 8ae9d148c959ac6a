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
/// [`ClientSecret`] or [`with_parameter`](ClientCredentialsBuilder::with_parameter).
pub struct ClientCredentials<T> {
    config: Config,
    // A mutex, so that a transport need not be `Sync`. Held to clone it, no longer.
    transport: Mutex<T>,
}

/// Configures [`ClientCredentials`].
#[derive(Clone)]
pub struct ClientCredentialsBuilder {
    token_endpoint: String,
    insecure_http: bool,
    grant: Grant,
}

struct Config {
    endpoint: TokenEndpoint,
    grant: Grant,
}

#[derive(Clone)]
struct Grant {
    client_id: String,
    client_secret: ClientSecret,
    client_auth: ClientAuth,
    defaults: TokenRequest,
    // Not in `defaults`, since they may be secrets.
    parameters: BTreeMap<String, Zeroizing<String>>,
}

impl ClientCredentials<()> {
    /// Starts with what every client has: where to ask, as whom, and the secret.
    ///
    /// All of it is checked by [`build`](ClientCredentialsBuilder::build).
    pub fn builder(
        token_endpoint: &str,
        client_id: impl Into<String>,
        client_secret: impl Into<ClientSecret>,
    ) -> ClientCredentialsBuilder {
        ClientCredentialsBuilder {
            token_endpoint: token_endpoint.to_owned(),
            insecure_http: false,
            grant: Grant {
                client_id: client_id.into(),
                client_secret: client_secret.into(),
                client_auth: ClientAuth::default(),
                defaults: TokenRequest::default(),
                parameters: BTreeMap::new(),
            },
        }
    }
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
            endpoint.send(self.transport(), request).await
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
    fn validate(&self) -> Result<(), InvalidConfig> {
        let id = &self.client_id;
        if id.trim().is_empty() || id.chars().any(char::is_control) {
            return Err(InvalidConfig::new(InvalidConfigKind::ClientId));
        }
        if self.client_auth == ClientAuth::BasicRaw && id.contains(':') {
            return Err(InvalidConfig::new(InvalidConfigKind::ColonInClientId));
        }
        self.client_secret.validate()?;
        if self.parameters.keys().any(|name| is_reserved(name)) {
            return Err(InvalidConfig::new(InvalidConfigKind::ReservedParameter));
        }
        Ok(())
    }

    async fn request(&self, wanted: &TokenRequest) -> Result<GrantRequest, TokenEndpointError> {
        // To leave either out would keep a token under a key that it was not fetched for.
        if wanted.tenant().is_some() || wanted.parameters().any(|(name, _)| is_reserved(name)) {
            return Err(TokenEndpointError::new(TokenEndpointErrorKind::NotSent));
        }
        let secret = self.client_secret.read().await?;

        let mut request = GrantRequest::new("client_credentials");
        self.client_auth
            .apply(&self.client_id, &secret, &mut request);

        let scopes = or(wanted, &self.defaults, |request| request.scopes().len() > 0);
        if scopes.scopes().len() > 0 {
            let scope: Vec<_> = scopes.scopes().collect();
            request.add("scope", &scope.join(" "));
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

/// Whether the grant sets that parameter itself. Twice is not allowed (RFC 6749 §3.2).
fn is_reserved(name: &str) -> bool {
    matches!(
        name,
        "" | "grant_type" | "client_id" | "client_secret" | "scope" | "resource" | "audience"
    )
}

impl ClientCredentialsBuilder {
    /// How the client authenticates; [`ClientAuth::Basic`] unless set.
    #[must_use]
    pub fn with_client_auth(mut self, client_auth: ClientAuth) -> Self {
        self.grant.client_auth = client_auth;
        self
    }

    /// Adds default scopes: one, or several separated by spaces (RFC 6749 §3.3).
    #[must_use]
    pub fn with_scope(mut self, scope: &str) -> Self {
        self.grant.defaults = self.grant.defaults.with_scope(scope);
        self
    }

    /// Adds a default target resource (RFC 8707 §2). There can be several.
    #[must_use]
    pub fn with_resource(mut self, resource: impl Into<String>) -> Self {
        self.grant.defaults = self.grant.defaults.with_resource(resource);
        self
    }

    /// Sets the default audience, where an issuer takes a parameter of that name.
    #[must_use]
    pub fn with_audience(mut self, audience: impl Into<String>) -> Self {
        self.grant.defaults = self.grant.defaults.with_audience(audience);
        self
    }

    /// Sets a further parameter of every token request.
    ///
    /// What the grant sets itself or has a method for here cannot be set by it.
    #[must_use]
    pub fn with_parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let value = Zeroizing::new(value.into());
        self.grant.parameters.insert(name.into(), value);
        self
    }

    /// Allows a token endpoint without TLS on another host than this one.
    ///
    /// # Security
    ///
    /// The client secret and the tokens can be read by everyone on the way. RFC 6749 §3.2 forbids it.
    #[must_use]
    pub fn with_insecure_http(mut self) -> Self {
        self.insecure_http = true;
        self
    }

    /// Makes the provider, which asks over `transport`.
    ///
    /// # Errors
    ///
    /// If the token endpoint is not an absolute URL of `https` (of `http` on a loopback host) or has a
    /// user, a password or a fragment; if the client id is blank, the secret empty, or one of them has
    /// control characters, such as the line break at the end of a file; or if a parameter is one that
    /// the grant sets itself.
    ///
    /// # Security
    ///
    /// The transport must not follow redirects, since the client secret would go along.
    pub fn build<T>(self, transport: T) -> Result<ClientCredentials<T>, InvalidConfig> {
        let endpoint = TokenEndpoint::parse(&self.token_endpoint, self.insecure_http)?;
        self.grant.validate()?;
        Ok(ClientCredentials {
            config: Config {
                endpoint,
                grant: self.grant,
            },
            transport: Mutex::new(transport),
        })
    }
}

impl<T> fmt::Debug for ClientCredentials<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentials")
            .field("token_endpoint", self.config.endpoint.name())
            .field("client_auth", &self.config.grant.client_auth)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientCredentialsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The endpoint is not parsed yet and may hold a password.
        f.debug_struct("ClientCredentialsBuilder")
            .field("client_auth", &self.grant.client_auth)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> ClientCredentialsBuilder {
        ClientCredentials::builder("https://id.example.com/token?key=hunter2", "me", "hunter2")
    }

    fn kind(builder: ClientCredentialsBuilder) -> InvalidConfigKind {
        builder.build(()).unwrap_err().kind()
    }

    #[test]
    fn credentials_that_cannot_be_right_are_refused_when_built() {
        let with = |id: &str, secret: &str| {
            kind(ClientCredentials::builder(
                "https://id.example.com/token",
                id,
                secret,
            ))
        };

        assert_eq!(with(" ", "secret"), InvalidConfigKind::ClientId);
        assert_eq!(with("me\n", "secret"), InvalidConfigKind::ClientId);
        assert_eq!(with("me", ""), InvalidConfigKind::ClientSecret);
        assert_eq!(with("me", "secret\n"), InvalidConfigKind::ClientSecret);
    }

    #[test]
    fn a_colon_in_the_id_is_refused_only_where_it_would_split_the_credential() {
        let with = |auth| {
            ClientCredentials::builder("https://id.example.com/token", "a:b", "secret")
                .with_client_auth(auth)
                .build(())
                .map_err(|error| error.kind())
        };

        let refused = Err(InvalidConfigKind::ColonInClientId);
        assert_eq!(with(ClientAuth::BasicRaw).map(drop), refused);
        assert_eq!(with(ClientAuth::Basic).map(drop), Ok(()));
        assert_eq!(with(ClientAuth::Post).map(drop), Ok(()));
    }

    #[test]
    fn a_parameter_that_the_grant_sets_itself_is_refused() {
        for name in [
            "",
            "grant_type",
            "client_id",
            "client_secret",
            "scope",
            "resource",
            "audience",
        ] {
            let builder = builder().with_parameter(name, "x");
            assert_eq!(
                kind(builder),
                InvalidConfigKind::ReservedParameter,
                "{name}"
            );
        }
    }

    #[test]
    fn debug_shows_neither_secret_nor_query() {
        let builder = builder().with_parameter("password", "hunter2");
        let debug = format!(
            "{builder:?} {:?} {:?}",
            builder.grant.client_secret,
            builder.clone().build(())
        );

        assert!(!debug.contains("hunter2"), "{debug}");
    }
}
