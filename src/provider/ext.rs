use std::time::Duration;

use super::{BoxTokenProvider, Fallback, MapRequest, MapToken, Retry, Timeout};
use super::{TokenProvider, TokenRequest};
use crate::error::BoxError;
use crate::token::AccessToken;

/// What can be put around any [`TokenProvider`], as `tower::ServiceExt` has it for services.
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::provider::{EnvToken, FileToken, TokenProviderExt};
/// use tower_bearer::{AccessToken, TokenCache, token_fn};
///
/// # async fn ask() -> Result<AccessToken, tower_bearer::error::BoxError> { Err("not today".into()) }
/// let provider = token_fn(|_cx| ask())
///     .timeout(Duration::from_secs(5)) // each try
///     .retry(3)
///     .fallback(FileToken::new("/var/run/secrets/tokens/api"));
/// let tokens = TokenCache::new(provider);
/// ```
///
/// # Cancel safety
///
/// A fetch that is dropped drops what it asked, at whatever point, and leaves nothing behind.
pub trait TokenProviderExt: TokenProvider + Sized {
    /// Gives each fetch a time limit of its own, within that of the cache.
    ///
    /// A fetch that takes longer is dropped and fails with the kind
    /// [`TimedOut`](crate::FetchErrorKind::TimedOut). More than an hour counts as an hour. Needs no
    /// runtime.
    fn timeout(self, limit: Duration) -> Timeout<Self> {
        Timeout::new(self, limit)
    }

    /// Asks again, within one fetch, if it fails in a way that may pass by itself: up to `tries` times in
    /// all. See [`Retry`] for the pauses in between.
    ///
    /// Each try calls the provider anew, so that a signed assertion is a new one each time; a retry in the
    /// provider's transport would send the same. A panic of the provider is not tried again.
    fn retry(self, tries: u32) -> Retry<Self> {
        Retry::new(self, tries)
    }

    /// Asks `other` for the same, if this one has no token: see [`Chain`](super::Chain), which this is the
    /// short form of.
    ///
    /// # Security
    ///
    /// Both should stand for the same identity, with the same permissions: a server can bring about by a 401
    /// that the other is asked. One that has a single token gives it whatever scopes or audience are
    /// asked for.
    fn fallback<P: TokenProvider>(self, other: P) -> Fallback<Self, P> {
        Fallback::new(self, other)
    }

    /// Changes the token that comes out, such as by a header that is to go with it, or by a lifetime that
    /// is known better; or refuses it by an error, with which the fetch fails.
    ///
    /// A token of another text is one that this provider does not know as
    /// [rejected](super::FetchContext::rejected_token), should it keep tokens itself.
    ///
    /// ```
    /// use http::{HeaderName, HeaderValue};
    /// use tower_bearer::provider::{FileToken, TokenProviderExt};
    ///
    /// let project = HeaderName::from_static("x-goog-user-project");
    /// let provider = FileToken::new("token").map_token(move |token| {
    ///     Ok(token.with_header(project.clone(), HeaderValue::from_static("billing")))
    /// });
    /// ```
    fn map_token<F>(self, f: F) -> MapToken<Self, F>
    where
        F: Fn(AccessToken) -> Result<AccessToken, BoxError> + Send + Sync + 'static,
    {
        MapToken::new(self, f)
    }

    /// Changes what is asked for, such as by an audience that this provider wants and
    /// [another](Self::fallback) does not.
    ///
    /// The token is kept under what was asked for in the first place, so `f` must make the same of the same.
    ///
    /// ```
    /// use tower_bearer::provider::TokenProviderExt;
    /// # let provider = tower_bearer::token_fn(|_| async { Err("not today".into()) });
    ///
    /// let provider = provider.map_request(|request| request.with_audience("https://api.example.com"));
    /// ```
    ///
    /// Or by nothing at all, where one token is for every tenant:
    ///
    /// ```
    /// use tower_bearer::TokenRequest;
    /// use tower_bearer::provider::{EnvToken, TokenProviderExt};
    ///
    /// let provider = EnvToken::new("API_TOKEN").map_request(|_| TokenRequest::default());
    /// ```
    fn map_request<F>(self, f: F) -> MapRequest<Self, F>
    where
        F: Fn(TokenRequest) -> TokenRequest + Send + Sync + 'static,
    {
        MapRequest::new(self, f)
    }

    /// Hides the type.
    fn boxed(self) -> BoxTokenProvider {
        BoxTokenProvider::new(self)
    }
}

impl<P: TokenProvider> TokenProviderExt for P {}
