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
/// # Who is passed over
///
/// A provider that failed is left alone for a while, and the next is asked at once: for as long as the
/// [cache](crate::cache#a-fetchs-life) would leave it alone, by the same rules, and so for all keys or, if the
/// failure concerns one key, not at all. After that time one fetch finds out whether it works again, while others
/// still pass it over. The chain remembers all that beside the cache, whose
/// [`reset_backoff`](crate::TokenCache::reset_backoff) does not end it. But if no other has a token, those
/// that were left alone are asked after all, since the cache sees to the pauses then: except those whose
/// issuer asked to be left alone (`Retry-After`), which are left alone for that time, an hour at most.
///
/// A token that was rejected, and that another provider had one in place of, does not come back: while its
/// provider has no other for the same [`TokenRequest`](crate::TokenRequest), that provider is passed over. A
/// thousand such requests are remembered, by a hash of the token.
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
/// 401, which lasts until the provider whose token it was has another. All should stand for the same identity,
/// with the same permissions. A provider of one token, such as a file or a variable, gives it whatever scopes,
/// resource or audience are asked for, and so may give more than was asked for where another would give less or
/// refuse. It gives none for a tenant.
///
/// # Panics
///
/// A panic of a provider passes through, so that the cache's fetch fails with the kind
/// [`Panicked`](crate::FetchErrorKind::Panicked): no other is asked.
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
        let mut attempts = Attempts::default();
        for (asked, (name, member)) in self.members().enumerate() {
            let answer = member.ask(&cx).await;
            if let Some(token) = attempts.note(name, answer) {
                for (index, (_, before)) in self.members().take(asked).enumerate() {
                    if attempts.said_again(index) {
                        before.pass_over(&cx);
                    }
                }
                return Ok(token);
            }
        }
        for (index, (_, member)) in self.members().enumerate() {
            if attempts.is_to_be_asked_late(index) {
                let answer = member.ask_all_the_same(&cx).await;
                if let Some(token) = attempts.note_late(index, answer) {
                    return Ok(token);
                }
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
        let mut attempts = Attempts::default();
        let answer = self.first.ask(&cx).await;
        if let Some(token) = attempts.note(&Cow::Borrowed("first"), answer) {
            return Ok(token);
        }
        let answer = self.second.ask(&cx).await;
        if let Some(token) = attempts.note(&Cow::Borrowed("fallback"), answer) {
            if attempts.said_again(0) {
                self.first.pass_over(&cx);
            }
            return Ok(token);
        }
        if attempts.is_to_be_asked_late(0) {
            let answer = self.first.ask_all_the_same(&cx).await;
            if let Some(token) = attempts.note_late(0, answer) {
                return Ok(token);
            }
        }
        if attempts.is_to_be_asked_late(1) {
            let answer = self.second.ask_all_the_same(&cx).await;
            if let Some(token) = attempts.note_late(1, answer) {
                return Ok(token);
            }
        }
        attempts.end()
    }
}

impl<A, B> fmt::Debug for Fallback<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback").finish_non_exhaustive()
    }
}
