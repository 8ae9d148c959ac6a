use std::fmt;
use std::sync::Mutex;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::response::Parts;

use super::{MetadataServer, parse, token};
use crate::error::{BoxError, FetchError};
use crate::oauth2::answer::lifetime;
use crate::oauth2::answer::redact::Redactor;
use crate::oauth2::client::encode;
use crate::oauth2::error::Asked;
use crate::oauth2::error::{TokenEndpointError, TokenEndpointErrorKind};
use crate::oauth2::invalid_config::{InvalidConfig, InvalidConfigKind};
use crate::oauth2::transport::Transport;
use crate::provider::{FetchContext, TokenProvider, TokenRequest};
use crate::token::AccessToken;

/// Its name in Google's internal DNS, and its address where there is only IPv6.
const HOSTS: [&str; 2] = ["metadata.google.internal", "[fd20:ce::254]"];

const FLAVOR: HeaderName = HeaderName::from_static("metadata-flavor");

/// A [`TokenProvider`] that asks the metadata server of Google Compute Engine, which GKE and Cloud Run have
/// too, for tokens of the machine's service account.
///
/// See [Authenticate workloads using service
/// accounts](https://cloud.google.com/compute/docs/access/authenticate-workloads).
///
/// ```
/// use tower_bearer::oauth2::metadata::GceMetadata;
///
/// let builder = GceMetadata::builder().with_scope("https://www.googleapis.com/auth/pubsub");
/// # let _ = builder;
/// ```
///
/// # What can be asked for
///
/// An access token by scopes: those of the [`TokenRequest`], or else of the builder, or else whatever the
/// account has. Compute Engine may give a token for all scopes of the machine even so. With
/// [`with_identity_tokens_for`](GceMetadataBuilder::with_identity_tokens_for), an identity token by its
/// audience. Anything else is refused, and nothing is sent.
///
/// The server keeps its tokens and gives out the same one until five minutes before its end. So do not set
/// a refresh window above five minutes, nor expect another token after a 401.
///
/// # Errors
///
/// See [`metadata`](super#errors). An answer without `Metadata-Flavor: Google` is not the metadata
/// server's.
///
/// # Security
///
/// The transport must not use a proxy: see [`metadata`](super#security).
pub struct GceMetadata<T> {
    server: MetadataServer<T>,
    defaults: TokenRequest,
    identity: bool,
}

impl GceMetadata<()> {
    /// Starts with the account `default`, at `metadata.google.internal`.
    pub fn builder() -> GceMetadataBuilder {
        GceMetadataBuilder {
            host: "metadata.google.internal".to_owned(),
            account: "default".to_owned(),
            defaults: TokenRequest::default(),
            identity: false,
        }
    }
}

impl<T: Transport> GceMetadata<T> {
    async fn fetch(&self, wanted: &TokenRequest) -> Result<AccessToken, TokenEndpointError> {
        let query = self
            .query(wanted)
            .ok_or_else(|| TokenEndpointError::new(TokenEndpointErrorKind::NotSent))?;
        let flavor = HeaderValue::from_static("Google");
        let request = self.server.request(&query, FLAVOR, flavor)?;
        let (parts, body) = self.server.exchange(request).await?;
        self.read(&parts, &body)
    }

    /// What to ask for, unless it cannot be asked for.
    fn query(&self, wanted: &TokenRequest) -> Option<String> {
        let is_more = wanted.tenant().is_some()
            || wanted.resources().len() > 0
            || wanted.parameters().len() > 0;
        if is_more {
            return None;
        }
        if self.identity {
            let audience = wanted.audience().or(self.defaults.audience())?;
            let is_one = wanted.scopes().len() == 0 && !audience.is_empty();
            // As Google's own libraries have it: with the account's email address.
            return is_one.then(|| format!("audience={}&format=full", *encode(audience)));
        }
        if wanted.audience().is_some() {
            return None;
        }
        let asked = if wanted.scopes().len() > 0 {
            wanted
        } else {
            &self.defaults
        };
        let scopes: Vec<_> = asked.scopes().collect();
        // A comma would make two of one.
        if scopes.iter().any(|scope| scope.contains(',')) {
            return None;
        }
        Some(if scopes.is_empty() {
            String::new()
        } else {
            format!("scopes={}", *encode(&scopes.join(",")))
        })
    }

    fn read(&self, parts: &Parts, body: &Bytes) -> Result<AccessToken, TokenEndpointError> {
        let new = |kind| TokenEndpointError::new(kind).with_status(parts.status);
        let is_it = parts.headers.get(FLAVOR).is_some_and(|it| it == "Google");
        if !is_it && !parts.status.is_server_error() {
            return Err(new(TokenEndpointErrorKind::NotMetadataServer));
        }
        let token = token(parts, body, &Redactor::new(Vec::new()))?;
        // What is asked for as an identity token is a JWT, with nothing around it.
        if self.identity && !lifetime::is_signed(token.expose_secret()) {
            return Err(new(TokenEndpointErrorKind::NotJson));
        }
        Ok(token)
    }
}

impl<T: Transport> TokenProvider for GceMetadata<T> {
    async fn fetch_token(&self, cx: FetchContext) -> Result<AccessToken, BoxError> {
        let token = self.fetch(cx.token_request()).await;
        Ok(token.map_err(|error| FetchError::from(self.server.error(error)))?)
    }
}

impl<T> fmt::Debug for GceMetadata<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GceMetadata")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// Configures [`GceMetadata`].
///
/// ```
/// use tower_bearer::oauth2::metadata::GceMetadata;
///
/// // To a service of Cloud Run.
/// let builder = GceMetadata::builder().with_identity_tokens_for("https://orders-abc123.a.run.app");
/// # let _ = builder;
/// ```
#[derive(Clone)]
pub struct GceMetadataBuilder {
    host: String,
    account: String,
    defaults: TokenRequest,
    identity: bool,
}

impl GceMetadataBuilder {
    /// Sets the service account, by its email address; `default` unless set.
    #[must_use]
    pub fn with_service_account(mut self, account: impl Into<String>) -> Self {
        self.account = account.into();
        self
    }

    /// Sets host and port of the metadata server, as `GCE_METADATA_HOST` does for Google's own libraries.
    ///
    /// The environment is not read. The host must be `metadata.google.internal`, a loopback or link-local
    /// address, or Google's `[fd20:ce::254]`.
    #[must_use]
    pub fn with_host(mut self, host: impl Into<String>) -> Self {
        self.host = host.into();
        self
    }

    /// Adds default scopes: one, or several separated by spaces.
    #[must_use]
    pub fn with_scope(mut self, scope: &str) -> Self {
        self.defaults = self.defaults.with_scope(scope);
        self
    }

    /// Asks for identity tokens (OpenID Connect Core 1.0 §2) instead of access tokens, for this audience
    /// unless a [`TokenRequest`] has another.
    ///
    /// See [Get an ID token](https://cloud.google.com/docs/authentication/get-id-token). Default scopes are
    /// of no meaning then.
    #[must_use]
    pub fn with_identity_tokens_for(mut self, audience: impl Into<String>) -> Self {
        self.defaults = self.defaults.with_audience(audience);
        self.identity = true;
        self
    }

    /// Makes the provider, which asks over `transport`.
    ///
    /// # Errors
    ///
    /// If the host is not one of those that [`with_host`](Self::with_host) takes, or the service account has
    /// characters that no email address of one has.
    pub fn build<T>(self, transport: T) -> Result<GceMetadata<T>, InvalidConfig> {
        let account = &self.account;
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._@".contains(c);
        // It becomes a part of a path, where dots alone would lead elsewhere.
        if !account.starts_with(|c: char| c.is_ascii_alphanumeric())
            || !account.chars().all(is_name)
        {
            return Err(InvalidConfig::new(InvalidConfigKind::ServiceAccount));
        }
        if self.host.contains('/') {
            return Err(InvalidConfig::new(InvalidConfigKind::MetadataHost));
        }
        let what = if self.identity { "identity" } else { "token" };
        let (host, accounts) = (&self.host, "computeMetadata/v1/instance/service-accounts");
        let endpoint = parse(
            &format!("http://{host}/{accounts}/{account}/{what}"),
            &HOSTS,
        )?;
        Ok(GceMetadata {
            server: MetadataServer {
                asked: Asked::Gce,
                endpoint,
                transport: Mutex::new(transport),
            },
            defaults: self.defaults,
            identity: self.identity,
        })
    }
}

impl fmt::Debug for GceMetadataBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GceMetadataBuilder")
            .field("account", &self.account)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(builder: GceMetadataBuilder) -> Option<InvalidConfigKind> {
        builder.build(()).err().map(|error| error.kind())
    }

    #[test]
    fn only_what_is_near_is_a_metadata_server() {
        for host in [
            "metadata.google.internal",
            "METADATA.google.internal:80",
            "169.254.169.254",
            "127.0.0.1:8080",
            "localhost:8080",
            "[::1]:8080",
            "[fe80::1]",
            "[fd20:ce::254]",
        ] {
            assert_eq!(kind(GceMetadata::builder().with_host(host)), None, "{host}");
        }
        for host in [
            "",
            "metadata.google.internal.evil.example",
            "metadata",
            "10.0.0.1",
            "169.253.0.1",
            "169.254.169.254.evil.example",
            "[fd00::1]",
            "127.0.0.1@evil.example",
            "evil.example/127.0.0.1",
            "evil.example#127.0.0.1",
            "evil.example?127.0.0.1",
            "127.0.0.1:99999",
            "127.0.0.1:80/",
        ] {
            let builder = GceMetadata::builder().with_host(host);
            assert_eq!(
                kind(builder),
                Some(InvalidConfigKind::MetadataHost),
                "{host}"
            );
        }
    }

    #[test]
    fn a_service_account_is_a_name_and_no_path() {
        let account = |account: &str| kind(GceMetadata::builder().with_service_account(account));
        assert_eq!(account("me@project.iam.gserviceaccount.com"), None);
        for name in ["", "..", "../x", "a/b", "a?b", "a#b", "a%2fb", "a b", "é"] {
            assert_eq!(
                account(name),
                Some(InvalidConfigKind::ServiceAccount),
                "{name}"
            );
        }
    }
}
