//! The model: what has happened, and what must not happen after that.
//!
//! It says what is promised and not how it is kept. Where jitter leaves room it knows what is certain and
//! what is possible, and forbids only what is neither.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;

use crate::ops::{Fault, Key};
use crate::pause::Pause;
use crate::tally::Tally;
use crate::token::{Identity, Keyed, Standing};
use crate::world::Usable;

/// A fetch may take no longer.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// For so long a fetch that nobody drives keeps its place beyond that.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// At once, in one cache, and before the issuer has answered for the first time.
pub(crate) const MOST_FETCHES: usize = 16;
pub(crate) const MOST_ON_TRUST: usize = 4;

/// Of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Unavailable,
    Denied,
    InvalidRequest,
    TimedOut,
    Panicked,
    Expired,
    Closed,
    Other,
}

#[derive(Default)]
pub(crate) struct Model {
    pub(crate) driven: bool,
    pub(crate) now: Duration,
    pub(crate) closed: bool,
    pub(crate) shut: bool,
    /// The last handle is gone.
    pub(crate) abandoned: bool,
    pub(crate) pause: Pause,
    pub(crate) keys: BTreeMap<Key, Keyed>,
    pub(crate) fetches: Vec<Fetch>,
    pub(crate) sends: Vec<Sent>,
    pub(crate) callers: Vec<Caller>,
    pub(crate) tally: Tally,
    /// The issuer has answered.
    pub(crate) answered: bool,
    /// It has failed since, so that one fetch runs at a time.
    pub(crate) distrusted: bool,
    /// It has failed at any time.
    pub(crate) has_failed: bool,
    /// So many were seen.
    pub(crate) events: usize,
    /// Of this step.
    pub(crate) began: Vec<Key>,
    pub(crate) failed: Vec<(Key, Kind)>,
}

pub(crate) struct Fetch {
    pub(crate) key: Key,
    pub(crate) began: Duration,
    pub(crate) began_after: usize,
    pub(crate) is_answered: bool,
    pub(crate) is_over: bool,
}

pub(crate) struct Sent {
    pub(crate) caller: usize,
    pub(crate) token: String,
    pub(crate) generation: u64,
    pub(crate) reply: Option<StatusCode>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Request,
    Token,
    Refresh,
    Close,
}

pub(crate) struct Caller {
    pub(crate) what: What,
    pub(crate) key: Key,
    pub(crate) sends: Vec<usize>,
    /// The service below was shut while it was there.
    pub(crate) found_it_shut: bool,
    pub(crate) is_done: bool,
    pub(crate) is_gone: bool,
}

impl Model {
    pub(crate) fn new(driven: bool) -> Self {
        Self {
            driven,
            ..Self::default()
        }
    }

    pub(crate) fn start_step(&mut self) {
        self.began.clear();
        self.failed.clear();
        for caller in &mut self.callers {
            caller.found_it_shut |= self.shut && !caller.is_done;
        }
    }

    pub(crate) fn key(&mut self, key: Key) -> &mut Keyed {
        self.keys.entry(key).or_default()
    }

    /// Compares with what can be used now, and learns from it what became of a rejection.
    pub(crate) fn look(&mut self, usable: &Usable) {
        for (key, usable) in [Key::A, Key::B].into_iter().zip(usable) {
            self.look_at(key, usable.as_deref());
        }
    }

    fn look_at(&mut self, key: Key, seen: Option<&str>) {
        let now = self.now;
        let refused = self.is_paused_perhaps(key) || self.closed;
        let has_fetch = self.running(key).is_some();
        let must_stay = self.driven && (self.is_paused(key) || self.closed) && !has_fetch;
        let (driven, events) = (self.driven, self.events);
        let keyed = self.keys.entry(key).or_default();
        let rejected = keyed.rejected.take();
        let Some(current) = &mut keyed.current else {
            assert_eq!(seen, None, "{key:?}: a token that nobody issued");
            return;
        };
        match (current.is_usable(now), seen) {
            (false, None) => {}
            (true, Some(text)) => {
                assert_eq!(text, current.text, "{key:?}: not the token that came last");
                if rejected == Some(Identity::Same) {
                    let reason = refused && (!has_fetch || !driven);
                    let certain = keyed.budget.is_certain(now);
                    assert!(
                        reason || !certain,
                        "{key:?}: a rejected token stays without a reason"
                    );
                    self.tally.add(if reason {
                        "kept in a pause"
                    } else {
                        "kept, budget spent"
                    });
                    if reason && !driven {
                        // It may have gone, and come back at once since the fetch in the queue was refused.
                        keyed.budget.is_blurred = true;
                    }
                }
            }
            (true, None) => {
                assert!(
                    rejected.is_some(),
                    "{key:?}: a usable token went without a rejection"
                );
                assert!(
                    !must_stay,
                    "{key:?}: condemned though no fetch can replace it"
                );
                current.standing = Standing::Condemned(events);
                keyed.budget.spend(now);
                self.tally.add("condemned");
            }
            (false, Some(text)) => {
                assert!(now < current.expires, "{key:?}: expired, and in use");
                assert_eq!(
                    text, current.text,
                    "{key:?}: not the token that was condemned"
                );
                assert!(refused, "{key:?}: put back without a failure");
                current.standing = Standing::PutBack;
                self.tally.add("put back by a caller in a pause");
            }
        }
    }

    /// The fetch under way, as far as the provider knows.
    pub(crate) fn running(&self, key: Key) -> Option<&Fetch> {
        let mut fetches = self.fetches.iter();
        fetches.find(|fetch| fetch.key == key && !fetch.is_over)
    }

    pub(crate) fn running_within_limit(&self) -> usize {
        let fetches = self.fetches.iter();
        fetches
            .filter(|fetch| !fetch.is_over && self.now < fetch.began + LIMIT + GRACE)
            .count()
    }

    /// Whether a fetch may have to wait for others.
    pub(crate) fn has_to_queue(&self) -> bool {
        // One that nobody drives may have failed, for all the cache knows.
        let has_lapsed = |fetch: &Fetch| !fetch.is_over && self.now >= fetch.began + LIMIT;
        let has_failed = self.has_failed || self.fetches.iter().any(has_lapsed);
        let most = if has_failed { 1 } else { MOST_ON_TRUST };
        self.running_within_limit() >= most
    }

    /// So certainly.
    pub(crate) fn is_paused(&self, key: Key) -> bool {
        let own = self
            .keys
            .get(&key)
            .is_some_and(|k| k.pause.is_certain(self.now));
        own || self.pause.is_certain(self.now)
    }

    pub(crate) fn is_paused_perhaps(&self, key: Key) -> bool {
        let own = self
            .keys
            .get(&key)
            .is_some_and(|k| k.pause.is_possible(self.now));
        own || self.pause.is_possible(self.now)
    }
}

impl Caller {
    pub(crate) fn is_waiting(&self) -> bool {
        !self.is_done && !self.is_gone
    }
}

impl Fault {
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::Unavailable => Kind::Unavailable,
            Self::Denied => Kind::Denied,
            Self::InvalidRequest => Kind::InvalidRequest,
            Self::Other => Kind::Other,
        }
    }
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unavailable => "failed: unavailable",
            Self::Denied => "failed: denied",
            Self::InvalidRequest => "failed: invalid request",
            Self::TimedOut => "failed: timed out",
            Self::Panicked => "failed: panicked",
            Self::Expired => "failed: expired on arrival",
            Self::Closed => "failed: closed",
            Self::Other => "failed: other",
        }
    }
}
