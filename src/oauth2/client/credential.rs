use std::fmt;

use super::assertion::{Assertion, AssertionContext};
use super::auth::ClientAuth;
use super::request::GrantRequest;
use super::secret::ClientSecret;
use crate::oauth2::error::TokenEndpointError;
use crate::oauth2::invalid_config::InvalidConfig;

/// What a client proves with who it is.
///
/// Whatever is a [`ClientSecret`] is one too, so that a text will do. An [`Assertion`] authenticates by
/// `private_key_jwt`, `client_secret_jwt` or the like (RFC 7523 §2.2).
///
/// ```
/// use tower_bearer::oauth2::{ClientCredentials, Credential};
///
/// // RFC 8705: the transport presents the certificate.
/// let builder = ClientCredentials::builder(
///     "https://id.example.com/token",
///     "my-service",
///     Credential::tls_certificate(),
/// );
/// # let _ = builder;
/// ```
#[derive(Clone)]
pub struct Credential {
    inner: Inner,
}

#[derive(Clone)]
enum Inner {
    Secret(ClientSecret),
    Assertion(Assertion),
    Certificate,
    None,
}

impl Credential {
    /// `none`: a public client, which sends its id and proves nothing (RFC 6749 §2.1).
    pub fn none() -> Self {
        Self { inner: Inner::None }
    }

    /// `tls_client_auth` and `self_signed_tls_client_auth` (RFC 8705 §2): the client's certificate, which
    /// the transport presents. The id goes into the form.
    pub fn tls_certificate() -> Self {
        Self {
            inner: Inner::Certificate,
        }
    }

    pub(crate) fn is_secret(&self) -> bool {
        matches!(self.inner, Inner::Secret(_))
    }

    pub(crate) fn is_assertion(&self) -> bool {
        matches!(self.inner, Inner::Assertion(_))
    }

    pub(crate) fn is_certificate(&self) -> bool {
        matches!(self.inner, Inner::Certificate)
    }

    /// What to look at if the server does not believe it.
    pub(crate) fn advice(&self) -> &'static str {
        match self.inner {
            Inner::Secret(_) => {
                "check the client id and secret, and whether the server wants them sent another way \
                 (`ClientAuth`)"
            }
            Inner::Assertion(_) => {
                "check the client id, the key and its id, whom the assertion is for \
                 (`Assertion::with_audience`), and the clock of this machine"
            }
            Inner::Certificate => {
                "check the client id, and that the transport presents this client's certificate"
            }
            Inner::None => "check the client id, and whether this client needs no secret",
        }
    }

    pub(crate) fn validate(&self) -> Result<(), InvalidConfig> {
        match &self.inner {
            Inner::Secret(secret) => secret.validate(),
            Inner::Assertion(_) | Inner::Certificate | Inner::None => Ok(()),
        }
    }

    /// Adds to a request what it takes to be believed.
    pub(crate) async fn authenticate(
        &self,
        auth: ClientAuth,
        cx: AssertionContext,
        request: &mut GrantRequest,
    ) -> Result<(), TokenEndpointError> {
        let id = cx.client_id().unwrap_or_default().to_owned();
        match &self.inner {
            Inner::Secret(secret) => auth.apply(&id, &secret.read().await?, request),
            Inner::Assertion(assertion) => {
                let assertion = assertion.make(cx).await?;
                request.add("client_id", &id);
                request.add(
                    "client_assertion_type",
                    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                );
                request.add("client_assertion", &assertion);
            }
            Inner::Certificate | Inner::None => request.add("client_id", &id),
        }
        Ok(())
    }
}

impl<S: Into<ClientSecret>> From<S> for Credential {
    fn from(secret: S) -> Self {
        Self {
            inner: Inner::Secret(secret.into()),
        }
    }
}

impl From<Assertion> for Credential {
    fn from(assertion: Assertion) -> Self {
        Self {
            inner: Inner::Assertion(assertion),
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.inner {
            Inner::Secret(_) => "Credential::Secret(..)",
            Inner::Assertion(_) => "Credential::Assertion(..)",
            Inner::Certificate => "Credential::Certificate",
            Inner::None => "Credential::None",
        })
    }
}
