use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use super::algorithm::JwsAlgorithm;
use super::claims::random_id;
use super::error::InvalidSigningKey;
use super::key::SigningKey;
use super::signer::{self, JwtSigner};
use crate::error::BoxError;
use crate::oauth2::client::{Assertion, ClientSecret};

/// What a signed [`Assertion`] says (RFC 7523 §3).
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::oauth2::jwt::{JwsAlgorithm, JwtAssertion, SigningKey};
///
/// # let secret = "0123456789abcdef0123456789abcdef";
/// let key = SigningKey::from_secret(secret, JwsAlgorithm::Hs256)?;
/// let assertion = JwtAssertion::new()
///     .with_issuer("my-service@example.com")
///     .with_claim("tenant_id", 7)
///     .with_lifetime(Duration::from_secs(300))
///     .signed_by(key);
/// # let _ = assertion;
/// # Ok::<(), tower_bearer::oauth2::jwt::InvalidSigningKey>(())
/// ```
///
/// Every assertion is made anew, when its request is:
///
/// | claim | value |
/// |---|---|
/// | `iss` | the client's id, or [`with_issuer`](Self::with_issuer) |
/// | `sub` | the same, unless set otherwise |
/// | `aud` | the token endpoint's URL as it was given, its issuer if it was discovered, or what [`Assertion::with_audience`] or [`Assertion::with_token_endpoint_as_audience`] says; always one text, since some servers refuse an array |
/// | `iat` | now, less [10 seconds](Self::with_backdating) |
/// | `exp` | `iat` and [60 seconds](Self::with_lifetime) |
/// | `jti` | 128 random bits |
///
/// Times are whole seconds by the wall clock (NumericDate, RFC 7519 §2), since the server compares them with
/// its own: on a machine whose clock is wrong by a minute, servers refuse.
#[derive(Clone)]
pub struct JwtAssertion {
    typ: String,
    pub(super) issuer: Option<String>,
    pub(super) subject: Subject,
    pub(super) tenant_as_subject: bool,
    pub(super) scope_claim: bool,
    pub(super) not_before: bool,
    pub(super) backdating: Duration,
    pub(super) lifetime: Duration,
    pub(super) claims: Map<String, Value>,
}

#[derive(Clone)]
pub(super) enum Subject {
    Issuer,
    Fixed(String),
    None,
}

impl JwtAssertion {
    /// Starts with what authenticates a client (RFC 7523 §2.2, §3).
    pub fn new() -> Self {
        Self {
            typ: "JWT".to_owned(),
            issuer: None,
            subject: Subject::Issuer,
            tenant_as_subject: false,
            scope_claim: false,
            not_before: false,
            // FAPI 2.0 has servers accept a time that is so far ahead of theirs; others accept none.
            backdating: Duration::from_secs(10),
            lifetime: Duration::from_secs(60),
            claims: Map::new(),
        }
    }

    /// Sets the issuer: `iss`. Unless set, that is the client's id.
    #[must_use]
    pub fn with_issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Sets the subject: `sub`, for whom the token is. Unless set, that is the issuer.
    #[must_use]
    pub fn with_subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Subject::Fixed(subject.into());
        self
    }

    /// Leaves out the subject, which RFC 7523 §3 requires and some servers, Google's for one, do not want.
    #[must_use]
    pub fn without_subject(mut self) -> Self {
        self.subject = Subject::None;
        self
    }

    /// Makes the tenant of a [`TokenRequest`](crate::TokenRequest) the subject of its assertion. Those without
    /// one have the subject that they have without this.
    ///
    /// For a [`JwtBearer`](crate::oauth2::JwtBearer) grant, on behalf of another user by each request. Each
    /// has a token of its own, since the tenant is part of the key.
    ///
    /// # Security
    ///
    /// Who chooses the tenant chooses the user. It must not be taken from an inbound request unchecked.
    #[must_use]
    pub fn with_tenant_as_subject(mut self) -> Self {
        self.tenant_as_subject = true;
        self
    }

    /// Puts the scopes that are asked for, default ones included, into the claim `scope`, separated by spaces.
    ///
    /// A [`JwtBearer`](crate::oauth2::JwtBearer) grant then sends no parameter `scope`.
    #[must_use]
    pub fn with_scope_claim(mut self) -> Self {
        self.scope_claim = true;
        self
    }

    /// Sets a further claim.
    ///
    /// It takes the place of what the assertion would say by that name, such as an `aud` that has to be an
    /// array; but for a `sub` that is the [tenant](Self::with_tenant_as_subject) and a `scope` that is
    /// [what is asked for](Self::with_scope_claim), since the token is kept under these.
    #[must_use]
    pub fn with_claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.claims.insert(name.into(), value.into());
        self
    }

    /// Sets for how long it holds, from `iat` to `exp`: whole seconds, at least one.
    ///
    /// 60 seconds unless set. It is used at once, so that more only helps a thief; less fails where clocks
    /// differ.
    #[must_use]
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Sets by how much `iat` lies in the past: whole seconds, at most half of the lifetime.
    ///
    /// 10 seconds unless set, since many servers refuse an assertion from the future, and no two clocks agree.
    #[must_use]
    pub fn with_backdating(mut self, backdating: Duration) -> Self {
        self.backdating = backdating;
        self
    }

    /// Adds a `nbf`, equal to `iat`.
    ///
    /// Left out unless asked for: it is optional (RFC 7523 §3, item 5), and says nothing that `iat` does not.
    #[must_use]
    pub fn with_not_before(mut self) -> Self {
        self.not_before = true;
        self
    }

    /// Sets the type in the header, `typ`, such as `client-authentication+jwt`; `JWT` unless set.
    #[must_use]
    pub fn with_type(mut self, typ: impl Into<String>) -> Self {
        self.typ = typ.into();
        self
    }

    /// Makes the assertion, signed by a key.
    pub fn signed_by<S: JwtSigner>(self, signer: S) -> Assertion {
        let signer = Arc::new(signer);
        self.signed_by_fn(move || std::future::ready(Ok(Arc::clone(&signer))))
    }

    /// Makes the assertion, signed by the key that a closure gives, which it is asked for every time.
    ///
    /// So keys can rotate. If the closure fails, so does the fetch, as one that may get better by itself.
    ///
    /// ```
    /// use tower_bearer::oauth2::jwt::{JwsAlgorithm, JwtAssertion, SigningKey};
    ///
    /// let assertion = JwtAssertion::new().signed_by_fn(|| async {
    ///     let pem = tokio::fs::read("/run/secrets/client.pem").await?;
    ///     Ok(SigningKey::from_pem(pem, JwsAlgorithm::Es256)?)
    /// });
    /// # let _ = assertion;
    /// ```
    pub fn signed_by_fn<F, Fut, S>(self, signer: F) -> Assertion
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<S, BoxError>> + Send + 'static,
        S: JwtSigner,
    {
        let scope_claim = self.scope_claim;
        let takes_tenant = self.tenant_as_subject;
        let this = Arc::new(self);
        let mut assertion = Assertion::from_fn(move |cx| {
            let (this, signer) = (Arc::clone(&this), signer());
            async move {
                let signer = signer.await?;
                let claims = this.claims(&cx, SystemTime::now(), &random_id()?)?;
                signer::sign(&signer, &this.typ, claims).await
            }
        });
        if scope_claim {
            assertion = assertion.with_scope_inside();
        }
        if takes_tenant {
            assertion = assertion.with_tenant_inside();
        }
        assertion
    }

    /// Makes the assertion, signed by a secret that the server knows too, which is read every time.
    ///
    /// # Errors
    ///
    /// If the algorithm is none of `HS256`, `HS384` and `HS512`, or if the secret, when it is a fixed one, is
    /// [too short](SigningKey::from_secret) for it. One that is read too short fails its fetch.
    pub fn signed_by_secret(
        self,
        secret: impl Into<ClientSecret>,
        algorithm: JwsAlgorithm,
    ) -> Result<Assertion, InvalidSigningKey> {
        let secret = secret.into();
        match secret.fixed() {
            Some(secret) => SigningKey::from_secret(secret, algorithm).map(drop)?,
            None => SigningKey::check_takes_secret(algorithm)?,
        }
        let secret = Arc::new(secret);
        Ok(self.signed_by_fn(move || {
            let secret = Arc::clone(&secret);
            async move { Ok(SigningKey::from_secret(&**secret.read().await?, algorithm)?) }
        }))
    }
}

impl Default for JwtAssertion {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for JwtAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtAssertion")
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

/// Signed here, with the feature `jwt`.
impl Assertion {
    /// `private_key_jwt` (OpenID Connect Core §9): what [`JwtAssertion::new`] says, signed by a key.
    ///
    /// ```
    /// use tower_bearer::oauth2::jwt::{JwsAlgorithm, SigningKey};
    /// use tower_bearer::oauth2::{Assertion, ClientCredentials};
    ///
    /// # fn f(pem: &str) -> Result<(), Box<dyn std::error::Error>> {
    /// let key = SigningKey::from_pem(pem, JwsAlgorithm::Ps256)?.with_key_id("2026-05");
    /// let builder = ClientCredentials::builder(
    ///     "https://id.example.com/token",
    ///     "my-service",
    ///     Assertion::signed_by(key),
    /// );
    /// # let _ = builder;
    /// # Ok(())
    /// # }
    /// ```
    pub fn signed_by<S: JwtSigner>(signer: S) -> Self {
        JwtAssertion::new().signed_by(signer)
    }

    /// `private_key_jwt`, signed by the key that a closure gives: see [`JwtAssertion::signed_by_fn`].
    pub fn signed_by_fn<F, Fut, S>(signer: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<S, BoxError>> + Send + 'static,
        S: JwtSigner,
    {
        JwtAssertion::new().signed_by_fn(signer)
    }

    /// `client_secret_jwt` (OpenID Connect Core §9): what [`JwtAssertion::new`] says, signed by the client
    /// secret, which is not sent.
    ///
    /// # Errors
    ///
    /// As [`JwtAssertion::signed_by_secret`].
    pub fn client_secret_jwt(
        secret: impl Into<ClientSecret>,
        algorithm: JwsAlgorithm,
    ) -> Result<Self, InvalidSigningKey> {
        JwtAssertion::new().signed_by_secret(secret, algorithm)
    }
}
