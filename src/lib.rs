//! (to be written)

pub mod error;
pub mod provider;
mod token;

pub use self::error::{FetchError, FetchErrorKind};
pub use self::provider::{BoxTokenProvider, FetchContext, TokenProvider, TokenRequest, token_fn};
pub use self::token::{AccessToken, InvalidToken};
