use std::time::SystemTime;

use super::{ChainError, Name};
use crate::error::{BoxError, FetchError, FetchErrorKind};
use crate::provider::{FetchContext, has_ended};
use crate::token::AccessToken;

/// What has come so far, within one fetch, of asking one provider after the other.
pub(super) struct Attempts {
    rejected: Option<AccessToken>,
    /// The rejected token, as one of them returned it.
    again: Option<AccessToken>,
    failed: Vec<(Name, FetchError)>,
}

impl Attempts {
    pub(super) fn new(cx: &FetchContext) -> Self {
        Self {
            rejected: cx.rejected_token().cloned(),
            again: None,
            failed: Vec::new(),
        }
    }

    /// The token, if it is of use, which ends the fetch.
    pub(super) fn note(
        &mut self,
        name: &Name,
        result: Result<AccessToken, FetchError>,
    ) -> Option<AccessToken> {
        let error = match result {
            Ok(token) if has_ended(&token, SystemTime::now()) => {
                FetchError::new(FetchErrorKind::Expired)
            }
            Ok(token) if self.rejected.as_ref() == Some(&token) => {
                self.again.get_or_insert(token);
                return None;
            }
            Ok(token) => return Some(token),
            Err(error) => error,
        };
        self.failed.push((name.clone(), error));
        None
    }

    /// What there is to say if no token was of use.
    pub(super) fn end(self) -> Result<AccessToken, BoxError> {
        match self.again {
            Some(token) => Ok(token),
            None => Err(ChainError::new(self.failed).into_fetch_error().into()),
        }
    }
}
