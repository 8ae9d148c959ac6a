//! A guide: what to decide and in which order, what it costs, and what happens when things go wrong.
//!
//! The docs of an item say what that does. These pages say how the items are used together, and hold none.
//!
//! | you | read |
//! |---|---|
//! | compose a client for a service of yours | [`stacks`] |
//! | build an SDK that others use | [`sdks`] |
//! | measure before you adopt | [`benchmarks`] |
//! | are on call, or want to know what to be ready for | [`failures`] |
//! | read the code, or want to know why it can be relied on | [`how_it_works`] |
//!
//! # In a minute
//!
//! A [provider](crate::TokenProvider) says where tokens come from, and a [layer](crate::BearerAuthLayer) where they
//! may go. Here the server has revoked the first token, and the caller does not notice:
//!
//! ```
//! use http::header::AUTHORIZATION;
//! use http::{Request, Response, StatusCode};
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_bearer::error::BoxError;
//! use tower_bearer::{AccessToken, BearerAuthLayer, token_fn};
//!
//! // What sends requests: here, a server that takes the second token alone.
//! async fn send(request: Request<String>) -> Result<Response<String>, BoxError> {
//!     let status = match request.headers()[AUTHORIZATION].as_bytes() {
//!         b"Bearer second" => StatusCode::OK,
//!         _ => StatusCode::UNAUTHORIZED,
//!     };
//!     Ok(Response::builder().status(status).body(request.into_body())?)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let provider = token_fn(|cx| async move {
//!     let text = if cx.rejected_token().is_some() { "second" } else { "first" };
//!     Ok(AccessToken::new(text)?)
//! });
//! let layer = BearerAuthLayer::for_origin(provider, "https://api.example.com")?;
//! let client = ServiceBuilder::new().layer(layer).service_fn(send);
//!
//! let request = Request::post("https://api.example.com/orders").body("three".to_owned())?;
//! let response = client.oneshot(request).await?;
//! assert_eq!((response.status(), &**response.body()), (StatusCode::OK, "three"));
//! # Ok(())
//! # }
//! ```
//!
//! # Words
//!
//! | word | means |
//! |---|---|
//! | issuer | who makes tokens; its *token endpoint* is where they are asked for |
//! | API | what the tokens are for: where your requests go |
//! | provider | asks the issuer, or takes the token from elsewhere; knows nothing of caching |
//! | key | what decides which token is meant: a [`TokenRequest`](crate::TokenRequest); most layers have only the default one |
//! | fetch | one call of the provider, shared by all who want that key |
//! | *fresh*, *stale*, *expired*, *condemned* | the [life of a token](crate::cache#a-tokens-life) |
//! | rejection | a [response](crate::rejection) that says that the token is not good, such as a 401 |
//! | healed | rejected, and sent once more with another token |
//! | pause | the time after a failed fetch in which [none begins](crate::cache#a-fetchs-life) |
//! | budget | how many fetches [rejections may cause](crate::cache#rejections) |

pub mod benchmarks;
pub mod failures;
pub mod how_it_works;
pub mod sdks;
pub mod stacks;
