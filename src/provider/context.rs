use super::TokenRequest;
use crate::rejection::Challenge;
use crate::token::AccessToken;

/// What a [`TokenProvider`](super::TokenProvider) is told about the token to fetch.
///
/// Owned, so that a fetch can outlive the caller that started it.
#[derive(Clone, Debug, Default)]
pub struct FetchContext {
    request: TokenRequest,
    rejected: Option<AccessToken>,
    challenges: Vec<Challenge>,
}

impl FetchContext {
    /// Asks for what `request` says. Public for tests of providers and for providers that wrap one.
    pub fn new(request: TokenRequest) -> Self {
        Self {
            request,
            rejected: None,
            challenges: Vec::new(),
        }
    }

    /// States that a server rejected `token`, and that another one is wanted.
    #[must_use]
    pub fn with_rejected_token(mut self, token: AccessToken) -> Self {
        self.rejected = Some(token);
        self
    }

    /// States what the server said that rejected the token.
    #[must_use]
    pub fn with_challenges(mut self, challenges: Vec<Challenge>) -> Self {
        self.challenges = challenges;
        self
    }

    /// Asks for something else, for the same reason: for a provider that wraps another.
    ///
    /// The token is kept under what was asked for in the first place, so `f` must make the same of the same.
    /// [`TokenProviderExt::map_request`](super::TokenProviderExt::map_request) is the short form.
    ///
    /// ```
    /// use tower_bearer::error::BoxError;
    /// use tower_bearer::{AccessToken, FetchContext, TokenProvider};
    ///
    /// /// Has one issuer for each tenant.
    /// struct PerTenant<P> {
    ///     a: P,
    ///     b: P,
    /// }
    ///
    /// impl<P: TokenProvider> TokenProvider for PerTenant<P> {
    ///     async fn fetch_token(&self, cx: FetchContext) -> Result<AccessToken, BoxError> {
    ///         let (issuer, audience) = match cx.token_request().tenant() {
    ///             Some("a") => (&self.a, "https://a.example.com"),
    ///             Some("b") => (&self.b, "https://b.example.com"),
    ///             _ => return Err("no such tenant".into()),
    ///         };
    ///         // What was rejected, and why, is passed on as it is.
    ///         let cx = cx.map_request(|request| request.with_audience(audience));
    ///         issuer.fetch_token(cx).await
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn map_request(mut self, f: impl FnOnce(TokenRequest) -> TokenRequest) -> Self {
        self.request = f(self.request);
        self
    }

    /// What is asked for.
    pub fn token_request(&self) -> &TokenRequest {
        &self.request
    }

    /// The token that a server rejected, if that is why this fetch takes place.
    ///
    /// A provider that keeps tokens must not return this one again.
    pub fn rejected_token(&self) -> Option<&AccessToken> {
        self.rejected.as_ref()
    }

    /// What the server said that rejected the token: to be told to somebody, or to see whether the token
    /// was revoked. Empty if no server did, or it said nothing.
    ///
    /// # Security
    ///
    /// It is what some server wrote, and the new token is for all who ask for the same
    /// [`token_request`](Self::token_request), whatever their servers said. So it must not decide what
    /// token to ask for: what does, such as scopes or claims, belongs in the [`TokenRequest`], by the
    /// request's extensions or by
    /// [`with_token_chosen_by`](crate::BearerAuthLayer::with_token_chosen_by).
    pub fn challenges(&self) -> &[Challenge] {
        &self.challenges
    }
}

/// Marks a request, in its extensions, that any [`BearerAuth`](crate::BearerAuth) passes on untouched.
///
/// Our own token requests carry it, so that a transport which is itself wrapped in the layer does not
/// ask itself for a token. A provider that speaks HTTP through a stack of its owner's should do the
/// same.
///
/// ```
/// use tower_bearer::provider::PassThrough;
///
/// let mut request = http::Request::post("https://id.example.com/token").body(())?;
/// request.extensions_mut().insert(PassThrough);
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PassThrough;
