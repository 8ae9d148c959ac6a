use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use super::acquire::Acquire;
use super::engine::{Engine, Verdict};
use super::freshness::Freshness;
use super::slot::{Slot, Witness};
use super::slots::MAX_KEYS;
use crate::clock::Clock;
#[cfg(feature = "test-util")]
use crate::clock::ManualClock;
use crate::error::FetchError;
use crate::provider::{BoxTokenProvider, TokenProvider, TokenRequest};
use crate::rejection::{NotRetried, NotRetriedReason};
use crate::telemetry;
use crate::token::AccessToken;

/// How long a fetch may take, unless set.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);

/// A handle to a cache of access tokens.
///
/// Clones are the same cache. See the [module](crate::cache) for what it does.
///
/// The last handle dropped ends fetches that have not begun. One that has begun runs to its end or its
/// time limit, if a task drives it; [`close`](Self::close) waits for it.
pub struct TokenCache<P = BoxTokenProvider> {
    handle: Arc<Handle<P>>,
}

struct Handle<P> {
    engine: Arc<Engine<P>>,
    slot: Arc<Slot>,
    open: Arc<Open<P>>,
}

/// Counts the handles: the engine itself is also held by the fetches under way.
struct Open<P> {
    engine: Arc<Engine<P>>,
}

impl<P: TokenProvider> TokenCache<P> {
    /// A cache with the default settings.
    pub fn new(provider: P) -> Self {
        Self::builder(provider).build()
    }

    /// A cache with other settings.
    pub fn builder(provider: P) -> TokenCacheBuilder<P> {
        TokenCacheBuilder {
            provider,
            clock: Clock::System,
            freshness: Freshness::default(),
            fetch_timeout: FETCH_TIMEOUT,
            max_keys: MAX_KEYS,
        }
    }

    /// A token that can be used now: the cached one, or a new one.
    ///
    /// A stale token is returned at once, and replaced in the background where there is a tokio runtime.
    ///
    /// # Errors
    ///
    /// If there is no usable token and the fetch fails, or has failed and the pause is not over.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels nothing: the fetch goes on and the token is kept.
    pub async fn token(&self) -> Result<AccessToken, FetchError> {
        if let Some(token) = self.hit(self.slot(), |held| held.token.clone()) {
            return Ok(token);
        }
        let mut acquire = Acquire::default();
        let held = poll_fn(|cx| acquire.poll(cx, self.engine(), self.slot(), None)).await?;
        telemetry::used(|| held.at_use(self.engine().now()));
        Ok(held.token.clone())
    }

    /// The cached token, if it can be used now. Starts nothing.
    pub fn cached(&self) -> Option<AccessToken> {
        let held = self.engine().usable(self.slot())?;
        Some(held.token.clone())
    }

    /// States that a server rejected `token`.
    ///
    /// Drops it, unless it has been replaced already; the next [`token`](Self::token) then waits for a new
    /// one. It also stays if a new one cannot be had now: during a pause after a failure, and when
    /// rejections have caused [too many fetches](crate::cache#rejections) of late. To send a request once more, use
    /// [`replacement_for`](Self::replacement_for), which returns no token that was just rejected.
    pub fn invalidate(&self, token: &AccessToken) {
        let current = self.slot().current();
        if let Some(held) = current.as_ref().filter(|held| held.token == *token) {
            let _dropped_or_kept = self.engine().reject(
                self.slot(),
                held.generation,
                Vec::new,
                Witness::OfRejections,
            );
        }
    }

    /// Another token than `rejected`, to send a request once more that a server rejected with that one.
    ///
    /// What a layer does after a 401, for clients with a transport of their own. Does what
    /// [`invalidate`](Self::invalidate) does, and waits for another token. That is the newer one, without
    /// any fetch, if `rejected` has been replaced already; and so it is for a token that is not of this
    /// handle.
    ///
    /// The caller sees to the rest: that the response is a
    /// [rejection](crate::rejection::unauthorized), that it came from the server that the token was meant
    /// for, that the request can be sent twice, and that this is done once for a request. What is sent again
    /// is made of the request as it was without a token: on a copy of the first send, headers that came
    /// [with that token](AccessToken::headers) would stay.
    ///
    /// ```
    /// # use tower_bearer::error::BoxError;
    /// use http::{HeaderValue, Response, header::AUTHORIZATION};
    /// use tower_bearer::{TokenCache, TokenProvider, rejection};
    ///
    /// # async fn send(authorization: &HeaderValue) -> Result<Response<String>, BoxError> {
    /// #     let status = if authorization == "Bearer old" { 401 } else { 200 };
    /// #     Ok(Response::builder().status(status).body(String::new())?)
    /// # }
    /// async fn call(tokens: &TokenCache<impl TokenProvider>) -> Result<Response<String>, BoxError> {
    ///     let token = tokens.token().await?;
    ///     let response = send(token.header_value()).await?;
    ///     if !rejection::unauthorized(response.status(), response.headers()) {
    ///         return Ok(response);
    ///     }
    ///     match tokens.replacement_for(&token).await {
    ///         Ok(other) => send(other.header_value()).await,
    ///         Err(_not_retried) => Ok(response), // A second send would end as the first did.
    ///     }
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), BoxError> {
    /// # use tower_bearer::{AccessToken, token_fn};
    /// # let tokens = TokenCache::new(token_fn(|cx| async move {
    /// #     Ok(AccessToken::new(if cx.rejected_token().is_some() { "new" } else { "old" })?)
    /// # }));
    /// # assert_eq!(call(&tokens).await?.status(), 200);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If there is no other token to be had now: the issuer returned the same one, the fetch failed or had
    /// failed and the pause is not over, or rejections have caused
    /// [too many fetches](crate::cache#rejections) of late. If `rejected` was the current token it is in use again
    /// then, unless it has expired.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels nothing: the fetch goes on and the token is kept. One that was never
    /// polled has invalidated nothing.
    pub async fn replacement_for(&self, rejected: &AccessToken) -> Result<AccessToken, NotRetried> {
        let (engine, slot) = (self.engine(), self.slot());
        let generation = slot.generation_of(rejected);
        if let Some(generation) = generation {
            if let Verdict::Keep(reason) =
                engine.reject(slot, generation, Vec::new, Witness::OfRejections)
            {
                return Err(NotRetried::new(reason));
            }
        }
        let mut acquire = Acquire::default();
        let acquired = poll_fn(|cx| acquire.poll(cx, engine, slot, generation)).await;
        let held =
            acquired.map_err(|error| NotRetried::new(NotRetriedReason::FetchFailed(error)))?;
        if held.token == *rejected {
            return Err(NotRetried::new(NotRetriedReason::SameToken));
        }
        telemetry::used(|| held.at_use(engine.now()));
        Ok(held.token.clone())
    }

    /// Replaces the token, however good it is: joins the fetch under way, or starts one.
    ///
    /// The current token stays in use meanwhile, and if the fetch fails.
    ///
    /// # Errors
    ///
    /// If the fetch fails, or has failed and the pause is not over.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels nothing: the fetch goes on and the token is kept.
    pub async fn refresh(&self) -> Result<AccessToken, FetchError> {
        let held = self.engine().refresh(self.slot()).await?;
        Ok(held.token.clone())
    }

    /// Starts to fetch a token, if there is none, without waiting for it.
    ///
    /// Without a tokio runtime the fetch advances only once somebody waits for it.
    pub fn warm_up(&self) {
        self.engine().warm_up(self.slot());
    }

    /// The handle to the same cache whose methods are about the token that `request` means.
    ///
    /// A layer that is made from it has that token for its default.
    pub fn for_request(&self, request: &TokenRequest) -> Self {
        Self {
            handle: Arc::new(Handle {
                engine: Arc::clone(self.engine()),
                slot: self.engine().slot(request),
                open: Arc::clone(&self.handle.open),
            }),
        }
    }
}

impl<P> TokenCache<P> {
    /// Ends the pause after a failure, for every key: for an operator who has mended what was wrong.
    ///
    /// A pause ends by itself; nothing has to be rebuilt or reset for the cache to recover.
    pub fn reset_backoff(&self) {
        self.engine().reset_backoff();
    }

    /// Lets no fetch begin from now on, and waits for those that have begun.
    ///
    /// Cached tokens can be used until they expire. After that callers get an error of the kind
    /// [`Closed`](crate::FetchErrorKind::Closed).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels nothing; the cache stays closed.
    pub async fn close(&self) {
        self.engine().close().await;
    }

    #[inline]
    pub(crate) fn engine(&self) -> &Arc<Engine<P>> {
        &self.handle.engine
    }

    #[inline]
    pub(crate) fn slot(&self) -> &Arc<Slot> {
        &self.handle.slot
    }
}

impl<P> Clone for TokenCache<P> {
    fn clone(&self) -> Self {
        Self {
            handle: Arc::clone(&self.handle),
        }
    }
}

impl<P> Drop for Open<P> {
    fn drop(&mut self) {
        self.engine.abandon();
    }
}

impl<P> fmt::Debug for TokenCache<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache")
            .field("request", self.slot().request())
            .finish_non_exhaustive()
    }
}

/// Settings of a [`TokenCache`].
#[must_use = "a builder does nothing until `build` is called"]
pub struct TokenCacheBuilder<P> {
    provider: P,
    // Also turned by hand where nothing else of `test-util` is there: in `interleavings`.
    pub(super) clock: Clock,
    freshness: Freshness,
    fetch_timeout: Duration,
    max_keys: usize,
}

impl<P: TokenProvider> TokenCacheBuilder<P> {
    /// How long one fetch may take before it counts as failed; 30 s unless set.
    ///
    /// The time in which a fetch waits for others to end does not count.
    pub fn with_fetch_timeout(mut self, timeout: Duration) -> Self {
        self.fetch_timeout = timeout;
        self
    }

    /// How long before its end a token is replaced; 30 s unless set.
    ///
    /// For a short-lived token, a quarter of its lifetime if that is less. In either case up to a
    /// quarter more, drawn at random for each token, so that a fleet does not refresh in step.
    pub fn with_refresh_window(mut self, window: Duration) -> Self {
        self.freshness.window = window;
        self
    }

    /// How long a token lives of which nobody said how long it does; five minutes unless set, and a year
    /// at most.
    pub fn with_default_lifetime(mut self, lifetime: Duration) -> Self {
        self.freshness.default_lifetime = lifetime;
        self
    }

    /// How many keys are kept; 10,000 unless set.
    ///
    /// When there are more, those without a usable token go first, then those that were not used for the
    /// longest time. With 256 and more it is so of an eighth of some hundred keys at a time, so that lookups
    /// need not wait. Keys in use, and those with a fetch, a pause or a rejection to remember, stay. After a
    /// moment in which nearly all had to, up to an eighth more are kept although they need not be, and what is
    /// kept becomes less only as new keys come.
    pub fn with_max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    /// Reads the time from `clock` instead of the system's.
    #[cfg(feature = "test-util")]
    pub fn with_clock(mut self, clock: ManualClock) -> Self {
        self.clock = Clock::Manual(clock);
        self
    }

    /// Makes the cache.
    pub fn build(self) -> TokenCache<P> {
        let engine = Arc::new(Engine::new(
            self.provider,
            self.clock,
            self.freshness,
            self.fetch_timeout,
            self.max_keys,
        ));
        TokenCache {
            handle: Arc::new(Handle {
                slot: engine.slot(&TokenRequest::default()),
                open: Arc::new(Open {
                    engine: Arc::clone(&engine),
                }),
                engine,
            }),
        }
    }
}

impl<P> fmt::Debug for TokenCacheBuilder<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCacheBuilder")
            .field("freshness", &self.freshness)
            .field("fetch_timeout", &self.fetch_timeout)
            .finish_non_exhaustive()
    }
}
