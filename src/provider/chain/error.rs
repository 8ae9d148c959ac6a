use std::error::Error;
use std::fmt;

use super::Name;
use crate::error::{FetchError, FetchErrorKind};
use crate::provider::may_pass;

/// No provider of a [`Chain`](super::Chain) has a token.
///
/// It is the [`source`](Error::source) of the chain's [`FetchError`]. Its own source is the failure that
/// decides the kind.
///
/// ```
/// use std::error::Error;
/// use tower_bearer::FetchError;
/// use tower_bearer::provider::ChainError;
///
/// fn log(error: &FetchError) {
///     let source = error.source().and_then(|source| source.downcast_ref::<ChainError>());
///     for (name, error) in source.iter().flat_map(|chain| chain.failures()) {
///         println!("{name}: {error}: {:?}", error.source());
///     }
/// }
/// # log(&FetchError::denied("no"));
/// ```
///
/// # Security
///
/// Its text consists of the names that were given to the providers and of the kinds of their failures.
pub struct ChainError {
    failed: Vec<(Name, FetchError)>,
}

impl ChainError {
    pub(super) fn new(failed: Vec<(Name, FetchError)>) -> Self {
        Self { failed }
    }

    /// The providers' names and failures, in the order in which they were asked.
    pub fn failures(&self) -> impl ExactSizeIterator<Item = (&str, &FetchError)> {
        self.failed.iter().map(|(name, error)| (&**name, error))
    }

    /// Says how long the cache is to stay away from all of them: until one of them may have a token.
    pub(super) fn into_fetch_error(self) -> FetchError {
        let asked = self.failures().map(|(_, error)| error.retry_after());
        // One that asked for nothing can be asked again after the ordinary pause. Until then the others are
        // left alone by `Member`.
        let retry_after = asked.min().flatten();
        let kind = self.decisive().map(FetchError::kind);
        let is_local = self.failures().all(|(_, error)| error.is_local());
        let error = match kind {
            Some(FetchErrorKind::Denied | FetchErrorKind::Closed) => FetchError::denied(self),
            Some(FetchErrorKind::InvalidRequest) => FetchError::invalid_request(self),
            _ => FetchError::unavailable(self),
        };
        let error = if is_local { error.local() } else { error };
        match retry_after {
            Some(after) => error.with_retry_after(after),
            None => error,
        }
    }

    /// The failure that is the least bad: the first that may pass by itself, else the first that concerns one
    /// key.
    fn decisive(&self) -> Option<&FetchError> {
        let errors = || self.failed.iter().map(|(_, error)| error);
        errors()
            .find(|error| may_pass(error.kind()))
            .or_else(|| errors().find(|error| error.kind() == FetchErrorKind::InvalidRequest))
            .or_else(|| errors().next())
    }
}

fn word(kind: FetchErrorKind) -> &'static str {
    match kind {
        FetchErrorKind::Unavailable => "unavailable",
        FetchErrorKind::Denied => "denied",
        FetchErrorKind::InvalidRequest => "invalid request",
        FetchErrorKind::TimedOut => "timed out",
        FetchErrorKind::Panicked => "panicked",
        FetchErrorKind::Expired => "expired",
        FetchErrorKind::Closed => "closed",
        FetchErrorKind::Other => "failed",
    }
}

impl fmt::Display for ChainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no provider of the chain has a token")?;
        for (index, (name, error)) in self.failures().enumerate() {
            let separator = if index == 0 { ": " } else { "; " };
            write!(f, "{separator}{name}: {}", word(error.kind()))?;
        }
        Ok(())
    }
}

impl fmt::Debug for ChainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failures = self.failures().map(|(name, error)| (name, error.kind()));
        f.debug_map().entries(failures).finish()
    }
}

impl Error for ChainError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.decisive().map(|error| error as _)
    }
}
