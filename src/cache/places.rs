//! How many fetches run at once.
//!
//! Four have a place on trust, and two more for each that the issuer answers, so that a dead issuer sees few
//! requests however many keys are wanted.

use std::time::Duration;

use crate::clock::Instant;

/// At most so many fetches run at once.
pub(super) const PLACES: usize = 16;

/// So many may begin without one being answered. Four that fail together and one a pause are less than a
/// dozen in the first minute.
pub(super) const MAX_CREDIT: usize = 4;

/// So many may begin for one that was answered.
const CREDIT_PER_ANSWER: usize = 2;

/// How long a fetch has, after its time limit, to say that it failed by it. Its place must not go to one
/// in the queue before that is known.
pub(super) const GRACE: Duration = Duration::from_secs(1);

pub(super) struct Places {
    taken: Vec<Place>,
    /// How many were ever taken.
    count: u64,
    credit: usize,
}

struct Place {
    number: u64,
    /// When its time limit is well over. Should nobody drive the fetch any more, it does not keep its place
    /// for ever.
    lapses_at: Instant,
}

impl Places {
    pub(super) fn new() -> Self {
        Self {
            taken: Vec::new(),
            count: 0,
            credit: MAX_CREDIT,
        }
    }

    /// Takes a place and returns its number, or else when one becomes free at the latest.
    pub(super) fn take(&mut self, now: Instant, limit: Duration) -> Result<u64, Instant> {
        self.taken.retain(|place| now < place.lapses_at);
        let lapses_at = self.taken.iter().map(|place| place.lapses_at).min();
        if let Some(lapses_at) = lapses_at {
            if self.credit == 0 || self.are_all_taken() {
                return Err(lapses_at);
            }
        }
        self.credit = self.credit.saturating_sub(1);
        self.count += 1;
        self.taken.push(Place {
            number: self.count,
            lapses_at: now.after(limit).after(GRACE),
        });
        Ok(self.count)
    }

    pub(super) fn are_all_taken(&self) -> bool {
        self.taken.len() == PLACES
    }

    pub(super) fn leave(&mut self, number: u64) {
        self.taken.retain(|place| place.number != number);
    }

    /// One was answered, which lets more in.
    pub(super) fn answered(&mut self) {
        self.credit = MAX_CREDIT.min(self.credit + CREDIT_PER_ANSWER);
    }

    /// One failed. While others run, none is let in.
    pub(super) fn failed(&mut self) {
        self.credit = 0;
    }
}
