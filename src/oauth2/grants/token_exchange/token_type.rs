use std::borrow::Cow;
use std::fmt;

use crate::oauth2::invalid_config::{InvalidConfig, InvalidConfigKind};

/// What kind of token a text is: a token type identifier (RFC 8693 §3).
///
/// Not to be mixed up with the `token_type` of RFC 6749, such as `Bearer`, which says how a token is used.
///
/// ```
/// use tower_bearer::oauth2::TokenTypeIdentifier;
///
/// let jwt = TokenTypeIdentifier::JWT;
/// assert_eq!(jwt.as_str(), "urn:ietf:params:oauth:token-type:jwt");
/// // One of a vendor's own.
/// let aws4 = TokenTypeIdentifier::from("urn:ietf:params:aws:token-type:aws4_request");
/// # let _ = aws4;
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenTypeIdentifier {
    uri: Cow<'static, str>,
}

impl TokenTypeIdentifier {
    /// An OAuth 2.0 access token.
    pub const ACCESS_TOKEN: Self = Self::new("urn:ietf:params:oauth:token-type:access_token");
    /// An OAuth 2.0 refresh token.
    pub const REFRESH_TOKEN: Self = Self::new("urn:ietf:params:oauth:token-type:refresh_token");
    /// An ID token of OpenID Connect.
    pub const ID_TOKEN: Self = Self::new("urn:ietf:params:oauth:token-type:id_token");
    /// A SAML 1.1 assertion, encoded in base64url.
    pub const SAML1: Self = Self::new("urn:ietf:params:oauth:token-type:saml1");
    /// A SAML 2.0 assertion, encoded in base64url.
    pub const SAML2: Self = Self::new("urn:ietf:params:oauth:token-type:saml2");
    /// A JWT (RFC 7519).
    pub const JWT: Self = Self::new("urn:ietf:params:oauth:token-type:jwt");

    const fn new(uri: &'static str) -> Self {
        Self {
            uri: Cow::Borrowed(uri),
        }
    }

    /// The URI.
    pub fn as_str(&self) -> &str {
        &self.uri
    }

    pub(super) fn validate(&self) -> Result<(), InvalidConfig> {
        if !self.uri.is_empty() && self.uri.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(())
        } else {
            Err(InvalidConfig::new(InvalidConfigKind::TokenTypeIdentifier))
        }
    }
}

/// A URI, checked when the provider is built.
impl From<&str> for TokenTypeIdentifier {
    fn from(uri: &str) -> Self {
        uri.to_owned().into()
    }
}

impl From<String> for TokenTypeIdentifier {
    fn from(uri: String) -> Self {
        Self {
            uri: Cow::Owned(uri),
        }
    }
}

impl fmt::Display for TokenTypeIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.uri)
    }
}
