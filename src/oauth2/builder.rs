use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

use http::Method;
use zeroize::Zeroizing;

use super::client_auth::ClientAuth;
use super::client_credentials::{ClientCredentials, Config, Grant};
use super::client_secret::ClientSecret;
use super::endpoint::TokenEndpoint;
use super::invalid_config::InvalidConfig;
use super::wire::{Encoding, Wire};
use crate::provider::TokenRequest;

/// Configures [`ClientCredentials`].
#[derive(Clone)]
pub struct ClientCredentialsBuilder {
    token_endpoint: String,
    insecure_http: bool,
    grant: Grant,
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
                wire: Wire::default(),
                parameters: BTreeMap::new(),
            },
        }
    }
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

    /// Sends token requests by another method than `POST` (RFC 6749 §3.2), with the same body.
    ///
    /// Some servers want `GET` with a body.
    #[must_use]
    pub fn with_method(mut self, method: Method) -> Self {
        self.grant.wire.method = method;
        self
    }

    /// Sends the parameters as a JSON object of texts, for servers that want that instead of a form.
    ///
    /// With [`ClientAuth::Post`] the client id and secret are among them.
    #[must_use]
    pub fn with_json_body(mut self) -> Self {
        self.grant.wire.encoding = Encoding::Json;
        self
    }

    /// Sends the scopes under another name than `scope`.
    #[must_use]
    pub fn with_scope_parameter(mut self, name: impl Into<String>) -> Self {
        self.grant.wire.scope_parameter = name.into();
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
    use super::super::invalid_config::InvalidConfigKind;
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
            builder.grant.client_secret,
            builder.clone().build(())
        );

        assert!(!debug.contains("hunter2"), "{debug}");
    }
}
