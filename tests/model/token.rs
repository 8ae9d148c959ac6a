//! What must hold of one key's token: which it is, how long it can be used, and what a rejection costs.

use std::time::Duration;

use crate::ops::Life;
use crate::pause::Pause;

const MINUTE: Duration = Duration::from_secs(60);
const BURST: u64 = 3;

/// After so long without a rejection the budget is full, however slowly it is refilled.
const QUIET: Duration = Duration::from_secs(3600);

const ROUNDING: Duration = Duration::from_micros(1);

/// One key.
#[derive(Debug, Default)]
pub(crate) struct Keyed {
    /// What was issued last and can be used, or could.
    pub(crate) current: Option<Current>,
    /// Counts the tokens that differ from the one before.
    pub(crate) generation: u64,
    /// All that were issued, in order.
    pub(crate) issued: Vec<String>,
    pub(crate) pause: Pause,
    pub(crate) budget: Budget,
    /// Somebody wants the token replaced, however good it is.
    pub(crate) refresh_wanted: bool,
    /// The current token was rejected, since it was looked at last.
    pub(crate) rejected: Option<Identity>,
    pub(crate) superseded: u32,
}

/// Whether what was rejected is the current token, or only has the same text as it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    Same,
    SameText,
}

#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) text: String,
    pub(crate) expires: Duration,
    life: Duration,
    pub(crate) standing: Standing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Good,
    /// Since so many events.
    Condemned(usize),
    PutBack,
}

impl Current {
    pub(crate) fn new(text: String, began: Duration, life: Life) -> Self {
        Self {
            text,
            expires: began + life.duration(),
            life: life.duration(),
            standing: Standing::Good,
        }
    }

    pub(crate) fn is_usable(&self, now: Duration) -> bool {
        !self.is_condemned() && now < self.expires
    }

    pub(crate) fn is_condemned(&self) -> bool {
        matches!(self.standing, Standing::Condemned(_))
    }

    pub(crate) fn was_rejected(&self) -> bool {
        self.standing != Standing::Good
    }

    /// When it is stale for sure.
    pub(crate) fn stale_from(&self) -> Duration {
        self.expires.saturating_sub(self.window())
    }

    pub(crate) fn may_be_stale(&self, now: Duration) -> bool {
        let widest = self.window().mul_f64(1.25) + ROUNDING;
        now >= self.expires.saturating_sub(widest)
    }

    fn window(&self) -> Duration {
        Duration::from_secs(30).min(self.life / 4)
    }
}

impl Keyed {
    pub(crate) fn usable(&self, now: Duration) -> Option<&Current> {
        self.current
            .as_ref()
            .filter(|current| current.is_usable(now))
    }

    pub(crate) fn text(&self) -> Option<&str> {
        Some(&self.current.as_ref()?.text)
    }

    pub(crate) fn install(&mut self, current: Current) {
        if self.text() != Some(&current.text) {
            self.generation += 1;
        }
        self.current = Some(current);
    }

    /// What a provider has to be told of.
    pub(crate) fn rejected_text(&self) -> Option<&str> {
        let current = self.current.as_ref()?;
        current.was_rejected().then_some(&current.text)
    }
}

/// Which rejections took a token out of use, each at the price of a fetch.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    spent: Vec<Duration>,
    last_rejection: Option<Duration>,
    /// How much had been spent when it was quiet for the last time.
    before_quiet: usize,
    /// The newest token that worked.
    proven: u64,
    /// A token was rejected before it worked.
    is_slow: bool,
    /// Since when it is not.
    restored: Duration,
    /// A token went and came back in between two looks, perhaps.
    pub(crate) is_blurred: bool,
}

impl Budget {
    /// # Panics
    ///
    /// If in any time up to now more was spent than three and one a minute.
    pub(crate) fn spend(&mut self, now: Duration) {
        self.spent.push(now);
        for (i, from) in self.spent.iter().enumerate() {
            let spent = (self.spent.len() - i) as u64;
            let most = BURST + minutes(now - *from);
            assert!(
                spent <= most,
                "{spent} fetches by rejections since {from:?}, now {now:?}"
            );
        }
    }

    pub(crate) fn accepted(&mut self, generation: u64, now: Duration) {
        if generation > self.proven {
            self.proven = generation;
            if self.is_slow {
                self.is_slow = false;
                self.restored = now;
            }
        }
    }

    /// `generation` is `None` if whoever said so cannot know whether it worked before.
    pub(crate) fn rejected(&mut self, generation: Option<u64>, now: Duration) {
        if self.last_rejection.is_some_and(|last| now >= last + QUIET) {
            self.before_quiet = self.spent.len();
        }
        self.last_rejection = Some(now);
        self.is_slow |= generation.is_some_and(|generation| generation > self.proven);
    }

    /// Whether one more is to be had for sure. The rejection that asks has been noted.
    pub(crate) fn is_certain(&self, now: Duration) -> bool {
        let since_quiet = &self.spent[self.before_quiet..];
        if self.is_blurred {
            return false;
        }
        if since_quiet.len() < BURST as usize {
            return true;
        }
        !self.is_slow
            && since_quiet.iter().enumerate().all(|(i, from)| {
                let spent = (since_quiet.len() - i) as u64;
                let regained = minutes(now.saturating_sub(self.restored.max(*from)));
                spent < BURST + regained
            })
    }

    /// When one more is to be had, if all that was spent last was spent at once.
    pub(crate) fn refilled_at(&self) -> Duration {
        let of_burst = self.spent.iter().rev().nth(BURST as usize - 1);
        of_burst.map_or(Duration::ZERO, |spent| self.restored.max(*spent) + MINUTE)
    }

    pub(crate) fn has_been_spent(&self) -> bool {
        self.spent.len() >= BURST as usize || self.is_blurred
    }
}

fn minutes(time: Duration) -> u64 {
    time.as_secs() / MINUTE.as_secs()
}
