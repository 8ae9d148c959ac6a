//! Access tokens on outbound HTTP requests: fetched once, shared, replaced in time, and healed when
//! rejected.
//!
//! [`BearerAuthLayer`] wraps any [`tower::Service`] that sends HTTP requests: a client of `hyper-util` or
//! `reqwest`, a `tonic` channel, a stack of your own. It takes an access token from a [provider](TokenProvider), or
//! from its [cache](TokenCache), puts it on the request, and when the server answers 401 it drops exactly
//! that token and sends the request once more with a new one. However many requests need a token at the
//! same time, one fetch serves them all.
//!
#![cfg_attr(feature = "oauth2", doc = "```")]
#![cfg_attr(not(feature = "oauth2"), doc = "```ignore")]
//! use bytes::Bytes;
//! use http::Request;
//! use http_body_util::Full;
//! use hyper_util::client::legacy::Client;
//! use hyper_util::rt::TokioExecutor;
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_bearer::BearerAuthLayer;
//! use tower_bearer::oauth2::ClientCredentials;
//! # use tower_bearer::error::BoxError;
//!
//! # fn client() -> Result<(), BoxError> {
//! let http = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
//!
//! let provider = ClientCredentials::builder("https://id.example.com/token", "client id", "secret")
//!     .with_scope("orders:read")
//!     .build(http.clone())?;
//! let layer = BearerAuthLayer::for_origin(provider, "https://api.example.com")?;
//!
//! let client = ServiceBuilder::new().layer(layer).service(http);
//! # async {
//! let request = Request::get("https://api.example.com/orders").body(Full::default())?;
//! let response = client.oneshot(request).await?;
//! # Ok::<_, BoxError>(response)
//! # };
//! # Ok(())
//! # }
//! # client().unwrap();
//! ```
//!
//! (With a connector that speaks TLS, such as that of `hyper-rustls`.)
//!
//! The [`guide`] says what to decide when you compose a [stack](guide::stacks) or build an [SDK](guide::sdks), what
//! happens when something [fails](guide::failures), [how it works](guide::how_it_works), and how it is
//! [measured](guide::benchmarks).
//!
//! # Guarantees
//!
//! - **One fetch.** Any number of concurrent callers that need the same token cause one call of the
//!   provider. Dropping any of them, or all, neither cancels it nor loses its result. A failure is one
//!   failure, shared, and the next fetch waits for a pause. See [`cache`].
//! - **No request waits for a renewal.** A token near its end is used while one background fetch
//!   replaces it, and a renewal that fails leaves it in use. An expired token is not sent.
//! - **One retry.** A 401 concerns the token that its request carried. If that has been replaced
//!   already, the request is sent again with the newer one, without any fetch. A second 401 is returned as
//!   it is. See [`rejection`].
//! - **The same request.** What is sent again has the same method, URI, version, headers, extensions and
//!   body. A body that cannot be replayed is sent once; nothing is buffered up front. See [`replay`].
//! - **The service as it is.** Only a service that was polled ready is called, a request that waits for
//!   a token holds no slot of it, and the response type is unchanged. What its place among other layers means
//!   is said [there](BearerAuthLayer#among-other-layers).
//!
//! # Security
//!
//! - A token goes only to [origins](origin) that are named when the layer is made; plain `http` only over
//!   loopback, unless a call with `insecure` in its name says otherwise.
//! - A redirect that is followed *above* the layer, such as by `tower_http::follow_redirect`, cannot carry
//!   a token to another origin. One that is followed *below* it is out of its sight: switch that off
//!   in the client.
//! - A request with an `Authorization` header of its own is left alone.
//! - No `Debug`, `Display` or event contains a secret, and text from a token endpoint is cleared of what
//!   was sent there. Stored secrets are zeroed when dropped. What a transport copies is beyond our reach.
//!
//! # Features
//!
//! | feature | brings |
//! |---|---|
//! | `oauth2` (default) | [`oauth2`]: grants, client authentication, discovery, metadata servers |
//! | `jwt` | `oauth2::jwt`: assertions that are signed here, for clients and for the JWT bearer grant |
//! | `reqwest` | [`reqwest`]: its clients below the layer, and as the transport to the token endpoint |
//! | `tonic` | [`tonic`]: a layer for its channels, whose errors are its `Status` |
//! | `command` | [`provider`]: a command that prints a token |
//! | `tracing` | events and spans: see [`telemetry`] |
//! | `metrics` | counters, gauges and histograms, by the `metrics` facade: see [`telemetry`] |
//! | `test-util` | [`testing`]: a scripted provider, a clock to turn by hand, a token endpoint and an API on loopback, a search for secrets in logs |
//!
//! [`tower::Service`]: tower_service::Service
// Where a feature is off there is nothing to link to.
#![cfg_attr(feature = "oauth2", doc = "[`oauth2`]: mod@oauth2")]
#![cfg_attr(not(feature = "oauth2"), doc = "[`oauth2`]: #features")]
#![cfg_attr(feature = "reqwest", doc = "[`reqwest`]: mod@reqwest")]
#![cfg_attr(not(feature = "reqwest"), doc = "[`reqwest`]: #features")]
#![cfg_attr(feature = "tonic", doc = "[`tonic`]: mod@tonic")]
#![cfg_attr(not(feature = "tonic"), doc = "[`tonic`]: #features")]
#![cfg_attr(feature = "test-util", doc = "[`testing`]: mod@testing")]
#![cfg_attr(not(feature = "test-util"), doc = "[`testing`]: #features")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(test),
    warn(
        unreachable_pub,
        clippy::unwrap_used,
        clippy::print_stdout,
        clippy::print_stderr
    )
)]

pub mod cache;
mod clock;
mod config;
pub mod error;
pub mod future;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
pub mod guide;
mod layer;
#[cfg(feature = "oauth2")]
pub mod oauth2;
pub mod origin;
mod pause;
pub mod provider;
pub mod read_ahead;
pub mod rejection;
pub mod replay;
#[cfg(feature = "reqwest")]
pub mod reqwest;
mod service;
mod spread;
mod sync;
pub mod telemetry;
#[cfg(feature = "test-util")]
pub mod testing;
mod token;
#[cfg(feature = "tonic")]
pub mod tonic;

pub use self::cache::TokenCache;
pub use self::error::{FetchError, FetchErrorKind};
pub use self::layer::{BearerAuthLayer, InnerService, IntoTokenCache};
pub use self::origin::Origin;
pub use self::provider::{
    BoxTokenProvider, FetchContext, TokenProvider, TokenProviderExt, TokenRequest, token_fn,
};
pub use self::service::BearerAuth;
pub use self::token::{AccessToken, InvalidToken};

/// The README's example compiles.
#[cfg(all(doctest, feature = "oauth2"))]
#[doc = include_str!("../README.md")]
struct Readme;
