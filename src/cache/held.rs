use std::time::{Duration, SystemTime};

use super::freshness::Schedule;
use crate::clock::{Instant, Moment};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::telemetry::Used;
use crate::token::AccessToken;

/// A token and when it is of use.
pub(crate) struct Held {
    pub(crate) token: AccessToken,
    /// Tokens of one slot have the same generation if they are the same text, unless many others came in
    /// between.
    pub(crate) generation: u64,
    /// From when on a hit starts a fetch. Never later than the end of the token, so that a hit need not
    /// compare twice. It is put off while a fetch runs and while none may begin.
    refresh_at: AtomicU64,
    /// What that was at first. The lock of the slot is held to change any of these
    /// three.
    planned_at: AtomicU64,
    expires_at: AtomicU64,
    wall_end: Option<SystemTime>,
    asked_at: Instant,
    /// A server rejected it, and it is in use for want of another.
    was_rejected: AtomicBool,
}

impl Held {
    pub(super) fn new(token: AccessToken, generation: u64, schedule: Schedule) -> Self {
        Self {
            token,
            generation,
            refresh_at: AtomicU64::new(schedule.refresh_at.as_nanos()),
            planned_at: AtomicU64::new(schedule.refresh_at.as_nanos()),
            expires_at: AtomicU64::new(schedule.expires_at.as_nanos()),
            wall_end: schedule.wall_end,
            asked_at: schedule.asked_at,
            was_rejected: AtomicBool::new(false),
        }
    }

    /// Neither expired nor due to be replaced.
    #[inline]
    pub(crate) fn is_fresh(&self, now: Instant) -> bool {
        now < Instant::from_nanos(self.refresh_at.load(Ordering::Relaxed))
    }

    pub(crate) fn is_usable(&self, now: Instant) -> bool {
        now < self.expires_at()
    }

    /// Whether a server rejected it. Then it is in use for want of another.
    pub(crate) fn was_rejected(&self) -> bool {
        self.was_rejected.load(Ordering::Relaxed)
    }

    pub(super) fn mark_rejected(&self) {
        self.was_rejected.store(true, Ordering::Relaxed);
    }

    pub(crate) fn left(&self, now: Instant) -> Duration {
        self.expires_at().since(now)
    }

    /// For the operator.
    pub(crate) fn at_use(&self, now: Instant) -> Used {
        let expires_at = self.expires_at();
        Used {
            age: now.since(self.asked_at),
            remaining: (expires_at != Instant::NEVER).then(|| expires_at.since(now)),
            is_stale: now >= self.planned(),
        }
    }

    /// Lets hits pass as if the token were fresh until `retry_at`, if that is later than planned.
    pub(crate) fn put_off(&self, retry_at: Instant) {
        let at = retry_at.max(self.planned()).min(self.expires_at());
        self.refresh_at.store(at.as_nanos(), Ordering::Relaxed);
    }

    /// Undoes [`put_off`](Self::put_off).
    pub(crate) fn put_back(&self) {
        self.refresh_at
            .store(self.planned().as_nanos(), Ordering::Relaxed);
    }

    fn planned(&self) -> Instant {
        if self.was_rejected() {
            Instant::from_nanos(0)
        } else {
            Instant::from_nanos(self.planned_at.load(Ordering::Relaxed))
        }
    }

    fn expires_at(&self) -> Instant {
        Instant::from_nanos(self.expires_at.load(Ordering::Relaxed))
    }

    /// Brings the end forward to what the wall clock says, if that is sooner. The lock of the slot is held.
    pub(super) fn compare_wall_clock(&self, now: Moment) {
        let Some(end) = self.wall_end else {
            return;
        };
        let left = end.duration_since(now.wall).unwrap_or(Duration::ZERO);
        let sooner = self.expires_at().since(now.at.after(left));
        if sooner.is_zero() {
            return;
        }
        for time in [&self.refresh_at, &self.planned_at, &self.expires_at] {
            let at = time.load(Ordering::Relaxed);
            let sooner = Instant::from_nanos(at).before(sooner);
            time.store(sooner.as_nanos(), Ordering::Relaxed);
        }
    }
}
