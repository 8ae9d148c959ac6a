//! The token cache: one token a key, one fetch at a time, shared by everyone.
//!
//! [`BearerAuthLayer`](crate::BearerAuthLayer) makes a [`TokenCache`] of the provider that it is given.
//! The cache is of use without the layer too: for a client with a transport of its own, for a health
//! check, or to fetch the first token before the first request.
//!
//! ```
//! use std::time::Duration;
//! use tower_bearer::{AccessToken, TokenCache, token_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower_bearer::FetchError> {
//! let cache = TokenCache::new(token_fn(|_| async {
//!     Ok(AccessToken::new("abc")?.with_expires_in(Duration::from_secs(3600)))
//! }));
//!
//! let token = cache.token().await?; // fetched
//! assert_eq!(cache.cached(), Some(token)); // kept
//! # Ok(())
//! # }
//! ```
//!
//! # A token's life
//!
//! Per key there is at most one current token. It is
//!
//! - *fresh*: used as it is;
//! - *stale*, in the last 30 s or the last quarter of its lifetime, whichever is shorter, or up to a quarter
//!   earlier by chance, so that processes do not act as one: used, while one fetch in the background replaces
//!   it;
//! - *expired*: not used; callers wait for a fetch;
//! - *condemned*, since a server rejected it: callers wait for a fetch. Should that fail, the token is
//!   put back into use until it expires, since it may have been rejected by one route of many. Where it
//!   is of no use the server says so again.
//!
//! ```text
//!                            hit                          hit
//!                           ┌───┐                        ┌───┐
//!          fetch ok         │   ▼    window reached      │   ▼       end reached
//!  none ──────────────────▶ fresh ──────────────────────▶ stale ──────────────────▶ expired
//!                           ▲ │ ▲                        │ │                          │
//!                           │ │ └────────────────────────┘ │                          │
//!                           │ │       background ok        │ 401                      │
//!                           │ │ 401                        ▼                          │
//!                           │ └────────────────────────▶ condemned                    │
//!                           │                            │  │                         │
//!                           ├────────────────────────────┘  │ fetch failed:           │
//!                           │        fetch ok               ▼ put back, as stale      │
//!                           └─────────────────────────────────────────────────────────┘
//!                                                  fetch ok
//! ```
//!
//! A 401 condemns the token that the rejected request carried and no other: tokens are numbered, and one
//! that has been replaced already is left alone. A failed fetch touches no token that is still good.
//!
//! A lifetime counts from the moment before the token was asked for, by a clock that cannot be set and,
//! where the system has one, goes on while the host is suspended (Linux's `CLOCK_BOOTTIME`). About once a
//! second the wall clock is compared, and the stricter of the two wins: a token does not outlive a
//! suspension that only the wall clock counts, nor is its life made longer by a wall clock that is set
//! back.
//!
//! # A fetch's life
//!
//! ```text
//!  queued ──▶ running ──▶ landed: the token is current
//!    │           │   └──▶ landed: superseded, it brought the token that was rejected since it began
//!    │           └──────▶ failed: error, panic or time limit; a pause begins
//!    └──────────────────▶ refused: a pause has begun, or the cache is closed
//! ```
//!
//! It belongs to no caller: dropping any caller, or all of them, leaves it running. Where there is a
//! tokio runtime a task drives it; those who wait drive it as well, so that it also ends when that runtime
//! goes away. Without a runtime it advances while somebody waits, and a stale token is not replaced before
//! its end.
//!
//! At most 16 fetches of one cache run at once, four before the first success and one after a failure. The
//! others queue, and get their turn nearly in the order in which they came. Where fetches are held and not
//! polled, be it by a caller without a runtime or on a runtime that is not run, those behind them may wait up
//! to a second, by the cache's clock.
//!
//! After a failure none begins before a pause is over: from half a second to three minutes if it may pass
//! by itself, from 15 s to a quarter of an hour if somebody has to mend it, and at least what
//! `Retry-After` asks, up to an hour. Who has no usable token gets the last failure at once meanwhile.
//!
//! # Rejections
//!
//! Fetches that rejections cause are limited per key: three at once, and one more a minute, so that a
//! route that rejects every token does not become a storm of token requests. While tokens are rejected
//! that never worked, that minute doubles up to a quarter of an hour. With the budget spent, the token
//! stays in use and requests get the rejection.

mod acquire;
mod budget;
mod engine;
mod flight;
mod freshness;
mod gate;
mod generations;
mod handle;
mod held;
mod hit;
#[cfg(all(test, shuttle))]
mod interleavings;
mod part;
mod places;
mod slot;
mod slots;
mod turns;

pub use self::handle::{TokenCache, TokenCacheBuilder};

pub(crate) use self::acquire::Acquire;
pub(crate) use self::engine::Verdict;
pub(crate) use self::held::Held;
pub(crate) use self::hit::Seen;
pub(crate) use self::slot::{Slot, Witness};
