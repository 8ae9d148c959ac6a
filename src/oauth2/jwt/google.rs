use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::algorithm::JwsAlgorithm;
use super::assertion::JwtAssertion;
use super::error::InvalidSigningKey;
use super::key::SigningKey;
use crate::oauth2::answer::members::Answer;
use crate::oauth2::grants::{JwtBearer, JwtBearerBuilder};

/// A service account of Google Cloud, by its key file.
///
/// ```no_run
/// use tower_bearer::oauth2::jwt::GoogleServiceAccount;
///
/// # fn f() -> Result<(), Box<dyn std::error::Error>> {
/// let file = std::fs::read("service-account.json")?;
/// let builder = GoogleServiceAccount::from_json(&file)?
///     .builder()
///     .with_scope("https://www.googleapis.com/auth/cloud-platform");
/// # let _ = builder;
/// # Ok(())
/// # }
/// ```
///
/// Its assertion holds for an hour, the most that Google takes, has the scopes in a claim, and no `sub` unless
/// [set](Self::with_subject).
///
/// # Security
///
/// The file says where to ask. Its assertion names that place as its audience and is of no use elsewhere, and
/// [`build`](crate::oauth2::GrantBuilder::build) wants `https`; but the tokens come from there, so a file of
/// unknown origin is not to be used. The key is zeroed when dropped; copies made by the parser are not.
#[derive(Clone)]
pub struct GoogleServiceAccount {
    email: String,
    token_uri: String,
    key: SigningKey,
    assertion: JwtAssertion,
}

/// A text is no key file of a service account.
///
/// # Security
///
/// Quotes nothing of the file.
#[derive(Clone, Debug)]
pub struct InvalidServiceAccount {
    kind: InvalidServiceAccountKind,
    source: Option<InvalidSigningKey>,
}

/// What is wrong with a key file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvalidServiceAccountKind {
    /// It is not a JSON object.
    NotJson,
    /// Its `type` is not `service_account`.
    Type,
    /// Its `client_email` is missing.
    ClientEmail,
    /// Its `token_uri` is not a text.
    TokenUri,
    /// Its `private_key` is missing, or not of RSA in PEM.
    PrivateKey,
}

impl GoogleServiceAccount {
    /// Reads a key file.
    ///
    /// # Errors
    ///
    /// If it is not JSON, not of a service account, or lacks `client_email` or a usable `private_key`.
    /// Without a `token_uri`, `https://oauth2.googleapis.com/token` is asked.
    pub fn from_json(json: impl AsRef<[u8]>) -> Result<Self, InvalidServiceAccount> {
        use InvalidServiceAccountKind as Kind;

        let file = Answer::parse(json.as_ref()).ok_or(Kind::NotJson)?;
        if file
            .text("type")
            .is_none_or(|typ| *typ != "service_account")
        {
            return Err(Kind::Type.into());
        }
        let email = file.text("client_email").filter(|email| !email.is_empty());
        let email = email.ok_or(Kind::ClientEmail)?.to_string();
        let token_uri = if file.has("token_uri") {
            file.text("token_uri").ok_or(Kind::TokenUri)?.to_string()
        } else {
            "https://oauth2.googleapis.com/token".to_owned()
        };
        let pem = file.text("private_key").ok_or(Kind::PrivateKey)?;
        let key = SigningKey::from_pem(pem.as_bytes(), JwsAlgorithm::Rs256);
        let mut key = key.map_err(|source| InvalidServiceAccount {
            kind: Kind::PrivateKey,
            source: Some(source),
        })?;
        if let Some(id) = file.text("private_key_id") {
            key = key.with_key_id(id.as_str());
        }

        let assertion = JwtAssertion::new()
            .with_issuer(&email)
            .without_subject()
            .with_scope_claim()
            .with_lifetime(Duration::from_secs(3600));
        Ok(Self {
            email,
            token_uri,
            key,
            assertion,
        })
    }

    /// Acts for a user of a Workspace domain that has delegated to the account (domain-wide delegation).
    #[must_use]
    pub fn with_subject(mut self, user: impl Into<String>) -> Self {
        self.assertion = self.assertion.with_subject(user);
        self
    }

    /// Acts for the user that is the tenant of a [`TokenRequest`](crate::TokenRequest); without one, for the
    /// account itself.
    ///
    /// # Security
    ///
    /// As [`JwtAssertion::with_tenant_as_subject`].
    #[must_use]
    pub fn with_tenant_as_subject(mut self) -> Self {
        self.assertion = self.assertion.with_tenant_as_subject();
        self
    }

    /// The account's `client_email`.
    pub fn email(&self) -> &str {
        &self.email
    }

    /// Where it asks: its `token_uri`.
    pub fn token_uri(&self) -> &str {
        &self.token_uri
    }

    /// Starts a provider for this account. It needs scopes.
    ///
    /// Google answers with the full names of scopes: ask by `https://www.googleapis.com/auth/userinfo.email`
    /// rather than by `email`.
    pub fn builder(&self) -> JwtBearerBuilder {
        let assertion = self.assertion.clone().signed_by(self.key.clone());
        JwtBearer::builder(&self.token_uri, assertion)
    }
}

impl fmt::Debug for GoogleServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GoogleServiceAccount")
            .field("email", &self.email)
            .finish_non_exhaustive()
    }
}

impl InvalidServiceAccount {
    /// What is wrong.
    pub fn kind(&self) -> InvalidServiceAccountKind {
        self.kind
    }
}

impl From<InvalidServiceAccountKind> for InvalidServiceAccount {
    fn from(kind: InvalidServiceAccountKind) -> Self {
        Self { kind, source: None }
    }
}

impl fmt::Display for InvalidServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            InvalidServiceAccountKind::NotJson => {
                "invalid service account: it is not a JSON object, as a key file from Google is"
            }
            InvalidServiceAccountKind::Type => {
                "invalid service account: its `type` is not `service_account`; credentials of users and \
                 of workload identity federation are other grants"
            }
            InvalidServiceAccountKind::ClientEmail => {
                "invalid service account: its `client_email` is missing"
            }
            InvalidServiceAccountKind::TokenUri => {
                "invalid service account: its `token_uri` is not a text"
            }
            InvalidServiceAccountKind::PrivateKey => {
                "invalid service account: its `private_key` is missing, or not an RSA key as PEM"
            }
        })
    }
}

impl Error for InvalidServiceAccount {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.source.as_ref();
        source.map(|source| source as _)
    }
}
