//! (to be written)

pub mod cache;
mod config;
pub mod error;
pub mod future;
mod layer;
#[cfg(feature = "oauth2")]
pub mod oauth2;
pub mod origin;
pub mod provider;
pub mod rejection;
pub mod replay;
#[cfg(feature = "reqwest")]
pub mod reqwest;
mod service;
mod telemetry;
#[cfg(feature = "test-util")]
pub mod testing;
mod token;

pub use self::cache::TokenCache;
pub use self::error::{FetchError, FetchErrorKind};
pub use self::layer::{BearerAuthLayer, IntoTokenCache};
pub use self::origin::Origin;
pub use self::provider::{BoxTokenProvider, FetchContext, TokenProvider, TokenRequest, token_fn};
pub use self::service::BearerAuth;
pub use self::token::{AccessToken, InvalidToken};
