use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use http::Method;
use zeroize::Zeroizing;

use super::{Grant, GrantProvider};
use crate::error::FetchErrorKind;
use crate::oauth2::client::{Client, ClientAuth, Credential, Encoding, Inside, TokenClient, Wire};
use crate::oauth2::endpoint::TokenEndpoint;
use crate::oauth2::error::TokenEndpointError;
use crate::oauth2::invalid_config::InvalidConfig;
use crate::provider::TokenRequest;

/// Configures a [`GrantProvider`].
///
/// ```
/// use tower_bearer::oauth2::ClientCredentials;
///
/// let builder = ClientCredentials::builder("https://id.example.com/token", "my-service", "s3cret")
///     .with_scope("orders:read")
///     .with_resource("https://api.example.com");
/// # let _ = builder;
/// ```
#[derive(Clone)]
pub struct GrantBuilder<G> {
    token_endpoint: TokenEndpoint,
    insecure_http: bool,
    client: Client,
    grant: G,
}

impl<G: Grant> GrantBuilder<G> {
    pub(super) fn new(token_endpoint: impl Into<TokenEndpoint>, grant: G) -> Self {
        Self {
            token_endpoint: token_endpoint.into(),
            insecure_http: false,
            client: Client {
                id: None,
                credential: Credential::none(),
                auth: ClientAuth::default(),
                defaults: TokenRequest::default(),
                wire: Wire::default(),
                parameters: BTreeMap::new(),
                accepts_fewer_scopes: false,
                refusals: None,
                inside: Inside::default(),
                own: G::PARAMETERS,
            },
            grant,
        }
    }

    /// Public as `with_client` where a client is optional.
    pub(super) fn for_client(
        mut self,
        client_id: impl Into<String>,
        credential: impl Into<Credential>,
    ) -> Self {
        self.client.id = Some(client_id.into().into());
        self.client.credential = credential.into();
        self
    }

    /// What the grant's assertion says for itself.
    pub(super) fn with_inside(mut self, inside: Inside) -> Self {
        self.client.inside = inside;
        self
    }

    pub(super) fn grant_mut(&mut self) -> &mut G {
        &mut self.grant
    }

    /// How the client sends its secret; [`ClientAuth::Basic`] unless set.
    #[must_use]
    pub fn with_client_auth(mut self, client_auth: ClientAuth) -> Self {
        self.client.auth = client_auth;
        self
    }

    /// Adds default scopes: one, or several separated by spaces (RFC 6749 §3.3).
    #[must_use]
    pub fn with_scope(mut self, scope: &str) -> Self {
        self.client.defaults = self.client.defaults.with_scope(scope);
        self
    }

    /// Adds a default target resource (RFC 8707 §2). There can be several.
    #[must_use]
    pub fn with_resource(mut self, resource: impl Into<String>) -> Self {
        self.client.defaults = self.client.defaults.with_resource(resource);
        self
    }

    /// Sets the default audience, where an issuer takes a parameter of that name.
    #[must_use]
    pub fn with_audience(mut self, audience: impl Into<String>) -> Self {
        self.client.defaults = self.client.defaults.with_audience(audience);
        self
    }

    /// Sets a further parameter of every token request.
    ///
    /// Its value may be a secret: if it has four bytes or more, it is cut out of what a server says before
    /// that becomes part of an error.
    ///
    /// What the grant sets itself or has a method for here cannot be set by it.
    #[must_use]
    pub fn with_parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let value = Zeroizing::new(value.into());
        self.client.parameters.insert(name.into(), value);
        self
    }

    /// Sends token requests by another method than `POST` (RFC 6749 §3.2), with the same body.
    ///
    /// Some servers want `GET` with a body.
    #[must_use]
    pub fn with_method(mut self, method: Method) -> Self {
        self.client.wire.method = method;
        self
    }

    /// Sends the parameters as a JSON object of texts, for servers that want that instead of a form.
    ///
    /// With [`ClientAuth::Post`] the client id and secret are among them.
    #[must_use]
    pub fn with_json_body(mut self) -> Self {
        self.client.wire.encoding = Encoding::Json;
        self
    }

    /// Sends the scopes under another name than `scope`.
    #[must_use]
    pub fn with_scope_parameter(mut self, name: impl Into<String>) -> Self {
        self.client.wire.scope_parameter = name.into();
        self
    }

    /// Accepts a token for fewer scopes than were asked for.
    ///
    /// Without this, an answer whose `scope` (RFC 6749 §5.1) lacks one of them is an error that names it.
    /// Of use where a server calls scopes by other names in its answers. An answer without a `scope` means
    /// that all were granted.
    #[must_use]
    pub fn with_fewer_scopes_accepted(mut self) -> Self {
        self.client.accepts_fewer_scopes = true;
        self
    }

    /// Sets what says of a refusal what it concerns, for servers that do not tell it by the codes of RFC
    /// 6749 §5.2.
    ///
    /// `None` leaves it at what status and code say: see [`GrantProvider`]. Of the kinds,
    /// [`Denied`](FetchErrorKind::Denied) pauses every key of the cache and
    /// [`InvalidRequest`](FetchErrorKind::InvalidRequest) its own; any other counts as
    /// [`Unavailable`](FetchErrorKind::Unavailable).
    ///
    /// ```
    /// use tower_bearer::FetchErrorKind;
    /// use tower_bearer::oauth2::{ClientCredentials, TokenEndpointError};
    ///
    /// // This server refuses a scope with a page of text.
    /// fn concerns(refusal: &TokenEndpointError) -> Option<FetchErrorKind> {
    ///     let is_scope = refusal.text()?.contains("unknown scope");
    ///     is_scope.then_some(FetchErrorKind::InvalidRequest)
    /// }
    ///
    /// let builder = ClientCredentials::builder("https://id.example.com/token", "my-service", "s3cret")
    ///     .with_refusals_judged_by(concerns);
    /// # let _ = builder;
    /// ```
    #[must_use]
    pub fn with_refusals_judged_by<F>(mut self, judge: F) -> Self
    where
        F: Fn(&TokenEndpointError) -> Option<FetchErrorKind> + Send + Sync + 'static,
    {
        self.client.refusals = Some(Arc::new(judge));
        self
    }

    /// Allows a token endpoint without TLS on another host than this one, and an
    /// [`Issuer`](crate::oauth2::Issuer) and its metadata too.
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
    pub fn build<T>(self, transport: T) -> Result<GrantProvider<G, T>, InvalidConfig> {
        let endpoint = self.token_endpoint.parse(self.insecure_http)?;
        self.client.validate()?;
        self.grant.validate()?;
        Ok(GrantProvider {
            grant: self.grant,
            client: TokenClient {
                endpoint,
                client: self.client,
                transport: Mutex::new(transport),
            },
        })
    }
}

impl<G: Grant> fmt::Debug for GrantBuilder<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrantBuilder")
            .field("grant_type", &G::TYPE)
            .field("credential", &self.client.credential)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth2::invalid_config::InvalidConfigKind;
    use crate::oauth2::{ClientCredentials, ClientCredentialsBuilder};

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
    fn another_name_for_the_scopes_is_as_reserved_as_the_usual_one() {
        let renamed = || builder().with_scope_parameter("Scopes");
        assert!(renamed().build(()).is_ok());
        for builder in [
            renamed().with_parameter("Scopes", "x"),
            builder().with_scope_parameter("client_id"),
            builder().with_scope_parameter(""),
        ] {
            assert_eq!(kind(builder), InvalidConfigKind::ReservedParameter);
        }
    }

    #[test]
    fn debug_shows_neither_secret_nor_query() {
        let builder = builder().with_parameter("password", "hunter2");
        let debug = format!(
            "{builder:?} {:?} {:?}",
            builder.client.credential,
            builder.clone().build(())
        );

        assert!(!debug.contains("hunter2"), "{debug}");
    }
}
