use std::time::SystemTime;

use super::member::Answer;
use super::{ChainError, Name};
use crate::error::{BoxError, FetchError, FetchErrorKind};
use crate::provider::{has_ended, may_pass};
use crate::token::AccessToken;

/// What has come so far, within one fetch, of asking one provider after the other.
#[derive(Default)]
pub(super) struct Attempts {
    /// The rejected token, as one of them returned it.
    again: Option<AccessToken>,
    /// Of those that were asked, in their order.
    outcomes: Vec<(Name, Outcome)>,
}

enum Outcome {
    Again,
    Failed(FetchError),
    LeftAlone(FetchError),
}

impl Attempts {
    /// Notes what the next provider said. Returns the token, if it is of use, which ends the fetch.
    pub(super) fn note(&mut self, name: &Name, answer: Answer) -> Option<AccessToken> {
        match self.judge(answer) {
            Ok(token) => Some(token),
            Err(outcome) => {
                self.outcomes.push((name.clone(), outcome));
                None
            }
        }
    }

    /// The same of a provider that was left alone before.
    pub(super) fn note_late(&mut self, index: usize, answer: Answer) -> Option<AccessToken> {
        match self.judge(answer) {
            Ok(token) => Some(token),
            Err(outcome) => {
                self.outcomes[index].1 = outcome;
                None
            }
        }
    }

    fn judge(&mut self, answer: Answer) -> Result<AccessToken, Outcome> {
        match answer {
            Answer::Token(token) | Answer::Again(token) if has_ended(&token, SystemTime::now()) => {
                Err(Outcome::Failed(FetchError::new(FetchErrorKind::Expired)))
            }
            Answer::Token(token) => Ok(token),
            Answer::Again(token) => {
                self.again.get_or_insert(token);
                Err(Outcome::Again)
            }
            Answer::Failed(error) => Err(Outcome::Failed(error)),
            Answer::LeftAlone(error) => Err(Outcome::LeftAlone(error)),
        }
    }

    /// Whether this one has no other token than the rejected one.
    pub(super) fn said_again(&self, index: usize) -> bool {
        matches!(self.outcomes[index].1, Outcome::Again)
    }

    /// Whether it was left alone, and should not have been since nobody else has a token.
    ///
    /// The cache's own pause, which an operator can end, is then the one that counts. Not if that would be of
    /// one key, since there may be any number of keys.
    pub(super) fn is_to_be_asked_late(&self, index: usize) -> bool {
        let kinds = || self.failures().map(|(_, error)| error.kind());
        let pauses_every_key =
            kinds().any(may_pass) || kinds().all(|kind| kind != FetchErrorKind::InvalidRequest);
        self.again.is_none()
            && pauses_every_key
            && matches!(self.outcomes[index].1, Outcome::LeftAlone(_))
    }

    fn failures(&self) -> impl Iterator<Item = (&Name, &FetchError)> {
        self.outcomes
            .iter()
            .filter_map(|(name, outcome)| match outcome {
                Outcome::Again => None,
                Outcome::Failed(error) | Outcome::LeftAlone(error) => Some((name, error)),
            })
    }

    /// What there is to say if no token was of use.
    pub(super) fn end(self) -> Result<AccessToken, BoxError> {
        if let Some(token) = self.again {
            return Ok(token);
        }
        let failed = self.failures();
        let failed = failed.map(|(name, error)| (name.clone(), error.clone()));
        Err(ChainError::new(failed.collect()).into_fetch_error().into())
    }
}
