//! For tests of code that uses this crate.
//!
//! | what a test needs | here |
//! |---|---|
//! | tokens without an issuer, and failures on demand | [`ScriptedProvider`], a provider that answers as a script says |
//! | time that passes when the test says so | [`ManualClock`], for [`with_clock`](crate::cache::TokenCacheBuilder::with_clock) |
//! | an authorization server, with real sockets | [`AuthorizationServer`] |
//! | an API that rejects tokens, with real sockets | [`Api`] |
//! | an answer other than the usual one | [`Answer`] of a provider, [`Reply`] of a server |
//! | something that takes long | [`Gate`], which the test opens |
//! | that no secret is logged | [`Logs`] and [`Secrets`] |
//!
//! Nothing here sleeps. What happens is counted, and can be waited for, so that a test goes on as soon as it is
//! so. The provider, the clock and the gate work on any executor; the servers need a tokio runtime, speak
//! HTTP/1.1 and HTTP/2 without TLS, and end when they are dropped.
//!
//! The clock moves a cache, and nothing else: see [`ManualClock`] for what goes by the system's clock.
//!
//! # How to get it
//!
//! By feature `test-util`, for tests alone:
//!
//! ```toml
//! [dev-dependencies]
//! tower-bearer = { version = "0.1", features = ["test-util"] }
//!
//! # What the test below needs besides.
//! bytes = "1"
//! http = "1"
//! http-body-util = "0.1"
//! hyper-util = { version = "0.1", features = ["client-legacy", "http1", "tokio"] }
//! tokio = { version = "1", features = ["macros", "rt"] }
//! tower = { version = "0.5", features = ["util"] }
//! ```
//!
//! # A whole test
//!
//! A client of ours that has to survive the loss of its token:
//!
#![cfg_attr(feature = "oauth2", doc = "```")]
#![cfg_attr(not(feature = "oauth2"), doc = "```ignore")]
//! use bytes::Bytes;
//! use http::{Request, StatusCode};
//! use http_body_util::Full;
//! use hyper_util::client::legacy::Client;
//! use hyper_util::rt::TokioExecutor;
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_bearer::BearerAuthLayer;
//! use tower_bearer::oauth2::ClientCredentials;
//! use tower_bearer::testing::{Api, AuthorizationServer, Secrets};
//!
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
//! # runtime.block_on(an_order_is_placed_although_the_token_was_revoked());
//! # /*
//! #[tokio::test]
//! # */
//! async fn an_order_is_placed_although_the_token_was_revoked() {
//!     let endpoint = AuthorizationServer::start().await;
//!     endpoint.require_client("shop", "hunter2");
//!     let api = Api::start(&endpoint).await;
//!
//!     // What is tested. Here, as little as it takes.
//!     let http = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
//!     let provider = ClientCredentials::builder(endpoint.url(), "shop", "hunter2")
//!         .build(http.clone())
//!         .unwrap();
//!     let layer = BearerAuthLayer::for_origin(provider, api.origin()).unwrap();
//!     let client = ServiceBuilder::new().layer(layer).service(http);
//!
//!     let order = |body: &'static str| {
//!         let request = Request::post(api.url("/orders")).body(Full::from(body));
//!         client.clone().oneshot(request.unwrap())
//!     };
//!     assert_eq!(order("tea").await.unwrap().status(), StatusCode::OK);
//!
//!     endpoint.revoke_all();
//!     assert_eq!(order("milk").await.unwrap().status(), StatusCode::OK);
//!
//!     // One more token and one rejection, and the order arrived as it was.
//!     assert_eq!(endpoint.requests(), 2);
//!     assert_eq!((api.accepted(), api.rejected()), (2, 1));
//!     assert_eq!(api.received()[2].text(), "milk");
//!
//!     let secrets = Secrets::new(endpoint.issued()).with("the client secret", "hunter2");
//!     secrets.assert_absent_from_debug(&client);
//! }
//! ```
//!
//! # Security
//!
//! For tests: the servers know no TLS, and keep what they receive in memory, tokens and client secrets
//! included. `Debug` shows none of that.

mod api;
mod authorization_server;
mod encodings;
mod gate;
mod logs;
mod provider;
mod received;
mod register;
mod reply;
mod secrets;
mod server;

pub use self::api::Api;
pub use self::authorization_server::AuthorizationServer;
pub use self::gate::Gate;
pub use self::logs::Logs;
pub use self::provider::{Answer, ScriptedProvider};
pub use self::received::ReceivedRequest;
pub use self::reply::Reply;
pub use self::secrets::{FoundSecret, Secrets};
pub use crate::clock::ManualClock;
