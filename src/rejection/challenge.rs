//! What a server says of why it wants a token, or another one.

use std::fmt;

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

/// What is kept of one response.
const CHALLENGES: usize = 16;
/// What is kept of one challenge.
const PARAMETERS: usize = 32;
/// The bytes of text that are kept of one response.
const TEXT: usize = 16 * 1024;

/// Shown as they are. Any other word may be a token that a server echoes.
const KNOWN_SCHEMES: [&str; 8] = [
    "Basic",
    "Bearer",
    "Digest",
    "DPoP",
    "GNAP",
    "Negotiate",
    "NTLM",
    "OAuth",
];
const KNOWN_PARAMETERS: [&str; 12] = [
    "algs",
    "authorization_uri",
    "charset",
    "claims",
    "client_id",
    "error",
    "error_description",
    "error_uri",
    "realm",
    "resource_metadata",
    "scope",
    "service",
];

/// One challenge of a `WWW-Authenticate` field (RFC 9110 §11.6.1).
///
/// ```
/// use http::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
/// use tower_bearer::rejection::Challenge;
///
/// let field = HeaderValue::from_static(r#"Basic realm="a, b", Bearer error="invalid_token""#);
/// let headers = HeaderMap::from_iter([(WWW_AUTHENTICATE, field)]);
///
/// let challenges = Challenge::parse_all(&headers);
/// assert_eq!(challenges[0].realm(), Some("a, b"));
/// let bearer = challenges.iter().find(|challenge| challenge.is_bearer());
/// assert_eq!(bearer.and_then(Challenge::error), Some("invalid_token"));
/// ```
///
/// # Security
///
/// All of it is the server's text and untrusted: a server may name a scope that the caller should not ask
/// for and metadata that lead elsewhere, or echo the token. Therefore `Debug` shows no values, and of
/// schemes and parameter names only well-known ones.
#[derive(Clone, PartialEq, Eq)]
pub struct Challenge {
    scheme: String,
    token68: Option<String>,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// All challenges of a response, in order, whatever is wrong with some of them.
    ///
    /// Never fails: an element that makes no sense is left out, and what follows the next comma outside of
    /// quotes is read again. Each field is read for itself. A value without quotes reaches to the next
    /// comma, a quote that is never closed to the end of the field, and what is not UTF-8 becomes U+FFFD.
    ///
    /// Of one response, 16 challenges of 32 parameters each are kept, and 16 KiB of text. A parameter
    /// that does not fit is left out.
    pub fn parse_all(headers: &HeaderMap) -> Vec<Self> {
        let mut list = List {
            challenges: Vec::new(),
            room: TEXT,
        };
        for field in headers.get_all(WWW_AUTHENTICATE) {
            list.read_field(field.as_bytes());
        }
        list.challenges
    }

    /// The scheme as it was written, such as `Bearer`.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Whether the scheme is `Bearer` (RFC 6750 §3), in any case.
    pub fn is_bearer(&self) -> bool {
        self.scheme.eq_ignore_ascii_case("Bearer")
    }

    /// What follows the scheme, if it is one word instead of parameters, such as `Negotiate oRQ=`.
    ///
    /// `abc=` is read as such a word, and not as a parameter without a value (RFC 9110 §11.2).
    pub fn token68(&self) -> Option<&str> {
        self.token68.as_deref()
    }

    /// The value of a parameter, out of its quotes. The name is compared in any case, and the first of
    /// several counts.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// All parameters, in order, names as they were written.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parameters
            .iter()
            .map(|(name, value)| (&**name, &**value))
    }

    /// Which part of the server this is about (RFC 9110 §11.5).
    pub fn realm(&self) -> Option<&str> {
        self.parameter("realm")
    }

    /// The scopes that the resource needs (RFC 6750 §3).
    pub fn scope(&self) -> Option<&str> {
        self.parameter("scope")
    }

    /// The code of the error, such as `invalid_token` (RFC 6750 §3.1).
    pub fn error(&self) -> Option<&str> {
        self.parameter("error")
    }

    /// The error in words, for developers (RFC 6750 §3).
    pub fn error_description(&self) -> Option<&str> {
        self.parameter("error_description")
    }

    /// A page about the error, for people (RFC 6750 §3).
    pub fn error_uri(&self) -> Option<&str> {
        self.parameter("error_uri")
    }

    /// Where the protected resource describes itself (RFC 9728 §5.1).
    pub fn resource_metadata(&self) -> Option<&str> {
        self.parameter("resource_metadata")
    }

    /// The claims that a new token must have, as Microsoft's continuous access evaluation asks for.
    pub fn claims(&self) -> Option<&str> {
        self.parameter("claims")
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.parameters().map(|(name, _)| name);
        let names: Vec<_> = names.map(|name| known(&KNOWN_PARAMETERS, name)).collect();
        f.debug_struct("Challenge")
            .field("scheme", &known(&KNOWN_SCHEMES, &self.scheme))
            .field("parameters", &names)
            .finish_non_exhaustive()
    }
}

fn known(known: &[&'static str], word: &str) -> &'static str {
    let mut known = known.iter();
    known
        .find(|known| known.eq_ignore_ascii_case(word))
        .unwrap_or(&"[unknown]")
}

/// What is kept, and how much more may be.
struct List {
    challenges: Vec<Challenge>,
    room: usize,
}

impl List {
    fn read_field(&mut self, mut field: &[u8]) {
        // Whether there is a challenge of this field that a parameter can belong to.
        let mut takes_parameters = false;
        while !field.is_empty() {
            let (element, rest) = field.split_at(element_length(field));
            field = rest.get(1..).unwrap_or_default();

            let mut parameters = element.trim_ascii();
            if let Some((scheme, rest)) = split_scheme(parameters) {
                let (token68, rest) = split_token68(rest);
                takes_parameters = self.add_challenge(scheme, token68);
                parameters = rest;
            }
            if takes_parameters {
                self.read_parameters(parameters);
            }
        }
    }

    fn add_challenge(&mut self, scheme: &[u8], token68: &[u8]) -> bool {
        let [scheme, token68] = [scheme, token68].map(text);
        let fits = self.challenges.len() < CHALLENGES && self.takes(scheme.len() + token68.len());
        if fits {
            self.challenges.push(Challenge {
                scheme,
                token68: Some(token68).filter(|text| !text.is_empty()),
                parameters: Vec::new(),
            });
        }
        fits
    }

    /// More than one only if they lack the comma between them: `realm="a" error="b"`.
    fn read_parameters(&mut self, mut parameters: &[u8]) {
        while let Some((name, value)) = split_name(parameters) {
            if value.starts_with(b"\"") {
                let (quoted, rest) = split_quoted(value);
                self.add_parameter(name, &unescaped(quoted));
                parameters = rest;
            } else {
                self.add_parameter(name, value);
                return;
            }
        }
    }

    fn add_parameter(&mut self, name: &[u8], value: &[u8]) {
        let [name, value] = [name, value].map(text);
        let count = |challenge: &Challenge| challenge.parameters.len();
        let fits = self.challenges.last().map(count) < Some(PARAMETERS);
        if fits && self.takes(name.len() + value.len()) {
            let challenge = self.challenges.last_mut();
            challenge
                .expect("a parameter belongs to a challenge")
                .parameters
                .push((name, value));
        }
    }

    fn takes(&mut self, length: usize) -> bool {
        let left = self.room.checked_sub(length);
        self.room = left.unwrap_or(self.room);
        left.is_some()
    }
}

/// Up to the next comma outside of quotes. A quote opens only where a value may begin, so that a stray one
/// within a word does not hide what follows.
fn element_length(text: &[u8]) -> usize {
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b',' => break,
            b'"' if matches!(text[..at].last(), None | Some(b'=' | b' ' | b'\t')) => {
                at = text.len() - split_quoted(&text[at..]).1.len();
            }
            _ => at += 1,
        }
    }
    at
}

/// A word with nothing after it but white space, other than the name of a parameter.
fn split_scheme(element: &[u8]) -> Option<(&[u8], &[u8])> {
    let (scheme, rest) = split_token(element)?;
    let trimmed = rest.trim_ascii_start();
    let is_one = rest.is_empty() || trimmed.len() < rest.len() && !trimmed.starts_with(b"=");
    is_one.then_some((scheme, trimmed))
}

/// The name of a parameter, and what follows the `=` and white space.
fn split_name(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, rest) = split_token(text.trim_ascii_start())?;
    let value = rest.trim_ascii_start().strip_prefix(b"=")?;
    Some((name, value.trim_ascii_start()))
}

/// RFC 9110 §5.6.2.
fn split_token(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let is_tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let length = text.iter().take_while(|byte| is_tchar(byte)).count();
    (length > 0).then(|| text.split_at(length))
}

/// What is within the quotes at the start of `text`, still escaped (RFC 9110 §5.6.4), and what follows.
fn split_quoted(text: &[u8]) -> (&[u8], &[u8]) {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'"' => return (&text[1..at], &text[at + 1..]),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    (&text[1..], b"")
}

fn unescaped(quoted: &[u8]) -> Vec<u8> {
    let mut bytes = quoted.iter();
    let mut unescaped = Vec::with_capacity(quoted.len());
    while let Some(&byte) = bytes.next() {
        let escaped = if byte == b'\\' { bytes.next() } else { None };
        unescaped.push(*escaped.unwrap_or(&byte));
    }
    unescaped
}

/// All of `text`, which begins with no `=`, or nothing of it (RFC 9110 §11.2).
fn split_token68(text: &[u8]) -> (&[u8], &[u8]) {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let word = &text[..text.len() - padding];
    let is_of_it = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte);
    let is_one = word.iter().all(is_of_it);
    text.split_at(if is_one { text.len() } else { 0 })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
