use std::collections::VecDeque;
use std::fmt;
use std::future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::gate::{Gate, wait_for};
use crate::error::{BoxError, FetchError, FetchErrorKind};
use crate::provider::{FetchContext, TokenProvider};
use crate::token::AccessToken;

/// How long the tokens live of which nothing else is said.
const LIFETIME: Duration = Duration::from_secs(3600);

/// A [`TokenProvider`] that answers as a script says, and keeps what it was asked.
///
/// When the script is at its end, and for one without a script from the first, the n-th fetch gets the token
/// `token-n`, for an hour. Clones are the same provider: give one to the layer or the cache, and keep
/// another to look at. Works on any executor, needs no runtime.
///
/// ```
/// use tower_bearer::testing::{Answer, ScriptedProvider};
/// use tower_bearer::{FetchErrorKind, TokenCache, TokenRequest};
///
/// # futures_executor::block_on(async {
/// let provider = ScriptedProvider::answering([Answer::failure(FetchErrorKind::Denied)]);
/// let cache = TokenCache::new(provider.clone());
///
/// let error = cache.token().await.unwrap_err();
/// assert_eq!(error.kind(), FetchErrorKind::Denied);
///
/// // The failure has a pause, in which nobody is asked.
/// assert!(cache.token().await.is_err());
/// assert_eq!(provider.fetches(), 1);
///
/// cache.reset_backoff();
/// assert_eq!(cache.token().await.unwrap().expose_secret(), "token-2");
/// assert_eq!(*provider.asked()[1].token_request(), TokenRequest::default());
/// # });
/// ```
#[derive(Clone)]
pub struct ScriptedProvider {
    shared: Arc<Shared>,
}

struct Shared {
    asked: watch::Sender<Vec<FetchContext>>,
    script: Mutex<Script>,
    gate: Gate,
}

struct Script {
    answers: VecDeque<Answer>,
    always: Option<Arc<dyn Fn() -> Answer + Send + Sync>>,
    lifetime: Option<Duration>,
}

impl ScriptedProvider {
    /// A provider without a script: `token-1`, `token-2` and so on.
    pub fn new() -> Self {
        Self::answering([])
    }

    /// A provider that gives these answers first, one to each fetch.
    pub fn answering(script: impl IntoIterator<Item = Answer>) -> Self {
        let gate = Gate::new();
        gate.open();
        let script = Script {
            answers: script.into_iter().collect(),
            always: None,
            lifetime: Some(LIFETIME),
        };
        Self {
            shared: Arc::new(Shared {
                asked: watch::Sender::default(),
                script: Mutex::new(script),
                gate,
            }),
        }
    }

    /// Adds an answer to the end of the script.
    pub fn push(&self, answer: impl Into<Answer>) {
        self.script().answers.push_back(answer.into());
    }

    /// Answers so whenever the script is at its end, from now on: `answer` is called for each fetch.
    ///
    /// ```
    /// use tower_bearer::FetchErrorKind;
    /// use tower_bearer::testing::{Answer, ScriptedProvider};
    ///
    /// let provider = ScriptedProvider::new();
    /// provider.answer_always(|| Answer::failure(FetchErrorKind::Unavailable));
    /// ```
    ///
    /// If `answer` panics, the fetch does.
    pub fn answer_always(&self, answer: impl Fn() -> Answer + Send + Sync + 'static) {
        self.script().always = Some(Arc::new(answer));
    }

    /// Sets how long the tokens live that come when the script is at its end; `None` leaves it unsaid.
    pub fn set_lifetime(&self, lifetime: impl Into<Option<Duration>>) {
        self.script().lifetime = lifetime.into();
    }

    /// Holds all answers from now on. A fetch takes its answer of the script when it begins, and not when it is
    /// let go.
    pub fn hold(&self) {
        self.shared.gate.shut();
    }

    /// Lets the answers go that are held, and those to come.
    pub fn release(&self) {
        self.shared.gate.open();
    }

    /// How many fetches have begun.
    pub fn fetches(&self) -> usize {
        self.shared.asked.borrow().len()
    }

    /// What each fetch was told, in the order in which they began.
    pub fn asked(&self) -> Vec<FetchContext> {
        self.shared.asked.borrow().clone()
    }

    /// Waits until at least so many fetches have begun.
    ///
    /// # Panics
    ///
    /// After a minute, so that a test that waits in vain says so.
    pub async fn wait_for_fetches(&self, at_least: usize) {
        wait_for(&self.shared.asked, "fetches", at_least, Vec::len).await;
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        let script = self.shared.script.lock();
        script.unwrap_or_else(PoisonError::into_inner)
    }
}

impl TokenProvider for ScriptedProvider {
    async fn fetch_token(&self, cx: FetchContext) -> Result<AccessToken, BoxError> {
        let (next, always, lifetime, number) = {
            // Held meanwhile, so that the answers go in the order of the fetches.
            let mut script = self.script();
            let mut number = 0;
            self.shared.asked.send_modify(|asked| {
                asked.push(cx);
                number = asked.len();
            });
            let next = script.answers.pop_front();
            (next, script.always.clone(), script.lifetime, number)
        };
        let answer = next.or_else(|| Some(always?())).unwrap_or_else(|| {
            let token = token(&format!("token-{number}"));
            match lifetime {
                Some(lifetime) => token.with_expires_in(lifetime).into(),
                None => token.into(),
            }
        });
        self.shared.gate.pass().await;
        answer.given().await
    }
}

impl Default for ScriptedProvider {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ScriptedProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedProvider")
            .field("fetches", &self.fetches())
            .finish_non_exhaustive()
    }
}

/// What a [`ScriptedProvider`] does with one fetch.
///
/// Made of an [`AccessToken`], a [`FetchError`] or a `Result` by `into()`, or by one of its functions.
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::testing::{Answer, ScriptedProvider};
/// use tower_bearer::{AccessToken, FetchError};
///
/// let short = AccessToken::new("abc")?.with_expires_in(Duration::from_secs(1));
/// let busy = FetchError::unavailable("busy").with_retry_after(Duration::from_secs(60));
/// let provider = ScriptedProvider::answering([short.into(), busy.into(), Answer::panic()]);
/// # let _ = provider;
/// # Ok::<(), tower_bearer::InvalidToken>(())
/// ```
#[derive(Debug)]
#[must_use = "an answer is given by a `ScriptedProvider`"]
pub struct Answer {
    outcome: Outcome,
    gate: Option<Gate>,
}

enum Outcome {
    Returns(Result<AccessToken, BoxError>),
    Panics,
    Hangs,
}

impl Answer {
    /// A token with this text, for an hour.
    ///
    /// # Panics
    ///
    /// If the text cannot be a token: see [`AccessToken::new`].
    #[track_caller]
    pub fn token(text: &str) -> Self {
        token(text).with_expires_in(LIFETIME).into()
    }

    /// A failure of this kind.
    pub fn failure(kind: FetchErrorKind) -> Self {
        FetchError::new(kind).into()
    }

    /// An error that is no [`FetchError`], as a provider of anybody's may return.
    pub fn error(error: impl Into<BoxError>) -> Self {
        Outcome::Returns(Err(error.into())).into()
    }

    /// A panic of the provider.
    pub fn panic() -> Self {
        Outcome::Panics.into()
    }

    /// No answer ever.
    pub fn hang() -> Self {
        Outcome::Hangs.into()
    }

    /// Waits until the gate is open.
    pub fn after(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    async fn given(self) -> Result<AccessToken, BoxError> {
        if let Some(gate) = &self.gate {
            gate.pass().await;
        }
        match self.outcome {
            Outcome::Returns(result) => result,
            Outcome::Panics => panic!("the script says that the provider panics"),
            Outcome::Hangs => future::pending().await,
        }
    }
}

impl From<Outcome> for Answer {
    fn from(outcome: Outcome) -> Self {
        let gate = None;
        Self { outcome, gate }
    }
}

impl From<AccessToken> for Answer {
    fn from(token: AccessToken) -> Self {
        Outcome::Returns(Ok(token)).into()
    }
}

impl From<FetchError> for Answer {
    fn from(error: FetchError) -> Self {
        Outcome::Returns(Err(error.into())).into()
    }
}

impl From<Result<AccessToken, BoxError>> for Answer {
    fn from(result: Result<AccessToken, BoxError>) -> Self {
        Outcome::Returns(result).into()
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An error is somebody else's and may hold anything.
        f.write_str(match self {
            Self::Returns(Ok(_)) => "token",
            Self::Returns(Err(_)) => "error",
            Self::Panics => "panic",
            Self::Hangs => "hang",
        })
    }
}

#[track_caller]
fn token(text: &str) -> AccessToken {
    match AccessToken::new(text) {
        Ok(token) => token,
        Err(error) => panic!("{error}"),
    }
}
