//! Where access tokens come from.
//!
//! A [`TokenProvider`] is asked for a new token and knows nothing of caching: what it returns is kept,
//! shared and replaced by a [`TokenCache`](crate::TokenCache).
//!
//! | where the token comes from | provider |
//! |---|---|
//! | a token endpoint | one of [`oauth2`](crate#features) for each grant: `ClientCredentials`, `RefreshToken`, `JwtBearer`, `TokenExchange` |
//! | the platform: Google Cloud, Azure | `oauth2::metadata` |
//! | a file that somebody else keeps up to date | [`FileToken`] |
//! | an environment variable | [`EnvToken`] |
//! | a command's output | `CommandToken` (feature `command`) |
//! | a closure | [`token_fn()`] |
//! | it is at hand | [`StaticToken`] |
//! | the first of several that has one | [`Chain`] |
//!
//! A time limit, a retry or a fallback is a provider that wraps a provider: see
//! [`TokenProviderExt`].
//!
//! ```
//! use std::time::Duration;
//! use tower_bearer::error::BoxError;
//! use tower_bearer::provider::TokenProviderExt;
//! use tower_bearer::{AccessToken, FetchContext, TokenCache, TokenProvider};
//!
//! struct Vault {
//!     // ...
//! }
//!
//! impl TokenProvider for Vault {
//!     async fn fetch_token(&self, cx: FetchContext) -> Result<AccessToken, BoxError> {
//!         let scopes = cx.token_request().scopes();
//!         # let _ = scopes;
//!         # let text = "abc";
//!         // ...
//!         Ok(AccessToken::new(text)?.with_expires_in(Duration::from_secs(600)))
//!     }
//! }
//!
//! let tokens = TokenCache::new(Vault { /* ... */ }.timeout(Duration::from_secs(5)).retry(3));
//! ```

use std::future::Future;
use std::sync::Arc;
use std::time::SystemTime;

use crate::error::{BoxError, FetchError, FetchErrorKind};
use crate::token::{AccessToken, Lifetime};

mod boxed;
mod chain;
#[cfg(feature = "command")]
mod command;
mod context;
mod env;
mod ext;
mod file;
mod map;
mod retry;
mod text;
mod timeout;
mod token_fn;
mod token_request;

pub use self::boxed::BoxTokenProvider;
pub use self::chain::{Chain, ChainError, Fallback};
#[cfg(feature = "command")]
pub use self::command::{CommandToken, CommandTokenError};
pub use self::context::{FetchContext, PassThrough};
pub use self::env::{EnvToken, EnvTokenError};
pub use self::ext::TokenProviderExt;
pub use self::file::{FileToken, FileTokenError};
pub use self::map::{MapRequest, MapToken};
pub use self::retry::Retry;
pub use self::timeout::Timeout;
pub use self::token_fn::{StaticToken, TokenFn, token_fn};
pub use self::token_request::TokenRequest;

/// Fetches access tokens.
///
/// # What an implementation may count on
///
/// - For one [`TokenRequest`], no two fetches run at once.
/// - A fetch belongs to no caller: callers that go away do not cancel it. It is dropped unfinished
///   only at its time limit, or if nothing is left to drive it.
/// - A panic is a failed fetch; its payload is dropped.
///
/// # What an implementation must do
///
/// - Read only its arguments and `self`, never task-locals: whoever waits for the token may drive the
///   fetch, on whatever task and thread.
/// - Ask for exactly what [`FetchContext::token_request`] says, since the token is kept under it.
/// - Wait for another token of the same cache, if it needs one, in the fetch itself and not in a task of
///   its own. Never for the token that it is to fetch.
/// - If it keeps tokens itself, not return [`FetchContext::rejected_token`] again.
///
/// # Errors
///
/// Any error will do. A [`FetchError`] also says what it concerns, and so how long to
/// stay away.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not provide access tokens",
    label = "not a `TokenProvider`",
    note = "for a closure, use `tower_bearer::token_fn(|cx| async move {{ .. }})`",
    note = "for a fixed token, use `tower_bearer::provider::StaticToken`"
)]
pub trait TokenProvider: Send + Sync + 'static {
    /// Fetches a new token. May be written as an `async fn`.
    fn fetch_token(
        &self,
        cx: FetchContext,
    ) -> impl Future<Output = Result<AccessToken, BoxError>> + Send;
}

impl<P: TokenProvider> TokenProvider for Arc<P> {
    fn fetch_token(
        &self,
        cx: FetchContext,
    ) -> impl Future<Output = Result<AccessToken, BoxError>> + Send {
        P::fetch_token(self, cx)
    }
}

/// What a provider says that has one token, whatever is asked for, if a tenant's is: that of another must
/// not be sent on its behalf.
fn refuse_tenant(cx: &FetchContext) -> Result<(), FetchError> {
    match cx.token_request().tenant() {
        None => Ok(()),
        Some(_) => Err(FetchError::invalid_request(
            "this provider has one token and knows no tenants; `map_request` can leave the tenant out",
        )
        .local()),
    }
}

/// Whether a failure may pass by itself, so that it is of use to ask again.
fn may_pass(kind: FetchErrorKind) -> bool {
    match kind {
        FetchErrorKind::Denied | FetchErrorKind::InvalidRequest | FetchErrorKind::Closed => false,
        FetchErrorKind::Unavailable
        | FetchErrorKind::TimedOut
        | FetchErrorKind::Panicked
        | FetchErrorKind::Expired
        | FetchErrorKind::Other => true,
    }
}

/// Whether it is known that a token is over.
fn has_ended(token: &AccessToken, now: SystemTime) -> bool {
    match token.lifetime() {
        Lifetime::For(lifetime) => lifetime.is_zero(),
        Lifetime::Until(end) => end <= now,
        Lifetime::Unknown | Lifetime::Unlimited => false,
    }
}
