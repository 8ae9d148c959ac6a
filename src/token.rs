//! Access tokens: parsed once, at birth, into what goes on the wire.
//!
//! ```
//! use std::time::Duration;
//! use tower_bearer::AccessToken;
//!
//! let token = AccessToken::new("2YotnFZFEjr1zCsicMWpAA")?.with_expires_in(Duration::from_secs(3600));
//!
//! assert_eq!(token.header_value(), "Bearer 2YotnFZFEjr1zCsicMWpAA");
//! assert!(token.header_value().is_sensitive());
//! assert!(!format!("{token:?}").contains("2Yot"));
//!
//! // What cannot be sent is refused here, where it is made, and not when it is used.
//! assert!(AccessToken::new("with a\nline break").is_err());
//! # Ok::<(), tower_bearer::InvalidToken>(())
//! ```

use std::error::Error;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use zeroize::Zeroizing;

const SCHEME: &str = "Bearer ";

/// An OAuth 2.0 access token (RFC 6749 §1.4) of type `Bearer` (RFC 6750), ready to be sent.
///
/// Cloning is cheap. Two tokens are equal if their text is.
///
/// # Security
///
/// The text is zeroed when the last clone of the token and of its [header value](Self::header_value)
/// is dropped. A layer keeps a copy for each thread that sends, 32 at most, until a request is sent with another
/// token, or the layer, its services and their futures are dropped. What a transport copies from the header value is
/// beyond our reach.
#[derive(Clone)]
pub struct AccessToken {
    value: HeaderValue,
    lifetime: Lifetime,
    headers: Option<Arc<[(HeaderName, HeaderValue)]>>,
}

/// What is known of how long a token lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// The issuer did not say.
    Unknown,
    /// From the moment before the token was asked for.
    For(Duration),
    /// By the wall clock.
    Until(SystemTime),
    /// The provider vouches that it does not expire.
    Unlimited,
}

impl AccessToken {
    /// Parses the text of a token, without the word `Bearer`.
    ///
    /// The lifetime is unknown until [`with_expires_in`](Self::with_expires_in) or one of its kin says
    /// otherwise; the cache then uses its
    /// [default lifetime](crate::cache::TokenCacheBuilder::with_default_lifetime).
    ///
    /// # Errors
    ///
    /// If the text is empty or holds anything but visible ASCII characters (RFC 9110 §5.5 without
    /// white space and obsolete text). This is more than the `b64token` of RFC 6750 §2.1, since issuers
    /// in the field use more. White space at either end, such as the line break at the end of a file,
    /// is the caller's to trim.
    pub fn new(token: &str) -> Result<Self, InvalidToken> {
        if token.is_empty() {
            return Err(InvalidToken { position: None });
        }
        if let Some(position) = token.bytes().position(|byte| !byte.is_ascii_graphic()) {
            return Err(InvalidToken {
                position: Some(position),
            });
        }

        Ok(Self {
            value: header_value(&[SCHEME.as_bytes(), token.as_bytes()]),
            lifetime: Lifetime::Unknown,
            headers: None,
        })
    }

    /// States the lifetime, as `expires_in` does (RFC 6749 §5.1).
    ///
    /// It counts from the moment before the token was asked for, which is the cache's to know. A provider
    /// that returns a token which it has had for a while must use
    /// [`with_expires_at`](Self::with_expires_at). More than a year counts as a year.
    #[must_use]
    pub fn with_expires_in(mut self, lifetime: Duration) -> Self {
        self.lifetime = Lifetime::For(lifetime);
        self
    }

    /// States the end of the lifetime by the wall clock.
    ///
    /// Prefer [`with_expires_in`](Self::with_expires_in), which a wrong local clock does not disturb.
    #[must_use]
    pub fn with_expires_at(mut self, end: SystemTime) -> Self {
        self.lifetime = Lifetime::Until(end);
        self
    }

    /// States that the token does not expire. It can still be rejected.
    #[must_use]
    pub fn with_unlimited_lifetime(mut self) -> Self {
        self.lifetime = Lifetime::Unlimited;
        self
    }

    /// Sets a header that goes wherever this token goes, such as a client id or a quota project.
    ///
    /// A caller's own value for that header wins. `Authorization` is the token's and cannot be set.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        let others = self.headers().iter().filter(|(other, _)| *other != name);
        self.headers = Some(others.cloned().chain([(name.clone(), value)]).collect());
        self
    }

    /// The value of the `Authorization` header, marked sensitive.
    pub fn header_value(&self) -> &HeaderValue {
        &self.value
    }

    /// The text of the token, for those who must put it elsewhere than in `Authorization`.
    pub fn expose_secret(&self) -> &str {
        let text = self.value.to_str().expect("made of visible ASCII");
        &text[SCHEME.len()..]
    }

    /// The headers that go with the token.
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        self.headers.as_deref().unwrap_or_default()
    }

    #[inline]
    pub(crate) fn shared_headers(&self) -> Option<Arc<[(HeaderName, HeaderValue)]>> {
        self.headers.clone()
    }

    /// The header value with a reference count of its own.
    pub(crate) fn copy_of_header_value(&self) -> HeaderValue {
        header_value(&[self.value.as_bytes()])
    }

    /// The same for the same text within this process, and of no use elsewhere.
    pub(crate) fn keyed_hash(&self) -> u64 {
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        KEY.hash_one(self.value.as_bytes())
    }

    pub(crate) fn lifetime(&self) -> Lifetime {
        self.lifetime
    }
}

/// The value made of `parts`, which are of visible ASCII and spaces.
fn header_value(parts: &[&[u8]]) -> HeaderValue {
    // Made at its full size, so that no growing leaves a copy behind.
    let size = parts.iter().map(|part| part.len()).sum();
    let mut text = Zeroizing::new(Vec::with_capacity(size));
    for part in parts {
        text.extend_from_slice(part);
    }
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(text))
        .expect("visible ASCII is a header value");
    value.set_sensitive(true);
    value
}

impl PartialEq for AccessToken {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for AccessToken {}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

/// The text given for an access token cannot be sent in a header.
///
/// Says where the text is wrong, and never what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidToken {
    position: Option<usize>,
}

impl fmt::Display for InvalidToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            None => f.write_str("invalid access token: it is empty"),
            Some(position) => write!(
                f,
                "invalid access token: byte {position} is not a visible ASCII character \
                 (is there white space or a line break to trim?)"
            ),
        }
    }
}

impl Error for InvalidToken {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_with_control_characters_is_refused_without_being_quoted() {
        for (text, position) in [
            ("secret\nX: y", 6),
            ("secret\0", 6),
            (" secret", 0),
            ("sécret", 1),
        ] {
            let error = AccessToken::new(text).unwrap_err();
            assert_eq!(
                error,
                InvalidToken {
                    position: Some(position)
                }
            );
            assert!(!format!("{error} {error:?}").contains("cret"));
        }
        let error = AccessToken::new("").unwrap_err();
        assert_eq!(error.to_string(), "invalid access token: it is empty");
    }

    #[test]
    fn the_header_value_is_sensitive_and_so_are_its_clones() {
        let token = AccessToken::new("hunter2").unwrap();

        assert!(token.header_value().clone().is_sensitive());
        assert!(!format!("{token:?} {:?}", token.header_value()).contains("hunter2"));
        assert_eq!(token.expose_secret(), "hunter2");
    }

    #[test]
    fn the_last_word_on_the_lifetime_counts() {
        let token = AccessToken::new("t")
            .unwrap()
            .with_expires_in(Duration::from_secs(1))
            .with_expires_at(SystemTime::UNIX_EPOCH);

        assert_eq!(token.lifetime(), Lifetime::Until(SystemTime::UNIX_EPOCH));
    }

    #[test]
    fn headers_add_up_and_the_last_of_a_name_counts() {
        let token = AccessToken::new("t")
            .unwrap()
            .with_header(HeaderName::from_static("b"), HeaderValue::from_static("0"))
            .with_header(HeaderName::from_static("a"), HeaderValue::from_static("1"))
            .with_header(HeaderName::from_static("b"), HeaderValue::from_static("2"));

        let headers: Vec<_> = token
            .headers()
            .iter()
            .map(|(n, v)| (n.as_str(), v))
            .collect();
        let expected = [("a", "1"), ("b", "2")];
        assert!(
            headers
                .iter()
                .zip(expected)
                .all(|(a, b)| a.0 == b.0 && a.1 == b.1)
        );
        assert_eq!(headers.len(), 2);
    }
}
