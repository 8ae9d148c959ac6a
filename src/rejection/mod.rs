//! Whether a response rejects the token that its request carried, and what became of it.
//!
//! A response with the status 401 (RFC 9110 §15.5.2, RFC 6750 §3.1) does. If the request cannot be
//! healed by sending it once more with a new token, the caller gets the 401 as it came, with a
//! [`NotRetried`] in its extensions.
//!
//! # Over HTTP/2
//!
//! Before the request is sent again, the 401 is dropped with what is unread of its body, which resets its
//! stream. hyper remembers few such streams, and closes a connection on which more than a thousand frames
//! arrive for others. Where thousands of requests may be in flight on one connection when a token is
//! revoked, have it remember as many: `http2_max_concurrent_reset_streams` of hyper-util's client builder.
//!
//! # Example
//!
//! ```
//! use tower_bearer::rejection::{NotRetried, NotRetriedReason};
//!
//! fn explain<B>(response: &http::Response<B>) -> &'static str {
//!     match response.extensions().get::<NotRetried>().map(NotRetried::reason) {
//!         None => "accepted, rejected twice, or sent without a token of ours",
//!         Some(NotRetriedReason::BodyNotReplayable) => "rejected; the body was a stream",
//!         Some(_) => "rejected; no better token is to be had",
//!     }
//! }
//!
//! assert!(explain(&http::Response::new(())).starts_with("accepted"));
//! ```

use std::fmt;

use http::{Response, StatusCode};

use crate::error::FetchError;

mod challenge;

pub use self::challenge::Challenge;

/// Why a rejected request was not sent again. An extension of the response that rejected it.
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
    /// The body is of a kind that cannot be sent twice, or replaying is switched off. The token was
    /// dropped, so that the next request gets a new one.
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

/// Whether `response` says that the token is no good.
pub(crate) fn is_rejection<B>(response: &Response<B>) -> bool {
    response.status() == StatusCode::UNAUTHORIZED
}
