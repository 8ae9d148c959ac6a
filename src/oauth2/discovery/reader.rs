//! Asks an issuer for its metadata.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::Uri;
use zeroize::Zeroizing;

use super::document::{Expected, NoEndpoint};
use crate::clock::{Clock, Deadline};
use crate::oauth2::answer::redact::Redactor;
use crate::oauth2::endpoint::Endpoint;
use crate::oauth2::error::Asked;
use crate::oauth2::error::{TokenEndpointError, TokenEndpointErrorKind};
use crate::oauth2::transport::{Transport, get};

/// What is said of metadata that is no good, if there may be better.
const OTHER: &str = "; if the configuration of OpenID Connect is meant, choose it by \
     `Issuer::with_openid_configuration`";

/// Where to look for an issuer's metadata, and what it must say.
pub(super) struct Reader {
    /// At least one.
    pub(super) locations: Vec<Endpoint>,
    pub(super) expected: Expected,
}

impl Reader {
    /// Reads the metadata once, for as long as `limit`.
    pub(super) async fn read<T: Transport>(
        self: Arc<Self>,
        transport: T,
        is_certificate: bool,
        limit: Duration,
    ) -> Result<Endpoint, TokenEndpointError> {
        let clock = Clock::System;
        let mut deadline = Deadline::new(&clock, clock.now().after(limit));
        let mut search = pin!(self.search(transport, is_certificate));
        poll_fn(|cx| {
            if let Poll::Ready(found) = search.as_mut().poll(cx) {
                return Poll::Ready(found);
            }
            deadline.poll_reached(cx).map(|()| Err(self.timed_out()))
        })
        .await
    }

    /// Looks at one location after another.
    async fn search<T: Transport>(
        &self,
        transport: T,
        is_certificate: bool,
    ) -> Result<Endpoint, TokenEndpointError> {
        let mut earlier: Option<TokenEndpointError> = None;
        let mut locations = self.locations.iter().peekable();
        loop {
            let location = locations.next().expect("one is left");
            // Of two, who has a choice is told of the other.
            let hint = match locations.peek() {
                Some(_) => OTHER,
                None => "",
            };
            let asked = self.ask(transport.clone(), location, is_certificate, hint);
            let NoEndpoint { error, is_absence } = match asked.await {
                Ok(endpoint) => return Ok(endpoint),
                Err(none) => none,
            };
            let error = error.of(Asked::Issuer).at(location.name());
            if !is_absence {
                return Err(error);
            }
            // An error of this sort has no source of its own.
            let error = match earlier.take() {
                Some(earlier) => error.with_source(earlier.into()),
                None => error,
            };
            if locations.peek().is_none() {
                return Err(error);
            }
            earlier = Some(error);
        }
    }

    async fn ask<T: Transport>(
        &self,
        transport: T,
        location: &Endpoint,
        is_certificate: bool,
        hint: &str,
    ) -> Result<Endpoint, NoEndpoint> {
        let answer = transport.exchange(get(location.uri().clone())).await?;
        let redactor = Redactor::new(keys(location.uri()));
        let expected = &self.expected;
        expected.endpoint(answer, &redactor, is_certificate, hint)
    }

    fn timed_out(&self) -> TokenEndpointError {
        TokenEndpointError::new(TokenEndpointErrorKind::Transport)
            .with_source(io::Error::from(io::ErrorKind::TimedOut).into())
            .of(Asked::Issuer)
            .at(self.locations[0].name())
    }
}

/// What may be a key in a query, raw and decoded.
fn keys(uri: &Uri) -> Vec<Zeroizing<String>> {
    let Some(query) = uri.query() else {
        return Vec::new();
    };
    let values = form_urlencoded::parse(query.as_bytes()).map(|(_, value)| value.into_owned());
    let keys = values.chain([query.to_owned()]);
    keys.filter(|key| !key.is_empty())
        .map(Zeroizing::new)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::future::pending;

    use bytes::Bytes;
    use futures_util::FutureExt;
    use http::{Request, Response};
    use http_body_util::Full;
    use tower::service_fn;

    use super::*;
    use crate::error::{BoxError, FetchError, FetchErrorKind};

    #[test]
    fn a_read_that_hangs_ends_at_its_limit() {
        let location = Endpoint::parse("https://id.example.com/metadata?key=1", false).unwrap();
        let reader = Arc::new(Reader {
            expected: Expected {
                issuer: "https://id.example.com".into(),
                origins: vec![location.origin().unwrap()],
                insecure_http: false,
            },
            locations: vec![location],
        });
        let hangs = service_fn(|_: Request<Full<Bytes>>| {
            pending::<Result<Response<Full<Bytes>>, BoxError>>()
        });

        let read = |limit| Arc::clone(&reader).read(hangs, false, limit).now_or_never();
        assert!(read(Duration::from_secs(60)).is_none());
        let error = read(Duration::ZERO).unwrap().err().unwrap();
        let text =
            "authorization server metadata https://id.example.com/metadata: the connection failed";
        assert_eq!(error.to_string(), format!("{text}: timed out"));
        assert!(error.source().is_some());
        assert_eq!(FetchError::from(error).kind(), FetchErrorKind::Unavailable);
    }
}
