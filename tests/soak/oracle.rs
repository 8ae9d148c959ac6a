//! What is known of all that happened: which tokens are good, who fetched, who failed and whether there
//! was a need.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::outcome::{Done, Failure};
use crate::tally::Tally;

/// How long tokens live.
pub(crate) const LIFE: Duration = Duration::from_secs(1);

/// No token is replaced earlier: its window is a quarter of its life, and a quarter of that more.
const EARLIEST: Duration = Duration::from_millis(687);

/// When the window has begun for certain, and some request has fallen in it.
const LATEST: Duration = Duration::from_millis(900);

/// What a thread may be late by, more than which is a gap. The cache looks at its clock a little before
/// we look at ours.
const ALLOWANCE: Duration = Duration::from_millis(50);

/// Less than what the cache stays away after a failure, which is half a second or more.
const SHORTEST_PAUSE: Duration = Duration::from_millis(450);

#[derive(Clone)]
pub(crate) struct Oracle {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// When the provider was last called for a key.
    calls: HashMap<String, Instant>,
    fetches: Vec<Fetch>,
    /// The fetch that each token is of.
    tokens: HashMap<String, usize>,
    /// When and from when on the process did not run.
    gaps: Vec<(Instant, Instant)>,
    waits: Vec<(String, Instant)>,
    /// Requests of which the API has spoilt the connection.
    spoilt: Vec<u64>,
    failing: Failing,
    tally: Tally,
}

struct Fetch {
    key: String,
    began: Instant,
    /// For the client.
    ended: Option<Instant>,
    /// The client has its token.
    taken: bool,
    /// When the server had written all of a good answer.
    answered: Option<Instant>,
    revoked: Option<Instant>,
}

/// The failures in a row.
#[derive(Default)]
struct Failing {
    count: u32,
    last: Option<Instant>,
    /// When the pause is over at the latest.
    until: Option<Instant>,
}

impl Oracle {
    pub(crate) fn new() -> Self {
        Self {
            state: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The cache calls its provider: the first that we hear of a fetch.
    pub(crate) fn called(&self, key: &str) {
        let now = Instant::now();
        self.lock().calls.insert(key.to_owned(), now);
    }

    /// The client begins to ask for a token.
    pub(crate) fn fetch_began(&self, key: &str) -> usize {
        let mut state = self.lock();
        let began = state.calls[key];
        state.tally.fetches += 1;
        let of_key = || state.fetches.iter().filter(|fetch| fetch.key == key);
        let mut faults = Vec::new();
        if of_key().any(|fetch| fetch.ended.is_none()) {
            faults.push(format!("two fetches at once for {key}"));
        }
        // No other is needed until the window of the last one, unless that was revoked.
        if let Some(last) = of_key().rfind(|fetch| fetch.taken) {
            let age = began - last.began;
            // The life of a token that began late by our clock is longer than we think.
            let is_early =
                age + ALLOWANCE < EARLIEST && !state.has_gap(last.began - ALLOWANCE, last.began);
            if last.revoked.is_none() && is_early {
                faults.push(format!("a fetch for {key} when its token was {age:?} old"));
            }
        }
        state.tally.faults.extend(faults);
        state.fetches.push(Fetch {
            key: key.to_owned(),
            began,
            ended: None,
            taken: false,
            answered: None,
            revoked: None,
        });
        state.fetches.len() - 1
    }

    /// The server issues a token to that fetch.
    pub(crate) fn issue(&self, fetch: usize, token: String) {
        let mut state = self.lock();
        state.tokens.insert(token, fetch);
    }

    /// The server has written its answer.
    pub(crate) fn answered(&self, fetch: usize) {
        self.lock().fetches[fetch].answered = Some(Instant::now());
    }

    /// The client has taken a token, or not.
    pub(crate) fn fetch_ended(&self, fetch: usize, taken: bool) {
        let now = Instant::now();
        let mut state = self.lock();
        let fetch = &mut state.fetches[fetch];
        fetch.ended = Some(now);
        fetch.taken = taken;
        let began = fetch.began;
        let failing = &mut state.failing;
        if taken {
            // One that began within the shortest pause was under way when the failure came, by the cache's
            // clock, and does not end the row.
            if failing
                .last
                .is_none_or(|last| began > last + SHORTEST_PAUSE)
            {
                failing.count = 0;
            }
            return;
        }
        if failing.count == 0 || failing.last.is_none_or(|last| began > last) {
            failing.count += 1;
        }
        failing.last = Some(now);
        let pause = Duration::from_secs(1 << (failing.count - 1).min(7));
        failing.until = failing.until.max(Some(now + pause + ALLOWANCE));
    }

    /// The layer sends a request with that token.
    pub(crate) fn sent(&self, key: &str, token: &str) {
        let now = Instant::now();
        let mut state = self.lock();
        let Some(fetch) = state.tokens.get(token).map(|fetch| &state.fetches[*fetch]) else {
            return state.fault(format!("{token} was never issued"));
        };
        if fetch.key != key {
            let fault = format!("a token of {} for {key}", fetch.key);
            return state.fault(fault);
        }
        let end = fetch.began + LIFE;
        if now > end + ALLOWANCE {
            if state.has_gap(end, now) {
                state.tally.excused += 1;
            } else {
                state.fault(format!("a token was sent {:?} after its end", now - end));
            }
        }
    }

    /// Whether a token can be used, for the API, which looks at its end more kindly.
    pub(crate) fn is_good(&self, token: &str) -> bool {
        let state = self.lock();
        let fetch = state.tokens.get(token).map(|fetch| &state.fetches[*fetch]);
        fetch.is_some_and(|fetch| fetch.revoked.is_none())
    }

    pub(crate) fn revoke(&self, token: &str) {
        let mut state = self.lock();
        state.tally.revocations += 1;
        let fetch = state.tokens[token];
        state.fetches[fetch].revoked = Some(Instant::now());
    }

    /// The API resets the connection of that request.
    pub(crate) fn spoil(&self, request: u64) {
        self.lock().spoilt.push(request);
    }

    /// The process did not run for that time.
    pub(crate) fn ran(&self, from: Instant, to: Instant) {
        if to - from > ALLOWANCE {
            self.lock().gaps.push((from, to));
        }
    }

    pub(crate) fn fault(&self, fault: String) {
        self.lock().fault(fault);
    }

    pub(crate) fn done(&self, request: Done) {
        let mut state = self.lock();
        state.tally.requests += 1;
        state.tally.retries += request.sends.saturating_sub(1);
        if request.waited {
            state.tally.waits += 1;
            state.waits.push((request.key.clone(), request.began));
        }
        if let Some(failure) = &request.failure {
            state.tally.failures += 1;
            if let Some(fault) = state.needless(&request, failure) {
                state.fault(fault);
            }
        }
    }

    /// The sum of a round; in mild weather no request may have waited.
    pub(crate) fn sum(&self, no_waits: bool) -> Tally {
        let mut state = self.lock();
        if no_waits {
            for (key, at) in std::mem::take(&mut state.waits) {
                match state.needless_wait(&key, at) {
                    Some(fault) => state.fault(fault),
                    None => state.tally.excused += 1,
                }
            }
        }
        std::mem::take(&mut state.tally)
    }
}

impl State {
    fn fault(&mut self, fault: String) {
        self.tally.faults.push(fault);
    }

    fn has_gap(&self, from: Instant, to: Instant) -> bool {
        self.gaps.iter().any(|gap| gap.0 <= to && from <= gap.1)
    }

    /// Why a request need not have failed.
    fn needless(&self, request: &Done, failure: &Failure) -> Option<String> {
        let now = Instant::now();
        let (key, number) = (&request.key, request.number);
        match failure {
            Failure::NoToken(kind) => {
                // Not what the cache says that it holds: it may have lost it. If the request was sent,
                // with whatever token, that token was rejected.
                let of_key = self.fetches.iter().filter(|fetch| fetch.key == *key);
                // The newest: one that it has replaced is of no use any more.
                let held = { of_key }.rfind(|fetch| fetch.taken).filter(|it| {
                    let in_time = it.ended.is_some_and(|at| at + ALLOWANCE <= request.began);
                    in_time && request.waited && it.revoked.is_none()
                });
                // Its end is told by two clocks here, each of which may be late.
                let held = held.filter(|it| now + 2 * ALLOWANCE < it.began + LIFE);
                if let Some(held) = held {
                    let (age, history) = (now - held.began, self.history(request.began));
                    return Some(format!(
                        "request {number} for {key} failed ({kind:?}), and there was a token {age:?} old: \
                         {history}"
                    ));
                }
                let in_pause = self
                    .failing
                    .until
                    .is_some_and(|until| request.began <= until);
                (!in_pause).then(|| {
                    format!(
                        "request {number} for {key} failed ({kind:?}) outside of a pause: {}",
                        self.history(request.began)
                    )
                })
            }
            Failure::Connection => {
                let spoilt = self.spoilt.contains(&number);
                (!spoilt).then(|| format!("request {number} lost its connection"))
            }
            Failure::Twice => {
                // The second, at least, was revoked after the request began.
                let mut revoked = self.fetches.iter().filter(|fetch| fetch.key == *key);
                let is_revoked =
                    revoked.any(|fetch| fetch.revoked.is_some_and(|at| at >= request.began));
                (!is_revoked).then(|| format!("request {number} was rejected with a good token"))
            }
            Failure::BudgetSpent => {
                // Three are free. A token that is put back after a failure may be rejected again.
                let spent = self.fetches.iter().filter(|fetch| {
                    let failed = fetch.ended.is_some() && !fetch.taken;
                    failed || (fetch.key == *key && fetch.revoked.is_some())
                });
                let spent = spent.count();
                (spent <= 3).then(|| format!("request {number}: the budget is spent after {spent}"))
            }
            Failure::Other(what) => Some(format!("request {number}: {what}")),
        }
    }

    /// The last fetches, in milliseconds before `at`.
    fn history(&self, at: Instant) -> String {
        let before = |time: Instant| match at.checked_duration_since(time) {
            Some(before) => before.as_millis() as i64,
            None => -((time - at).as_millis() as i64),
        };
        let last = self.fetches.iter().rev().take(10).map(|fetch| {
            let (began, ended) = (before(fetch.began), fetch.ended.map(before));
            let (revoked, taken) = (fetch.revoked.map(before), fetch.taken);
            format!(
                "{} began {began} ended {ended:?} taken {taken} revoked {revoked:?}",
                fetch.key
            )
        });
        last.collect::<Vec<_>>().join("; ")
    }

    /// Why a request for `key` need not have waited at `at`.
    fn needless_wait(&self, key: &str, at: Instant) -> Option<String> {
        let of_key = || self.fetches.iter().filter(|fetch| fetch.key == key);
        // What it should have been sent with: the newest of which the answer was there in time.
        let last =
            of_key().rfind(|fetch| fetch.ended.is_some_and(|ended| ended + ALLOWANCE <= at))?;
        let end = last.began + LIFE;
        if self.has_gap(last.began + EARLIEST, at + ALLOWANCE) {
            return None;
        }
        if at + ALLOWANCE < end {
            return Some(format!(
                "a request for {key} waited {:?} before the end",
                end - at
            ));
        }
        let next = of_key().find(|fetch| fetch.began > last.began);
        let Some(next) = next.filter(|next| next.began < last.began + LATEST) else {
            return Some(format!("{key} was not renewed in its window"));
        };
        let in_time = next
            .answered
            .is_some_and(|answered| answered + ALLOWANCE <= end);
        in_time.then(|| format!("a request for {key} waited though the answer was there"))
    }
}
