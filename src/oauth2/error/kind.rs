use crate::error::FetchErrorKind;

/// What a [`TokenEndpointError`](super::TokenEndpointError) is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenEndpointErrorKind {
    /// Nothing was sent: the [`TokenRequest`](crate::TokenRequest) names a tenant, or a parameter that
    /// the grant sets itself, or what a metadata server cannot be asked for.
    NotSent,
    /// Nothing was sent: the client secret could not be read, or cannot be right.
    ClientSecret,
    /// Nothing was sent: an assertion could not be made, or is none.
    Assertion,
    /// Nothing was sent: the refresh token could not be read, or cannot be right.
    RefreshToken,
    /// Nothing was sent: the refresh token that came last could not be saved.
    RefreshTokenNotSaved,
    /// Nothing was sent: the subject token or the actor token of a token exchange could not be read, or
    /// cannot be right.
    SubjectToken,
    /// The transport failed, before or within the answer.
    Transport,
    /// The server refused, by its status or by an `error` in its answer.
    Rejected,
    /// The server answered with a redirect, which was not followed.
    Redirected,
    /// The answer has more than 1 MiB.
    TooLarge,
    /// The answer is not a JSON object.
    NotJson,
    /// The answer has no `access_token`.
    MissingToken,
    /// The `access_token` cannot be sent in a header.
    InvalidToken,
    /// The `token_type` is not `Bearer`.
    UnsupportedTokenType,
    /// The token is for fewer scopes than were asked for.
    ScopesNotGranted,
    /// The metadata that was read is another issuer's (RFC 8414 §3.3). No token endpoint was asked.
    IssuerMismatch,
    /// The issuer's metadata names no token endpoint, or one that is no `https` URL. It was not asked.
    InvalidMetadata,
    /// The issuer's metadata names a token endpoint on another origin than those that are allowed. It was
    /// not asked.
    TokenEndpointOrigin,
    /// What answered is not the metadata server.
    NotMetadataServer,
}

impl TokenEndpointErrorKind {
    /// What it concerns, unless a server says so.
    pub(super) fn concerns(self) -> FetchErrorKind {
        match self {
            Self::NotSent | Self::ScopesNotGranted => FetchErrorKind::InvalidRequest,
            // Somebody has to correct a configuration, theirs or ours.
            Self::IssuerMismatch | Self::InvalidMetadata | Self::TokenEndpointOrigin => {
                FetchErrorKind::Denied
            }
            _ => FetchErrorKind::Unavailable,
        }
    }

    /// What is said of it, after the name of a token endpoint.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::NotSent => {
                " was not asked: the token request names a tenant, which this grant has no use for, \
                 or sets a parameter that the grant sets itself"
            }
            Self::ClientSecret => {
                " was not asked: the client secret could not be read, is empty, or has control \
                 characters (is there a line break to trim?)"
            }
            Self::Assertion => {
                " was not asked: the assertion could not be made, is empty, or has white space in it"
            }
            Self::RefreshToken => {
                " was not asked: the refresh token could not be read, is empty, or has control characters \
                 (is there a line break to trim?)"
            }
            Self::RefreshTokenNotSaved => {
                " was not asked: the refresh token that it gave last could not be saved, and the next one \
                 would be lost the same way; it is kept in memory, and saving it is tried again"
            }
            Self::SubjectToken => {
                " was not asked: the subject token or the actor token could not be read, is empty, or has \
                 control characters (is there a line break to trim?)"
            }
            Self::Transport => ": the connection failed",
            Self::Rejected => " refused",
            Self::Redirected => {
                " answered with a redirect, which is not followed, since the client secret would go \
                 along; configure the URL that it leads to"
            }
            Self::TooLarge => " answered with more than 1 MiB",
            Self::NotJson => {
                " answered with something else than a JSON object; is this the URL of a token endpoint?"
            }
            Self::MissingToken => " answered without an access_token",
            Self::InvalidToken => " answered with an access_token that cannot be sent in a header",
            Self::UnsupportedTokenType => " answered with a token whose token_type is not Bearer",
            Self::ScopesNotGranted => {
                " granted fewer scopes than were asked for (`with_fewer_scopes_accepted` takes the \
                 token all the same); it lacks"
            }
            Self::IssuerMismatch => {
                " is another issuer's than the one that was configured (RFC 8414 section 3.3)"
            }
            Self::InvalidMetadata => {
                " names no token endpoint that can be used: `token_endpoint` must be an https URL \
                 without user, password and fragment"
            }
            Self::TokenEndpointOrigin => {
                " names a token endpoint on another origin than the issuer's, which is not sent the \
                 client's credentials unless `Issuer::with_token_endpoint_origin` allows it"
            }
            Self::NotMetadataServer => {
                ": what answered is not the metadata server; does the transport use a proxy?"
            }
        }
    }
}
