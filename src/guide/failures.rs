//! What your caller sees when something fails, what happens next, and what to do about it.
//!
//! Nothing has to be restarted, rebuilt or reset for anything on this page to pass: once what is wrong has been
//! mended, the next request after the [pause](crate::cache#a-fetchs-life) works.
//!
//! *Told* is what the [operator](crate::telemetry) sees: metrics, whose names begin with `tower_bearer_`, and an
//! event beside each.
//!
//! # What a caller can get
//!
//! ```
//! use http::{Response, StatusCode};
//! use tower_bearer::FetchError;
//! use tower_bearer::error::{BoxError, MissingTokenRequest, OriginNotAllowed};
//! use tower_bearer::rejection::NotRetried;
//!
//! fn explain<B>(result: &Result<Response<B>, BoxError>) -> String {
//!     match result {
//!         Err(error) if error.is::<FetchError>() => format!("not sent, or rejected and not sent again: {error}"),
//!         Err(error) if error.is::<OriginNotAllowed>() => "not sent: where to?".into(),
//!         Err(error) if error.is::<MissingTokenRequest>() => "not sent: with which token?".into(),
//!         Err(_) => "the service below failed, at the first send or at the second".into(),
//!         Ok(response) => match response.extensions().get::<NotRetried>() {
//!             Some(why) => why.to_string(),
//!             None if response.status() == StatusCode::UNAUTHORIZED => {
//!                 "rejected twice, or nothing that another token of ours would mend".into()
//!             }
//!             None => "answered".into(),
//!         },
//!     }
//! }
//!
//! let denied = explain::<()>(&Err(FetchError::denied("no").into()));
//! assert!(denied.contains("the issuer refuses this client"));
//! assert_eq!(explain(&Ok(Response::new(()))), "answered");
//! ```
//!
//! No text of ours holds a secret. What a provider or transport of somebody else's wrote is in the chain of
//! [`source`](std::error::Error::source)s, and not in our `Display`.
//!
//! # There is no token, and none can be fetched
//!
//! The request is not sent. The caller gets a [`FetchError`], and so do all who waited for the same fetch. Until a
//! pause is over, no fetch begins, and who has no usable token gets that error at once. A token that is still good
//! stays in use meanwhile, and its users notice nothing.
//!
//! | [kind](crate::FetchErrorKind) | when | pause: at first, at most, for whom | what to do |
//! |---|---|---|---|
//! | `Unavailable` | no connection; 5xx, 408, 429, a redirect; an answer that cannot be used, or says to come later; a file, a secret or an assertion of your own that cannot be read or made, and a refresh token that cannot be saved | ½ to 1 s, 3 min, all keys | if the error and its sources say that the issuer was not asked, look at what they name; else at the issuer and the way there |
//! | `TimedOut` | a fetch took more than 30 s, or than [`with_fetch_timeout`](crate::cache::TokenCacheBuilder::with_fetch_timeout) | the same | the same; is a transport without time limits below it? |
//! | `Denied` | another 4xx, or a 200 with an `error`, such as `invalid_client` or `invalid_grant`; metadata that lead elsewhere; an environment variable that has no token, a command that cannot be started | 15 to 30 s, 15 min, all keys | mend credentials, the account or the configuration, then [`reset_backoff`] |
//! | `InvalidRequest` | `invalid_scope`, `invalid_target`; fewer scopes than asked for; a tenant that a provider knows nothing of | 15 to 30 s, 15 min, this key | correct what is asked for |
//! | `Panicked` | the provider panicked | ½ to 1 s, 3 min, all keys | correct it; the message went to the process's panic hook, and nowhere else |
//! | `Other` | the provider returned an error that does not say what it is | the same | have it return a [`FetchError`] |
//! | `Expired` | the token had ended when it came | ½ to 1 s, 3 min, this key | see what the issuer says of lifetimes; is something between that keeps answers? |
//! | `Expired` | tokens ended, or were rejected, again and again before they could be sent | none | is a token's life shorter than the wait for the service? |
//! | `Closed` | [`close`] was called, or the last handle is gone | for ever | close after the last request |
//!
//! - Each failure in a row doubles the pause, up to the longest. It is drawn between a half and the whole, so that
//!   many processes do not come back at once. A dead issuer sees at most 12 requests of a cache in the first minute.
//! - `Retry-After` makes a pause longer, up to an hour, and then it is one for all keys, whatever the kind.
//! - Told, once a fetch: `fetches_total` with the kind for its outcome, a warning. Each time that a fetch was wanted
//!   and did not begin: `fetches_suppressed_total` with the cause `pause`, or `closed`.
//!
//! ```
//! use std::time::Duration;
//! use tower_bearer::testing::{Answer, ManualClock, ScriptedProvider};
//! use tower_bearer::{FetchErrorKind, TokenCache};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower_bearer::FetchError> {
//! let (provider, clock) = (ScriptedProvider::new(), ManualClock::new());
//! let cache = TokenCache::builder(provider.clone()).with_clock(clock.clone()).build();
//! let first = cache.token().await?; // for an hour
//!
//! // In its last seconds, with the issuer down: nobody notices.
//! provider.answer_always(|| Answer::failure(FetchErrorKind::Unavailable));
//! clock.advance(Duration::from_secs(3590));
//! assert_eq!(cache.token().await?, first);
//! provider.wait_for_fetches(2).await;
//! assert_eq!(cache.token().await?, first);
//!
//! // It has ended. A thousand callers, and the issuer is asked once.
//! clock.advance(Duration::from_secs(10));
//! for _ in 0..1000 {
//!     let error = cache.token().await.unwrap_err();
//!     assert_eq!(error.kind(), FetchErrorKind::Unavailable);
//! }
//! assert_eq!(provider.fetches(), 3);
//!
//! // The issuer works again, and the pause is over.
//! provider.push(Answer::token("good"));
//! clock.advance(Duration::from_secs(2));
//! assert_eq!(cache.token().await?.expose_secret(), "good");
//! # Ok(())
//! # }
//! ```
//!
//! # The API rejects the token
//!
//! | what comes of it | what the caller gets | the token | told: `rejections_total` |
//! |---|---|---|---|
//! | healed | the second response, as if nothing had been | a new one | `healed` |
//! | the second send is rejected too | that second response, without a [`NotRetried`] | dropped, within the budget | `rejected_again` |
//! | the second send fails | the error of the service below | the new one stays | `failed` |
//! | the new token ends, or is rejected too, before it can be sent, and then no other is to be had | a [`FetchError`]: the 401 is gone by then | as in the table above | `failed` |
//! | [`BodyNotReplayable`]: a stream, or one longer than it may be, or replaying is off | the 401 and why | dropped: the next request gets a new one | `body_not_replayable` |
//! | [`SameToken`]: the issuer has no other | the 401 and why | back in use | `same_token` |
//! | [`FetchFailed`]: as in the table above, with the same kinds | the 401 and why | back in use until it ends; replaced after the pause | `fetch_failed` |
//! | [`BudgetSpent`]: three fetches at once, and one more a minute, have not helped | the 401 and why, at once | stays in use | `budget_spent` |
//! | the caller goes meanwhile | | dropped: the fetch of a new one goes on | not counted |
//!
//! *The 401 and why* is the response as it came, with its body, and a [`NotRetried`] in its extensions. Everything
//! but `healed` is told by a warning too.
//!
//! Why a rejected token goes back into use: one route may reject what all others take. Where it is of no use, the API
//! says so again. If tokens are rejected that never worked, that minute doubles up to a quarter of an hour; a request
//! that succeeds restores it.
//!
//! ```
//! use http::{Request, Response, StatusCode};
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_bearer::BearerAuthLayer;
//! use tower_bearer::error::BoxError;
//! use tower_bearer::rejection::{NotRetried, NotRetriedReason};
//! use tower_bearer::testing::ScriptedProvider;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! // An account that is disabled, say.
//! let api = service_fn(|_: Request<String>| async {
//!     Response::builder().status(StatusCode::UNAUTHORIZED).body("disabled")
//! });
//! let provider = ScriptedProvider::new();
//! let client = BearerAuthLayer::for_origin(provider.clone(), "https://api.example.com")?.layer(api);
//!
//! let mut last = None;
//! for _ in 0..1000 {
//!     let request = Request::get("https://api.example.com/orders").body(String::new())?;
//!     last = Some(client.clone().oneshot(request).await?);
//! }
//! let response = last.expect("a thousand");
//! assert_eq!(*response.body(), "disabled");
//! let why = response.extensions().get().map(NotRetried::reason);
//! assert!(matches!(why, Some(NotRetriedReason::BudgetSpent)));
//! assert_eq!(provider.fetches(), 1 + 3);
//! # Ok(())
//! # }
//! ```
//!
//! # It is no rejection
//!
//! The response is the caller's as it came. No token is touched, nothing is sent again, and nothing is told of it:
//!
//! | response | because |
//! |---|---|
//! | 401 with the challenge `Bearer error="insufficient_scope"`, or `"invalid_request"` | another token of the same kind would fare no better: ask for [more scopes](crate::TokenRequest) |
//! | 403 | the token is good, and may not do this. An API that says 403 of tokens that have ended needs [`with_rejection`](crate::BearerAuthLayer::with_rejection) |
//! | 407 | a proxy wants credentials of its own (RFC 9110 §15.5.8): they are the transport's to send. For `https`, the connection fails instead, with the transport's error |
//! | 429, 5xx and all others | they are for a `Retry` [above the layer](crate::BearerAuthLayer#among-other-layers) |
//! | 401 to a request with an `Authorization` of its own, or to another origin | no token of ours was rejected |
//! | gRPC's `UNAUTHENTICATED` in trailers | the server has begun to answer; in headers it is one by [`grpc_unauthenticated`](crate::rejection::grpc_unauthenticated) |
//!
//! # A request is not sent, or without a token
//!
//! | request | what happens | told |
//! |---|---|---|
//! | it has an `Authorization` of its own | passed on as it is, to any origin, unless [`with_authorization_replaced`](crate::BearerAuthLayer::with_authorization_replaced) | nothing |
//! | to an origin that is not named; by a path only; `CONNECT` | passed on without the token and what goes with it; after `with_authorization_replaced` also without its own `Authorization` | `other_origin_total`, a warning |
//! | the same after [`with_other_origins_refused`](crate::BearerAuthLayer::with_other_origins_refused) | [`OriginNotAllowed`](crate::error::OriginNotAllowed), not sent | nothing: the caller knows |
//! | without a `TokenRequest`, after [`with_token_request_required`](crate::BearerAuthLayer::with_token_request_required) | [`MissingTokenRequest`](crate::error::MissingTokenRequest), not sent | nothing: the caller knows |
//! | marked with [`PassThrough`](crate::provider::PassThrough) | passed on as it is | nothing |
//!
//! A plain `http` origin that is not loopback, and one that is none, is an error when the layer is
//! [made](crate::origin::InvalidOrigin). A token that cannot be a header value is [refused](crate::InvalidToken)
//! where it is made, so that its fetch fails and no request does later.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use http::header::AUTHORIZATION;
//! use http::{Request, Response};
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_bearer::BearerAuthLayer;
//! use tower_bearer::error::{BoxError, MissingTokenRequest, OriginNotAllowed};
//! use tower_bearer::testing::ScriptedProvider;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let echo = service_fn(|request: Request<String>| async move {
//!     Ok::<_, Infallible>(Response::new(request.headers().get(AUTHORIZATION).cloned()))
//! });
//! let get = |uri: &str| Request::get(uri).body(String::new());
//! let (here, elsewhere) = ("https://api.example.com", "https://api.example.com:8443");
//! let layer = BearerAuthLayer::for_origin(ScriptedProvider::new(), here)?;
//!
//! let response = layer.layer(echo).oneshot(get(elsewhere)?).await?;
//! assert_eq!(*response.body(), None);
//!
//! let strict = layer.with_other_origins_refused().with_token_request_required().layer(echo);
//! let error = strict.clone().oneshot(get(elsewhere)?).await.unwrap_err();
//! assert!(error.is::<OriginNotAllowed>());
//! let error = strict.oneshot(get(here)?).await.unwrap_err();
//! assert!(error.is::<MissingTokenRequest>());
//! # Ok(())
//! # }
//! ```
//!
//! # Somebody goes away
//!
//! | who | what happens |
//! |---|---|
//! | the caller that started a fetch, or every caller | the fetch goes on, and its token is kept |
//! | a caller whose request was rejected | likewise, and the 401 is dropped |
//! | all callers, where no runtime is | the fetch stands still until somebody wants a token again |
//! | the runtime that drives a fetch | those who wait on another runtime drive it on. If it needs sockets or timers of the one that is gone, it fails, and the next one works |
//! | the last handle of a cache | fetches in the queue end; those under way run to their end, or to their time limit |
//! | [`close`] was called | tokens may be used until they end; after that, and for every rejection, the kind is `Closed` |
//! | the process, while a fetch runs | what it brought is lost: see [how a stack ends](super::stacks#8-how-does-it-end) |
//!
//! ```
//! use tower_bearer::TokenCache;
//! use tower_bearer::testing::ScriptedProvider;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower_bearer::FetchError> {
//! let provider = ScriptedProvider::new();
//! let cache = TokenCache::new(provider.clone());
//!
//! provider.hold();
//! let caller = tokio::spawn({
//!     let cache = cache.clone();
//!     async move { cache.token().await }
//! });
//! provider.wait_for_fetches(1).await;
//! caller.abort();
//! provider.release();
//!
//! assert_eq!(cache.token().await?.expose_secret(), "token-1");
//! assert_eq!(provider.fetches(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! # The provider misbehaves
//!
//! | it | what happens |
//! |---|---|
//! | panics | one failure, of the kind `Panicked`, for all who waited; the next fetch works |
//! | hangs | the kind `TimedOut`, at the limit; the future is dropped. Also without a runtime, and on one without timers |
//! | returns the token that was rejected | `SameToken`, above |
//! | returns a token that has ended | the kind `Expired`; one that is still good is not replaced by it |
//! | returns the same token again near its end | it stays in use; it is asked again a few times, not in a loop |
//! | waits for its own token | ended by the time limit |
//! | waits for another token of its cache | works, in the fetch itself; not in a task of its own |
//! | returns an error that quotes a secret | it is in the chain, not in our text |
//!
//! ```
//! use std::time::Duration;
//! use tower_bearer::testing::{Answer, ManualClock, ScriptedProvider};
//! use tower_bearer::{FetchErrorKind, TokenCache};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let provider = ScriptedProvider::answering([Answer::panic(), Answer::hang()]);
//! let clock = ManualClock::new();
//! let cache = TokenCache::builder(provider.clone()).with_clock(clock.clone()).build();
//!
//! let error = cache.token().await.unwrap_err();
//! assert_eq!(error.kind(), FetchErrorKind::Panicked);
//!
//! clock.advance(Duration::from_secs(1)); // the longest that the first pause can be
//! let waiting = tokio::spawn({
//!     let cache = cache.clone();
//!     async move { cache.token().await }
//! });
//! provider.wait_for_fetches(2).await;
//! clock.advance(Duration::from_secs(30));
//! assert_eq!(waiting.await?.unwrap_err().kind(), FetchErrorKind::TimedOut);
//!
//! clock.advance(Duration::from_secs(2));
//! assert_eq!(cache.token().await?.expose_secret(), "token-3");
//! # Ok(())
//! # }
//! ```
//!
//! # Clocks move
//!
//! | what | what happens |
//! |---|---|
//! | the host sleeps past the end of a token | it is not sent; the next request waits for another |
//! | the wall clock is set forward past it | likewise, within about a second of use |
//! | the wall clock is set forward into the last 30 s | it is replaced in the background |
//! | the wall clock is set back | nothing; no token lives longer |
//! | the wall clock is wrong from the start | nothing, if lifetimes are [spans](crate::AccessToken::with_expires_in) and not [points in time](crate::AccessToken::with_expires_at) |
//!
//! # Bodies and connections
//!
//! | what | what happens | what to do |
//! |---|---|---|
//! | a body of a kind that the policy does not know | sent once; `BodyNotReplayable` if it is rejected | another [policy](crate::replay) |
//! | a stream that grows beyond [`Streaming`](crate::replay::Streaming)'s limit | the same; what was kept is dropped at once | a higher limit, or none of it |
//! | the body fails or panics on its way | it is never sent again as if it were whole | |
//! | an upload is rejected before it was read | the retry sends what has passed and then the rest; the first body ends in an error | |
//! | over HTTP/2, a server rejects a long upload and then neither reads nor resets it | the retry may wait behind it for ever, if both share a connection: [why](crate::replay::Streaming#a-server-that-neither-reads-nor-resets) | a time limit above the layer |
//! | over HTTP/2, thousands of streams are rejected at once | hyper may close the connection, and what is under way on it fails with its error | [have it remember more](crate::rejection#over-http2) |
//! | over HTTP/1.1, rejections are chunked or long | each retry opens a connection | [read ahead](crate::rejection#over-http11) |
//! | there is no room below for the retry, as with `LoadShed` | the error of that layer; `failed` | count retries in when you set limits |
//! | the service below fails to become ready, or panics | its error as it is, or its panic; no other request and no token is touched | |
//!
//! # What to do first
//!
//! 1. Do fetches fail? `fetches_total` by outcome. `denied` and `invalid_request` want somebody, all others time.
//! 2. Do they succeed, and requests fail? `rejections_total` by outcome. With `rejected_again` and `budget_spent`,
//!    look at what the API says in its `WWW-Authenticate` and its body: the caller has both.
//! 3. Neither? Look for `other_origin_total`: requests go without a token.
//! 4. It is mended, and you will not wait for a pause of up to 15 minutes: [`reset_backoff`].
//!
//! [`BodyNotReplayable`]: crate::rejection::NotRetriedReason::BodyNotReplayable
//! [`BudgetSpent`]: crate::rejection::NotRetriedReason::BudgetSpent
//! [`FetchError`]: crate::FetchError
//! [`FetchFailed`]: crate::rejection::NotRetriedReason::FetchFailed
//! [`NotRetried`]: crate::rejection::NotRetried
//! [`SameToken`]: crate::rejection::NotRetriedReason::SameToken
//! [`close`]: crate::TokenCache::close
//! [`reset_backoff`]: crate::TokenCache::reset_backoff
