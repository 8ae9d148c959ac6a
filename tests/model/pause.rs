//! How long nobody may ask the issuer, to within the jitter.

use std::time::Duration;

use crate::spec::Kind;

/// What is documented of the length of a pause, and that it doubles.
const TEMPORARY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3 * 60));
const TO_BE_MENDED: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(15 * 60));
const LONGEST_ASKED: Duration = Duration::from_secs(60 * 60);

const ROUNDING: Duration = Duration::from_micros(1);

#[derive(Debug, Default)]
pub(crate) struct Pause {
    in_a_row: i32,
    last: Option<(Kind, Duration)>,
    /// It lasts until then at least, and until then at most.
    least: Duration,
    most: Duration,
}

impl Pause {
    pub(crate) fn fail(&mut self, kind: Kind, asked: Duration, began: Duration, now: Duration) {
        // Those that were under way together fail together.
        if self.last.is_none_or(|(_, failed_at)| began > failed_at) {
            self.in_a_row += 1;
        }
        let (first, longest) = match kind {
            Kind::Denied | Kind::InvalidRequest => TO_BE_MENDED,
            _ => TEMPORARY,
        };
        let whole = first
            .mul_f64(2f64.powi((self.in_a_row - 1).min(20)))
            .min(longest);
        let asked = asked.min(LONGEST_ASKED);
        // What was promised before holds on.
        self.least = self.least.max(now + asked.max(whole / 2 - ROUNDING));
        self.most = self.most.max(now + asked.max(whole + ROUNDING));
        self.last = Some((kind, now));
    }

    /// The issuer answered a fetch that began at `began`.
    pub(crate) fn succeed(&mut self, began: Duration) {
        if self.last.is_none_or(|(_, failed_at)| began > failed_at) {
            *self = Self::default();
        }
    }

    pub(crate) fn is_certain(&self, now: Duration) -> bool {
        now < self.least
    }

    pub(crate) fn is_possible(&self, now: Duration) -> bool {
        now < self.most
    }

    /// There is no failure that anything follows from.
    pub(crate) fn is_forgotten(&self) -> bool {
        self.last.is_none()
    }

    /// The failure that callers may be told of.
    pub(crate) fn told(&self, now: Duration) -> Option<Kind> {
        let (kind, _) = self.last?;
        self.is_possible(now).then_some(kind)
    }

    /// When it is over for sure.
    pub(crate) fn end(&self) -> Duration {
        self.most
    }
}
