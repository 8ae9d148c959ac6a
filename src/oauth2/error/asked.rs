use super::TokenEndpointErrorKind as Kind;

/// Who was asked when something failed, and what is said of it other than of a token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    TokenEndpoint,
    /// The metadata of an issuer (RFC 8414 §3).
    Issuer,
    /// The metadata server of Compute Engine.
    Gce,
    /// The endpoint of Azure's managed identities.
    Azure,
}

impl Asked {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TokenEndpoint => "token endpoint",
            Self::Issuer => "authorization server metadata",
            Self::Gce => "GCE metadata server",
            Self::Azure => "Azure managed identity endpoint",
        }
    }

    /// What is said of a kind of failure, where a token endpoint's text would mislead.
    pub(crate) fn says(self, kind: Kind) -> Option<&'static str> {
        Some(match (self, kind) {
            (Self::TokenEndpoint, _) => return None,
            (Self::Issuer, Kind::Rejected) => " could not be read",
            (Self::Issuer, Kind::Redirected) => {
                " is answered with a redirect, which is not followed; if where it leads to is to be \
                 trusted, name that by `Issuer::with_metadata_url`"
            }
            (Self::Issuer, Kind::NotJson) => {
                " is something else than a JSON object; is this the issuer?"
            }
            (Self::Issuer, Kind::TooLarge) => " has more than 1 MiB",
            (Self::Gce, Kind::NotSent) => {
                " was not asked: an access token can be asked for by scopes (without commas), an identity \
                 token by an audience, and neither by anything else"
            }
            (Self::Azure, Kind::NotSent) => {
                " was not asked: a token is for exactly one resource, named by the token request or by \
                 default, as a resource or as the scope `<resource>/.default`; there is no choice of \
                 other scopes, audience, tenant or further parameters"
            }
            (Self::Azure, Kind::ClientSecret) => {
                " was not asked: the identity header could not be read, is empty, or has characters that \
                 a header cannot have"
            }
            (Self::Gce | Self::Azure, Kind::Redirected) => {
                " answered with a redirect, which is not followed; is this the metadata server?"
            }
            (Self::Gce | Self::Azure, Kind::NotJson) => {
                " answered with something else than a token; is this the metadata server?"
            }
            _ => return None,
        })
    }

    /// What to do about a refusal, where the client has nothing to do with it.
    pub(crate) fn advice(self) -> &'static str {
        match self {
            Self::TokenEndpoint => "",
            Self::Issuer => {
                "; check the issuer, or say where its metadata is by `Issuer::with_openid_configuration`, \
                 `with_oauth_metadata` or `with_metadata_url`"
            }
            Self::Gce => {
                "; does this machine have that service account, and may it use the scopes?"
            }
            Self::Azure => {
                "; does this machine have that managed identity, and is the resource right?"
            }
        }
    }
}
