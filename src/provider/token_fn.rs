use std::fmt;
use std::future::{self, Future};
use std::time::SystemTime;

use super::{FetchContext, TokenProvider, refuse_tenant};
use crate::error::BoxError;
use crate::token::{AccessToken, Lifetime};

/// Makes a provider of a closure, as `tower::service_fn` makes a service of one.
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::{AccessToken, token_fn};
///
/// let provider = token_fn(|_cx| async {
///     let text = std::env::var("API_TOKEN")?;
///     Ok(AccessToken::new(&text)?.with_expires_in(Duration::from_secs(600)))
/// });
/// # let _ = provider;
/// ```
pub fn token_fn<F, Fut>(f: F) -> TokenFn<F>
where
    F: Fn(FetchContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<AccessToken, BoxError>> + Send,
{
    TokenFn { f }
}

/// The provider that [`token_fn`] returns.
#[derive(Clone, Copy)]
pub struct TokenFn<F> {
    f: F,
}

impl<F, Fut> TokenProvider for TokenFn<F>
where
    F: Fn(FetchContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<AccessToken, BoxError>> + Send,
{
    fn fetch_token(
        &self,
        cx: FetchContext,
    ) -> impl Future<Output = Result<AccessToken, BoxError>> + Send {
        (self.f)(cx)
    }
}

impl<F> fmt::Debug for TokenFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenFn").finish_non_exhaustive()
    }
}

/// A provider that has one token and no way to get another.
///
/// A lifetime counts from when the provider is made, and a token of unknown lifetime is taken not to
/// expire. After a 401 the request is not sent again, since the token would be the same. Whatever scopes or
/// audience a [`TokenRequest`](crate::TokenRequest) asks for, it is this token.
///
/// # Errors
///
/// A fetch that asks for a tenant's token fails with the kind
/// [`InvalidRequest`](crate::FetchErrorKind::InvalidRequest).
/// [`map_request`](super::TokenProviderExt::map_request) can leave the tenant out.
#[derive(Clone, Debug)]
pub struct StaticToken {
    token: AccessToken,
}

impl StaticToken {
    /// Always returns `token`.
    pub fn new(token: AccessToken) -> Self {
        let token = match token.lifetime() {
            Lifetime::Unknown => token.with_unlimited_lifetime(),
            Lifetime::For(lifetime) => match SystemTime::now().checked_add(lifetime) {
                Some(end) => token.with_expires_at(end),
                None => token.with_unlimited_lifetime(),
            },
            Lifetime::Until(_) | Lifetime::Unlimited => token,
        };
        Self { token }
    }
}

impl TokenProvider for StaticToken {
    fn fetch_token(
        &self,
        cx: FetchContext,
    ) -> impl Future<Output = Result<AccessToken, BoxError>> + Send {
        let token = refuse_tenant(&cx).map(|()| self.token.clone());
        future::ready(token.map_err(Into::into))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_fixed_token_ends_when_it_was_said_to_however_often_it_is_asked_for() {
        let token = AccessToken::new("t").unwrap();
        let hour = Duration::from_secs(3600);
        let provider = StaticToken::new(token.clone().with_expires_in(hour));
        let end = |token: &AccessToken| match token.lifetime() {
            Lifetime::Until(end) => end,
            other => panic!("{other:?}"),
        };

        assert!(end(&provider.token) <= SystemTime::now() + hour);
        let absurd = StaticToken::new(token.clone().with_expires_in(Duration::MAX));
        assert_eq!(absurd.token.lifetime(), Lifetime::Unlimited);
        assert_eq!(
            StaticToken::new(token).token.lifetime(),
            Lifetime::Unlimited
        );
    }
}
