//! How long to stay away after a failure.

use std::time::Duration;

use crate::clock::Instant;
use crate::error::{FetchError, FetchErrorKind};

/// The first pause and the longest, for failures that may pass by themselves.
///
/// Issuers block clients that ask too often: an hour of failures is less than fifty token requests.
const TEMPORARY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3 * 60));

/// The same for failures that somebody has to mend.
const FINAL: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(15 * 60));

/// What an issuer may ask for with `Retry-After` (RFC 9110 §10.2.3) at most.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// Failures in a row, and until when no fetch is begun because of them.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    failures: u32,
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    error: FetchError,
    failed_at: Instant,
    until: Instant,
}

impl Pause {
    /// Notes that a fetch that began at `began` failed with `error`.
    ///
    /// Returns the error that this one replaces, to be dropped by the caller outside of any lock: its
    /// destructor is not ours.
    pub(crate) fn fail(
        &mut self,
        began: Instant,
        now: Instant,
        error: FetchError,
    ) -> Option<FetchError> {
        // Fetches that were under way together fail together; they do not add up.
        let same_outage = self
            .last
            .as_ref()
            .is_some_and(|last| began <= last.failed_at);
        if !same_outage || self.failures == 0 {
            self.failures = self.failures.saturating_add(1);
        }
        let mut until = now.after(delay(self.failures, &error));
        if let Some(last) = &self.last {
            until = until.max(last.until);
        }
        let last = Last {
            error,
            failed_at: now,
            until,
        };
        self.last.replace(last).map(|last| last.error)
    }

    /// Notes that a fetch that began at `began` succeeded. One that was under way already when the last
    /// failure came says nothing about it: a `Retry-After` still holds.
    pub(crate) fn succeed(&mut self, began: Instant) -> Option<FetchError> {
        if self
            .last
            .as_ref()
            .is_some_and(|last| began <= last.failed_at)
        {
            return None;
        }
        self.end()
    }

    /// Forgets all failures. Returns the last error, to be dropped as that of [`fail`](Self::fail).
    pub(crate) fn end(&mut self) -> Option<FetchError> {
        self.failures = 0;
        self.last.take().map(|last| last.error)
    }

    /// The last failure and the end of the pause, if there is one at `now`.
    pub(crate) fn at(&self, now: Instant) -> Option<(&FetchError, Instant)> {
        let last = self.last.as_ref()?;
        (now < last.until).then_some((&last.error, last.until))
    }

    /// Whether the last fetch failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.failures > 0
    }
}

/// Whether a failure concerns only the key that was asked for.
pub(crate) fn is_of_one_key(error: &FetchError) -> bool {
    match error.kind() {
        // What an issuer asks for by `Retry-After` is about itself.
        _ if error.retry_after().is_some() => false,
        FetchErrorKind::InvalidRequest | FetchErrorKind::Expired => true,
        FetchErrorKind::Unavailable
        | FetchErrorKind::Denied
        | FetchErrorKind::TimedOut
        | FetchErrorKind::Panicked
        | FetchErrorKind::Closed
        | FetchErrorKind::Other => false,
    }
}

/// Doubles with every failure; drawn at random between a half and the whole, so that a fleet does not
/// come back in step.
fn delay(failures: u32, error: &FetchError) -> Duration {
    let (first, longest) = match error.kind() {
        FetchErrorKind::Denied | FetchErrorKind::InvalidRequest => FINAL,
        FetchErrorKind::Unavailable
        | FetchErrorKind::TimedOut
        | FetchErrorKind::Panicked
        | FetchErrorKind::Expired
        | FetchErrorKind::Closed
        | FetchErrorKind::Other => TEMPORARY,
    };
    let doublings = failures.saturating_sub(1).min(16);
    let delay = longest.min(first * (1 << doublings));
    let delay = delay.mul_f64(0.5 + 0.5 * fastrand::f64());
    let asked = error.retry_after().unwrap_or_default();
    delay.max(asked.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unavailable() -> FetchError {
        FetchError::unavailable("down")
    }

    fn start() -> Instant {
        Instant::from_nanos(1 << 60)
    }

    #[test]
    fn sixty_failures_in_a_row_pause_for_three_minutes_at_most_and_half_of_that_at_least() {
        let mut pause = Pause::default();
        let mut now = start();
        for failure in 1..=60 {
            let began = now.after(Duration::from_nanos(1));
            now = began.after(Duration::from_nanos(1));
            pause.fail(began, now, unavailable());
            let (_, until) = pause.at(now).unwrap();
            let paused = until.since(now);
            if failure > 8 {
                assert!(paused <= Duration::from_secs(180), "{failure}: {paused:?}");
                assert!(paused >= Duration::from_secs(90), "{failure}: {paused:?}");
            }
            now = until;
            assert!(pause.at(now).is_none());
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "it takes minutes")]
    fn a_minute_of_failures_holds_at_most_eight_fetches_and_an_hour_fewer_than_fifty() {
        for (seconds, most) in [(60, 8), (3600, 49)].repeat(100) {
            let mut pause = Pause::default();
            let mut now = start();
            let mut fetches = 0;
            while now < start().after(Duration::from_secs(seconds)) {
                fetches += 1;
                let began = now.after(Duration::from_nanos(1));
                pause.fail(began, began, unavailable());
                now = pause.at(began).unwrap().1;
            }
            assert!(fetches <= most, "{fetches}");
        }
    }

    #[test]
    fn retry_after_is_obeyed_up_to_an_hour() {
        for (asked, paused) in [(120, 120), (3600, 3600), (86_400, 3600)] {
            let mut pause = Pause::default();
            let error = unavailable().with_retry_after(Duration::from_secs(asked));
            pause.fail(start(), start(), error);
            let (_, until) = pause.at(start()).unwrap();
            assert_eq!(until.since(start()), Duration::from_secs(paused));
        }
    }

    #[test]
    fn what_cannot_get_better_by_itself_pauses_longer_at_once() {
        for error in [FetchError::denied("x"), FetchError::invalid_request("x")] {
            let mut pause = Pause::default();
            pause.fail(start(), start(), error);
            let (_, until) = pause.at(start()).unwrap();
            assert!(until.since(start()) >= Duration::from_secs(15));
        }
    }

    #[test]
    fn fetches_that_fail_together_count_once() {
        let mut pause = Pause::default();
        for _ in 0..16 {
            pause.fail(start(), start(), unavailable());
        }
        let (_, until) = pause.at(start()).unwrap();
        assert!(until.since(start()) <= Duration::from_secs(1));
    }

    #[test]
    fn a_shorter_pause_does_not_cut_a_longer_one_short() {
        let mut pause = Pause::default();
        let long = unavailable().with_retry_after(Duration::from_secs(600));
        pause.fail(start(), start(), long);
        pause.fail(start(), start(), unavailable());
        let (_, until) = pause.at(start()).unwrap();

        assert_eq!(until.since(start()), Duration::from_secs(600));
    }

    #[test]
    fn a_success_ends_the_pause_unless_it_began_before_the_failure() {
        let mut pause = Pause::default();
        pause.fail(start(), start(), unavailable());
        assert!(pause.succeed(start()).is_none());
        assert!(pause.is_failing() && pause.at(start()).is_some());

        assert!(
            pause
                .succeed(start().after(Duration::from_nanos(1)))
                .is_some()
        );
        assert!(!pause.is_failing() && pause.at(start()).is_none());
    }
}
