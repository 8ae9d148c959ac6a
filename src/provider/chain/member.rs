use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::FetchError;
use crate::provider::{FetchContext, TokenProvider};
use crate::token::AccessToken;

/// What an issuer may ask for with `Retry-After` (RFC 9110 §10.2.3) at most, as in the cache.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// One provider of several, which is left alone while its issuer wants to be.
///
/// The cache sees to that where there is one provider. Of this one's failure it may never hear.
pub(super) struct Member<P> {
    provider: P,
    away: Mutex<Option<Away>>,
}

#[derive(Clone)]
struct Away {
    until: Instant,
    error: FetchError,
}

impl<P: TokenProvider> Member<P> {
    pub(super) fn new(provider: P) -> Self {
        Self {
            provider,
            away: Mutex::new(None),
        }
    }

    pub(super) async fn ask(&self, cx: FetchContext) -> Result<AccessToken, FetchError> {
        if let Some(error) = self.refusal(Instant::now()) {
            return Err(error);
        }
        let result = self.provider.fetch_token(cx).await;
        result.map_err(|error| {
            let error = FetchError::from_provider(error);
            self.note(&error, Instant::now());
            error
        })
    }
}

impl<P> Member<P> {
    /// The last failure, if it still keeps us away.
    fn refusal(&self, now: Instant) -> Option<FetchError> {
        let away = self.lock().clone()?;
        let left = away.until.checked_duration_since(now)?;
        (!left.is_zero()).then(|| away.error.with_retry_after(left))
    }

    fn note(&self, error: &FetchError, now: Instant) {
        let Some(asked) = error.retry_after() else {
            return;
        };
        let away = Away {
            until: now + asked.min(MAX_RETRY_AFTER),
            error: error.clone(),
        };
        // Dropped outside of the lock: the destructor of an error is not ours.
        let _replaced = self.replace(away);
    }

    /// A shorter time does not cut a longer one short. Returns what is to be dropped.
    fn replace(&self, away: Away) -> Option<Away> {
        let mut held = self.lock();
        match &*held {
            Some(longer) if longer.until > away.until => Some(away),
            _ => held.replace(away),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Away>> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn left(member: &Member<()>, at: Instant) -> Option<Duration> {
        member.refusal(at)?.retry_after()
    }

    fn asks_for(seconds: u64) -> FetchError {
        FetchError::unavailable("x").with_retry_after(secs(seconds))
    }

    #[test]
    fn an_issuer_is_left_alone_for_as_long_as_it_asked_and_an_hour_at_most() {
        let now = Instant::now();
        for (asked, kept) in [(10, 10), (3600, 3600), (u64::MAX, 3600)] {
            let member = Member {
                provider: (),
                away: Mutex::new(None),
            };
            member.note(&asks_for(asked), now);
            assert_eq!(left(&member, now), Some(secs(kept)));
            assert_eq!(left(&member, now + secs(kept - 1)), Some(secs(1)));
            assert_eq!(left(&member, now + secs(kept)), None);

            // Answers of requests that were under way together.
            member.note(&asks_for(1), now);
            member.note(&FetchError::denied("x"), now);
            assert_eq!(left(&member, now), Some(secs(kept)));
        }
    }
}
