use std::error::Error;
use std::fmt;

/// A provider cannot be made as configured.
#[derive(Debug)]
pub struct InvalidConfig {
    kind: InvalidConfigKind,
}

/// What is wrong with a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvalidConfigKind {
    /// The token endpoint is not an absolute `http` or `https` URL, or has a user, a password or a
    /// fragment.
    TokenEndpoint,
    /// The token endpoint, the issuer or its metadata is plain `http` and not on this host.
    InsecureHttp,
    /// The issuer is not an absolute `http` or `https` URL, or has a user, a password, a query or a
    /// fragment (RFC 8414 §2).
    Issuer,
    /// The URL of the issuer's metadata is not an absolute `http` or `https` URL, or has a user, a password
    /// or a fragment.
    MetadataUrl,
    /// An origin that the token endpoint may be on is none, or is plain `http` and not on this host.
    TokenEndpointOrigin,
    /// The host of a metadata server is none, or one that is not on this host or its link.
    MetadataHost,
    /// The service account has characters that the name of one cannot have.
    ServiceAccount,
    /// The client id is blank or has control characters.
    ClientId,
    /// The client id has a colon, which unencoded HTTP Basic cannot carry.
    ColonInClientId,
    /// The client secret is empty or has control characters.
    ClientSecret,
    /// The refresh token is empty or has control characters.
    RefreshToken,
    /// The subject token or the actor token is empty or has control characters.
    SubjectToken,
    /// A token type identifier is empty, or has other characters than a URI.
    TokenTypeIdentifier,
    /// A parameter has no name, or one that the grant sets itself.
    ReservedParameter,
}

impl InvalidConfig {
    /// What is wrong.
    pub fn kind(&self) -> InvalidConfigKind {
        self.kind
    }

    pub(crate) fn new(kind: InvalidConfigKind) -> Self {
        Self { kind }
    }
}

impl fmt::Display for InvalidConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            InvalidConfigKind::TokenEndpoint => {
                "invalid token endpoint: it must be an absolute https URL without user, password and \
                 fragment"
            }
            InvalidConfigKind::InsecureHttp => {
                "invalid token endpoint or issuer: it must be https, since the client secret is sent \
                 there (`with_insecure_http` allows http)"
            }
            InvalidConfigKind::Issuer => {
                "invalid issuer: it must be an absolute https URL without user, password, query and \
                 fragment"
            }
            InvalidConfigKind::MetadataUrl => {
                "invalid metadata URL: it must be an absolute https URL without user, password and \
                 fragment"
            }
            InvalidConfigKind::TokenEndpointOrigin => {
                "invalid token endpoint origin: it must be scheme, host and port of https, such as \
                 `https://id.example.com`"
            }
            InvalidConfigKind::MetadataHost => {
                "invalid metadata server: it must be on a loopback or link-local address, or have the \
                 platform's own name for it"
            }
            InvalidConfigKind::ServiceAccount => {
                "invalid service account: it must be `default` or an email address"
            }
            InvalidConfigKind::ClientId => {
                "invalid client id: it is blank or has control characters"
            }
            InvalidConfigKind::ColonInClientId => {
                "invalid client id: `ClientAuth::BasicRaw` cannot carry a colon; use `Basic` or `Post`"
            }
            InvalidConfigKind::ClientSecret => {
                "invalid client secret: it is empty or has control characters (is there a line break \
                 to trim?)"
            }
            InvalidConfigKind::RefreshToken => {
                "invalid refresh token: it is empty or has control characters (is there a line break to \
                 trim?)"
            }
            InvalidConfigKind::SubjectToken => {
                "invalid subject token or actor token: it is empty or has control characters (is there a \
                 line break to trim?)"
            }
            InvalidConfigKind::TokenTypeIdentifier => {
                "invalid token type identifier: it is empty, or has white space or other characters that \
                 a URI cannot have"
            }
            InvalidConfigKind::ReservedParameter => {
                "invalid parameter: it has no name, or one that the grant sets itself or has a method \
                 for"
            }
        })
    }
}

impl Error for InvalidConfig {}
