use std::fmt;
use std::time::Duration;

use super::or_else;
use crate::oauth2::endpoint::Endpoint;
use crate::oauth2::invalid_config::{InvalidConfig, InvalidConfigKind};

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
/// [`TokenEndpointError`](crate::oauth2::TokenEndpointError) that says
/// [`is_discovery`](crate::oauth2::TokenEndpointError::is_discovery), and its kind
/// follows from the answer:
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
///   [`with_insecure_http`](crate::oauth2::GrantBuilder::with_insecure_http).
/// - Redirects are never followed, and a transport must not follow them either.
/// - The audience of an [`Assertion`](crate::oauth2::Assertion) is the issuer, unless that says otherwise.
/// - With [`Credential::tls_certificate`](crate::oauth2::Credential::tls_certificate), the token endpoint of
///   `mtls_endpoint_aliases` is used if there is one (RFC 8705 §5). It is often on another origin, which
///   must be named.
#[derive(Clone)]
pub struct Issuer {
    pub(super) issuer: String,
    place: Place,
    pub(super) origins: Vec<String>,
    pub(super) max_age: Duration,
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
    pub(super) fn locations(
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
