//! Where an issuer's token endpoint is, by its own word (RFC 8414, OpenID Connect Discovery 1.0).

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::endpoint::Endpoint;
use super::error::{TokenEndpointError, TokenEndpointErrorKind};
use super::invalid_config::{InvalidConfig, InvalidConfigKind};
use super::transport::Transport;
use crate::origin::Origin;

mod document;
mod last_read;
mod reader;

use self::document::Expected;
use self::last_read::LastRead;
use self::reader::Reader;

/// How long metadata is used before it is read again.
const MAX_AGE: Duration = Duration::from_secs(60 * 60);

/// An issuer, whose metadata says where its token endpoint is (RFC 8414, OpenID Connect Discovery 1.0).
///
/// ```
/// use tower_bearer::oauth2::{ClientCredentials, Issuer};
///
/// let issuer = Issuer::new("https://id.example.com/tenant");
/// let builder = ClientCredentials::builder(issuer, "my-service", "s3cret");
/// # let _ = builder;
/// ```
///
/// The metadata is read over the transport of the token requests, when the first token is asked for.
///
/// # Where it is read
///
/// For `https://id.example.com/tenant`, first at
/// `https://id.example.com/.well-known/oauth-authorization-server/tenant` (RFC 8414 §3.1). If there is
/// nothing of the kind, then at `https://id.example.com/tenant/.well-known/openid-configuration` (OpenID
/// Connect Discovery 1.0 §4). That there is nothing means: a 4xx other than 408 and 429; a redirect; or a
/// success that is no JSON object, such as the start page of an application, or is one without an `issuer`.
/// Whatever else goes wrong is the end of it, so that an outage never makes another document count.
/// [`with_oauth_metadata`](Self::with_oauth_metadata) and
/// [`with_openid_configuration`](Self::with_openid_configuration) choose one of them, and
/// [`with_metadata_url`](Self::with_metadata_url) any other place.
///
/// # When it is read
///
/// Metadata is used for an hour, or what [`with_max_age`](Self::with_max_age) says, and then read again
/// beside the next fetch, which goes on at once with what there is. If that fails, whatever the reason, the
/// last one stays in use and the next attempt is after a minute, or what `Retry-After` says, up to an hour:
/// an outage of discovery is no outage of tokens. A token endpoint that answers 404, 410 or a redirect may
/// have moved: the metadata is then read before the next fetch, once a minute at most. The [event and the counter](crate::telemetry) of it say
/// why, as does the source of an error by which the token endpoint itself says nothing.
///
/// A read ends after 10 seconds. Without a tokio runtime there is nobody to read beside a fetch, which then
/// waits for it, for a second at most. Each fetch that needs the first metadata reads it by itself; a
/// [cache](crate::cache) has four fetches at once before the first success. Time is that of a clock which
/// nobody sets, and which counts the suspension of the host.
///
/// # Errors
///
/// A first read that fails is a failure of the fetch. Its source is a
/// [`TokenEndpointError`] that says [`is_discovery`](TokenEndpointError::is_discovery), and its kind follows
/// from the answer:
///
/// | answer | [`FetchErrorKind`](crate::FetchErrorKind) |
/// |---|---|
/// | none, 408, 429, 5xx, a redirect, no JSON, more than 1 MiB | `Unavailable` |
/// | any other 4xx | `Denied` |
/// | another issuer, no token endpoint that can be used, one on another origin | `Denied` |
///
/// # Security
///
/// - The `issuer` in the metadata must be the one that was configured, character by character (RFC 8414
///   §3.3). Nothing is normalised: a slash at the end counts, and so does case.
/// - Metadata does not choose where secrets go. A token endpoint on another origin than the issuer's is
///   refused unless [`with_token_endpoint_origin`](Self::with_token_endpoint_origin) names that. It must be
///   `https`; `http` only on this host, or
///   [`with_insecure_http`](super::GrantBuilder::with_insecure_http).
/// - Redirects are never followed, and a transport must not follow them either.
/// - The audience of an [`Assertion`](super::Assertion) is the issuer, unless that says otherwise.
/// - With [`Credential::tls_certificate`](super::Credential::tls_certificate), the token endpoint of
///   `mtls_endpoint_aliases` is used if there is one (RFC 8705 §5). It is often on another origin, which
///   must be named.
#[derive(Clone)]
pub struct Issuer {
    issuer: String,
    place: Place,
    origins: Vec<String>,
    max_age: Duration,
}

#[derive(Clone)]
enum Place {
    WellKnown { oauth: bool, openid: bool },
    Url(String),
}

impl Issuer {
    /// Takes the issuer exactly as it is in its own metadata and in its tokens' `iss`.
    ///
    /// Checked when the provider is built: an absolute `https` URL without user, password, query and
    /// fragment (RFC 8414 §2).
    pub fn new(issuer: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            place: Place::WellKnown {
                oauth: true,
                openid: true,
            },
            origins: Vec::new(),
            max_age: MAX_AGE,
        }
    }

    /// Reads the metadata of RFC 8414 and does not look for that of OpenID Connect.
    #[must_use]
    pub fn with_oauth_metadata(mut self) -> Self {
        self.place = Place::WellKnown {
            oauth: true,
            openid: false,
        };
        self
    }

    /// Reads the configuration of OpenID Connect and does not look for the metadata of RFC 8414.
    #[must_use]
    pub fn with_openid_configuration(mut self) -> Self {
        self.place = Place::WellKnown {
            oauth: false,
            openid: true,
        };
        self
    }

    /// Reads the metadata at a URL of one's own, and nowhere else.
    ///
    /// It may be on another origin than the issuer. What it says is checked all the same.
    #[must_use]
    pub fn with_metadata_url(mut self, url: impl Into<String>) -> Self {
        self.place = Place::Url(url.into());
        self
    }

    /// Allows a token endpoint on another origin than the issuer's. There can be several.
    ///
    /// Google's issuer is `https://accounts.google.com`, for example, and its token endpoint on
    /// `https://oauth2.googleapis.com`.
    ///
    /// ```
    /// use tower_bearer::oauth2::Issuer;
    ///
    /// let google = Issuer::new("https://accounts.google.com")
    ///     .with_token_endpoint_origin("https://oauth2.googleapis.com");
    /// # let _ = google;
    /// ```
    #[must_use]
    pub fn with_token_endpoint_origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.push(origin.into());
        self
    }

    /// Sets for how long metadata is used before it is read again; one hour unless set.
    ///
    /// Zero reads it beside every fetch.
    #[must_use]
    pub fn with_max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// Where the metadata may be, in the order in which it is looked for.
    fn locations(
        &self,
        issuer: &Endpoint,
        insecure_http: bool,
    ) -> Result<Vec<Endpoint>, InvalidConfig> {
        let parse = |url: &str| {
            let location = Endpoint::parse(url, insecure_http);
            location.map_err(|error| or_else(error, InvalidConfigKind::MetadataUrl))
        };
        match &self.place {
            Place::Url(url) => Ok(vec![parse(url)?]),
            Place::WellKnown { oauth, openid } => {
                // "Any terminating / must be removed", of RFC 8414 §3.1 and of Discovery §4.1.
                let name = issuer.name();
                let name = name.strip_suffix('/').unwrap_or(name);
                let path = issuer.uri().path();
                let path = path.strip_suffix('/').unwrap_or(path);
                let root = name.strip_suffix(path).unwrap_or(name);

                let mut locations = Vec::new();
                if *oauth {
                    let url = format!("{root}/.well-known/oauth-authorization-server{path}");
                    locations.push(parse(&url)?);
                }
                if *openid {
                    locations.push(parse(&format!("{name}/.well-known/openid-configuration"))?);
                }
                Ok(locations)
            }
        }
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not parsed yet, and may hold a password.
        f.debug_struct("Issuer")
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}

/// Finds the token endpoint of an [`Issuer`], and remembers it.
pub(crate) struct Discovery {
    reader: Arc<Reader>,
    last: Arc<LastRead<Endpoint>>,
}

impl Discovery {
    pub(crate) fn new(issuer: &Issuer, insecure_http: bool) -> Result<Self, InvalidConfig> {
        let invalid = |kind| InvalidConfig::new(kind);
        let identifier = Endpoint::parse(&issuer.issuer, insecure_http)
            .map_err(|error| or_else(error, InvalidConfigKind::Issuer))?;
        if issuer.issuer.contains('?') {
            return Err(invalid(InvalidConfigKind::Issuer));
        }
        let own = identifier.origin();
        let mut origins = vec![own.ok_or_else(|| invalid(InvalidConfigKind::Issuer))?];
        for origin in &issuer.origins {
            let origin = if insecure_http {
                Origin::new_insecure_http(origin)
            } else {
                Origin::new(origin)
            };
            origins.push(origin.map_err(|_| invalid(InvalidConfigKind::TokenEndpointOrigin))?);
        }

        let locations = issuer.locations(&identifier, insecure_http)?;
        let expected = Expected {
            issuer: issuer.issuer.as_str().into(),
            origins,
            insecure_http,
        };
        Ok(Self {
            reader: Arc::new(Reader {
                locations,
                expected,
            }),
            last: Arc::new(LastRead::new(issuer.max_age)),
        })
    }

    pub(crate) fn issuer(&self) -> &Arc<str> {
        &self.reader.expected.issuer
    }

    /// Where the token endpoint is now, for a client that presents a certificate, or does not.
    ///
    /// Cancel safe: a read that is dropped is one that has failed, for this fetch alone.
    pub(crate) async fn endpoint<T: Transport>(
        &self,
        transport: impl FnOnce() -> T,
        is_certificate: bool,
    ) -> Result<Endpoint, TokenEndpointError> {
        let read = |limit| {
            let (reader, transport) = (Arc::clone(&self.reader), transport());
            reader.read(transport, is_certificate, limit)
        };
        let endpoint = self.last.get(read).await?;
        Ok(endpoint.with_named_by(NamedBy(Arc::clone(&self.last))))
    }
}

/// Where what happens at a token endpoint is told, to the one who keeps the metadata that names it.
#[derive(Clone)]
pub(crate) struct NamedBy(Arc<LastRead<Endpoint>>);

impl NamedBy {
    /// Notes a failure of `endpoint`, and says of one that the server did not explain that the metadata may
    /// be out of date.
    pub(crate) fn note(
        &self,
        endpoint: &Endpoint,
        error: TokenEndpointError,
    ) -> TokenEndpointError {
        let has_gone = error.kind() == TokenEndpointErrorKind::Redirected
            || matches!(
                error.status(),
                Some(StatusCode::NOT_FOUND | StatusCode::GONE)
            );
        if has_gone {
            // Not if another one has been read meanwhile.
            self.0.doubt(|held| held.uri() == endpoint.uri());
        }
        let is_explained = error.error_code().is_some() || error.source().is_some();
        match self.0.failure() {
            Some(failure) if !is_explained => error.with_source(failure.into()),
            _ => error,
        }
    }
}

/// Of plain http it is said that it is that, and of the rest which URL is no good.
fn or_else(error: InvalidConfig, kind: InvalidConfigKind) -> InvalidConfig {
    match error.kind() {
        InvalidConfigKind::InsecureHttp => error,
        _ => InvalidConfig::new(kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locations(issuer: Issuer) -> Vec<String> {
        let discovery = Discovery::new(&issuer, false).unwrap();
        let locations = discovery.reader.locations.iter();
        locations.map(|it| it.uri().to_string()).collect()
    }

    fn kind(issuer: Issuer) -> InvalidConfigKind {
        Discovery::new(&issuer, false).err().unwrap().kind()
    }

    #[test]
    fn the_suffix_of_rfc_8414_goes_before_the_path_and_that_of_openid_after_it() {
        let oauth = "https://id.example.com:8443/.well-known/oauth-authorization-server";
        let openid = "/.well-known/openid-configuration";
        for (issuer, path) in [
            ("https://id.example.com:8443", ""),
            ("https://id.example.com:8443/", ""),
            ("https://id.example.com:8443/tenant", "/tenant"),
            ("https://id.example.com:8443/tenant/", "/tenant"),
            ("https://id.example.com:8443/a/b", "/a/b"),
        ] {
            let expected = [
                format!("{oauth}{path}"),
                format!("https://id.example.com:8443{path}{openid}"),
            ];
            assert_eq!(locations(Issuer::new(issuer)), expected, "{issuer}");
        }
    }

    #[test]
    fn one_of_the_two_can_be_chosen_or_another_place() {
        let issuer = || Issuer::new("https://id.example.com/t");
        assert_eq!(
            locations(issuer().with_oauth_metadata()),
            ["https://id.example.com/.well-known/oauth-authorization-server/t"]
        );
        assert_eq!(
            locations(issuer().with_openid_configuration()),
            ["https://id.example.com/t/.well-known/openid-configuration"]
        );
        let url = "https://other.example/metadata?key=1";
        assert_eq!(locations(issuer().with_metadata_url(url)), [url]);
    }

    #[test]
    fn what_is_no_issuer_is_refused() {
        for issuer in [
            "",
            "id.example.com",
            "ftp://id.example.com",
            "https://id.example.com?",
            "https://id.example.com/t?tenant=1",
            "https://id.example.com/#t",
            "https://me:hunter2@id.example.com",
            "https://[::1",
        ] {
            let issuer_ = Issuer::new(issuer);
            assert_eq!(kind(issuer_), InvalidConfigKind::Issuer, "{issuer}");
        }
        let plain = Issuer::new("http://id.example.com");
        assert_eq!(kind(plain.clone()), InvalidConfigKind::InsecureHttp);
        assert!(Discovery::new(&plain, true).is_ok());
        assert!(Discovery::new(&Issuer::new("http://127.0.0.1:1"), false).is_ok());
    }

    #[test]
    fn other_urls_of_an_issuer_are_checked_too() {
        let issuer = || Issuer::new("https://id.example.com");
        let by_url = |url| kind(issuer().with_metadata_url(url));
        assert_eq!(by_url("/metadata"), InvalidConfigKind::MetadataUrl);
        let plain = by_url("http://other.example");
        assert_eq!(plain, InvalidConfigKind::InsecureHttp);

        for origin in [
            "https://a.example/token",
            "http://a.example",
            "a.example",
            "",
        ] {
            let issuer = issuer().with_token_endpoint_origin(origin);
            assert_eq!(kind(issuer), InvalidConfigKind::TokenEndpointOrigin);
        }
    }
}
