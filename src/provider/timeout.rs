use std::fmt;
use std::pin::pin;
use std::time::Duration;

use futures_timer::Delay;
use futures_util::future::{Either, select};

use super::{FetchContext, TokenProvider};
use crate::error::{BoxError, FetchError, FetchErrorKind};
use crate::token::AccessToken;

/// The longest limit. A timer's end is an `Instant`, which overflows with a panic.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// The provider that [`TokenProviderExt::timeout`](super::TokenProviderExt::timeout) returns.
#[derive(Clone, Copy)]
pub struct Timeout<P> {
    provider: P,
    limit: Duration,
}

impl<P> Timeout<P> {
    pub(super) fn new(provider: P, limit: Duration) -> Self {
        Self {
            provider,
            limit: limit.min(LONGEST),
        }
    }
}

impl<P: TokenProvider> TokenProvider for Timeout<P> {
    async fn fetch_token(&self, cx: FetchContext) -> Result<AccessToken, BoxError> {
        let fetch = pin!(self.provider.fetch_token(cx));
        // Not tokio's timer, which panics on a runtime without one and when its runtime is gone.
        match select(fetch, Delay::new(self.limit)).await {
            Either::Left((result, _)) => result,
            Either::Right(_) => Err(FetchError::new(FetchErrorKind::TimedOut).into()),
        }
    }
}

impl<P> fmt::Debug for Timeout<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeout")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
