//! [`reqwest`](https://docs.rs/reqwest): its clients below the layer, and as the transport of token requests.
//!
//! The feature brings reqwest without TLS. Choose one of its TLS features in your own `Cargo.toml`, such
//! as `reqwest = { version = "0.13", features = ["rustls"] }`; without one, every `https` URL is an error.
//!
#![cfg_attr(feature = "oauth2", doc = "```")]
#![cfg_attr(not(feature = "oauth2"), doc = "```ignore")]
//! use reqwest::redirect::Policy;
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_bearer::BearerAuthLayer;
//! use tower_bearer::oauth2::ClientCredentials;
//! use tower_bearer::reqwest::ReqwestTransport;
//! # use tower_bearer::error::BoxError;
//!
//! # fn client() -> Result<(), BoxError> {
//! let provider = ClientCredentials::builder("https://id.example.com/token", "my-service", "s3cret")
//!     .build(ReqwestTransport::new()?)?;
//! let auth = BearerAuthLayer::for_origin(provider, "https://api.example.com")?;
//!
//! let http = reqwest::Client::builder().redirect(Policy::none()).build()?;
//! let client = ServiceBuilder::new().layer(auth).service(http.clone());
//! # async {
//! let request = http.post("https://api.example.com/orders").body("three, please").build()?;
//! let response: reqwest::Response = client.oneshot(request).await?;
//! # Ok::<_, BoxError>(response)
//! # };
//! # Ok(())
//! # }
//! # client().unwrap();
//! ```
//!
//! # Requests
//!
//! Below the layer may be any `Service<reqwest::Request>` that answers with a [`reqwest::Response`]: a
//! [`reqwest::Client`], a stack of tower's layers above one, a `reqwest_middleware::ClientWithMiddleware`. The
//! request reaches it as it was given, and its response the caller, other than for the token and for
//! [`NotRetried`](crate::rejection::NotRetried).
//!
//! - A request is sent again if [`reqwest::Request::try_clone`] can copy it: with no body, or one made of bytes
//!   or of text. Its data is shared, not copied. A stream is sent once, and so is a multipart form, which
//!   reqwest makes a stream of even if all its parts are in memory. To send these again too, set
//!   [`replay::Streaming`](crate::replay::Streaming).
//! - A time limit of [the request](reqwest::RequestBuilder::timeout) or of
//!   [the client](reqwest::ClientBuilder::timeout) holds for each of the two sends by itself: it begins when a
//!   request is sent, and not with the wait for its token. But reqwest counts until the body of the response has
//!   been read, and so, for a 401 that is kept, goes on while another token is fetched. If the fetch fails after
//!   the limit, the caller gets the 401 with its status and its headers, and reading its body fails with a
//!   timeout. For all of it, set `tower::timeout` above the layer.
//! - The client's [default headers](reqwest::ClientBuilder::default_headers) are added below the layer, to what
//!   a request does not have: among them an `Authorization` would only go where no token goes.
//! - The [token is chosen](crate::BearerAuthLayer::with_token_chosen_by) by what a request is. reqwest lets
//!   nobody put a [`TokenRequest`](crate::TokenRequest) into the extensions of its requests; to do so, make an
//!   [`http::Request`] and of it a `reqwest::Request`, by `TryFrom`.
//! - Over HTTP/1.1 a 401 of stated length that is short leaves its connection to the second send; one that is
//!   chunked or long costs another connection. [`ReadAheadLayer`](crate::read_ahead::ReadAheadLayer), which
//!   helps against that, is for services of `http::Request`, and cannot be put over a `reqwest::Client`; it can
//!   over a [`ReqwestTransport`], for requests with a body of `Full<Bytes>`.
//! - Over HTTP/2 a client of reqwest cannot be told to remember more streams, as may be needed where thousands of
//!   requests share a connection when a token is revoked: see [`rejection`](crate::rejection#over-http2).
//! - Errors are those of the service below, such as a [`reqwest::Error`] to downcast to. That shows the URL of
//!   the request; where its query holds a secret, take it out by
//!   [`without_url`](reqwest::Error::without_url) before it is logged.
//!
//! # Proxies
//!
//! A reqwest client takes proxies from the environment (`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`). What is sent by
//! `https` passes through one unread. A request by plain `http` is handed to the proxy **with its token in
//! cleartext**, and so is one to loopback, where it would never have left the host: reqwest exempts only what
//! `NO_PROXY` names. Where tokens go to an origin of plain `http`, such as a sidecar, a proxy of a cluster or a
//! test's server, build the client with [`no_proxy`](reqwest::ClientBuilder::no_proxy):
//!
//! ```
//! let http = reqwest::Client::builder().no_proxy().build()?;
//! # let _ = http;
//! # Ok::<(), reqwest::Error>(())
//! ```
//!
//! # Middleware of reqwest
//!
//! A client of `reqwest_middleware` may be below the layer, and sees each send then. To have the layer *among*
//! its middleware, copy the adapter in `examples/middleware` of this crate's repository, which takes some forty
//! lines, and looks for a [`TokenRequest`](crate::TokenRequest) in their extensions (`with_extension`): it is no
//! part of the library, so that either crate can have a new version without the other.
//!
//! # Redirects
//!
//! A reqwest client follows up to ten redirects by itself, below the layer and out of its sight. It takes
//! `Authorization` along within an origin and drops it on the way to another one. This is what the layer makes
//! of it:
//!
//! - A 401 whose [URL](reqwest::Response::url) has another scheme, host or port than the request's is returned as
//!   it is. It concerns no token, since none got there.
//! - A 401 from the same origin rejects the token. It may come from a request which had none: on the way from A to
//!   B and back to A, the token is lost at B. Such a redirect costs what a route costs that rejects every
//!   token: see [rejections](crate::cache#rejections).
//! - Headers that go [with the token](crate::BearerAuthLayer::with_header), such as an API key, are not known to
//!   reqwest. It takes them along to **any** server that it is redirected to.
//!
//! So let the client follow none, as above, or only those that stay within the origin:
//!
//! ```
//! use reqwest::redirect::{Attempt, Policy};
//!
//! let within_the_origin = Policy::custom(|attempt: Attempt<'_>| {
//!     let stays = attempt.previous().iter().all(|url| url.origin() == attempt.url().origin());
//!     match attempt.previous().len() {
//!         // For other origins, the caller gets the redirect.
//!         _ if !stays => attempt.stop(),
//!         more if more > 10 => attempt.error("too many redirects"),
//!         _ => attempt.follow(),
//!     }
//! });
//! let http = reqwest::Client::builder().redirect(within_the_origin).build()?;
//! # let _ = http;
//! # Ok::<(), reqwest::Error>(())
//! ```

mod adapter;
mod body;
mod future;
mod service;
mod transport;

pub use self::future::ResponseFuture;
pub use self::transport::ReqwestTransport;
