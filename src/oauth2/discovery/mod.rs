//! Where an issuer's token endpoint is, by its own word (RFC 8414, OpenID Connect Discovery 1.0).

use std::error::Error as _;
use std::sync::Arc;

use http::StatusCode;

use super::endpoint::Endpoint;
use super::error::{TokenEndpointError, TokenEndpointErrorKind};
use super::invalid_config::{InvalidConfig, InvalidConfigKind};
use super::transport::Transport;
use crate::origin::Origin;

mod document;
mod issuer;
mod last_read;
mod reader;

use self::document::Expected;
pub use self::issuer::Issuer;
use self::last_read::LastRead;
use self::reader::Reader;

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

/// Reads `metadata` of an issuer, as if it had answered with that.
#[cfg(fuzzing)]
pub(crate) fn discovered(
    issuer: &str,
    metadata: &[u8],
    is_certificate: bool,
) -> Result<Endpoint, TokenEndpointError> {
    let discovery = Discovery::new(&Issuer::new(issuer), false).expect("an issuer");
    let answer = http::Response::new(bytes::Bytes::copy_from_slice(metadata));
    let redactor = super::answer::redact::Redactor::new(Vec::new());
    let expected = &discovery.reader.expected;
    let endpoint = expected.endpoint(answer, &redactor, is_certificate, "");
    endpoint.map_err(|none| none.error)
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
