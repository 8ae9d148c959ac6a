//! What the layer tells the operator. Labels are from closed sets: nothing that a server or a caller
//! wrote is among them.

use crate::error::FetchError;
use crate::rejection::{NotRetried, NotRetriedReason};

/// A request was passed on without a token, since its origin is not named.
pub(crate) fn other_origin() {
    #[cfg(feature = "tracing")]
    tracing::warn!("request to an origin that is not allowed was sent without an access token");
}

/// A rejected request was not sent again.
pub(crate) fn not_retried(cause: &NotRetried) {
    let reason = match cause.reason() {
        NotRetriedReason::BodyNotReplayable => "body_not_replayable",
        NotRetriedReason::SameToken => "same_token",
        NotRetriedReason::FetchFailed(_) => "fetch_failed",
        NotRetriedReason::BudgetSpent => "budget_spent",
    };
    #[cfg(feature = "tracing")]
    tracing::warn!(reason, "access token rejected and request not sent again");
    #[cfg(not(feature = "tracing"))]
    let _ = reason;
}

/// A fetch failed.
pub(crate) fn fetch_failed(error: &FetchError) {
    #[cfg(feature = "tracing")]
    tracing::warn!(kind = ?error.kind(), "fetching an access token failed");
    #[cfg(not(feature = "tracing"))]
    let _ = error;
}
