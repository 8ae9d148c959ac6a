use std::fmt;
use std::sync::Mutex;

use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderName, HeaderValue};
use http::response::Parts;
use zeroize::Zeroizing;

use super::{MetadataServer, parse, token};
use crate::error::{BoxError, FetchError, FetchErrorKind};
use crate::oauth2::answer::members::Answer;
use crate::oauth2::answer::redact::Redactor;
use crate::oauth2::client::{ClientSecret, encode};
use crate::oauth2::error::Asked;
use crate::oauth2::error::{TokenEndpointError, TokenEndpointErrorKind};
use crate::oauth2::invalid_config::InvalidConfig;
use crate::oauth2::transport::Transport;
use crate::provider::{FetchContext, TokenProvider, TokenRequest};
use crate::token::AccessToken;

const IMDS_HEADER: HeaderName = HeaderName::from_static("metadata");
const APP_SERVICE_HEADER: HeaderName = HeaderName::from_static("x-identity-header");

/// A [`TokenProvider`] that asks Azure's endpoint of managed identities: the Instance Metadata Service of a
/// virtual machine, or what App Service, Functions and Container Apps have instead.
///
/// See [Use managed identities to acquire an access
/// token](https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token)
/// and [Managed identities for App
/// Service](https://learn.microsoft.com/azure/app-service/overview-managed-identity).
///
/// ```
/// use tower_bearer::oauth2::metadata::AzureManagedIdentity;
///
/// let builder = AzureManagedIdentity::imds().with_resource("https://management.azure.com/");
/// # let _ = builder;
/// ```
///
/// # What can be asked for
///
/// A token for exactly one resource: that of the [`TokenRequest`], or else of the builder. The scope
/// `<resource>/.default`, as Microsoft Entra's own libraries have it, means the same as the resource.
/// Anything else is refused, and nothing is sent.
///
/// The service keeps its tokens and gives out the same one for hours. So do not expect another token after
/// a 401.
///
/// # Errors
///
/// See [`metadata`](super#errors).
///
/// # Security
///
/// The transport must not use a proxy: see [`metadata`](super#security).
pub struct AzureManagedIdentity<T> {
    server: MetadataServer<T>,
    access: Access,
    identity: Option<Identity>,
    resource: Option<String>,
}

/// What the endpoint wants to see.
#[derive(Clone)]
enum Access {
    /// A header that no browser or proxy adds by mistake.
    Imds,
    /// A secret of the environment.
    AppService(ClientSecret),
}

/// Which identity, of a machine with several.
#[derive(Clone)]
enum Identity {
    Client(String),
    Object(String),
    Resource(String),
}

impl AzureManagedIdentity<()> {
    /// The Instance Metadata Service, at `169.254.169.254`.
    pub fn imds() -> AzureManagedIdentityBuilder {
        AzureManagedIdentityBuilder::new(
            "http://169.254.169.254/metadata/identity/oauth2/token".to_owned(),
            Access::Imds,
        )
    }

    /// The endpoint of App Service, Functions and Container Apps: the values of `IDENTITY_ENDPOINT` and
    /// `IDENTITY_HEADER` in the environment, which is not read here.
    ///
    /// ```
    /// use tower_bearer::oauth2::ClientSecret;
    /// use tower_bearer::oauth2::metadata::AzureManagedIdentity;
    ///
    /// let endpoint = std::env::var("IDENTITY_ENDPOINT");
    /// # let endpoint = endpoint.or_else(|_| Ok::<_, std::env::VarError>("http://127.0.0.1:41933/MSI/token/".into()));
    /// let header = ClientSecret::from_fn(|| async { Ok(std::env::var("IDENTITY_HEADER")?) });
    /// let builder = AzureManagedIdentity::app_service(endpoint?, header);
    /// # let _ = builder;
    /// # Ok::<(), std::env::VarError>(())
    /// ```
    ///
    /// # Security
    ///
    /// The header is a secret and treated as one.
    pub fn app_service(
        endpoint: impl Into<String>,
        header: impl Into<ClientSecret>,
    ) -> AzureManagedIdentityBuilder {
        AzureManagedIdentityBuilder::new(endpoint.into(), Access::AppService(header.into()))
    }
}

impl<T: Transport> AzureManagedIdentity<T> {
    async fn fetch(&self, wanted: &TokenRequest) -> Result<AccessToken, TokenEndpointError> {
        let resource = self
            .resource(wanted)
            .ok_or_else(|| TokenEndpointError::new(TokenEndpointErrorKind::NotSent))?;
        let query = self.access.query(resource, self.identity.as_ref());
        let (name, value, redactor) = self.access.header().await?;
        let request = self.server.request(&query, name, value)?;
        let (parts, body) = self.server.exchange(request).await?;
        token(&parts, &body, &redactor).map_err(|error| weigh(error, &parts, &body))
    }

    /// The one resource that is asked for, if it is one.
    fn resource<'a>(&'a self, wanted: &'a TokenRequest) -> Option<&'a str> {
        let is_more = wanted.tenant().is_some()
            || wanted.audience().is_some()
            || wanted.parameters().len() > 0;
        if is_more {
            return None;
        }
        let resource = match (wanted.resources().len(), wanted.scopes().len()) {
            (0, 0) => self.resource.as_deref(),
            (1, 0) => wanted.resources().next(),
            (0, 1) => wanted.scopes().next()?.strip_suffix("/.default"),
            _ => None,
        };
        resource.filter(|resource| !resource.is_empty())
    }
}

impl<T: Transport> TokenProvider for AzureManagedIdentity<T> {
    async fn fetch_token(&self, cx: FetchContext) -> Result<AccessToken, BoxError> {
        let token = self.fetch(cx.token_request()).await;
        Ok(token.map_err(|error| FetchError::from(self.server.error(error)))?)
    }
}

impl<T> fmt::Debug for AzureManagedIdentity<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AzureManagedIdentity")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl Access {
    fn query(&self, resource: &str, identity: Option<&Identity>) -> String {
        let version = match self {
            Self::Imds => "2018-02-01",
            Self::AppService(_) => "2019-08-01",
        };
        let mut query = format!("api-version={version}&resource={}", *encode(resource));
        if let Some(identity) = identity {
            let (name, value) = match (identity, self) {
                (Identity::Client(id), _) => ("client_id", id),
                (Identity::Object(id), Self::Imds) => ("object_id", id),
                (Identity::Object(id), Self::AppService(_)) => ("principal_id", id),
                // Not a slip: each ignores, here or there, the name that the other one takes.
                (Identity::Resource(id), Self::Imds) => ("msi_res_id", id),
                (Identity::Resource(id), Self::AppService(_)) => ("mi_res_id", id),
            };
            query += &format!("&{name}={}", *encode(value));
        }
        query
    }

    /// The header, and what cuts its secret out of the answer.
    async fn header(&self) -> Result<(HeaderName, HeaderValue, Redactor), TokenEndpointError> {
        let secret = match self {
            Self::Imds => {
                let value = HeaderValue::from_static("true");
                return Ok((IMDS_HEADER, value, Redactor::new(Vec::new())));
            }
            Self::AppService(secret) => secret.read().await?,
        };
        let text = Zeroizing::new(secret.as_bytes().to_vec());
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(text))
            .map_err(|_| TokenEndpointError::new(TokenEndpointErrorKind::ClientSecret))?;
        value.set_sensitive(true);
        Ok((APP_SERVICE_HEADER, value, Redactor::new(vec![secret])))
    }
}

/// What is concerned by a refusal, where this service differs from a token endpoint.
fn weigh(error: TokenEndpointError, parts: &Parts, body: &[u8]) -> TokenEndpointError {
    if error.kind() != TokenEndpointErrorKind::Rejected {
        return error;
    }
    // Both are answered while the service is updated, which takes a minute.
    if matches!(parts.status, StatusCode::NOT_FOUND | StatusCode::GONE) {
        return error.concerning(FetchErrorKind::Unavailable);
    }
    let code = Answer::parse(body).and_then(|answer| answer.text("error"));
    let is_resource = code.is_some_and(|code| *code == "invalid_resource");
    if is_resource && parts.status == StatusCode::BAD_REQUEST {
        return error.concerning(FetchErrorKind::InvalidRequest);
    }
    error
}

/// Configures [`AzureManagedIdentity`].
///
/// ```
/// use tower_bearer::oauth2::metadata::AzureManagedIdentity;
///
/// let builder = AzureManagedIdentity::imds()
///     .with_client_id("7c5c9c0a-0b2f-4f5e-9d6c-2f2b4f0f2b11")
///     .with_resource("https://vault.azure.net");
/// # let _ = builder;
/// ```
#[derive(Clone)]
pub struct AzureManagedIdentityBuilder {
    url: String,
    access: Access,
    identity: Option<Identity>,
    resource: Option<String>,
}

impl AzureManagedIdentityBuilder {
    fn new(url: String, access: Access) -> Self {
        Self {
            url,
            access,
            identity: None,
            resource: None,
        }
    }

    /// Sets the default resource: whom the token is for, such as `https://management.azure.com/`.
    #[must_use]
    pub fn with_resource(mut self, resource: impl Into<String>) -> Self {
        self.resource = Some(resource.into());
        self
    }

    /// Chooses a user-assigned identity by its client id. Replaces another choice of identity.
    ///
    /// Unless one is chosen, it is that of the machine itself.
    #[must_use]
    pub fn with_client_id(mut self, id: impl Into<String>) -> Self {
        self.identity = Some(Identity::Client(id.into()));
        self
    }

    /// Chooses a user-assigned identity by its object (principal) id. Replaces another choice of identity.
    #[must_use]
    pub fn with_object_id(mut self, id: impl Into<String>) -> Self {
        self.identity = Some(Identity::Object(id.into()));
        self
    }

    /// Chooses a user-assigned identity by its Azure resource id, `/subscriptions/…`. Replaces another
    /// choice of identity.
    #[must_use]
    pub fn with_resource_id(mut self, id: impl Into<String>) -> Self {
        self.identity = Some(Identity::Resource(id.into()));
        self
    }

    /// Asks at another URL, as of an emulator: `http` on a loopback or link-local address.
    #[must_use]
    pub fn with_url(mut self, url: impl Into<String>) -> Self {
        self.url = url.into();
        self
    }

    /// Makes the provider, which asks over `transport`.
    ///
    /// # Errors
    ///
    /// If the URL is not one of a loopback or link-local address, or has a query; or if the identity header
    /// is empty or has control characters.
    pub fn build<T>(self, transport: T) -> Result<AzureManagedIdentity<T>, InvalidConfig> {
        if let Access::AppService(header) = &self.access {
            header.validate()?;
        }
        Ok(AzureManagedIdentity {
            server: MetadataServer {
                asked: Asked::Azure,
                endpoint: parse(&self.url, &[])?,
                transport: Mutex::new(transport),
            },
            access: self.access,
            identity: self.identity,
            resource: self.resource,
        })
    }
}

impl fmt::Debug for AzureManagedIdentityBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its URL is not parsed yet, and may hold a password.
        f.debug_struct("AzureManagedIdentityBuilder")
            .field("resource", &self.resource)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth2::invalid_config::InvalidConfigKind;

    #[test]
    fn only_what_is_near_is_asked() {
        let kind = |url: &str| {
            let provider = AzureManagedIdentity::app_service(url, "hunter2").build(());
            provider.err().map(|error| error.kind())
        };
        for url in [
            "http://127.0.0.1:41933/MSI/token/",
            "http://localhost:42356/msi/token",
            "http://169.254.129.2:8081/msi/token",
        ] {
            assert_eq!(kind(url), None, "{url}");
        }
        for url in [
            "",
            "http://10.0.0.1/msi/token",
            "https://id.example.com/msi/token",
            "http://metadata.google.internal/msi/token",
            "http://127.0.0.1/msi/token?a=b",
            "http://me@127.0.0.1/msi/token",
        ] {
            assert_eq!(kind(url), Some(InvalidConfigKind::MetadataHost), "{url}");
        }
        let empty = AzureManagedIdentity::app_service("http://127.0.0.1", "").build(());
        assert_eq!(empty.unwrap_err().kind(), InvalidConfigKind::ClientSecret);
    }

    #[test]
    fn debug_shows_no_secret() {
        let url = "http://me:hunter2@127.0.0.1/";
        let builder = AzureManagedIdentity::app_service(url, "hunter2");
        assert!(!format!("{builder:?}").contains("hunter2"));
        let built = builder
            .with_url("http://127.0.0.1/token")
            .build(())
            .unwrap();
        assert!(!format!("{built:?}").contains("hunter2"));
    }
}
