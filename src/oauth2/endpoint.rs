use std::fmt;
use std::sync::Arc;

use http::Uri;
use http::uri::Scheme;

use super::discovery::{Discovery, Issuer, NamedBy};
use super::error::TokenEndpointError;
use super::invalid_config::{InvalidConfig, InvalidConfigKind};
use crate::origin::{Origin, is_loopback};

/// Where a token endpoint is: its URL, or an [`Issuer`] whose metadata names it.
///
/// ```
/// use tower_bearer::oauth2::TokenEndpoint;
///
/// let endpoint = TokenEndpoint::from("https://id.example.com/token");
/// # let _ = endpoint;
/// ```
///
/// Checked when the provider is built: an absolute `https` URL without user, password and fragment
/// (RFC 6749 §3.2), or of `http` on this host.
#[derive(Clone)]
pub struct TokenEndpoint {
    place: Place,
}

#[derive(Clone)]
enum Place {
    Url(String),
    Issuer(Issuer),
}

impl TokenEndpoint {
    pub(crate) fn parse(&self, insecure_http: bool) -> Result<EndpointSource, InvalidConfig> {
        match &self.place {
            Place::Url(url) => Endpoint::parse(url, insecure_http).map(EndpointSource::Configured),
            Place::Issuer(issuer) => {
                Discovery::new(issuer, insecure_http).map(EndpointSource::Discovered)
            }
        }
    }
}

impl From<&str> for TokenEndpoint {
    fn from(url: &str) -> Self {
        url.to_owned().into()
    }
}

impl From<&String> for TokenEndpoint {
    fn from(url: &String) -> Self {
        url.clone().into()
    }
}

impl From<String> for TokenEndpoint {
    fn from(url: String) -> Self {
        Self {
            place: Place::Url(url),
        }
    }
}

impl From<Issuer> for TokenEndpoint {
    fn from(issuer: Issuer) -> Self {
        Self {
            place: Place::Issuer(issuer),
        }
    }
}

impl fmt::Debug for TokenEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not parsed yet, and may hold a password.
        f.debug_struct("TokenEndpoint").finish_non_exhaustive()
    }
}

/// Where it is known from where tokens are asked for.
pub(crate) enum EndpointSource {
    Configured(Endpoint),
    Discovered(Discovery),
}

impl EndpointSource {
    /// The name of the endpoint, or else of who names it.
    pub(crate) fn name(&self) -> &Arc<str> {
        match self {
            Self::Configured(endpoint) => endpoint.name(),
            Self::Discovered(discovery) => discovery.issuer(),
        }
    }
}

/// Where tokens are asked for.
#[derive(Clone)]
pub(crate) struct Endpoint {
    uri: Uri,
    name: Arc<str>,
    /// As it was given.
    url: Arc<str>,
    audience: Arc<str>,
    /// How a client may prove who it is, if the issuer has said so: those of which we know the names.
    auth_methods: Option<Arc<[&'static str]>>,
    /// Who is told if it is no endpoint any more.
    named_by: Option<NamedBy>,
}

impl Endpoint {
    pub(crate) fn parse(url: &str, insecure_http: bool) -> Result<Self, InvalidConfig> {
        let invalid = || InvalidConfig::new(InvalidConfigKind::TokenEndpoint);
        // `Uri` drops a fragment without a word.
        if !url.is_ascii() || url.contains('#') {
            return Err(invalid());
        }
        let uri: Uri = url.parse().map_err(|_| invalid())?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(invalid());
        };
        // What remains beside the host would be a port that is none, which clients take for the default.
        let is_host_and_port = match authority.port() {
            Some(port) => {
                authority.as_str().len() == authority.host().len() + 1 + port.as_str().len()
            }
            None => authority.as_str() == authority.host(),
        };
        if authority.host().is_empty() || !is_host_and_port {
            return Err(invalid());
        }
        if *scheme == Scheme::HTTP {
            if !insecure_http && !is_loopback(authority.host()) {
                return Err(InvalidConfig::new(InvalidConfigKind::InsecureHttp));
            }
        } else if *scheme != Scheme::HTTPS {
            return Err(invalid());
        }

        // Without the query, which may hold a key.
        let name = format!("{scheme}://{authority}{}", uri.path()).into();
        let url: Arc<str> = url.into();
        Ok(Self {
            uri,
            name,
            audience: Arc::clone(&url),
            url,
            auth_methods: None,
            named_by: None,
        })
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The URL as it was given.
    pub(crate) fn url(&self) -> &Arc<str> {
        &self.url
    }

    /// Scheme, host, port and path, fit to be shown.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// `None` if the host is one that clients take apart in different ways.
    pub(crate) fn origin(&self) -> Option<Origin> {
        let (scheme, authority) = (self.uri.scheme()?, self.uri.authority()?);
        Origin::new_insecure_http(&format!("{scheme}://{authority}")).ok()
    }

    /// Sets what is shown of it.
    pub(crate) fn with_name(mut self, name: &str) -> Self {
        self.name = name.into();
        self
    }

    pub(crate) fn with_audience(mut self, audience: &Arc<str>) -> Self {
        self.audience = Arc::clone(audience);
        self
    }

    pub(crate) fn with_auth_methods(mut self, methods: Arc<[&'static str]>) -> Self {
        self.auth_methods = Some(methods);
        self
    }

    pub(crate) fn with_named_by(mut self, named_by: NamedBy) -> Self {
        self.named_by = Some(named_by);
        self
    }

    /// Notes a failure of this endpoint, which may have moved if it was discovered.
    pub(crate) fn note(&self, error: TokenEndpointError) -> TokenEndpointError {
        match &self.named_by {
            Some(named_by) => named_by.note(self, error),
            None => error,
        }
    }

    /// How a client may prove who it is, if the issuer does not take `method`.
    pub(crate) fn auth_methods_without(&self, method: &str) -> Option<&[&'static str]> {
        let methods = self.auth_methods.as_deref()?;
        (!methods.is_empty() && !methods.contains(&method)).then_some(methods)
    }

    /// Whom an assertion is for: the issuer if it named this endpoint, and else the URL as it was given
    /// (RFC 7523 §3, item 3).
    pub(crate) fn audience(&self) -> &Arc<str> {
        &self.audience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<String, InvalidConfigKind> {
        let endpoint = Endpoint::parse(url, false).map_err(|error| error.kind())?;
        Ok(endpoint.name().to_string())
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        for url in [
            "http://localhost/token",
            "http://LOCALHOST:80/token",
            "http://127.0.0.1:8080/token",
            "http://127.255.0.9/token",
            "http://[::1]:8080/token",
        ] {
            assert!(parse(url).is_ok(), "{url}");
        }
        for url in [
            "http://id.example.com/token",
            "http://localhost.example.com/token",
            "http://127.0.0.1.example.com/token",
            "http://10.0.0.1/token",
            "http://[::2]/token",
        ] {
            assert_eq!(parse(url), Err(InvalidConfigKind::InsecureHttp), "{url}");
            assert!(Endpoint::parse(url, true).is_ok(), "{url}");
        }
    }

    #[test]
    fn what_is_no_url_of_a_token_endpoint_is_refused() {
        for url in [
            "",
            "/token",
            "id.example.com/token",
            "id.example.com:443",
            "https://",
            "https:///token",
            "https://:443/token",
            "https://id.example.com/token#part",
            "https://id.example.com#",
            "https://me:pass@id.example.com/token",
            "https://id.example.com@evil.example/token",
            "https://id.example.com:99999/token",
            "https://id.example.com:/token",
            "https://id.example.com/tökén",
            "https://id.example.com/to ken",
            "ftp://id.example.com/token",
        ] {
            assert_eq!(parse(url), Err(InvalidConfigKind::TokenEndpoint), "{url}");
        }
    }

    #[test]
    fn the_name_of_an_endpoint_is_without_its_query() {
        let name = parse("https://id.example.com:8443/a/token?key=hunter2");
        assert_eq!(name.as_deref(), Ok("https://id.example.com:8443/a/token"));
    }
}
