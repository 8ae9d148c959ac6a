//! Tokens from the server that a cloud platform runs beside its machines: no client, no secret, and
//! whoever runs on the machine gets one.
//!
//! [`GceMetadata`] is Google's, on Compute Engine, GKE and Cloud Run; [`AzureManagedIdentity`] is Azure's, on
//! virtual machines, App Service and Container Apps.
//!
//! ```
//! use tower_bearer::TokenCache;
//! use tower_bearer::oauth2::metadata::GceMetadata;
//! # use bytes::Bytes;
//! # use http_body_util::Full;
//! # use hyper_util::{client::legacy::Client, rt::TokioExecutor};
//!
//! let transport = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
//! let provider = GceMetadata::builder()
//!     .with_scope("https://www.googleapis.com/auth/pubsub")
//!     .build(transport)?;
//! let tokens = TokenCache::new(provider);
//! # let _ = tokens;
//! # Ok::<(), tower_bearer::oauth2::InvalidConfig>(())
//! ```
//!
//! # Errors
//!
//! Every error is a [`FetchError`](crate::FetchError) whose source is a
//! [`TokenEndpointError`]:
//!
//! | answer | [`FetchErrorKind`](crate::FetchErrorKind) |
//! |---|---|
//! | none, 408, 429, 5xx, a redirect, no token, more than 1 MiB | `Unavailable` |
//! | what answers is not the metadata server | `Unavailable` |
//! | any other 4xx | `Denied` |
//!
//! And for Azure, 404 and 410 are `Unavailable`, since the service says so while it is updated, and the
//! errors `invalid_resource`, `invalid_scope` and `invalid_target` are `InvalidRequest`. A
//! [`TokenRequest`](crate::TokenRequest) for what such a server cannot be asked for is `InvalidRequest`, and
//! nothing is sent.
//!
//! # Security
//!
//! - These servers speak plain `http`, on an address that is not routed. That is allowed for the hosts that
//!   each provider names, and for no others.
//! - **The transport must not use a proxy**, whether configured or by `HTTP_PROXY` in the environment: the
//!   proxy would get its own machine's token, or see ours. A reqwest client needs
//!   `ClientBuilder::no_proxy()`.
//! - Nor must it follow redirects.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::response::Parts;
use http::{Request, Uri};
use http_body_util::Full;

use super::answer::members::Answer;
use super::answer::redact::Redactor;
use super::answer::retry_after::date;
use super::answer::{lifetime, response};
use super::endpoint::Endpoint;
use super::error::Asked;
use super::error::{TokenEndpointError, TokenEndpointErrorKind};
use super::invalid_config::{InvalidConfig, InvalidConfigKind};
use super::transport::{Transport, get};
use crate::origin::is_loopback;
use crate::token::AccessToken;

mod azure;
mod gce;

pub use self::azure::{AzureManagedIdentity, AzureManagedIdentityBuilder};
pub use self::gce::{GceMetadata, GceMetadataBuilder};

/// A metadata server, and over what it is asked.
struct MetadataServer<T> {
    asked: Asked,
    endpoint: Endpoint,
    // A mutex, so that a transport need not be `Sync`. Held to clone it, no longer.
    transport: Mutex<T>,
}

impl<T: Transport> MetadataServer<T> {
    /// A request with this query.
    fn request(
        &self,
        query: &str,
        name: HeaderName,
        value: HeaderValue,
    ) -> Result<Request<Full<Bytes>>, TokenEndpointError> {
        let uri = format!("{}?{query}", self.endpoint.name());
        // A URL and a query that was encoded are one, up to the longest that `Uri` takes.
        let uri: Uri = uri.parse().map_err(|_| {
            let error = TokenEndpointError::new(TokenEndpointErrorKind::NotSent);
            error.with_text("its URL would be longer than 65534 bytes".to_owned())
        })?;
        let mut request = get(uri);
        request.headers_mut().insert(name, value);
        Ok(request)
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(Parts, Bytes), TokenEndpointError> {
        let transport = self.transport.lock();
        // A clone that panicked has not changed what it was to copy.
        let transport = transport.unwrap_or_else(PoisonError::into_inner).clone();
        Ok(transport.exchange(request).await?.into_parts())
    }

    fn error(&self, error: TokenEndpointError) -> TokenEndpointError {
        error.of(self.asked).at(self.endpoint.name())
    }
}

impl<T> fmt::Debug for MetadataServer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.endpoint.name(), f)
    }
}

/// Parses a URL of plain `http` on this host, on its link, or on one of these hosts.
fn parse(url: &str, hosts: &[&str]) -> Result<Endpoint, InvalidConfig> {
    let invalid = || InvalidConfig::new(InvalidConfigKind::MetadataHost);
    let endpoint = Endpoint::parse(url, true).map_err(|_| invalid())?;
    let host = endpoint.uri().host().unwrap_or_default();
    let is_named = hosts.iter().any(|named| host.eq_ignore_ascii_case(named));
    let is_near = is_named || is_loopback(host) || is_link_local(host);
    if !is_near || url.contains('?') || endpoint.origin().is_none() {
        return Err(invalid());
    }
    Ok(endpoint)
}

/// Whether no router passes on what is sent to `host` (RFC 3927, RFC 4291 §2.5.6).
fn is_link_local(host: &str) -> bool {
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return address.is_link_local();
    }
    host.strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']')?.parse::<Ipv6Addr>().ok())
        .is_some_and(|address| address.is_unicast_link_local())
}

/// The token of an answer.
///
/// These servers keep tokens and return one that they have had for a while. So it does not live for the
/// `exp - iat` of a JWT: unless `expires_in` says how long, it ends at `expires_on` or `exp`, seen from the
/// `Date` of the answer, which is the server's clock, or by ours if there is none. An end that is further
/// away than any token lives, as one in milliseconds is, says nothing.
pub(super) fn token(
    parts: &Parts,
    body: &[u8],
    redactor: &Redactor,
) -> Result<AccessToken, TokenEndpointError> {
    let token = response::parse(parts, body, redactor)?.token;
    let answer = Answer::parse(body);
    let member = |name| answer.as_ref().and_then(|answer| answer.get(name));
    if member("expires_in").and_then(response::seconds).is_some() {
        return Ok(token);
    }
    let expires_on = member("expires_on").and_then(response::seconds);
    let expires_on = expires_on.and_then(|end| SystemTime::UNIX_EPOCH.checked_add(end));
    let ends = [expires_on, lifetime::end_of_jwt(token.expose_secret())];
    let date = date(&parts.headers);
    let now = date.unwrap_or_else(SystemTime::now);
    let is_near = |end: &SystemTime| {
        end.duration_since(now)
            .map_or(true, |left| left <= lifetime::LONGEST)
    };
    let end = ends.into_iter().flatten().find(is_near);
    Ok(match (end, date) {
        // One that has ended has no time left, which is a failure of its own kind.
        (Some(end), Some(now)) => {
            token.with_expires_in(end.duration_since(now).unwrap_or_default())
        }
        (Some(end), None) => token.with_expires_at(end),
        (None, _) => token,
    })
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::token::Lifetime;

    /// {"alg":"RS256"}, {"iat":784108177,"exp":784111787}
    const JWT: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpYXQiOjc4NDEwODE3NywiZXhwIjo3ODQxMTE3ODd9.c2ln";

    fn lifetime(date: Option<&str>, body: &str) -> Lifetime {
        let mut response = http::Response::new(());
        if let Some(date) = date {
            let date = HeaderValue::from_str(date).unwrap();
            response.headers_mut().insert(http::header::DATE, date);
        }
        let (parts, ()) = response.into_parts();
        let token = token(&parts, body.as_bytes(), &Redactor::new(Vec::new()));
        token.unwrap().lifetime()
    }

    // 784111777.
    const DATE: Option<&str> = Some("Sun, 06 Nov 1994 08:49:37 GMT");

    #[test]
    fn a_token_that_the_server_has_had_for_a_while_lives_for_what_is_left() {
        let left = |seconds| Lifetime::For(Duration::from_secs(seconds));
        let json = |rest: &str| format!(r#"{{"access_token":"{JWT}"{rest}}}"#);

        // Not for the hour and ten seconds from `iat` to `exp`.
        assert_eq!(lifetime(DATE, JWT), left(10));
        assert_eq!(lifetime(DATE, &json("")), left(10));
        assert_eq!(
            lifetime(DATE, &json(r#","expires_on":"784111797""#)),
            left(20)
        );
        assert_eq!(
            lifetime(DATE, &json(r#","expires_on":784111797"#)),
            left(20)
        );
        // What the server says of the time that is left counts most.
        let both = r#","expires_in":"30","expires_on":"784111797""#;
        assert_eq!(lifetime(DATE, &json(both)), left(30));
        let nonsense = r#","expires_in":"soon","expires_on":"09/14/2017 00:00:00 PM""#;
        assert_eq!(lifetime(DATE, &json(nonsense)), left(10));
        assert_eq!(
            lifetime(DATE, &json(r#","expires_on":"784111000""#)),
            left(0)
        );
    }

    #[test]
    fn without_the_servers_clock_a_token_ends_by_ours() {
        let end = |seconds| Lifetime::Until(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(lifetime(None, JWT), end(784_111_787));
        let json = r#"{"access_token":"opaque","expires_on":"784111797"}"#;
        assert_eq!(lifetime(None, json), end(784_111_797));
        let unknown = r#"{"access_token":"opaque"}"#;
        assert_eq!(lifetime(None, unknown), Lifetime::Unknown);
    }

    #[test]
    fn an_end_beyond_a_year_says_nothing() {
        let opaque = |end: u64| format!(r#"{{"access_token":"opaque","expires_on":"{end}"}}"#);
        let year = 366 * 24 * 60 * 60;
        let latest = lifetime(DATE, &opaque(784_111_777 + year));
        assert_eq!(latest, Lifetime::For(Duration::from_secs(year)));
        for (date, end) in [
            (DATE, 784_111_778 + year),
            (DATE, 784_111_797_000),
            (DATE, u64::MAX),
            (None, 4_102_444_800_000),
            // Our clock is at 2024 at least.
            (None, 253_402_300_799),
        ] {
            assert_eq!(lifetime(date, &opaque(end)), Lifetime::Unknown, "{end}");
        }
        // What the token itself says counts then.
        let milliseconds = format!(r#"{{"access_token":"{JWT}","expires_on":784111797000}}"#);
        let ten = Lifetime::For(Duration::from_secs(10));
        assert_eq!(lifetime(DATE, &milliseconds), ten);
        // By such a clock its end is absurd, but not its length.
        let epoch = Some("Thu, 01 Jan 1970 00:00:00 GMT");
        let length = Lifetime::For(Duration::from_secs(3610));
        assert_eq!(lifetime(epoch, JWT), length);
    }
}
