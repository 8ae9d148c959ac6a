use std::fmt;
use std::time::Duration;

use futures_timer::Delay;

use super::{FetchContext, TokenProvider, may_pass};
use crate::error::{BoxError, FetchError, FetchErrorKind};
use crate::token::AccessToken;

/// The pause after the first try, unless set, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// The longest that can be set. A timer's end is an `Instant`, which overflows with a panic.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// The provider that [`TokenProviderExt::retry`](super::TokenProviderExt::retry) returns.
///
/// Between two tries is a pause of 200 ms at first, which doubles up to 5 s, unless
/// [set](Self::with_pauses); each is drawn at random between a half and the whole. Tries and pauses
/// together have the cache's time limit of a fetch, which is 30 s unless set.
///
/// Only what may pass by itself is tried again: an error of the kind
/// [`Unavailable`](FetchErrorKind::Unavailable), [`TimedOut`](FetchErrorKind::TimedOut),
/// [`Panicked`](FetchErrorKind::Panicked), [`Expired`](FetchErrorKind::Expired) or
/// [`Other`](FetchErrorKind::Other), unless the issuer asked for more time than the pause. Any other error,
/// and the last, is returned as it is. A panic of the provider passes through and is not tried again: the kind
/// [`Panicked`](FetchErrorKind::Panicked) is that of an error which says that of another fetch, such as one that
/// a cache within the provider has made.
///
/// Every try is a token request: with three tries, an issuer that is down sees three times as many as the
/// [cache](crate::cache) makes by itself. A provider whose requests must not be repeated, since what they
/// present can be used once, should not be retried.
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::provider::TokenProviderExt;
/// # let provider = tower_bearer::token_fn(|_| async { Err("not today".into()) });
///
/// let provider = provider
///     .retry(4)
///     .with_pauses(Duration::from_millis(100), Duration::from_secs(1));
/// ```
#[derive(Clone, Copy)]
pub struct Retry<P> {
    provider: P,
    tries: u32,
    first: Duration,
    longest: Duration,
}

impl<P> Retry<P> {
    pub(super) fn new(provider: P, tries: u32) -> Self {
        let (first, longest) = PAUSES;
        Self {
            provider,
            tries,
            first,
            longest,
        }
    }

    /// Sets the first pause and the longest; an hour at most.
    #[must_use]
    pub fn with_pauses(mut self, first: Duration, longest: Duration) -> Self {
        self.longest = longest.min(LONGEST);
        self.first = first;
        self
    }

    /// How long to wait after so many tries, from one.
    fn pause(&self, tried: u32) -> Duration {
        let doublings = tried.saturating_sub(1).min(31);
        let whole = self.first.saturating_mul(1 << doublings).min(self.longest);
        whole.mul_f64(0.5 + 0.5 * fastrand::f64())
    }
}

impl<P: TokenProvider> TokenProvider for Retry<P> {
    async fn fetch_token(&self, cx: FetchContext) -> Result<AccessToken, BoxError> {
        let mut tried = 0;
        loop {
            let error = match self.provider.fetch_token(cx.clone()).await {
                Ok(token) => return Ok(token),
                Err(error) => error,
            };
            tried += 1;
            let pause = self.pause(tried);
            if tried >= self.tries || !is_worth_another_try(&error, pause) {
                return Err(error);
            }
            drop(error);
            Delay::new(pause).await;
        }
    }
}

fn is_worth_another_try(error: &BoxError, pause: Duration) -> bool {
    match error.downcast_ref::<FetchError>() {
        Some(error) => {
            may_pass(error.kind()) && error.retry_after().is_none_or(|asked| asked <= pause)
        }
        None => may_pass(FetchErrorKind::Other),
    }
}

impl<P> fmt::Debug for Retry<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("tries", &self.tries)
            .field("first", &self.first)
            .field("longest", &self.longest)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_pauses(retry: &Retry<()>, expected: &[(u32, Duration)]) {
        for &(tried, whole) in expected {
            for _ in 0..100 {
                let pause = retry.pause(tried);
                assert!(pause >= whole / 2 && pause <= whole, "{tried}: {pause:?}");
            }
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_are_drawn_between_a_half_and_the_whole() {
        let retry = Retry::new((), 3);

        assert_pauses(
            &retry,
            &[
                (1, Duration::from_millis(200)),
                (2, Duration::from_millis(400)),
                (5, Duration::from_millis(3200)),
                (6, Duration::from_secs(5)),
                (u32::MAX, Duration::from_secs(5)),
            ],
        );
        assert_ne!(retry.pause(6), retry.pause(6));
    }

    #[test]
    fn absurd_pauses_are_an_hour_at_most_and_may_be_none_at_all() {
        let retry = Retry::new((), 3).with_pauses(Duration::MAX, Duration::MAX);
        assert_pauses(&retry, &[(1, LONGEST), (u32::MAX, LONGEST)]);

        let retry = Retry::new((), 3).with_pauses(Duration::ZERO, Duration::ZERO);
        assert_pauses(&retry, &[(1, Duration::ZERO), (u32::MAX, Duration::ZERO)]);
    }
}
