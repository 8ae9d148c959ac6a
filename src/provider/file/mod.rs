use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

pub use self::error::FileTokenError;
use self::error::Why;
use self::read::Reader;
use super::text::{self, Parser};
use super::{FetchContext, TokenProvider, has_ended, refuse_tenant};
use crate::clock::{Clock, Moment};
use crate::error::{BoxError, FetchError};
use crate::telemetry;
use crate::token::{AccessToken, Lifetime};

mod error;
mod read;

/// How long a token is used before the file is read again, unless set.
///
/// As in Kubernetes' own clients: a kubelet renews a token when four fifths of its life are over, which
/// is ten minutes or more.
const REREAD_AFTER: Duration = Duration::from_secs(60);

/// The shortest time to use a token before the file is read again.
const MIN_REREAD_AFTER: Duration = Duration::from_secs(1);

/// How long a token is used after it was last read, unless set: the shortest life of a Kubernetes token.
const KEPT_FOR: Duration = Duration::from_secs(600);

/// A provider that takes the token from a file which somebody else keeps up to date, such as a
/// Kubernetes [projected service account token].
///
/// The file is read at every fetch: when a minute has passed, unless
/// [set](Self::with_reread_after), and at once after a 401. White space at either end is trimmed. How long
/// the token lives is not known; it is returned with that minute for its lifetime. After a 401 with a
/// file that has not changed, the request is not sent again, since the token would be the same.
///
/// While the file cannot be read, or holds no token, as may be while it is being replaced, the last
/// token that was in it is used: for [ten minutes](Self::with_last_kept_for), unless it has ended or a
/// server rejected it. Each time there is an [event](crate::telemetry).
///
/// The file is read on a thread of its own, so that a file system which hangs holds up neither a runtime nor
/// its end; a read that takes more than ten seconds has failed. There is one such thread at a time: fetches
/// that find one wait for it to end before the file is read again. No runtime is needed. Whatever scopes or audience a
/// [`TokenRequest`](crate::TokenRequest) asks for, it is this token.
///
/// ```
/// use tower_bearer::TokenCache;
/// use tower_bearer::provider::FileToken;
///
/// let tokens = TokenCache::new(FileToken::new("/var/run/secrets/tokens/vault"));
/// ```
///
/// # Errors
///
/// A fetch fails with a [`FileTokenError`], always of the kind
/// [`Unavailable`](crate::FetchErrorKind::Unavailable): whoever writes the file may be about to, and to
/// look again costs no issuer anything. One that asks for a tenant's token fails with the kind
/// [`InvalidRequest`](crate::FetchErrorKind::InvalidRequest), and nothing is read:
/// [`map_request`](super::TokenProviderExt::map_request) can leave the tenant out.
///
/// [projected service account token]: https://kubernetes.io/docs/concepts/storage/projected-volumes/#serviceaccounttoken
pub struct FileToken {
    reader: Arc<Reader>,
    reread_after: Duration,
    kept_for: Duration,
    parser: Option<Parser>,
    last: Mutex<Option<Last>>,
}

/// The last token that was in the file.
struct Last {
    token: AccessToken,
    read_at: Moment,
}

impl FileToken {
    /// Takes the token from the file at `path`, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            reader: Arc::new(Reader::new(path.into())),
            reread_after: REREAD_AFTER,
            kept_for: KEPT_FOR,
            parser: None,
            last: Mutex::new(None),
        }
    }

    /// How long a token is used before the file is read again; 60 s unless set, and a second at least.
    ///
    /// A cache reads it somewhat earlier, in the background, and uses the token meanwhile.
    #[must_use]
    pub fn with_reread_after(mut self, interval: Duration) -> Self {
        self.reread_after = interval.max(MIN_REREAD_AFTER);
        self
    }

    /// How long a token is used after it was last in the file, while the file cannot be read; ten minutes
    /// unless set.
    ///
    /// Somebody who removes the file takes the token out of use after this time.
    #[must_use]
    pub fn with_last_kept_for(mut self, time: Duration) -> Self {
        self.kept_for = time;
        self
    }

    /// Has `parser` make a token of what is in the file, trimmed, if that is not the token itself; or
    /// state when it ends.
    ///
    /// A lifetime is best stated by [`with_expires_at`](AccessToken::with_expires_at), since the token may
    /// have been in the file for a while: that of
    /// [`with_expires_in`](AccessToken::with_expires_in) counts from when the file is read. In either case
    /// the file is read again after the time that [`with_reread_after`](Self::with_reread_after) says.
    ///
    /// A parser that panics is one that fails.
    ///
    /// # Security
    ///
    /// An error of `parser` is part of none of our texts and no [`source`](std::error::Error::source) of our
    /// error: it is to be had from [`FileTokenError::parser_error`] alone. It had better not quote what it
    /// was given all the same, as `serde_json` does in its errors.
    ///
    #[cfg_attr(feature = "oauth2", doc = "```")]
    #[cfg_attr(not(feature = "oauth2"), doc = "```ignore")]
    /// use serde_json::Value;
    /// use tower_bearer::AccessToken;
    /// use tower_bearer::provider::FileToken;
    ///
    /// let provider = FileToken::new("token.json").with_content_parsed_by(|text| {
    ///     // Without serde's error, which may quote the token.
    ///     let json: Value = serde_json::from_str(text).map_err(|_| "no JSON")?;
    ///     let token = json["access_token"].as_str().ok_or("no access_token")?;
    ///     Ok(AccessToken::new(token)?)
    /// });
    /// # let _ = provider;
    /// ```
    #[must_use]
    pub fn with_content_parsed_by(
        mut self,
        parser: impl Fn(&str) -> Result<AccessToken, BoxError> + Send + Sync + 'static,
    ) -> Self {
        self.parser = Some(Arc::new(parser));
        self
    }

    async fn read(&self) -> Result<AccessToken, FileTokenError> {
        let error = |why| FileTokenError {
            path: self.reader.path().to_owned(),
            why,
        };
        let bytes = self.reader.content().await;
        let bytes = bytes.map_err(|not_read| error(not_read.into()))?;
        let token = text::parse(&bytes, self.parser.as_ref());
        token.map_err(|why| error(Why::NoToken(why)))
    }

    /// Notes the last token, unless a read that began later has been faster.
    fn keep(&self, token: AccessToken, read_at: Moment) {
        let mut last = self.lock();
        if last
            .as_ref()
            .is_none_or(|last| last.read_at.at <= read_at.at)
        {
            *last = Some(Last { token, read_at });
        }
    }

    /// The last token that was in the file, if it can be used for a while yet.
    fn kept(&self, rejected: Option<&AccessToken>, now: Moment) -> Option<AccessToken> {
        let last = self.lock();
        let last = last.as_ref()?;
        if rejected == Some(&last.token) {
            return None;
        }
        let left = self.kept_for.checked_sub(between(last.read_at, now))?;
        let token = reread_within(last.token.clone(), self.reread_after.min(left), now.wall);
        (!left.is_zero() && !has_ended(&token, now.wall)).then_some(token)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Last>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TokenProvider for FileToken {
    async fn fetch_token(&self, cx: FetchContext) -> Result<AccessToken, BoxError> {
        refuse_tenant(&cx)?;
        let began = Clock::System.moment();
        match self.read().await {
            Ok(token) => {
                let token = end_stated(token, began.wall);
                self.keep(token.clone(), began);
                Ok(reread_within(token, self.reread_after, began.wall))
            }
            Err(error) => match self.kept(cx.rejected_token(), Clock::System.moment()) {
                Some(token) => {
                    telemetry::file_token_not_read_again();
                    Ok(token)
                }
                None => Err(FetchError::unavailable(error).local().into()),
            },
        }
    }
}

/// From a lifetime to its end, since the token may be returned again later.
fn end_stated(token: AccessToken, now: SystemTime) -> AccessToken {
    match token.lifetime() {
        Lifetime::For(lifetime) => match now.checked_add(lifetime) {
            Some(end) => token.with_expires_at(end),
            None => token.with_unlimited_lifetime(),
        },
        Lifetime::Until(_) | Lifetime::Unknown | Lifetime::Unlimited => token,
    }
}

/// The token, to be asked for again after `interval` at the latest.
fn reread_within(token: AccessToken, interval: Duration, now: SystemTime) -> AccessToken {
    match token.lifetime() {
        Lifetime::Until(end) if now.checked_add(interval).is_none_or(|until| end <= until) => token,
        _ => token.with_expires_in(interval),
    }
}

/// The longer of the two times that the clocks tell: where the system has no better one, the first stands
/// still while the host is suspended, and the second may be set.
fn between(earlier: Moment, later: Moment) -> Duration {
    let by_wall = later.wall.duration_since(earlier.wall);
    later.at.since(earlier.at).max(by_wall.unwrap_or_default())
}

impl fmt::Debug for FileToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileToken")
            .field("path", &self.reader.path())
            .field("reread_after", &self.reread_after)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later(moment: Moment, seconds: u64) -> Moment {
        let duration = Duration::from_secs(seconds);
        Moment {
            at: moment.at.after(duration),
            wall: moment.wall + duration,
        }
    }

    fn token(text: &str) -> AccessToken {
        AccessToken::new(text).unwrap()
    }

    fn lifetime_kept(file: &FileToken, now: Moment) -> Option<Lifetime> {
        file.kept(None, now).map(|token| token.lifetime())
    }

    #[test]
    fn the_last_token_is_kept_for_ten_minutes_and_no_longer() {
        let file = FileToken::new("x");
        let read_at = Clock::System.moment();
        assert_eq!(lifetime_kept(&file, read_at), None);
        file.keep(token("a"), read_at);

        let seconds = |seconds| Some(Lifetime::For(Duration::from_secs(seconds)));
        assert_eq!(lifetime_kept(&file, later(read_at, 1)), seconds(60));
        assert_eq!(lifetime_kept(&file, later(read_at, 599)), seconds(1));
        assert_eq!(lifetime_kept(&file, later(read_at, 600)), None);

        // By whichever clock says that they are over.
        let suspended = Moment {
            at: read_at.at,
            wall: later(read_at, 600).wall,
        };
        assert_eq!(lifetime_kept(&file, suspended), None);
        let set_back = Moment {
            at: later(read_at, 600).at,
            wall: read_at.wall,
        };
        assert_eq!(lifetime_kept(&file, set_back), None);
    }

    #[test]
    fn a_token_that_was_rejected_is_not_kept() {
        let file = FileToken::new("x");
        let now = Clock::System.moment();
        file.keep(token("a"), now);

        assert_eq!(file.kept(Some(&token("a")), now), None);
        assert_eq!(file.kept(Some(&token("b")), now), Some(token("a")));
    }

    #[test]
    fn a_token_is_not_kept_beyond_its_end() {
        let file = FileToken::new("x");
        let now = Clock::System.moment();
        let end = later(now, 90).wall;
        file.keep(token("a").with_expires_at(end), now);

        let minute = Some(Lifetime::For(Duration::from_secs(60)));
        assert_eq!(lifetime_kept(&file, now), minute);
        assert_eq!(
            lifetime_kept(&file, later(now, 89)),
            Some(Lifetime::Until(end))
        );
        assert_eq!(lifetime_kept(&file, later(now, 90)), None);
    }

    #[test]
    fn a_slow_read_does_not_replace_what_a_later_one_found() {
        let file = FileToken::new("x");
        let now = Clock::System.moment();
        file.keep(token("new"), later(now, 1));
        file.keep(token("old"), now);

        assert_eq!(file.kept(None, later(now, 1)), Some(token("new")));
    }
}
