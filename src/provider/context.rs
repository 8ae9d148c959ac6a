use super::TokenRequest;
use crate::token::AccessToken;

/// What a [`TokenProvider`](super::TokenProvider) is told about the token to fetch.
///
/// Owned, so that a fetch can outlive the caller that started it.
#[derive(Clone, Debug, Default)]
pub struct FetchContext {
    request: TokenRequest,
    rejected: Option<AccessToken>,
}

impl FetchContext {
    /// Asks for what `request` says. Public for tests of providers and for providers that wrap one.
    pub fn new(request: TokenRequest) -> Self {
        Self {
            request,
            rejected: None,
        }
    }

    /// States that a server rejected `token`, and that another one is wanted.
    #[must_use]
    pub fn with_rejected_token(mut self, token: AccessToken) -> Self {
        self.rejected = Some(token);
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
