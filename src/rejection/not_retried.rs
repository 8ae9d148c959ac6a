use std::error::Error;
use std::fmt;

use crate::error::FetchError;

/// Why a rejected request was not sent again. An extension of the response that rejected it, and what
/// [`TokenCache::replacement_for`](crate::TokenCache::replacement_for) returns for an error.
///
/// Holds no secret.
#[derive(Clone, Debug)]
pub struct NotRetried {
    reason: NotRetriedReason,
}

/// See [`NotRetried`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum NotRetriedReason {
    /// The body is of a kind that cannot be sent twice, it was longer than
    /// [`Streaming`](crate::replay::Streaming) was told to keep or failed on its way, or replaying is switched
    /// off. The token was dropped, so that the next request gets a new one.
    BodyNotReplayable,
    /// The issuer returned the same token again.
    SameToken,
    /// Fetching a new token failed, or had failed and the pause was not over.
    FetchFailed(FetchError),
    /// Rejections have caused [too many fetches](crate::cache#rejections) of late.
    BudgetSpent,
}

impl NotRetried {
    pub(crate) fn new(reason: NotRetriedReason) -> Self {
        Self { reason }
    }

    /// Why.
    pub fn reason(&self) -> &NotRetriedReason {
        &self.reason
    }
}

impl fmt::Display for NotRetried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rejected request not sent again: ")?;
        match &self.reason {
            NotRetriedReason::BodyNotReplayable => f.write_str("its body cannot be sent twice"),
            NotRetriedReason::SameToken => f.write_str("the issuer returned the same token"),
            NotRetriedReason::FetchFailed(error) => error.fmt(f),
            NotRetriedReason::BudgetSpent => {
                f.write_str("rejections have caused too many token fetches of late")
            }
        }
    }
}

impl Error for NotRetried {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.reason {
            // Whose own text is part of ours.
            NotRetriedReason::FetchFailed(error) => error.source(),
            _ => None,
        }
    }
}
