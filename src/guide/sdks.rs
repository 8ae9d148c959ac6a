//! For who builds an SDK on the layer: what its users see of that, and what to test.
//!
//! `examples/sdk.rs` in the repository is a whole one. What there is to decide comes up in this order.
//!
//! # 1. What do users bring?
//!
//! *A transport*, so that proxies, TLS, time limits and connection pools stay theirs. *A source of tokens*, or only
//! what you make one of, such as a client id and a secret. Take both by traits, and hide the types at once:
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response, Uri};
//! use http_body::Body;
//! use http_body_util::combinators::UnsyncBoxBody;
//! use http_body_util::{BodyExt, Full};
//! use tower::util::{BoxCloneSyncService, MapResponseLayer};
//! use tower::{Service, ServiceBuilder, ServiceExt};
//! use tower_bearer::error::BoxError;
//! use tower_bearer::{BearerAuthLayer, IntoTokenCache, TokenProvider};
//!
//! type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;
//!
//! #[derive(Clone)]
//! pub struct Orders {
//!     base: String,
//!     transport: BoxCloneSyncService<Request<Full<Bytes>>, Answer, BoxError>,
//! }
//!
//! impl Orders {
//!     /// `tokens` is a provider, or a cache that other clients share.
//!     pub fn new<C, S, B>(base: &Uri, tokens: C, transport: S) -> Result<Self, BoxError>
//!     where
//!         C: IntoTokenCache<Provider: TokenProvider>,
//!         S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync + 'static,
//!         S::Error: Into<BoxError>,
//!         S::Future: Send,
//!         B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
//!     {
//!         let scheme = base.scheme_str().ok_or("the base URL has no scheme")?;
//!         let authority = base.authority().ok_or("the base URL has no host")?;
//!         let base = format!("{scheme}://{authority}");
//!         let layer = BearerAuthLayer::for_origin(tokens, &base)?.with_other_origins_refused();
//!         let transport = ServiceBuilder::new()
//!             .layer(MapResponseLayer::new(|response: Response<B>| {
//!                 response.map(|body| body.map_err(Into::into).boxed_unsync())
//!             }))
//!             .layer(layer)
//!             .service(transport);
//!         let transport = BoxCloneSyncService::new(transport);
//!         Ok(Self { base, transport })
//!     }
//!
//!     pub async fn cancel(&self, order: u64) -> Result<bool, BoxError> {
//!         let request = Request::delete(format!("{}/orders/{order}", self.base));
//!         let response = self.transport.clone().oneshot(request.body(Full::default())?).await?;
//!         Ok(response.status().is_success())
//!     }
//! }
//!
//! # use tower_bearer::{AccessToken, token_fn};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! # let their_transport = tower::service_fn(|request: Request<Full<Bytes>>| async move {
//! #     assert_eq!(request.uri(), "https://api.example.com/orders/7");
//! #     assert_eq!(request.headers()["authorization"], "Bearer theirs");
//! #     Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default()))
//! # });
//! # let their_provider = token_fn(|_| async { Ok(AccessToken::new("theirs")?) });
//! let base = Uri::from_static("https://api.example.com");
//! let orders = Orders::new(&base, their_provider, their_transport)?;
//! assert!(orders.cancel(7).await?);
//! # Ok(())
//! # }
//! ```
//!
//! - A box allocates for each clone and for each future: here, twice a request. If that is too much, name the type,
//!   [`BearerAuth`](crate::BearerAuth); that shows your users what it is made of.
//! - A transport that is not `Sync` fits into a `BoxCloneService`, and your client is not `Sync` then. One that is not
//!   `Clone` needs a [`Buffer`](crate::InnerService).
//! - Say in your docs that the transport must not follow redirects. You cannot find out, and neither can the layer:
//!   see [`BearerAuthLayer`](crate::BearerAuthLayer#security).
//! - A provider alone, without the type parameter: [`BoxTokenProvider`](crate::BoxTokenProvider).
//!
//! # 2. Where do requests go?
//!
//! An SDK with a base URL knows the origin: take it from that URL, as above. Build the full URI before the request
//! reaches the layer, even if a layer of yours does it: then the check is a real one. With
//! [`with_relative_uris`](crate::BearerAuthLayer::with_relative_uris) there is nothing to check, and it is for
//! transports that go to one place whatever the URI says, such as a `tonic` channel.
//!
//! If some call of yours goes to another host, such as a presigned URL, do not name that: it gets no token, as it
//! should. `with_other_origins_refused` is only for SDKs that have no such call.
//!
//! # 3. What do errors look like?
//!
//! Yours, with a kind that says what to do, and ours as their source. There are two ways for a call to fail for want
//! of a token: there is no response, but a [`FetchError`](crate::FetchError) to downcast to; or the response is the
//! rejection, and says by its extension [`NotRetried`](crate::rejection::NotRetried) why it was not healed.
//!
//! ```
//! use http::{Response, StatusCode};
//! use tower_bearer::error::BoxError;
//! use tower_bearer::rejection::{NotRetried, NotRetriedReason};
//! use tower_bearer::{FetchError, FetchErrorKind};
//!
//! #[derive(Debug, PartialEq)]
//! #[non_exhaustive]
//! enum Kind {
//!     /// Somebody has to mend the credentials.
//!     Credentials,
//!     /// There may be a token later.
//!     SignIn,
//!     /// The service takes none of the tokens that there are.
//!     Rejected,
//!     /// There was no answer.
//!     Transport,
//! }
//!
//! fn kind<B>(result: &Result<Response<B>, BoxError>) -> Option<Kind> {
//!     match result {
//!         Err(error) => Some(error.downcast_ref().map_or(Kind::Transport, without_token)),
//!         Ok(response) if response.status() == StatusCode::UNAUTHORIZED => {
//!             Some(match response.extensions().get().map(NotRetried::reason) {
//!                 Some(NotRetriedReason::FetchFailed(error)) => without_token(error),
//!                 _ => Kind::Rejected,
//!             })
//!         }
//!         Ok(_) => None,
//!     }
//! }
//!
//! fn without_token(error: &FetchError) -> Kind {
//!     match error.kind() {
//!         FetchErrorKind::Denied | FetchErrorKind::InvalidRequest => Kind::Credentials,
//!         _ => Kind::SignIn,
//!     }
//! }
//!
//! assert_eq!(kind::<()>(&Err(FetchError::denied("no").into())), Some(Kind::Credentials));
//! assert_eq!(kind::<()>(&Err("connection reset".into())), Some(Kind::Transport));
//! assert_eq!(kind(&Ok(Response::new(()))), None);
//! ```
//!
//! A layer of your users' between yours and ours may wrap errors: then look along
//! [`source`](std::error::Error::source). Text that a user's own provider or transport put into an error is not in
//! our `Display`, but in the chain: who prints the chain prints that.
//!
//! # 4. What of it is part of your API?
//!
//! What your users can name is: a breaking version of this crate is then a breaking version of yours. Before 1.0,
//! each change of the middle number is one.
//!
//! | your API shows | of ours | or else |
//! |---|---|---|
//! | a constructor that takes a provider or a cache | `TokenProvider`, `FetchContext`, `AccessToken`, `IntoTokenCache` | take a closure over types of yours, and make a provider of it by [`token_fn`](crate::token_fn()) |
//! | the client's type | `BearerAuth`, `InMemory` | `BoxCloneSyncService`, as above |
//! | errors | none, if ours are sources only; say so in your docs | |
//! | responses of `http` as they came | `NotRetried`, in their extensions | `response.extensions_mut().remove::<NotRetried>()` |
//! | what to ask for, per call | `TokenRequest` | parameters of your methods |
//!
//! If you do show them, have `pub use tower_bearer;` at your root, so that users need not find the version that fits.
//! Enums such as [`FetchErrorKind`](crate::FetchErrorKind) will grow: match them with `_`.
//!
//! # 5. What if the transport is no tower service?
//!
//! Use the [`TokenCache`](crate::TokenCache) without a layer: `token().await` before a send, and
//! [`replacement_for`](crate::TokenCache::replacement_for) after a rejection, whose docs say what the layer would
//! have done besides: check where the token goes, see whether the request can be sent twice, and do it once.
//!
//! # 6. Which features?
//!
//! | you | features |
//! |---|---|
//! | take tokens from your users | none: `default-features = false` |
//! | make a provider of a client id and a secret | `oauth2`, which is the default |
//! | sign assertions, or read Google's key files | `jwt` |
//! | let users see what happens | features of your own, `metrics = ["tower-bearer/metrics"]` and the same for `tracing` |
//! | test | `test-util`, among the `dev-dependencies` only: it brings a server |
//!
//! No feature changes what another does, so that a user who switches on more changes nothing for you.
//!
//! # What to test
//!
//! - A token that is revoked costs a second send, and the call succeeds. So for each kind of body that you send.
//! - An issuer that fails, and works again: your error, then success, without a new client.
//! - An API that rejects everything: your error, and few token requests.
//! - No secret in `Debug` and errors of yours, whole chains included.
//! - A redirect to another host takes no token there.
//!
//! The kit for that runs in the same process and waits for nothing but what happens:
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, StatusCode};
//! use http_body_util::Full;
//! use hyper_util::client::legacy::Client;
//! use hyper_util::rt::TokioExecutor;
//! use tower::{Layer, ServiceExt};
//! use tower_bearer::error::BoxError;
//! use tower_bearer::testing::{Answer, Api, ScriptedProvider, Secrets};
//! use tower_bearer::{BearerAuthLayer, FetchError, FetchErrorKind};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let api = Api::start_accepting_any_token().await;
//! let provider = ScriptedProvider::answering([Answer::failure(FetchErrorKind::Unavailable)]);
//!
//! // What is tested: here, no more than the layer.
//! let http = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
//! let layer = BearerAuthLayer::for_origin(provider.clone(), api.origin())?;
//! let client = layer.layer(http);
//! let send = || {
//!     let request = Request::post(api.url("/orders")).body(Full::from("tea"));
//!     client.clone().oneshot(request.expect("a request"))
//! };
//!
//! // The issuer is down, and nothing is sent.
//! let error = send().await.unwrap_err();
//! assert!(error.is::<FetchError>());
//! assert_eq!(api.requests(), 0);
//!
//! // It is back. The pause need not be waited for in a test.
//! layer.cache().reset_backoff();
//! assert_eq!(send().await?.status(), StatusCode::OK);
//!
//! // The token is revoked, and the order arrives all the same.
//! api.revoke_all();
//! assert_eq!(send().await?.status(), StatusCode::OK);
//! assert_eq!(provider.fetches(), 3);
//! assert_eq!(api.received()[2].text(), "tea");
//!
//! // Nothing helps, and few tokens are asked for.
//! api.reject_everything();
//! for _ in 0..100 {
//!     assert_eq!(send().await?.status(), StatusCode::UNAUTHORIZED);
//! }
//! assert_eq!(provider.fetches(), 5); // rejections may cause three at once
//!
//! let secrets = Secrets::new(["token-2", "token-3"]);
//! secrets.assert_absent_from_debug(&client);
//! secrets.assert_absent_from_error(&*error);
//! # Ok(())
//! # }
//! ```
