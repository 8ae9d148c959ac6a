//! Whether a response rejects the token that its request carried, and what became of it.
//!
//! A response with the status 401 (RFC 9110 §15.5.2, RFC 6750 §3.1) does, unless its
//! [challenge](Challenge) says that a new token would not help; another
//! [predicate](crate::BearerAuthLayer::with_rejection) can be set, such as [`grpc_unauthenticated`]. If
//! the request cannot be healed by sending it once more with a new token, the caller gets the 401 as it
//! came, with a [`NotRetried`] in its extensions.
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

use http::{HeaderMap, StatusCode};

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

/// Whether a response rejects the token of its request, by its status and headers.
pub(crate) type IsRejection = dyn Fn(StatusCode, &HeaderMap) -> bool + Send + Sync;

/// Whether a response has the status 401, and no challenge that says that a new token would not help.
///
/// A `Bearer` challenge says so by the error `insufficient_scope` or `invalid_request` (RFC 6750 §3.1),
/// provided that no other `Bearer` challenge of the response says something else.
pub fn unauthorized(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::UNAUTHORIZED && a_new_token_may_help(headers)
}

/// Whether a response says `UNAUTHENTICATED` as gRPC does: `grpc-status: 16` in its headers, under the
/// status 200; or else is [`unauthorized`].
///
/// A server that sends this status in the trailers, after a body, has begun to answer: that is no
/// rejection.
pub fn grpc_unauthenticated(status: StatusCode, headers: &HeaderMap) -> bool {
    let is_unauthenticated = || {
        let status = headers.get("grpc-status");
        status.is_some_and(|status| status == "16")
    };
    unauthorized(status, headers) || (status == StatusCode::OK && is_unauthenticated())
}

#[cold]
fn a_new_token_may_help(headers: &HeaderMap) -> bool {
    let challenges = Challenge::parse_all(headers);
    let mut errors = challenges
        .iter()
        .filter(|challenge| challenge.is_bearer())
        .map(|challenge| challenge.error())
        .peekable();
    errors.peek().is_none()
        || errors.any(|error| !matches!(error, Some("insufficient_scope" | "invalid_request")))
}

#[cfg(test)]
mod tests {
    use http::header::WWW_AUTHENTICATE;
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(name: HeaderName, values: &[&'static str]) -> HeaderMap {
        let values = values.iter().copied().map(HeaderValue::from_static);
        values.map(|value| (name.clone(), value)).collect()
    }

    fn is_rejection(status: u16, challenges: &[&'static str]) -> bool {
        let status = StatusCode::from_u16(status).unwrap();
        unauthorized(status, &headers(WWW_AUTHENTICATE, challenges))
    }

    #[test]
    fn a_401_is_a_rejection_whatever_it_comes_with() {
        for challenges in [
            &[][..],
            &["Bearer"],
            &["Basic realm=\"x\", error=\"insufficient_scope\""],
            &["Bearer error=\"invalid_token\""],
            &["Bearer error=\"something\""],
            &["error=\"insufficient_scope\""],
            &["\"", ",,,", "=", "?"],
        ] {
            assert!(is_rejection(401, challenges), "{challenges:?}");
            for status in [200, 400, 403, 407, 500] {
                assert!(!is_rejection(status, challenges), "{challenges:?}");
            }
        }
    }

    #[test]
    fn unless_a_new_token_would_not_help() {
        for challenges in [
            &["Bearer error=\"insufficient_scope\", scope=\"admin\""][..],
            &["bearer realm=\"x\",error=invalid_request"],
            &["Basic realm=\"x\", Bearer error=\"insufficient_scope\""],
            &["Basic realm=\"x\"", "Bearer error=\"insufficient_scope\""],
        ] {
            assert!(!is_rejection(401, challenges), "{challenges:?}");
        }
    }

    #[test]
    fn or_another_challenge_says_that_it_would() {
        for challenges in [
            &["Bearer error=\"insufficient_scope\", Bearer error=\"invalid_token\""][..],
            &["Bearer error=\"insufficient_scope\"", "Bearer realm=\"x\""],
        ] {
            assert!(is_rejection(401, challenges), "{challenges:?}");
        }
    }

    #[test]
    fn grpc_says_it_in_a_header_of_its_own() {
        let grpc = |status: u16, value| {
            let status = StatusCode::from_u16(status).unwrap();
            grpc_unauthenticated(status, &headers("grpc-status".parse().unwrap(), value))
        };
        assert!(grpc(200, &["16"]));
        assert!(grpc(401, &[]) && grpc(401, &["2"]));
        for (status, value) in [
            (200, &[][..]),
            (200, &["0"]),
            (200, &["7"]),
            (200, &["160"]),
            (503, &["16"]),
        ] {
            assert!(!grpc(status, value), "{status} {value:?}");
        }
    }
}
