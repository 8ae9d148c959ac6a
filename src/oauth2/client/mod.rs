//! Who asks at a token endpoint, and how that is written.

mod assertion;
mod auth;
mod credential;
pub(crate) mod request;
mod secret;
mod text;
pub(crate) mod token_client;
mod wire;

pub(crate) use self::assertion::Inside;
pub use self::assertion::{Assertion, AssertionContext};
pub use self::auth::ClientAuth;
pub(crate) use self::auth::encode;
pub use self::credential::Credential;
pub use self::secret::ClientSecret;
pub(crate) use self::text::{Text, made_of_text};
pub(crate) use self::token_client::{Client, TokenClient};
pub(crate) use self::wire::{Encoding, Wire};
