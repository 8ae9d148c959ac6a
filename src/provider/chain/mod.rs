use std::borrow::Cow;
use std::fmt;

use self::attempts::Attempts;
pub use self::error::ChainError;
use self::member::Member;
use super::{BoxTokenProvider, FetchContext, TokenProvider};
use crate::error::BoxError;
use crate::token::AccessToken;

mod attempts;
mod error;
mod member;

type Name = Cow<'static, str>;

/// Providers that are asked one after the other, until one has a token.
///
/// Each fetch begins with the first; all are asked for the same. An error, a token that has ended, and the
/// very token that a server rejected lead to the next. If none has another than the rejected one, it is
/// returned, and stays in use as with any provider that has no other.
///
/// A provider that hangs keeps the rest from being asked: one that may should have a time limit of its
/// own, well within that of the cache.
///
/// A provider whose issuer asked to be left alone (`Retry-After`) is left alone for that time, an hour
/// at most, and the next is asked at once. The chain remembers that beside the cache, whose
/// [`reset_backoff`](crate::TokenCache::reset_backoff) does not end it.
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::provider::{Chain, EnvToken, FileToken, TokenProviderExt};
/// use tower_bearer::{TokenCache, token_fn};
///
/// # let metadata_service = token_fn(|_| async { Err("not today".into()) });
/// let chain = Chain::new("environment", EnvToken::new("API_TOKEN"))
///     .or("mounted file", FileToken::new("/var/run/secrets/tokens/api"))
///     .or("metadata service", metadata_service.timeout(Duration::from_secs(5)));
/// let tokens = TokenCache::new(chain);
/// ```
///
/// # Errors
///
/// If all fail, with a [`ChainError`]. Its kind, and so the pause of the cache, is
/// [`Unavailable`](crate::FetchErrorKind::Unavailable) if any of the failures may pass by itself; else
/// [`InvalidRequest`](crate::FetchErrorKind::InvalidRequest) if any is about what was asked for only; else
/// [`Denied`](crate::FetchErrorKind::Denied). It asks for a pause if each of them does, and then for the
/// shortest.
///
/// # Security
///
/// Which provider answers is up to whoever can make the ones before it fail, and a server can do so by a
/// 401. All should stand for the same identity, with the same permissions. A provider of one token, such as a
/// file or a variable, gives it whatever scopes, resource or audience are asked for, and so may give more than
/// was asked for where another would give less or refuse. It gives none for a tenant.
///
/// # Cancel safety
///
/// A fetch that is dropped drops that of the provider that was asked; the next fetch begins with the first.
pub struct Chain {
    first: (Name, Member<BoxTokenProvider>),
    others: Vec<(Name, Member<BoxTokenProvider>)>,
}

impl Chain {
    /// Asks `provider` first. It goes by `name` in errors.
    pub fn new(name: impl Into<Cow<'static, str>>, provider: impl TokenProvider) -> Self {
        Self {
            first: named(name, provider),
            others: Vec::new(),
        }
    }

    /// Asks `provider` if none before it has a token. It goes by `name` in errors.
    #[must_use]
    pub fn or(mut self, name: impl Into<Cow<'static, str>>, provider: impl TokenProvider) -> Self {
        self.others.push(named(name, provider));
        self
    }

    fn members(&self) -> impl Iterator<Item = &(Name, Member<BoxTokenProvider>)> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

fn named(name: impl Into<Name>, provider: impl TokenProvider) -> (Name, Member<BoxTokenProvider>) {
    (name.into(), Member::new(BoxTokenProvider::new(provider)))
}

impl TokenProvider for Chain {
    async fn fetch_token(&self, cx: FetchContext) -> Result<AccessToken, BoxError> {
        let mut attempts = Attempts::new(&cx);
        for (name, member) in self.members() {
            let result = member.ask(cx.clone()).await;
            if let Some(token) = attempts.note(name, result) {
                return Ok(token);
            }
        }
        attempts.end()
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.members().map(|(name, _)| name))
            .finish()
    }
}

/// The provider that [`TokenProviderExt::fallback`](super::TokenProviderExt::fallback) returns.
///
/// It does as a [`Chain`] of two does, whose names are `first` and `fallback`.
pub struct Fallback<A, B> {
    first: Member<A>,
    second: Member<B>,
}

impl<A: TokenProvider, B: TokenProvider> Fallback<A, B> {
    pub(super) fn new(first: A, second: B) -> Self {
        Self {
            first: Member::new(first),
            second: Member::new(second),
        }
    }
}

impl<A: TokenProvider, B: TokenProvider> TokenProvider for Fallback<A, B> {
    async fn fetch_token(&self, cx: FetchContext) -> Result<AccessToken, BoxError> {
        let mut attempts = Attempts::new(&cx);
        let result = self.first.ask(cx.clone()).await;
        if let Some(token) = attempts.note(&Cow::Borrowed("first"), result) {
            return Ok(token);
        }
        let result = self.second.ask(cx).await;
        match attempts.note(&Cow::Borrowed("fallback"), result) {
            Some(token) => Ok(token),
            None => attempts.end(),
        }
    }
}

impl<A, B> fmt::Debug for Fallback<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback").finish_non_exhaustive()
    }
}
