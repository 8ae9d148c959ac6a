use std::fmt;

use super::{FetchContext, TokenProvider, TokenRequest};
use crate::error::BoxError;
use crate::token::AccessToken;

/// The provider that [`TokenProviderExt::map_token`](super::TokenProviderExt::map_token) returns.
#[derive(Clone, Copy)]
pub struct MapToken<P, F> {
    provider: P,
    f: F,
}

impl<P, F> MapToken<P, F> {
    pub(super) fn new(provider: P, f: F) -> Self {
        Self { provider, f }
    }
}

impl<P, F> TokenProvider for MapToken<P, F>
where
    P: TokenProvider,
    F: Fn(AccessToken) -> Result<AccessToken, BoxError> + Send + Sync + 'static,
{
    async fn fetch_token(&self, cx: FetchContext) -> Result<AccessToken, BoxError> {
        self.provider.fetch_token(cx).await.and_then(&self.f)
    }
}

impl<P, F> fmt::Debug for MapToken<P, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapToken").finish_non_exhaustive()
    }
}

/// The provider that [`TokenProviderExt::map_request`](super::TokenProviderExt::map_request) returns.
#[derive(Clone, Copy)]
pub struct MapRequest<P, F> {
    provider: P,
    f: F,
}

impl<P, F> MapRequest<P, F> {
    pub(super) fn new(provider: P, f: F) -> Self {
        Self { provider, f }
    }
}

impl<P, F> TokenProvider for MapRequest<P, F>
where
    P: TokenProvider,
    F: Fn(TokenRequest) -> TokenRequest + Send + Sync + 'static,
{
    async fn fetch_token(&self, cx: FetchContext) -> Result<AccessToken, BoxError> {
        self.provider.fetch_token(cx.map_request(&self.f)).await
    }
}

impl<P, F> fmt::Debug for MapRequest<P, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapRequest").finish_non_exhaustive()
    }
}
