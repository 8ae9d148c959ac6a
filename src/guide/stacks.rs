//! For who composes a client: what to decide, in the order in which it comes up.
//!
//! A stack with everything in its place. The sections below say why it is there, and what else there is:
//!
//! ```
//! use std::time::Duration;
//!
//! use bytes::Bytes;
//! use http_body_util::Full;
//! use hyper_util::client::legacy::Client;
//! use hyper_util::rt::TokioExecutor;
//! use tower::ServiceBuilder;
//! use tower_bearer::provider::TokenProviderExt;
//! use tower_bearer::{AccessToken, BearerAuthLayer, TokenCache, token_fn};
//! use tower_http::follow_redirect::FollowRedirectLayer;
//!
//! # async fn ask_the_issuer() -> std::io::Result<String> { Ok("abc".to_owned()) }
//! // Over a connector that speaks TLS. It follows no redirects.
//! let http = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
//!
//! let provider = token_fn(|_cx| async {
//!     let text = ask_the_issuer().await?;
//!     Ok(AccessToken::new(&text)?.with_expires_in(Duration::from_secs(3600)))
//! });
//! let tokens = TokenCache::builder(provider.timeout(Duration::from_secs(5)).retry(3))
//!     .with_fetch_timeout(Duration::from_secs(20)) // of all three tries
//!     .with_refresh_window(Duration::from_secs(300))
//!     .build();
//! let auth = BearerAuthLayer::for_origin(tokens.clone(), "https://api.example.com")?;
//!
//! let client = ServiceBuilder::new()
//!     .timeout(Duration::from_secs(60)) // of a request as its caller sees it
//!     .layer(FollowRedirectLayer::new()) // each hop is a request of its own below
//!     .layer(auth)
//!     .timeout(Duration::from_secs(10)) // of each send
//!     .concurrency_limit(100) // who waits for a token takes none of these
//!     .service(http);
//! # let _ = (client, tokens);
//! # Ok::<(), tower_bearer::origin::InvalidOrigin>(())
//! ```
//!
//! # 1. Where may tokens go?
//!
//! Name the [origins](crate::origin): scheme, host and port of everything that is to get the token, and nothing else.
//! A request to another origin is passed on without it, which is told to the [operator](crate::telemetry). If such a
//! request can only be a mistake, make it an error: [`with_other_origins_refused`].
//!
//! - One layer is for one identity. For two APIs that want different credentials, make two layers, and best two
//!   clients. If one client has to do for both, put one layer above the other: each passes on what has an
//!   `Authorization` already. The upper one tells the operator of each request that is the lower one's.
//! - Hosts that are not known before: [`for_every_https_origin`], if whoever can choose the host of a request, by a
//!   redirect too, may have the token.
//! - Requests with only a path as their URI have no origin to check: [`with_relative_uris`], if what is below sends
//!   them to one place only. Better, put what completes the URI above the layer.
//!
//! # 2. Who follows redirects?
//!
//! Either nobody, or `FollowRedirect` above the layer. What a client follows by itself, below, is out of the layer's
//! sight: hyper-util's follows nothing, reqwest's up to ten, unless it is [told otherwise][reqwest].
//!
//! # 3. What is above, and what below?
//!
//! The table [among other layers](crate::BearerAuthLayer#among-other-layers) says it for each of tower's and
//! tower-http's. The three that matter most:
//!
//! - limits of concurrency *below*, so that who waits for a token takes no slot. If token requests go through the
//!   same limit, *above* it they would wait for each other;
//! - `Retry` *above*, so that each attempt can get a newer token. A 401 need not be among what it retries;
//! - what is not `Clone` needs a [`Buffer`](crate::InnerService) around it.
//!
//! # 4. What may be sent twice?
//!
//! A rejected request can be healed only if its body can be had again. By default, that are bodies in memory.
//!
//! | policy | heals | keeps for each request, until its response begins |
//! |---|---|---|
//! | [`InMemory`], the default | `Full<Bytes>`, `Bytes`, `String` and their like | a copy of the head; of `Bytes` a reference, of `String` and `Vec<u8>` a copy |
//! | [`try_clone`] | what your function can copy | a copy of the head, and what it returns |
//! | [`Streaming`] | the first, and streams up to a limit | a copy of the head and of what was sent, up to the limit |
//! | [`Never`] | nothing: the caller gets the 401, and the next request a new token | nothing |
//!
//! A `POST` is sent again too: whoever answers 401 has done nothing with the request. If you [name another
//! answer](crate::BearerAuthLayer::with_rejection) than 401, you assert that of it. Choose [`Never`] where requests
//! are not worth a copy, such as in a proxy whose own callers try again, and see
//! [`benchmarks`](super::benchmarks#what-costs-more) for what it saves.
//!
//! # 5. How long may things take?
//!
//! | limit | of what | unless set |
//! |---|---|---|
//! | [`with_fetch_timeout`] | one fetch, all tries of its provider included; not its time in the queue | 30 s |
//! | [`timeout`](crate::provider::TokenProviderExt::timeout) of the provider | one try | none |
//! | `tower::timeout` above the layer | the whole request: the wait for a token, both sends | none |
//! | `tower::timeout` below the layer | one send | none |
//!
//! A request that gives up leaves the fetch alone, for all others. So a limit above may be shorter than the fetch's:
//! the caller gets tower's `Elapsed`, rather than a [`FetchError`](crate::FetchError).
//!
//! A request waits for a token if it is the first of a process, against which there is a
//! [warm-up](#7-what-is-done-at-the-start-and-what-is-asked-of-readiness), the first after a token has expired
//! unused, or one that was rejected. All others use what is there, and the first that falls into a token's last 30 s
//! has it replaced [behind their backs](crate::cache#a-tokens-life). That window, [`with_refresh_window`], is also
//! for how long an issuer may be down without anybody noticing: make it as long as it takes to react to an alert. It
//! is a quarter of a token's life at most, and up to a quarter longer than that by chance.
//!
//! # 6. Is one token enough?
//!
//! If scopes, tenant or audience differ by request, put a [`TokenRequest`](crate::TokenRequest) into its extensions,
//! or let the layer find out with [`with_token_chosen_by`]. Each different one has a token, a fetch and a budget of
//! its own.
//!
//! - Make each once, and clone it: a clone is cheap, and a new one allocates.
//! - Does the *default* token do more than the narrow ones? Then an extension that gets lost widens what a request
//!   may do: [`with_token_request_required`] makes that an error.
//! - 10,000 keys are kept unless [`with_max_keys`] says otherwise. With more, the least useful lose their tokens,
//!   which are fetched again when they are wanted.
//! - A tenant's name that comes from outside must be checked before it becomes a key: each new one is a token
//!   request.
//!
//! # 7. What is done at the start, and what is asked of readiness?
//!
//! [`warm_up`] fetches the first token in the background, so that the first request does not wait. [`token`] waits
//! for it, and fails where a wrong secret should stop the start.
//!
//! `poll_ready` of the service is that of the service below, and says nothing of tokens. For a readiness probe ask
//! [`token`] too, with a time limit: it is at hand, is fetched, or after a failure is refused at once, within the
//! [pauses](crate::cache#a-fetchs-life) that hold for all. [`cached`] starts nothing, and so is `None` in a process
//! that had nothing to send for as long as a token lives. A *liveness* probe should ask neither: to restart a process
//! mends no issuer.
//!
//! ```
//! use std::time::Duration;
//! use tower_bearer::{AccessToken, FetchErrorKind, TokenCache, TokenProvider, token_fn};
//!
//! async fn is_ready(tokens: &TokenCache<impl TokenProvider>) -> bool {
//!     let token = tokio::time::timeout(Duration::from_secs(2), tokens.token());
//!     matches!(token.await, Ok(Ok(_)))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let tokens = TokenCache::new(token_fn(|_| async { Ok(AccessToken::new("abc")?) }));
//! tokens.warm_up();
//! assert!(is_ready(&tokens).await);
//!
//! // The server has stopped taking requests.
//! tokens.close().await;
//! assert!(tokens.token().await.is_ok(), "what is there may be used up");
//! let error = tokens.refresh().await.unwrap_err();
//! assert_eq!(error.kind(), FetchErrorKind::Closed);
//! # }
//! ```
//!
//! # 8. How does it end?
//!
//! By [`close`], once the last request has been answered: no fetch begins any more, and those under way are waited
//! for, up to their time limit. That matters if a fetch uses something up, such as a refresh token that is replaced
//! with every use: a runtime that ends takes its tasks along. If nothing like that is there, drop everything.
//!
//! # 9. Who is told?
//!
//! Switch on `tracing`, `metrics` or both; [`telemetry`](crate::telemetry) lists what comes, and no label of it is
//! without bound. Worth an alert:
//!
//! | what you see | what it means |
//! |---|---|
//! | `fetches_total` with the outcome `denied` | the issuer wants somebody to do something: a secret has ended, an account is blocked. Asked again after 15 s to 15 min |
//! | `fetches_total` has failures and no `ok` for longer than the refresh window | tokens are about to end, and then requests fail |
//! | `token_remaining_seconds`: its least falls far below the refresh window | the same, seen from the other side |
//! | `waiters` is above zero for longer than a fetch takes | requests wait for a slow issuer |
//! | `rejections_total` with `rejected_again`, `budget_spent` | a route, an account or an audience is wrong: the API takes no token there |
//! | `rejections_total` with `same_token` | the issuer has nothing else to give than what the API refuses |
//! | `rejections_total` with `body_not_replayable` | requests fail that another [replay policy](#4-what-may-be-sent-twice) would heal |
//! | `rejections_total` with `healed`, again and again | nobody fails, but tokens end sooner than the issuer says: a lifetime is wrong |
//! | `other_origin_total` | requests go without a token: an origin is missing, or a redirect leads away |
//! | `refresh_tokens_not_saved_total` | a restart now would need somebody to sign in |
//!
//! What each of them means to a caller is said in [`failures`](super::failures).
//!
//! # 10. What does the connection say to many rejections at once?
//!
//! If a token is revoked while thousands of requests share one HTTP/2 connection, as many streams are reset at once,
//! and hyper closes connections on which that goes too far. Set [how many it remembers](crate::rejection#over-http2).
//! Over HTTP/1.1, a rejection with a long or chunked body costs a connection, unless it is [read
//! ahead](crate::rejection#over-http11).
//!
//! # 11. How is it tested?
#![cfg_attr(
    feature = "test-util",
    doc = "With the servers, the clock and the provider of [`testing`](crate::testing), whose docs show a whole test."
)]
#![cfg_attr(
    not(feature = "test-util"),
    doc = "With the servers, the clock and the provider of the feature `test-util`, whose docs show a whole test."
)]
//! [`sdks`](super::sdks#what-to-test) has a list of what is worth one.
//!
//! [`InMemory`]: crate::replay::InMemory
//! [`Never`]: crate::replay::Never
//! [`Streaming`]: crate::replay::Streaming
//! [`cached`]: crate::TokenCache::cached
//! [`close`]: crate::TokenCache::close
//! [`for_every_https_origin`]: crate::BearerAuthLayer::for_every_https_origin
//! [`token`]: crate::TokenCache::token
//! [`try_clone`]: crate::replay::try_clone()
//! [`warm_up`]: crate::TokenCache::warm_up
//! [`with_fetch_timeout`]: crate::cache::TokenCacheBuilder::with_fetch_timeout
//! [`with_max_keys`]: crate::cache::TokenCacheBuilder::with_max_keys
//! [`with_other_origins_refused`]: crate::BearerAuthLayer::with_other_origins_refused
//! [`with_refresh_window`]: crate::cache::TokenCacheBuilder::with_refresh_window
//! [`with_relative_uris`]: crate::BearerAuthLayer::with_relative_uris
//! [`with_token_chosen_by`]: crate::BearerAuthLayer::with_token_chosen_by
//! [`with_token_request_required`]: crate::BearerAuthLayer::with_token_request_required
#![cfg_attr(feature = "reqwest", doc = "[reqwest]: mod@crate::reqwest#redirects")]
#![cfg_attr(not(feature = "reqwest"), doc = "[reqwest]: crate#features")]
