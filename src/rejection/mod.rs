//! Whether a response rejects the token that its request carried, and what became of it.
//!
//! A response with the status 401 (RFC 9110 §15.5.2, RFC 6750 §3.1) does, unless its
//! [challenge](Challenge) says that a new token would not help; another
//! [predicate](crate::BearerAuthLayer::with_rejection) can be set, such as [`grpc_unauthenticated`]. If
//! the request cannot be healed by sending it once more with a new token, the caller gets the 401 as it
//! came, with a [`NotRetried`] in its extensions.
//!
//! # Over HTTP/1.1
//!
//! Where many of them are chunked or long, have the bodies of rejections [read ahead](crate::read_ahead), so
//! that the retry takes the same connection.
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

mod challenge;
mod not_retried;
mod predicate;

pub use self::challenge::Challenge;
pub use self::not_retried::{NotRetried, NotRetriedReason};
pub(crate) use self::predicate::IsRejection;
pub use self::predicate::{grpc_unauthenticated, unauthorized};
