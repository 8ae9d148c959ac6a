//! The one clock that freshness, back-off and time limits read.

use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, SystemTime};

use futures_timer::Delay;
use futures_util::FutureExt;

#[cfg(any(test, feature = "test-util"))]
#[cfg_attr(not(feature = "test-util"), allow(unreachable_pub))]
// Then it is for our tests alone.
pub use self::manual::ManualClock;

/// A point in time: nanoseconds since an origin of the clock's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant(u64);

impl Instant {
    /// Later than anything that can happen.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    pub(crate) fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    pub(crate) fn as_nanos(self) -> u64 {
        self.0
    }

    /// Saturates at [`NEVER`](Self::NEVER).
    pub(crate) fn after(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }

    /// Stops at zero.
    pub(crate) fn before(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(nanos))
    }

    /// Zero if `earlier` is later.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A point in time by both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) at: Instant,
    pub(crate) wall: SystemTime,
}

/// A monotonic clock that goes on while the host is suspended, where the system has one, and the wall
/// clock beside it.
#[derive(Clone)]
pub(crate) enum Clock {
    System,
    #[cfg(any(test, feature = "test-util"))]
    Manual(ManualClock),
}

impl Clock {
    #[inline]
    pub(crate) fn now(&self) -> Instant {
        match self {
            Self::System => system::now(),
            #[cfg(any(test, feature = "test-util"))]
            Self::Manual(clock) => clock.now(),
        }
    }

    /// Also reads the wall clock, which the system may set at will.
    pub(crate) fn moment(&self) -> Moment {
        match self {
            Self::System => Moment {
                at: system::now(),
                wall: SystemTime::now(),
            },
            #[cfg(any(test, feature = "test-util"))]
            Self::Manual(clock) => clock.moment(),
        }
    }

    /// Whether time passes by itself, so that a timer is of use.
    fn is_running(&self) -> bool {
        matches!(self, Self::System)
    }

    /// Wakes the task when a clock that is turned by hand has been turned.
    fn wake_when_turned(&self, waker: &Waker) {
        match self {
            Self::System => {
                let _ = waker;
            }
            #[cfg(any(test, feature = "test-util"))]
            Self::Manual(clock) => clock.wake_when_turned(waker),
        }
    }
}

/// Waits until a point in time, on any executor: the clock is read at every poll, and a timer of its own
/// sees to it that there is one in time.
///
/// Not tokio's timer, which panics on a runtime without one and when its runtime is gone.
pub(crate) struct Deadline {
    clock: Clock,
    at: Instant,
    timer: Option<Delay>,
}

/// A timer's end is an `std::time::Instant`, which overflows with a panic.
const LONGEST_TIMER: Duration = Duration::from_secs(60 * 60);

impl Deadline {
    pub(crate) fn new(clock: &Clock, at: Instant) -> Self {
        Self {
            clock: clock.clone(),
            at,
            timer: None,
        }
    }

    pub(crate) fn at(&self) -> Instant {
        self.at
    }

    pub(crate) fn poll_reached(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.clock.wake_when_turned(cx.waker());
        let mut now = self.clock.now();
        while now < self.at {
            if !self.clock.is_running() {
                return Poll::Pending;
            }
            // Not before somebody waits: each timer wakes the thread that runs them, and again at its end.
            let timer = self
                .timer
                .get_or_insert_with(|| Delay::new(self.at.since(now).min(LONGEST_TIMER)));
            ready!(timer.poll_unpin(cx));
            // It is further away than a timer runs, or the two clocks differ by a little.
            now = self.clock.now();
            let left = self.at.since(now);
            timer.reset(left.clamp(Duration::from_millis(1), LONGEST_TIMER));
        }
        Poll::Ready(())
    }
}

#[cfg(unix)]
mod system {
    use rustix::time::{ClockId, clock_gettime};

    use super::Instant;

    // Linux's CLOCK_MONOTONIC stands still during suspension; elsewhere it is the nearest there is.
    // Miri knows only that one.
    #[cfg(all(any(target_os = "linux", target_os = "android"), not(miri)))]
    const CLOCK: ClockId = ClockId::Boottime;
    #[cfg(any(not(any(target_os = "linux", target_os = "android")), miri))]
    const CLOCK: ClockId = ClockId::Monotonic;

    #[inline]
    pub(super) fn now() -> Instant {
        let time = clock_gettime(CLOCK);
        // Neither clock starts before zero nor reaches 2^64 ns, which is 584 years.
        Instant::from_nanos((time.tv_sec as u64) * 1_000_000_000 + time.tv_nsec as u64)
    }
}

#[cfg(not(unix))]
mod system {
    use std::sync::LazyLock;

    use super::Instant;

    pub(super) fn now() -> Instant {
        static ORIGIN: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);
        Instant::from_nanos(0).after(ORIGIN.elapsed())
    }
}

#[cfg(any(test, feature = "test-util"))]
#[cfg_attr(not(feature = "test-util"), allow(unreachable_pub))]
mod manual {
    use std::fmt;
    use std::sync::{Arc, Mutex, PoisonError};
    use std::task::Waker;
    use std::time::{Duration, SystemTime};

    use super::{Instant, Moment};

    /// A clock that stands still until it is turned by hand, and a wall clock that goes with it.
    ///
    /// Clones are the same clock. The wall clock can also be set to another time, as a system's is.
    ///
    /// It moves the [cache](crate::cache) to which it was given, and nothing else. By the system's clock go, among
    /// others, the time limits and pauses of [`TokenProviderExt`](crate::provider::TokenProviderExt), the age of
    /// files of tokens, what is kept of discovery, the lifetimes that [`token_fn`](crate::token_fn) and chains of
    /// providers look at, and the `iat` and `exp` of assertions.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_bearer::testing::ManualClock;
    /// use tower_bearer::{AccessToken, TokenCache, token_fn};
    ///
    /// # futures_executor::block_on(async {
    /// let clock = ManualClock::new();
    /// let provider = token_fn(|_| async {
    ///     Ok(AccessToken::new("abc")?.with_expires_in(Duration::from_secs(60)))
    /// });
    /// let cache = TokenCache::builder(provider).with_clock(clock.clone()).build();
    ///
    /// cache.token().await?;
    /// assert!(cache.cached().is_some());
    /// clock.advance(Duration::from_secs(60));
    /// assert!(cache.cached().is_none());
    /// # Ok::<(), tower_bearer::FetchError>(())
    /// # }).unwrap();
    /// ```
    #[derive(Clone)]
    pub struct ManualClock {
        state: Arc<Mutex<State>>,
    }

    struct State {
        now: Instant,
        wall: SystemTime,
        waiting: Vec<Waker>,
    }

    impl ManualClock {
        /// A clock that has run for a day, as that of a host that has. Its wall clock shows the system's
        /// time.
        pub fn new() -> Self {
            Self {
                state: Arc::new(Mutex::new(State {
                    now: Instant::from_nanos(0).after(Duration::from_secs(86_400)),
                    wall: SystemTime::now(),
                    waiting: Vec::new(),
                })),
            }
        }

        /// Turns the clock forward, with the wall clock, and wakes what waits for a time limit.
        ///
        /// That the host was suspended meanwhile would make no difference. At the end of time, each clock
        /// stands still.
        pub fn advance(&self, duration: Duration) {
            let waiting = {
                let mut state = self.lock();
                state.now = state.now.after(duration);
                state.wall = state.wall.checked_add(duration).unwrap_or(state.wall);
                std::mem::take(&mut state.waiting)
            };
            waiting.into_iter().for_each(Waker::wake);
        }

        /// What the wall clock shows.
        #[cfg(feature = "test-util")]
        pub fn wall_time(&self) -> SystemTime {
            self.lock().wall
        }

        /// Sets the wall clock, forward or back, while the clock itself stands still: somebody corrected
        /// it, or the host was suspended and its clock does not count that.
        #[cfg(feature = "test-util")]
        pub fn set_wall_time(&self, time: SystemTime) {
            self.lock().wall = time;
        }

        pub(crate) fn now(&self) -> Instant {
            self.lock().now
        }

        pub(crate) fn moment(&self) -> Moment {
            let state = self.lock();
            Moment {
                at: state.now,
                wall: state.wall,
            }
        }

        pub(crate) fn wake_when_turned(&self, waker: &Waker) {
            let mut state = self.lock();
            if !state.waiting.iter().any(|other| other.will_wake(waker)) {
                state.waiting.push(waker.clone());
            }
        }

        fn lock(&self) -> std::sync::MutexGuard<'_, State> {
            self.state.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    impl Default for ManualClock {
        fn default() -> Self {
            Self::new()
        }
    }

    impl fmt::Debug for ManualClock {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("ManualClock").finish_non_exhaustive()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_does_not_go_back_and_sums_do_not_overflow() {
        let now = Clock::System.now();

        assert!(Clock::System.now() >= now);
        assert_eq!(now.after(Duration::MAX), Instant::NEVER);
        assert_eq!(now.since(Instant::NEVER), Duration::ZERO);
    }
}
