use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::error::{BoxError, FetchError};
use crate::layer::IntoTokenCache;
use crate::oauth2::error::{TokenEndpointError, TokenEndpointErrorKind};
use crate::provider::{TokenProvider, TokenRequest};

/// A JWT that is made, or read, anew for every token request: to authenticate the client (RFC 7523 §2.2),
/// or as the grant itself (§2.1).
///
/// ```
/// use tower_bearer::oauth2::{Assertion, ClientCredentials};
/// use tower_bearer::provider::FileToken;
///
/// // A token that the platform keeps in a file, such as a Kubernetes service account's.
/// let assertion = Assertion::of(FileToken::new("/var/run/secrets/tokens/id"));
/// let builder = ClientCredentials::builder("https://id.example.com/token", "my-service", assertion);
/// # let _ = builder;
/// ```
///
/// # Retries
///
/// Servers may refuse an assertion whose `jti` they have seen before (RFC 7523 §3, item 7). A new one is made
/// whenever a token is asked for, so also after a failure and after a 401 of an API. A retry *below*, such as
/// `tower::retry` around the transport, sends the same bytes again, and may turn a lost answer into a
/// refusal. Retry around the provider instead.
///
/// # Security
///
/// Zeroed when its request has been made.
#[derive(Clone)]
pub struct Assertion {
    make: Arc<dyn Fn(AssertionContext) -> BoxFuture + Send + Sync>,
    audience: Audience,
    inside: Inside,
}

#[derive(Clone)]
enum Audience {
    /// The issuer if it named the endpoint, else the endpoint's URL.
    Usual,
    TokenEndpoint,
    Fixed(Arc<str>),
}

/// What an assertion says of a [`TokenRequest`] for itself, so that no parameter has to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Inside {
    pub(crate) scope: bool,
    pub(crate) tenant: bool,
}

type BoxFuture = Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send>>;

/// What an [`Assertion`] is made for.
#[derive(Clone)]
pub struct AssertionContext {
    client_id: Option<Arc<str>>,
    audience: Arc<str>,
    token_endpoint: Arc<str>,
    token_request: TokenRequest,
}

impl Assertion {
    /// Makes the assertion by a closure, once for every token request.
    ///
    /// If it fails, so does the fetch: as a [`FetchError`] says if that is what the closure returns, and
    /// otherwise as one that may get better by itself.
    pub fn from_fn<F, Fut>(f: F) -> Self
    where
        F: Fn(AssertionContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, BoxError>> + Send + 'static,
    {
        Self {
            make: Arc::new(move |cx| Box::pin(f(cx))),
            audience: Audience::Usual,
            inside: Inside::default(),
        }
    }

    /// The token that `tokens` has, which is a [provider](TokenProvider) or a
    /// [`TokenCache`](crate::TokenCache) to share: a JWT that somebody else makes, such as what
    /// [workload identities](https://learn.microsoft.com/entra/workload-id/workload-identity-federation) and
    /// projected service account tokens of Kubernetes are, which a
    /// [`FileToken`](crate::provider::FileToken) reads.
    ///
    /// A provider is asked by a cache of its own, for the default [`TokenRequest`], whatever the token request is
    /// for. While the token is good it is sent again: not for servers that take each `jti` once. If it fails, so does
    /// the fetch, as the error says.
    pub fn of<C>(tokens: C) -> Self
    where
        C: IntoTokenCache<Provider: TokenProvider>,
    {
        let tokens = tokens.into_token_cache();
        Self::from_fn(move |_cx| {
            let tokens = tokens.clone();
            async move { Ok(tokens.token().await?.expose_secret().to_owned()) }
        })
    }

    /// Sets whom the assertion is for, its `aud`.
    ///
    /// Unless set, that is the issuer if the token endpoint was discovered, and the URL of the token
    /// endpoint, as it was given, if it was configured. Servers differ in what they take.
    #[must_use]
    pub fn with_audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Audience::Fixed(audience.into().into());
        self
    }

    /// Makes the URL of the token endpoint the audience, also of one that was discovered.
    ///
    /// Some servers take nothing else (RFC 7523 §3, item 3, names it as an example). It takes the place of
    /// [`with_audience`](Self::with_audience), and that of it.
    ///
    /// ```
    /// use tower_bearer::oauth2::{Assertion, ClientCredentials, Issuer};
    ///
    /// let assertion = Assertion::from_fn(|cx| async move {
    ///     assert_eq!(cx.audience(), cx.token_endpoint());
    ///     sign(cx.audience()).await
    /// });
    /// # async fn sign(_: &str) -> Result<String, tower_bearer::error::BoxError> { Ok("e30.e30.c2ln".into()) }
    /// let builder = ClientCredentials::builder(
    ///     Issuer::new("https://id.example.com"),
    ///     "my-service",
    ///     assertion.with_token_endpoint_as_audience(),
    /// );
    /// # let _ = builder;
    /// ```
    ///
    /// # Security
    ///
    /// A server that names another's endpoint as its own could use the assertion there; so prefer the issuer
    /// where the server takes it. A discovered endpoint is on an
    /// [origin that was allowed](crate::oauth2::Issuer#security) in any case.
    #[must_use]
    pub fn with_token_endpoint_as_audience(mut self) -> Self {
        self.audience = Audience::TokenEndpoint;
        self
    }

    /// States that the assertion has the scopes of its [`AssertionContext::token_request`] inside.
    ///
    /// A [`JwtBearer`](crate::oauth2::JwtBearer) grant then does not send them as a parameter.
    #[must_use]
    pub fn with_scope_inside(mut self) -> Self {
        self.inside.scope = true;
        self
    }

    /// States that the assertion says for which tenant of its [`AssertionContext::token_request`] it is.
    ///
    /// A [`JwtBearer`](crate::oauth2::JwtBearer) grant then takes a [`TokenRequest`] with a tenant, which
    /// grants refuse otherwise.
    #[must_use]
    pub fn with_tenant_inside(mut self) -> Self {
        self.inside.tenant = true;
        self
    }

    pub(crate) fn inside(&self) -> Inside {
        self.inside
    }

    pub(crate) async fn make(
        &self,
        mut cx: AssertionContext,
    ) -> Result<Zeroizing<String>, TokenEndpointError> {
        match &self.audience {
            Audience::Usual => {}
            Audience::TokenEndpoint => cx.audience = Arc::clone(&cx.token_endpoint),
            Audience::Fixed(audience) => cx.audience = Arc::clone(audience),
        }
        let error = || TokenEndpointError::new(TokenEndpointErrorKind::Assertion);
        let assertion = (self.make)(cx).await;
        let assertion = Zeroizing::new(assertion.map_err(|source| failed(error(), source))?);
        // A JWT is visible ASCII (RFC 7515 §7.1).
        if assertion.is_empty() || !assertion.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(error());
        }
        Ok(assertion)
    }
}

/// Takes a source that says what it concerns at its word.
fn failed(mut error: TokenEndpointError, source: BoxError) -> TokenEndpointError {
    if let Some(source) = source.downcast_ref::<FetchError>() {
        error = error
            .concerning(source.kind())
            .with_retry_after(source.retry_after());
    }
    error.with_source(source)
}

impl AssertionContext {
    pub(crate) fn new(
        client_id: Option<Arc<str>>,
        audience: Arc<str>,
        token_endpoint: Arc<str>,
        token_request: TokenRequest,
    ) -> Self {
        Self {
            client_id,
            audience,
            token_endpoint,
            token_request,
        }
    }

    /// The client's id, which is the `iss` and `sub` of an assertion that authenticates it (RFC 7523 §3).
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// Whom the assertion is for: its `aud`.
    pub fn audience(&self) -> &str {
        &self.audience
    }

    /// The URL of the token endpoint: as it was configured, or as the issuer's metadata names it.
    pub fn token_endpoint(&self) -> &str {
        &self.token_endpoint
    }

    /// What token is asked for, defaults included.
    pub fn token_request(&self) -> &TokenRequest {
        &self.token_request
    }
}

impl fmt::Debug for AssertionContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The audience may be a URL with a key in its query.
        f.debug_struct("AssertionContext")
            .field("client_id", &self.client_id)
            .field("token_request", &self.token_request)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assertion").finish_non_exhaustive()
    }
}
