//! When a token is replaced, and when it is no longer sent.

use std::time::{Duration, SystemTime};

use crate::clock::{Instant, Moment};
use crate::token::Lifetime;

/// How long before its end a token is replaced, unless set.
pub(crate) const REFRESH_WINDOW: Duration = Duration::from_secs(30);

/// What a token of unknown lifetime is taken to live, unless set.
pub(crate) const DEFAULT_LIFETIME: Duration = Duration::from_secs(300);

/// The longest lifetime that is believed, so that an absurd one does not mean for ever.
const MAX_LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The window is at most this part of the lifetime, so that a short-lived token is used for most of it.
const WINDOW_PART: u32 = 4;

/// By how much the window is widened at random, so that a fleet does not refresh in step.
const WINDOW_JITTER: f64 = 0.25;

/// From lifetimes to points in time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Freshness {
    pub(crate) window: Duration,
    pub(crate) default_lifetime: Duration,
}

/// `refresh_at <= expires_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    pub(crate) refresh_at: Instant,
    pub(crate) expires_at: Instant,
    /// The same end by the wall clock, unless there is none.
    pub(crate) wall_end: Option<SystemTime>,
    pub(crate) asked_at: Instant,
}

impl Default for Freshness {
    fn default() -> Self {
        Self {
            window: REFRESH_WINDOW,
            default_lifetime: DEFAULT_LIFETIME,
        }
    }
}

impl Freshness {
    /// A lifetime counts from `began`, the moment before the token was asked for: what the issuer and
    /// the network took is then on the safe side. An end by the wall clock is looked at `now`.
    pub(crate) fn schedule(&self, began: Moment, now: Moment, lifetime: Lifetime) -> Schedule {
        let (from, lifetime) = match lifetime {
            Lifetime::For(lifetime) => (began, lifetime),
            Lifetime::Unknown => (began, self.default_lifetime),
            Lifetime::Until(end) => {
                let left = end.duration_since(now.wall);
                (now, left.unwrap_or(Duration::ZERO))
            }
            Lifetime::Unlimited => {
                return Schedule {
                    refresh_at: Instant::NEVER,
                    expires_at: Instant::NEVER,
                    wall_end: None,
                    asked_at: began.at,
                };
            }
        };
        let lifetime = lifetime.min(MAX_LIFETIME);
        let window = self.window.min(lifetime / WINDOW_PART);
        // At least `window` before the end, at most a quarter more.
        let window = window.mul_f64(1.0 + WINDOW_JITTER * fastrand::f64());
        Schedule {
            refresh_at: from.at.after(lifetime.saturating_sub(window)),
            expires_at: from.at.after(lifetime),
            wall_end: from.wall.checked_add(lifetime),
            asked_at: began.at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Moment {
        Moment {
            at: Instant::from_nanos(nanos),
            wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
        }
    }

    fn window_and_lifetime(lifetime: Lifetime) -> (Duration, Duration) {
        let began = at(1_000_000_000);
        let schedule = Freshness::default().schedule(began, began, lifetime);
        (
            schedule.expires_at.since(schedule.refresh_at),
            schedule.expires_at.since(began.at),
        )
    }

    #[test]
    fn a_long_lived_token_is_replaced_the_configured_window_before_its_end() {
        for _ in 0..1000 {
            let (window, lifetime) = window_and_lifetime(Lifetime::For(Duration::from_secs(3600)));
            assert_eq!(lifetime, Duration::from_secs(3600));
            assert!(window >= REFRESH_WINDOW, "{window:?}");
            assert!(window <= REFRESH_WINDOW.mul_f64(1.25), "{window:?}");
        }
    }

    #[test]
    fn a_token_of_one_second_is_fresh_for_most_of_it() {
        let (window, lifetime) = window_and_lifetime(Lifetime::For(Duration::from_secs(1)));

        assert_eq!(lifetime, Duration::from_secs(1));
        assert!(window >= Duration::from_millis(250), "{window:?}");
        assert!(window <= Duration::from_micros(312_501), "{window:?}");
    }

    #[test]
    fn the_window_is_drawn_once_a_token() {
        let mut windows: Vec<_> = (0..20)
            .map(|_| window_and_lifetime(Lifetime::For(Duration::from_secs(3600))).0)
            .collect();
        windows.dedup();

        assert!(windows.len() > 1);
    }

    #[test]
    fn absurd_lifetimes_have_a_meaning() {
        let (_, lifetime) = window_and_lifetime(Lifetime::For(Duration::from_secs(u64::MAX)));
        assert_eq!(lifetime, MAX_LIFETIME);

        let (window, lifetime) = window_and_lifetime(Lifetime::For(Duration::ZERO));
        assert_eq!((window, lifetime), (Duration::ZERO, Duration::ZERO));

        let (_, lifetime) = window_and_lifetime(Lifetime::Unknown);
        assert_eq!(lifetime, DEFAULT_LIFETIME);

        // At the end of time, nothing overflows.
        let began = at(u64::MAX);
        let schedule = Freshness::default().schedule(began, began, Lifetime::Unknown);
        assert_eq!(schedule.expires_at, Instant::NEVER);
    }

    #[test]
    fn an_end_by_the_wall_clock_stays_where_it_is() {
        let freshness = Freshness::default();
        let (began, now) = (at(0), at(1_000_000_000_000));

        let past = Lifetime::Until(SystemTime::UNIX_EPOCH);
        assert_eq!(freshness.schedule(began, now, past).expires_at, now.at);
        let end = now.wall + Duration::from_secs(3600);
        let schedule = freshness.schedule(began, now, Lifetime::Until(end));
        assert_eq!(schedule.expires_at.since(now.at), Duration::from_secs(3600));
        assert_eq!(schedule.wall_end, Some(end));
    }

    #[test]
    fn an_unlimited_token_is_never_replaced() {
        let schedule = Freshness::default().schedule(at(0), at(0), Lifetime::Unlimited);
        assert_eq!(schedule.refresh_at, Instant::NEVER);
        assert_eq!(schedule.expires_at, Instant::NEVER);
    }
}
