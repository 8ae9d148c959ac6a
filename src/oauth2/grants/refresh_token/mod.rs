//! The refresh token grant, and what becomes of a refresh token that is replaced while it is used.
//!
//! | what goes on | in memory | what ends it |
//! |---|---|---|
//! | *held* | `R` | a fetch asks |
//! | *asking* with `R`, one request at a time | `R` | an answer, or the loss of it: *held* |
//! | *answered* without a refresh token, or with `R` again | `R` | at once: *held* |
//! | *answered* with `R'` | `R'`; `R` until `R'` is saved | at once: *saving*, or *held* if nothing saves it |
//! | *saving* `R'` | `R'` and `R` | saved: *held*; failed: *unsaved* |
//! | *unsaved* | `R'` and `R` | the next fetch: *held* if the source has another, else *saving*, before anything is asked |
//! | *refused* (`invalid_grant`) | `R` | the source has another: *held*; without a fallback, the next fetch: *asking* |
//!
//! `R'` is in memory before anything is awaited, and whatever else is wrong with the answer. A request on
//! its way belongs to no fetch: see [`Turns`].

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;

use super::turns::Turns;
use super::{Grant, GrantBuilder, GrantProvider, refusal_code};
use crate::error::{BoxError, FetchError};
use crate::oauth2::client::{Credential, TokenClient};
use crate::oauth2::endpoint::TokenEndpoint;
use crate::oauth2::invalid_config::InvalidConfig;
use crate::oauth2::transport::Transport;
use crate::provider::{BoxTokenProvider, FetchContext, TokenProvider};
use crate::token::AccessToken;

mod memory;
mod refresh;
mod source;

pub use self::memory::RefreshTokenRotation;
pub use self::source::RefreshTokenSource;

use self::memory::Memory;
use self::refresh::Refresh;

/// The refresh token grant (RFC 6749 §6), as a [`TokenProvider`]: the client asks
/// on behalf of whoever once gave it a refresh token.
///
/// A server may replace the refresh token with every answer (RFC 9700 §2.2.2) and take the use of a
/// replaced one for theft (§4.14.2), so
///
/// - requests are sent one at a time, whatever their scopes: no refresh token is sent while another
///   request with it is on its way;
/// - the new one is kept as soon as the answer is there, also if its access token is of no use, and
///   [saved](RefreshTokenBuilder::with_rotation_saved_by) before it is used;
/// - a request that was sent does not end with its fetch, be it at the time limit: its answer is waited for
///   and saved, and no other request is sent before.
///
/// ```
/// use tower_bearer::oauth2::{Credential, RefreshToken};
///
/// # fn refresh_token() -> String { "tGzv3JOkF0XG5Qx2TlKWIA".into() }
/// # async fn save(_: &str) -> std::io::Result<()> { Ok(()) }
/// let endpoint = "https://id.example.com/token";
/// let builder = RefreshToken::builder(endpoint, "my-app", Credential::none(), refresh_token())
///     .with_rotation_saved_by(|rotation| async move { Ok(save(rotation.expose_new()).await?) });
/// # let _ = builder;
/// ```
///
/// Clones of a builder, and the providers made of them, share the refresh token.
///
/// # Errors
///
/// As of every [`GrantProvider`]. `invalid_grant` is `Denied`, which pauses every key of a cache, since
/// they all depend on the same refresh token. See also
/// [`with_fallback`](RefreshTokenBuilder::with_fallback).
///
/// # Cancel safety
///
/// A refresh runs in a task of the tokio runtime that its fetch is polled in, and in a thread of its own where
/// there is none. So do the closures that are set here and the client secret's, which therefore must not wait
/// for a token of the same cache.
///
/// Dropping the fetch ends the refresh if nothing was sent yet. If something was, it goes on, for 30 s at most,
/// until the answer is there and what it brought has been saved; the next refresh waits for that. After a
/// request that was given up then, or that went with its runtime, the refresh token is sent again: was the
/// answer only late, or lost on its way, and the refresh token for one use, then it is lost.
pub type RefreshToken<T> = GrantProvider<RefreshTokenGrant, T>;

/// Configures [`RefreshToken`].
pub type RefreshTokenBuilder = GrantBuilder<RefreshTokenGrant>;

/// Marks the refresh token grant: see [`RefreshToken`].
#[derive(Clone)]
pub struct RefreshTokenGrant {
    source: RefreshTokenSource,
    save: Option<Save>,
    invalid_grant: InvalidGrant,
    fallback: Option<BoxTokenProvider>,
    turns: Arc<Turns>,
    // Held for no longer than it takes to look.
    memory: Arc<Mutex<Memory>>,
}

type Save =
    Arc<dyn Fn(RefreshTokenRotation) -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync>;

impl RefreshToken<()> {
    /// Starts with where to ask, as whom, and what for.
    ///
    /// A public client (RFC 6749 §2.1) has the credential [`Credential::none`]. All of it is checked by
    /// [`build`](GrantBuilder::build).
    pub fn builder(
        token_endpoint: impl Into<TokenEndpoint>,
        client_id: impl Into<String>,
        credential: impl Into<Credential>,
        refresh_token: impl Into<RefreshTokenSource>,
    ) -> RefreshTokenBuilder {
        let grant = RefreshTokenGrant {
            source: refresh_token.into(),
            save: None,
            invalid_grant: InvalidGrant::default(),
            fallback: None,
            turns: Arc::default(),
            memory: Arc::default(),
        };
        GrantBuilder::new(token_endpoint, grant).for_client(client_id, credential)
    }
}

impl RefreshTokenBuilder {
    /// Saves every new refresh token by a closure, such as into a file or a database.
    ///
    /// Without this, one that replaces another is in memory only, and lost with the process.
    ///
    /// The fetch waits for the closure, which runs on if the fetch is dropped or reaches its time limit, for
    /// 30 s at most. If it fails or panics, or does not end within that, no refresh token is lost: the new one
    /// stays in memory, as does the old one, and the closure is called again, with the same, before the next
    /// token request. So it may be called more than once for one rotation.
    ///
    /// If it fails or panics, the access token that came along is returned all the same: to withhold it
    /// would make the store's outage one of the service, and the refresh token no safer. But nothing more
    /// is asked until the closure succeeds: fetches fail as ones that may get better by themselves. Since
    /// a cache renews a token before its end, a store has that long to come back.
    ///
    /// Where several processes share a store, it should put the new one there only in the place of the
    /// [old one](RefreshTokenRotation::expose_old), and return an error if another has taken that. The
    /// [source](RefreshTokenSource::from_fn), which reads the same store, is read before the closure is
    /// called again. What it finds there is used then, and the one that could not be saved is dropped. If the
    /// first refresh token is a fixed text, nothing is read: then such an error would be one for ever.
    ///
    /// A clone of the builder that was made before this is called has no closure: what it brings is saved when a
    /// provider of this one is asked next.
    ///
    /// It must not wait for a token of this provider or its cache, which waits for it. The first refresh token is not
    /// passed to it, nor one that a source returns.
    #[must_use]
    pub fn with_rotation_saved_by<F, Fut>(mut self, save: F) -> Self
    where
        F: Fn(RefreshTokenRotation) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.grant_mut().save = Some(Arc::new(move |rotation| Box::pin(save(rotation))));
        self
    }

    /// Asks `provider`, for the same, once the token endpoint has said `invalid_grant`
    /// (RFC 6749 §5.2): the refresh token has ended or was revoked.
    ///
    /// It is asked for every token from then on. The refresh token is not tried again, until the source
    /// returns another one: a provider that logs in anew can put that where the source reads it.
    ///
    /// Without a fallback `invalid_grant` is an error, and the refresh token is tried again after the pause
    /// that follows.
    ///
    /// It is the code that counts, or [another that means it](Self::with_invalid_grant_code), with any status but
    /// 408, 429 and 5xx, and whatever the refusal is
    /// [judged](GrantBuilder::with_refusals_judged_by) to concern.
    #[must_use]
    pub fn with_fallback(mut self, provider: impl TokenProvider) -> Self {
        self.grant_mut().fallback = Some(BoxTokenProvider::new(provider));
        self
    }

    /// Takes a further `error` of the token endpoint for `invalid_grant` (RFC 6749 §5.2), where a server has
    /// another word for a refresh token that has ended or was revoked. There can be several.
    ///
    /// ```
    /// use tower_bearer::oauth2::RefreshToken;
    ///
    /// let endpoint = "https://github.com/login/oauth/access_token";
    /// let builder = RefreshToken::builder(endpoint, "my-app", "s3cret", "tGzv3JOkF0XG5Qx2TlKWIA")
    ///     .with_invalid_grant_code("bad_refresh_token");
    /// # let _ = builder;
    /// ```
    #[must_use]
    pub fn with_invalid_grant_code(mut self, code: impl Into<String>) -> Self {
        let codes = &mut self.grant_mut().invalid_grant.further_codes;
        codes.push(code.into().into());
        self
    }
}

impl Grant for RefreshTokenGrant {
    const TYPE: &'static str = "refresh_token";
    const PARAMETERS: &'static [&'static str] = &["refresh_token"];

    fn validate(&self) -> Result<(), InvalidConfig> {
        self.source.validate()
    }

    async fn fetch<T: Transport>(
        &self,
        client: &TokenClient<T>,
        cx: FetchContext,
    ) -> Result<AccessToken, FetchError> {
        let endpoint = client.endpoint().await?;
        let refresh = Refresh {
            source: self.source.clone(),
            save: self.save.clone(),
            invalid_grant: self.invalid_grant.clone(),
            falls_back: self.fallback.is_some(),
            memory: Arc::clone(&self.memory),
            client: client.detached(&endpoint),
            endpoint,
            wanted: cx.token_request().clone(),
        };
        let refreshed = self.turns.run(|sent| refresh.run(sent)).await;
        match (refreshed, &self.fallback) {
            (Err(error), Some(fallback)) if self.invalid_grant.is(&error) => {
                let token = fallback.fetch_token(cx).await;
                token.map_err(FetchError::from_provider)
            }
            (refreshed, _) => refreshed,
        }
    }
}

impl fmt::Debug for RefreshTokenGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshTokenGrant").finish_non_exhaustive()
    }
}

/// Knows a refusal that is for the refresh token's sake.
#[derive(Clone, Default)]
struct InvalidGrant {
    further_codes: Vec<Arc<str>>,
}

impl InvalidGrant {
    fn is(&self, error: &FetchError) -> bool {
        refusal_code(error).is_some_and(|code| {
            code == "invalid_grant" || self.further_codes.iter().any(|further| **further == *code)
        })
    }
}
