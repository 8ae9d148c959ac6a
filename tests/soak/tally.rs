//! What was counted.

use std::fmt;
use std::ops::AddAssign;

#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) requests: usize,
    pub(crate) waits: usize,
    pub(crate) fetches: usize,
    pub(crate) retries: usize,
    pub(crate) failures: usize,
    pub(crate) revocations: usize,
    /// What was late because the process did not run.
    pub(crate) excused: usize,
    /// What happened without need, or must not happen at all.
    pub(crate) faults: Vec<String>,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.waits += other.waits;
        self.fetches += other.fetches;
        self.retries += other.retries;
        self.failures += other.failures;
        self.revocations += other.revocations;
        self.excused += other.excused;
        self.faults.extend(other.faults);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "requests={} waits={} fetches={} retries={} failures={} needless={} excused={} \
             revocations={}",
            self.requests,
            self.waits,
            self.fetches,
            self.retries,
            self.failures,
            self.faults.len(),
            self.excused,
            self.revocations,
        )
    }
}
