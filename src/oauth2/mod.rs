//! OAuth 2.0 token endpoints: a [`TokenProvider`](crate::TokenProvider) for each grant.
//!
//! | provider | grant |
//! |---|---|
//! | [`ClientCredentials`] | client credentials (RFC 6749 §4.4): the client asks on its own behalf |
//! | [`RefreshToken`] | refresh token (RFC 6749 §6): on behalf of whoever once consented |
//! | [`JwtBearer`] | JWT bearer (RFC 7523 §2.1): by a signed JWT, such as of a Google service account |
//! | [`TokenExchange`] | token exchange (RFC 8693): one token for another |
//!
//! A [`Credential`] is what the client proves with who it is: a [`ClientSecret`], an [`Assertion`], a TLS
//! certificate, or nothing. The providers of [`metadata`] ask the platform instead.
//!
//! All speak over any `Service<http::Request<Full<Bytes>>>`, so time limits, proxies and TLS, mutual TLS
//! too, are the [`Transport`]'s. The client of hyper-util works as it is.
//!
//! ```
//! use bytes::Bytes;
//! use http_body_util::Full;
//! use hyper_util::{client::legacy::Client, rt::TokioExecutor};
//! use tower_bearer::oauth2::ClientCredentials;
//!
//! // In earnest, over a connector that does TLS.
//! let transport = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
//!
//! let provider = ClientCredentials::builder("https://id.example.com/token", "my-service", "s3cret")
//!     .with_scope("accounts:read accounts:write")
//!     .build(transport)?;
//! # let _ = provider;
//! # Ok::<(), tower_bearer::oauth2::InvalidConfig>(())
//! ```
//!
//! # Where the token endpoint is
//!
//! Its URL, as above, or an [`Issuer`] whose metadata names it (RFC 8414, OpenID Connect Discovery 1.0):
//!
//! ```
//! use tower_bearer::oauth2::{ClientCredentials, Issuer};
//!
//! let issuer = Issuer::new("https://id.example.com/tenant");
//! let builder = ClientCredentials::builder(issuer, "my-service", "s3cret");
//! # let _ = builder;
//! ```
//!
//! On a machine of Google Cloud or Azure, [`metadata`] has providers that need neither.
//!
//! # Lifetimes
//!
//! A token lives for the `expires_in` of its answer. If there is none and the token is a JWT, for its
//! `exp - iat`, or from the answer's `Date` to its `exp` if it has no `iat`: by the issuer's clock in any
//! case, never by ours. If all that says nothing, the cache's
//! [default lifetime](crate::cache::TokenCacheBuilder::with_default_lifetime) holds.
//!
//! # Retries within one fetch
//!
//! A fetch that fails fails its callers, and a [pause](crate::cache) follows. Where an endpoint fails now and
//! then, try again within the fetch, by tower's own retry on the transport:
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::ServiceBuilder;
//! use tower::retry::Policy;
//! # use hyper_util::{client::legacy::{Client, Error}, rt::TokioExecutor};
//! # use tower_bearer::oauth2::ClientCredentials;
//!
//! /// Up to so many times more, if the server says that it cannot serve now.
//! #[derive(Clone)]
//! struct Retries(usize);
//!
//! impl<B> Policy<Request<Full<Bytes>>, Response<B>, Error> for Retries {
//!     type Future = tokio::time::Sleep;
//!
//!     fn retry(
//!         &mut self,
//!         _: &mut Request<Full<Bytes>>,
//!         result: &mut Result<Response<B>, Error>,
//!     ) -> Option<Self::Future> {
//!         let is_unavailable = matches!(result, Ok(response) if response.status() == 503);
//!         self.0 = self.0.checked_sub(1).filter(|_| is_unavailable)?;
//!         Some(tokio::time::sleep(std::time::Duration::from_millis(200)))
//!     }
//!
//!     fn clone_request(&mut self, request: &Request<Full<Bytes>>) -> Option<Request<Full<Bytes>>> {
//!         Some(request.clone())
//!     }
//! }
//!
//! # let http = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
//! let transport = ServiceBuilder::new().retry(Retries(2)).service(http);
//! let provider = ClientCredentials::builder("https://id.example.com/token", "my-service", "s3cret")
//!     .build(transport)?;
//! # let _ = provider;
//! # Ok::<(), tower_bearer::oauth2::InvalidConfig>(())
//! ```
//!
//! It sends the same bytes again. What may be sent only once, such as an [`Assertion`] with a `jti`, is made
//! anew by a retry around the provider:
//! [`TokenProviderExt::retry`](crate::provider::TokenProviderExt::retry). A refresh token that is replaced
//! when used should not be retried at all: the first request may have arrived.
//!
//! # Security
//!
//! - A token endpoint is `https`, loopback excepted (RFC 6749 §3.2). Anything else needs
//!   [`with_insecure_http`](GrantBuilder::with_insecure_http).
//! - Its redirects are errors and never followed. A transport must not follow them either, since they
//!   would take the client secret along.
//! - Token requests carry [`PassThrough`](crate::provider::PassThrough): a transport that is itself
//!   wrapped in this crate's layer does not ask itself for a token.
//! - An answer is read up to 1 MiB. A successful one is never quoted. From the text of a refusal every
//!   secret that was sent is cut out, raw or encoded, before it becomes part of an error.
//! - Client secrets and what is made of them for a request are zeroed when dropped. What a transport
//!   copies, and the answer it reads, is beyond our reach.

mod answer;
mod client;
mod discovery;
mod endpoint;
mod error;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod grants;
mod invalid_config;
#[cfg(feature = "jwt")]
pub mod jwt;
pub mod metadata;
mod transport;

pub use self::client::{Assertion, AssertionContext, ClientAuth, ClientSecret, Credential};
pub use self::discovery::Issuer;
pub use self::endpoint::TokenEndpoint;
pub use self::error::{TokenEndpointError, TokenEndpointErrorKind};
pub use self::grants::{
    ActorToken, ClientCredentials, ClientCredentialsBuilder, ClientCredentialsGrant, Grant,
    GrantBuilder, GrantProvider, JwtBearer, JwtBearerBuilder, JwtBearerGrant, RefreshToken,
    RefreshTokenBuilder, RefreshTokenGrant, RefreshTokenRotation, RefreshTokenSource, SubjectToken,
    TokenExchange, TokenExchangeBuilder, TokenExchangeGrant, TokenTypeIdentifier,
};
pub use self::invalid_config::{InvalidConfig, InvalidConfigKind};
pub use self::transport::Transport;
