//! How many fetches rejections may cause.

use std::time::Duration;

use crate::clock::Instant;

/// Fetches at once.
const BURST: u32 = 3;

/// One more fetch each, at most 63 in any hour.
const INTERVAL: Duration = Duration::from_secs(60);

const MAX_INTERVAL: Duration = Duration::from_secs(15 * 60);

/// A token bucket whose refill slows down while fresh tokens are rejected.
#[derive(Debug)]
pub(crate) struct Budget {
    left: u32,
    interval: Duration,
    /// When `left` was last brought up to date. Of no meaning while the bucket is full.
    refilled: Instant,
}

impl Budget {
    pub(crate) fn full() -> Self {
        Self {
            left: BURST,
            interval: INTERVAL,
            refilled: Instant::from_nanos(0),
        }
    }

    /// Takes one fetch, if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        self.refill(now);
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        true
    }

    pub(crate) fn is_full(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.left == BURST
    }

    /// A token was rejected before it ever worked: whatever is wrong, new tokens do not help.
    pub(crate) fn slow_down(&mut self, now: Instant) {
        self.refill(now);
        self.interval = MAX_INTERVAL.min(self.interval * 2);
    }

    /// A token worked. Restores the interval, not what was spent.
    pub(crate) fn speed_up(&mut self, now: Instant) {
        self.refill(now);
        if self.interval > INTERVAL {
            self.interval = INTERVAL;
            // Else the time that passed under the longer interval would count as several.
            self.refilled = now;
        }
    }

    fn refill(&mut self, now: Instant) {
        while self.left < BURST && now >= self.refilled.after(self.interval) {
            self.refilled = self.refilled.after(self.interval);
            self.left += 1;
        }
        if self.left == BURST {
            self.refilled = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::NEVER;

    fn start() -> Instant {
        Instant::from_nanos(START.as_nanos() / 2)
    }

    #[test]
    fn three_at_once_and_one_more_a_minute_is_63_an_hour() {
        let mut budget = Budget::full();
        let second = Duration::from_secs(1);
        let taken = (0..3600)
            .filter(|i| budget.take(start().after(second * *i)))
            .count();

        assert_eq!(taken, 62); // 3 + 59 refills before the hour is over
    }

    #[test]
    fn rejected_fresh_tokens_double_the_interval_up_to_a_quarter_of_an_hour() {
        let mut budget = Budget::full();
        let mut now = start();
        while budget.take(now) {}

        for minutes in [2, 4, 8, 15, 15] {
            budget.slow_down(now);
            now = now.after(Duration::from_secs(60 * minutes));
            assert!(!budget.take(Instant::from_nanos(now.as_nanos() - 1)));
            assert!(budget.take(now));
        }
    }

    #[test]
    fn a_success_restores_the_interval_and_never_the_budget() {
        let mut budget = Budget::full();
        let mut now = start();
        while budget.take(now) {}
        for _ in 0..4 {
            budget.slow_down(now);
        }

        now = now.after(Duration::from_secs(10 * 60));
        budget.speed_up(now);
        assert!(!budget.take(now));

        now = now.after(INTERVAL);
        assert!(budget.take(now));
        assert!(!budget.take(now));
    }

    #[test]
    fn a_success_at_the_usual_interval_costs_none_of_the_time_that_has_passed() {
        let mut budget = Budget::full();
        let now = start();
        while budget.take(now) {}

        budget.speed_up(now.after(INTERVAL - Duration::from_secs(1)));
        assert!(budget.take(now.after(INTERVAL)));
    }

    #[test]
    fn a_full_bucket_gains_nothing_by_waiting() {
        let mut budget = Budget::full();
        let now = start().after(Duration::from_secs(86_400));
        let taken = (0..10).filter(|_| budget.take(now)).count();

        assert_eq!(taken, 3);
    }
}
