use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::{FetchContext, TokenProvider};
use crate::error::BoxError;
use crate::token::AccessToken;

/// A [`TokenProvider`] whose type is hidden, as `tower::util::BoxService` hides a service.
///
/// Cloning is cheap; the clones share the provider.
///
/// ```
/// use tower_bearer::provider::{BoxTokenProvider, StaticToken, token_fn};
/// use tower_bearer::{AccessToken, TokenCache};
///
/// struct Client {
///     tokens: TokenCache, // whatever the provider
/// }
///
/// # fn fixed() -> bool { true }
/// let provider = if fixed() {
///     BoxTokenProvider::new(StaticToken::new(AccessToken::new("abc")?))
/// } else {
///     BoxTokenProvider::new(token_fn(|_| async { Err("not today".into()) }))
/// };
/// let client = Client { tokens: TokenCache::new(provider) };
/// # Ok::<(), tower_bearer::InvalidToken>(())
/// ```
#[derive(Clone)]
pub struct BoxTokenProvider {
    inner: Arc<dyn DynTokenProvider>,
}

type BoxFuture<'a> = Pin<Box<dyn Future<Output = Result<AccessToken, BoxError>> + Send + 'a>>;

trait DynTokenProvider: Send + Sync {
    fn fetch_token(&self, cx: FetchContext) -> BoxFuture<'_>;
}

impl<P: TokenProvider> DynTokenProvider for P {
    fn fetch_token(&self, cx: FetchContext) -> BoxFuture<'_> {
        Box::pin(TokenProvider::fetch_token(self, cx))
    }
}

impl BoxTokenProvider {
    /// Hides the type of `provider`.
    pub fn new(provider: impl TokenProvider) -> Self {
        Self {
            inner: Arc::new(provider),
        }
    }
}

impl TokenProvider for BoxTokenProvider {
    fn fetch_token(
        &self,
        cx: FetchContext,
    ) -> impl Future<Output = Result<AccessToken, BoxError>> + Send {
        self.inner.fetch_token(cx)
    }
}

impl fmt::Debug for BoxTokenProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxTokenProvider").finish_non_exhaustive()
    }
}
