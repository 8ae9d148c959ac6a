//! Where a token may go.
//!
//! An [`Origin`] is the scheme, host and port of a URI (RFC 6454 §4). A layer is made for one or several
//! of them, or for every `https` origin; a request to any other carries no token.
//!
//! ```
//! use tower_bearer::Origin;
//!
//! assert_eq!(Origin::new("https://API.example.com")?, Origin::new("https://api.example.com:443/")?);
//!
//! // Tokens go over TLS, or do not leave the host, unless one says otherwise.
//! assert!(Origin::new("http://127.0.0.1:8080").is_ok());
//! assert!(Origin::new("http://api.internal").is_err());
//! assert!(Origin::new_insecure_http("http://api.internal").is_ok());
//! # Ok::<(), tower_bearer::origin::InvalidOrigin>(())
//! ```

use std::error::Error;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use http::Uri;
use http::uri::{Authority, Scheme};

/// The scheme, host and port of a URI.
#[derive(Clone, Debug)]
pub struct Origin {
    https: bool,
    /// In lower case; an IPv6 address in brackets.
    host: String,
    port: u16,
    /// As it was given.
    authority: String,
    /// The [ends] of that, which tell most names apart.
    ends: (u64, u64),
}

impl Origin {
    /// Parses an origin such as `https://api.example.com` or `http://localhost:8080`.
    ///
    /// # Errors
    ///
    /// If it is not an absolute `http` or `https` URI without user info, path and query, or if it is
    /// `http` and the host is not a loopback address or `localhost`.
    pub fn new(origin: &str) -> Result<Self, InvalidOrigin> {
        let parsed = Self::new_insecure_http(origin)?;
        if parsed.https || is_loopback(&parsed.host) {
            Ok(parsed)
        } else {
            Err(InvalidOrigin {
                kind: InvalidOriginKind::Insecure,
            })
        }
    }

    /// Parses an origin that may be plain `http` on any host.
    ///
    /// # Security
    ///
    /// Whoever is on the way to such a host can read the token and use it.
    ///
    /// # Errors
    ///
    /// As those of [`new`](Self::new), other than for plain `http`.
    pub fn new_insecure_http(origin: &str) -> Result<Self, InvalidOrigin> {
        let invalid = |kind| InvalidOrigin { kind };
        let uri: Uri = origin
            .parse()
            .map_err(|_| invalid(InvalidOriginKind::NotAUri))?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(invalid(InvalidOriginKind::NotAbsolute));
        };
        // `http::Uri` drops a fragment.
        if origin.contains(['@', '?', '#']) || !matches!(uri.path(), "" | "/") {
            return Err(invalid(InvalidOriginKind::MoreThanAnOrigin));
        }
        if !is_host(authority.host()) {
            return Err(invalid(InvalidOriginKind::NotAUri));
        }
        let https = is_https(scheme).ok_or(invalid(InvalidOriginKind::Scheme))?;
        Ok(Self {
            https,
            host: authority.host().to_ascii_lowercase(),
            port: port(authority, https).ok_or(invalid(InvalidOriginKind::NotAUri))?,
            authority: authority.as_str().to_owned(),
            ends: ends(authority.as_str()),
        })
    }

    /// Whether `authority` is what this one was given as.
    #[inline(always)] // See `BearerAuth::begin`.
    fn is_spelled(&self, https: bool, authority: &str, its_ends: (u64, u64)) -> bool {
        self.https == https
            && self.ends == its_ends
            && self.authority.len() == authority.len()
            // Of so few there is nothing between the ends.
            && (matches!(authority.len(), 8..=16) || self.authority == authority)
    }

    fn matches(&self, https: bool, authority: &Authority) -> bool {
        self.https == https
            && port(authority, https) == Some(self.port)
            && authority.host().eq_ignore_ascii_case(&self.host)
    }
}

/// The first eight bytes and the last, or nothing of what is shorter.
#[inline(always)] // See `BearerAuth::begin`.
fn ends(text: &str) -> (u64, u64) {
    let text = text.as_bytes();
    match (text.first_chunk(), text.last_chunk()) {
        (Some(first), Some(last)) => (u64::from_ne_bytes(*first), u64::from_ne_bytes(*last)),
        _ => (0, 0),
    }
}

fn is_https(scheme: &Scheme) -> Option<bool> {
    if *scheme == Scheme::HTTPS {
        Some(true)
    } else if *scheme == Scheme::HTTP {
        Some(false)
    } else {
        None
    }
}

/// `None` for a port that is none, such as 99999, which `http::Uri` lets pass.
fn port(authority: &Authority, https: bool) -> Option<u16> {
    let text = authority.as_str();
    let (_, place) = text.rsplit_once('@').unwrap_or(("", text));
    let digits = match place.strip_prefix(authority.host())? {
        "" | ":" => return Some(if https { 443 } else { 80 }),
        port => port.strip_prefix(':')?,
    };
    // `u16` takes a sign.
    let is_port = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_port)
}

/// `http::Uri` lets some pass that are none, and then takes them apart in odd places.
fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        Some(rest) => ipv6(rest).is_some(),
        None => !host.is_empty() && !host.contains(['[', ']']),
    }
}

/// Whether what is sent to `host` stays on this host. Names are not looked up.
pub(crate) fn is_loopback(host: &str) -> bool {
    if host.eq_ignore_ascii_case("localhost") {
        return true;
    }
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return address.is_loopback();
    }
    host.strip_prefix('[')
        .and_then(ipv6)
        .is_some_and(|address| address.is_loopback())
}

/// What follows the opening bracket.
fn ipv6(rest: &str) -> Option<Ipv6Addr> {
    rest.strip_suffix(']')?.parse().ok()
}

impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        (self.https, &self.host, self.port) == (other.https, &other.host, other.port)
    }
}

impl Eq for Origin {}

impl TryFrom<&str> for Origin {
    type Error = InvalidOrigin;

    fn try_from(origin: &str) -> Result<Self, InvalidOrigin> {
        Self::new(origin)
    }
}

impl TryFrom<&String> for Origin {
    type Error = InvalidOrigin;

    fn try_from(origin: &String) -> Result<Self, InvalidOrigin> {
        Self::new(origin)
    }
}

impl TryFrom<String> for Origin {
    type Error = InvalidOrigin;

    fn try_from(origin: String) -> Result<Self, InvalidOrigin> {
        Self::new(&origin)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

/// The origins that one layer may send tokens to.
#[derive(Clone, Debug)]
pub(crate) struct Origins {
    named: Vec<Origin>,
    /// Which of the named ones a URI is likely to be of, by the [`place`] of its authority: so eight take no longer than
    /// one.
    guesses: [u8; PLACES],
    every_https: bool,
    pub(crate) relative: bool,
}

const PLACES: usize = 64;

/// A number that is the same for the same ends.
#[inline(always)] // See `BearerAuth::begin`.
fn place(ends: (u64, u64)) -> usize {
    // Fibonacci hashing. Of eight bytes both ends are the same, and would be nothing by `^`.
    let hash = (ends.0.wrapping_add(ends.1)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (hash >> (u64::BITS - PLACES.ilog2())) as usize
}

impl Origins {
    pub(crate) fn none() -> Self {
        Self {
            named: Vec::new(),
            guesses: [0; PLACES],
            every_https: false,
            relative: false,
        }
    }

    pub(crate) fn every_https() -> Self {
        Self {
            every_https: true,
            ..Self::none()
        }
    }

    pub(crate) fn push(&mut self, origin: Origin) {
        if let Ok(number) = self.named.len().try_into() {
            self.guesses[place(origin.ends)] = number;
        }
        self.named.push(origin);
    }

    /// Whether a request for `uri` may carry a token.
    #[inline(always)] // See `BearerAuth::begin`.
    pub(crate) fn allow(&self, uri: &Uri) -> bool {
        match (uri.scheme_str(), uri.authority()) {
            (Some(scheme), Some(authority)) => {
                let (https, text) = match scheme {
                    "https" if self.every_https => return true,
                    "https" => (true, authority.as_str()),
                    "http" => (false, authority.as_str()),
                    _ => return false,
                };
                // Nearly all requests spell the origin as it was named; taking an authority apart costs more
                // than all the rest of a hit.
                let ends = ends(text);
                let guess = self.named.get(usize::from(self.guesses[place(ends)]));
                guess.is_some_and(|origin| origin.is_spelled(https, text, ends))
                    || self.allow_unguessed(https, authority)
            }
            (None, None) => self.relative,
            // The target of CONNECT (RFC 9110 §9.3.6): for a proxy, not for the origin.
            _ => false,
        }
    }

    #[cold]
    fn allow_unguessed(&self, https: bool, authority: &Authority) -> bool {
        let (text, named) = (authority.as_str(), &self.named);
        let ends = ends(text);
        let is_spelled = |origin: &Origin| origin.is_spelled(https, text, ends);
        named.iter().any(is_spelled) || named.iter().any(|origin| origin.matches(https, authority))
    }
}

/// What was given for an [`Origin`] is none, or not a safe one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidOrigin {
    kind: InvalidOriginKind,
}

/// What is wrong with an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvalidOriginKind {
    /// It does not parse as a URI.
    NotAUri,
    /// It has no scheme or no host.
    NotAbsolute,
    /// It has user info, a path, a query or a fragment.
    MoreThanAnOrigin,
    /// Its scheme is neither `https` nor `http`.
    Scheme,
    /// It is plain `http` and not on the loopback interface.
    Insecure,
}

impl InvalidOrigin {
    /// What is wrong.
    pub fn kind(&self) -> InvalidOriginKind {
        self.kind
    }
}

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What was given is not quoted: its user info may hold a password.
        f.write_str("invalid origin: ")?;
        f.write_str(match self.kind {
            InvalidOriginKind::NotAUri => "not a URI such as `https://api.example.com`",
            InvalidOriginKind::NotAbsolute => {
                "scheme or host is missing; expected such as `https://api.example.com`"
            }
            InvalidOriginKind::MoreThanAnOrigin => {
                "only scheme, host and port are allowed; remove user info, path, query and fragment"
            }
            InvalidOriginKind::Scheme => "the scheme must be `https` or `http`",
            InvalidOriginKind::Insecure => {
                "plain http would show tokens to the network; use https, or \
                 `Origin::new_insecure_http` if that is intended"
            }
        })
    }
}

impl Error for InvalidOrigin {}

impl From<std::convert::Infallible> for InvalidOrigin {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests;
