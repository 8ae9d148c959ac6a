//! What metadata must say to be believed.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use zeroize::Zeroizing;

use crate::oauth2::answer::members::Answer;
use crate::oauth2::answer::redact::Redactor;
use crate::oauth2::answer::response;
use crate::oauth2::endpoint::Endpoint;
use crate::oauth2::error::{TokenEndpointError, TokenEndpointErrorKind};
use crate::oauth2::invalid_config::InvalidConfigKind;
use crate::origin::Origin;

/// What is known of an issuer before it is asked.
pub(super) struct Expected {
    pub(super) issuer: Arc<str>,
    /// Where its token endpoint may be.
    pub(super) origins: Vec<Origin>,
    pub(super) insecure_http: bool,
}

impl Expected {
    /// The token endpoint that metadata names, if it is the issuer's and may be used. If not, `hint` says
    /// where else to look.
    pub(super) fn endpoint(
        &self,
        answer: Response<Bytes>,
        redactor: &Redactor,
        is_certificate: bool,
        hint: &str,
    ) -> Result<Endpoint, NoEndpoint> {
        let (parts, body) = answer.into_parts();
        let metadata = response::members(&parts, &body, redactor)?;
        let endpoint = self.check(&metadata, is_certificate, hint);
        endpoint.map_err(|error| NoEndpoint {
            error: error.with_status(parts.status),
            is_absence: !metadata.has("issuer"),
        })
    }

    fn check(
        &self,
        metadata: &Answer<'_>,
        is_certificate: bool,
        hint: &str,
    ) -> Result<Endpoint, TokenEndpointError> {
        let issuer = metadata.text("issuer");
        // RFC 8414 §3.3: identical, which is code point by code point.
        if issuer.as_ref().map(|it| it.as_str()) != Some(&*self.issuer) {
            return Err(self.mismatch(issuer, hint));
        }

        let invalid = |why: &str| {
            TokenEndpointError::new(TokenEndpointErrorKind::InvalidMetadata)
                .with_text(format!("{why}{hint}"))
        };
        let alias = is_certificate.then(|| alias(metadata)).flatten();
        let url = alias.or_else(|| metadata.text("token_endpoint"));
        let url = url.ok_or_else(|| invalid("it names none"))?;
        let endpoint =
            Endpoint::parse(&url, self.insecure_http).map_err(|error| match error.kind() {
                InvalidConfigKind::InsecureHttp => invalid("it is plain http"),
                _ => invalid("it is no URL of the kind"),
            })?;
        let origin = endpoint.origin();
        let origin = origin.ok_or_else(|| invalid("its host is none"))?;
        if !self.origins.contains(&origin) {
            let error = TokenEndpointError::new(TokenEndpointErrorKind::TokenEndpointOrigin);
            return Err(error.with_text(clean(&origin.to_string())));
        }
        // Where it is on that origin is a text of the server.
        let name = clean(endpoint.name());
        let endpoint = endpoint.with_name(&name).with_audience(&self.issuer);
        Ok(match auth_methods(metadata) {
            Some(methods) => endpoint.with_auth_methods(methods),
            None => endpoint,
        })
    }

    fn mismatch(&self, found: Option<Zeroizing<String>>, elsewhere: &str) -> TokenEndpointError {
        let ours = &self.issuer;
        let text = match &found {
            None => "it names no issuer".to_owned(),
            // Quoted only if it is what an issuer can be.
            Some(found) => match Endpoint::parse(found, true) {
                Err(_) => "the issuer that it names is no URL".to_owned(),
                Ok(theirs) => {
                    let theirs = theirs.name();
                    let hint = if found.trim_end_matches('/') == ours.trim_end_matches('/') {
                        "; they differ by a slash at the end, which counts: configure the issuer exactly \
                         as the server writes it"
                    } else if found.eq_ignore_ascii_case(ours) {
                        "; they differ by upper and lower case, which counts: configure the issuer \
                         exactly as the server writes it"
                    } else {
                        ""
                    };
                    // `Endpoint` writes a path where there is none.
                    let bare = !found.ends_with('/');
                    let theirs = if bare {
                        theirs.trim_end_matches('/')
                    } else {
                        theirs
                    };
                    format!("{} instead of {ours}{hint}", clean(theirs))
                }
            },
        };
        TokenEndpointError::new(TokenEndpointErrorKind::IssuerMismatch)
            .with_text(format!("{text}{elsewhere}"))
    }
}

/// Why a place gives no endpoint.
pub(super) struct NoEndpoint {
    pub(super) error: TokenEndpointError,
    /// Whether there is no metadata at all, rather than an outage or metadata that is no good.
    pub(super) is_absence: bool,
}

impl From<TokenEndpointError> for NoEndpoint {
    fn from(error: TokenEndpointError) -> Self {
        let is_absence = match error.kind() {
            TokenEndpointErrorKind::Redirected | TokenEndpointErrorKind::NotJson => true,
            TokenEndpointErrorKind::Rejected => error.status().is_some_and(|status| {
                status.is_client_error()
                    && status != StatusCode::REQUEST_TIMEOUT
                    && status != StatusCode::TOO_MANY_REQUESTS
            }),
            _ => false,
        };
        Self { error, is_absence }
    }
}

/// RFC 8705 §5: to be preferred by who presents a certificate.
fn alias(metadata: &Answer<'_>) -> Option<Zeroizing<String>> {
    let aliases = metadata.get("mtls_endpoint_aliases")?;
    Answer::parse(aliases.as_bytes())?.text("token_endpoint")
}

/// `token_endpoint_auth_methods_supported` (RFC 8414 §2), as far as the registry of its values goes.
fn auth_methods(metadata: &Answer<'_>) -> Option<Arc<[&'static str]>> {
    const KNOWN: [&str; 7] = [
        "client_secret_basic",
        "client_secret_post",
        "client_secret_jwt",
        "private_key_jwt",
        "tls_client_auth",
        "self_signed_tls_client_auth",
        "none",
    ];
    let methods = metadata.texts("token_endpoint_auth_methods_supported")?;
    let is_listed = |known: &&str| methods.iter().any(|method| method == known);
    Some(KNOWN.into_iter().filter(is_listed).collect())
}

/// No secret has been sent, so there is none to be cut out.
fn clean(text: &str) -> String {
    Redactor::new(Vec::new()).clean(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{FetchError, FetchErrorKind};

    fn read(issuer: &str, certificate: bool, body: &str) -> Result<Endpoint, TokenEndpointError> {
        let expected = Expected {
            issuer: issuer.into(),
            origins: vec![
                Origin::new("https://id.example.com").unwrap(),
                Origin::new("https://mtls.example.com").unwrap(),
            ],
            insecure_http: false,
        };
        let answer = Response::new(Bytes::from(body.to_owned()));
        let endpoint = expected.endpoint(answer, &Redactor::new(Vec::new()), certificate, "");
        endpoint.map_err(|none| none.error)
    }

    fn endpoint(certificate: bool, rest: &str) -> Result<String, TokenEndpointErrorKind> {
        let body = format!(r#"{{"issuer":"https://id.example.com",{rest}}}"#);
        let endpoint = read("https://id.example.com", certificate, &body);
        endpoint
            .map(|it| it.uri().to_string())
            .map_err(|error| error.kind())
    }

    fn mismatch(ours: &str, theirs: &str) -> String {
        let body = format!(r#"{{"issuer":{theirs},"token_endpoint":"https://id.example.com/t"}}"#);
        let error = read(ours, false, &body).err().unwrap();
        assert_eq!(error.kind(), TokenEndpointErrorKind::IssuerMismatch);
        let text = error.to_string();
        assert_eq!(FetchError::from(error).kind(), FetchErrorKind::Denied);
        text
    }

    #[test]
    fn the_audience_of_what_was_discovered_is_the_issuer() {
        let body =
            r#"{"issuer":"https:\/\/id.example.com","token_endpoint":"https://id.example.com/t"}"#;
        let endpoint = read("https://id.example.com", false, body).ok().unwrap();
        assert_eq!(&**endpoint.audience(), "https://id.example.com");
        assert_eq!(&**endpoint.name(), "https://id.example.com/t");
    }

    #[test]
    fn of_a_long_path_512_bytes_are_shown_and_all_is_asked() {
        let url = format!("https://id.example.com/{}", "a".repeat(60_000));
        let body = format!(r#"{{"issuer":"https://id.example.com","token_endpoint":"{url}"}}"#);
        let endpoint = read("https://id.example.com", false, &body).ok().unwrap();
        assert_eq!(&**endpoint.name(), &url[..512]);
        assert_eq!(endpoint.uri().to_string(), url);
        assert_eq!(&**endpoint.url(), url);
    }

    #[test]
    fn an_issuer_that_differs_in_anything_is_another() {
        let slash = mismatch("https://id.example.com", r#""https://id.example.com/""#);
        assert!(slash.contains("https://id.example.com/ instead of https://id.example.com;"));
        assert!(slash.contains("differ by a slash at the end"), "{slash}");
        let no_slash = mismatch("https://id.example.com/", r#""https://id.example.com""#);
        assert!(no_slash.contains("https://id.example.com instead of https://id.example.com/;"));
        let case = mismatch("https://id.example.com/T", r#""https://id.example.com/t""#);
        assert!(case.contains("differ by upper and lower case"), "{case}");
        let other = mismatch("https://id.example.com", r#""https://evil.example""#);
        assert!(other.ends_with("https://evil.example instead of https://id.example.com"));
        let port = mismatch("https://id.example.com", r#""https://id.example.com:443""#);
        assert!(!port.contains("differ by"), "{port}");
    }

    #[test]
    fn an_issuer_that_is_no_url_is_not_quoted() {
        for theirs in [
            r#""hunter2""#,
            r#""https://me:hunter2@id.example.com""#,
            r#""https://id.example.com/#hunter2""#,
            r#"["hunter2"]"#,
            "null",
            r#""https://id.example.com/?hunter2""#,
        ] {
            let text = mismatch("https://id.example.com", theirs);
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn a_token_endpoint_is_one_or_the_metadata_is_invalid() {
        use TokenEndpointErrorKind::{InvalidMetadata, TokenEndpointOrigin};

        for (kind, rest) in [
            (InvalidMetadata, r#""x":1"#),
            (InvalidMetadata, r#""token_endpoint":null"#),
            (
                InvalidMetadata,
                r#""token_endpoint":["https://id.example.com/t"]"#,
            ),
            (InvalidMetadata, r#""token_endpoint":"/t""#),
            (
                InvalidMetadata,
                r#""token_endpoint":"http://id.example.com/t""#,
            ),
            (
                InvalidMetadata,
                r#""token_endpoint":"https://a@id.example.com/t""#,
            ),
            (
                InvalidMetadata,
                r#""token_endpoint":"https://id.example.com/t#""#,
            ),
            (
                TokenEndpointOrigin,
                r#""token_endpoint":"https://evil.example/t""#,
            ),
            (
                TokenEndpointOrigin,
                r#""token_endpoint":"https://id.example.com:8443/t""#,
            ),
            (
                TokenEndpointOrigin,
                r#""token_endpoint":"https://id.example.com.evil.example/t""#,
            ),
            (
                TokenEndpointOrigin,
                r#""token_endpoint":"http://127.0.0.1/t""#,
            ),
        ] {
            assert_eq!(endpoint(false, rest), Err(kind), "{rest}");
        }
        let same = endpoint(
            false,
            r#""token_endpoint":"https://ID.example.com:443/t?a=b""#,
        );
        assert_eq!(same.as_deref(), Ok("https://ID.example.com:443/t?a=b"));
    }

    #[test]
    fn an_alias_is_for_who_presents_a_certificate() {
        let both = r#""token_endpoint":"https://id.example.com/t",
            "mtls_endpoint_aliases":{"token_endpoint":"https://mtls.example.com/t"}"#;
        assert_eq!(
            endpoint(true, both).as_deref(),
            Ok("https://mtls.example.com/t")
        );
        assert_eq!(
            endpoint(false, both).as_deref(),
            Ok("https://id.example.com/t")
        );

        let other = r#""token_endpoint":"https://id.example.com/t",
            "mtls_endpoint_aliases":{"revocation_endpoint":"https://mtls.example.com/t"}"#;
        assert_eq!(
            endpoint(true, other).as_deref(),
            Ok("https://id.example.com/t")
        );
        let evil = r#""token_endpoint":"https://id.example.com/t",
            "mtls_endpoint_aliases":{"token_endpoint":"https://evil.example/t"}"#;
        let refused = Err(TokenEndpointErrorKind::TokenEndpointOrigin);
        assert_eq!(endpoint(true, evil), refused);
    }
}
