//! What the tests of the five vendors have in common: a customer, and what every customer can count on.
#![allow(dead_code, unused_imports)] // Each test uses a part.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use tower::{Layer, ServiceExt};
use tower_bearer::error::BoxError;
use tower_bearer::oauth2::{ClientCredentials, ClientCredentialsBuilder, TokenEndpointError};
use tower_bearer::testing::ManualClock;
use tower_bearer::{
    AccessToken, BearerAuth, BearerAuthLayer, FetchError, FetchErrorKind, TokenCache,
};

use crate::emulators::{Clock, Emulator, HttpClient, Vendor, Wire, http1_client, http2_client};

pub mod by_hand;
#[path = "../error_support/mod.rs"]
mod error_support;
pub mod texts;

pub(crate) use self::error_support::cause;

pub type Provider = ClientCredentials<HttpClient>;
pub type Body = Full<Bytes>;

/// How many calls are in flight when a token is revoked.
const STORM: usize = 1000;

/// One time for the vendor and the cache, turned by hand.
#[derive(Clone, Default)]
pub struct Time {
    cache: ManualClock,
    turned: Arc<AtomicU64>,
}

impl Time {
    pub fn advance(&self, by: Duration) {
        let nanos = u64::try_from(by.as_nanos()).unwrap();
        self.turned.fetch_add(nanos, Ordering::Relaxed);
        self.cache.advance(by);
    }

    /// How far it has been turned.
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.turned.load(Ordering::Relaxed))
    }

    pub fn of_cache(&self) -> ManualClock {
        self.cache.clone()
    }

    pub fn of_vendor(&self) -> Clock {
        let turned = Arc::clone(&self.turned);
        Arc::new(move || {
            Duration::from_secs(1_710_220_031)
                + Duration::from_nanos(turned.load(Ordering::Relaxed))
        })
    }
}

/// A vendor and a client of it.
pub struct Customer<V> {
    pub vendor: Emulator<V>,
    pub time: Time,
    pub client: BearerAuth<HttpClient, Provider>,
    /// A call that needs a token and then succeeds.
    call: fn(&Emulator<V>) -> Request<Body>,
}

impl<V: Vendor> Customer<V> {
    /// Signs up with `vendor`: `provider` and `layer` are what a customer configures.
    pub async fn new(
        vendor: V,
        provider: impl FnOnce(&Emulator<V>) -> ClientCredentialsBuilder,
        layer: impl FnOnce(BearerAuthLayer<Provider>) -> BearerAuthLayer<Provider>,
        call: fn(&Emulator<V>) -> Request<Body>,
    ) -> Self {
        let time = Time::default();
        let vendor = Emulator::start_with_clock(vendor, time.of_vendor()).await;
        let provider = provider(&vendor).build(http1_client()).unwrap();
        let cache = TokenCache::builder(provider)
            .with_clock(time.of_cache())
            .build();
        let for_origin = BearerAuthLayer::for_origin(cache, vendor.origin()).unwrap();
        let client = layer(for_origin).layer(http2_client());
        Self {
            vendor,
            time,
            client,
            call,
        }
    }

    pub fn cache(&self) -> &TokenCache<Provider> {
        self.client.cache()
    }

    pub async fn send(&self, request: Request<Body>) -> Result<StatusCode, BoxError> {
        Ok(self.client.clone().oneshot(request).await?.status())
    }

    pub async fn call(&self) -> Result<StatusCode, BoxError> {
        self.send((self.call)(&self.vendor)).await
    }

    pub async fn succeeds(&self) {
        assert_eq!(self.call().await.unwrap(), StatusCode::OK);
    }

    /// What was sent to get the first token.
    pub async fn first_token_request(&self) -> Wire {
        self.succeeds().await;
        self.vendor.last_token_request()
    }

    /// What was sent of a call that needs a token: with it.
    pub async fn call_with_its_token(&self) -> Wire {
        self.succeeds().await;
        let token = self.cache().cached().unwrap();
        let call = self.vendor.last_call();
        assert_eq!(call.bearer(), Some(token.expose_secret()));
        call
    }

    /// The failure that a call ends in.
    pub async fn failure(&self) -> FetchError {
        *self.call().await.unwrap_err().downcast().unwrap()
    }

    /// A call fails for good, after one token request and before it is made, and the error says so in the
    /// vendor's `words` without the `secret`.
    pub async fn is_refused(
        &self,
        status: StatusCode,
        words: &str,
        id: &str,
        secret: &str,
    ) -> FetchError {
        let error = self.failure().await;
        assert_eq!(error.kind(), FetchErrorKind::Denied);
        assert_eq!(cause(&error).status(), Some(status));
        let text = texts::of_error(&error);
        assert!(text.contains(words), "{text}");
        texts::assert_hides(&text, id, secret);
        assert_eq!(
            (self.vendor.token_requests(), self.vendor.received()),
            (1, 0)
        );
        error
    }

    pub async fn makes_a_hundred_calls_with_one_token(&self) {
        for _ in 0..100 {
            self.succeeds().await;
        }
        assert_eq!(self.vendor.token_requests(), 1);
        assert_eq!((self.vendor.accepted(), self.vendor.rejected()), (100, 0));
    }

    /// The token is replaced 30 s before `end`, by one request, while calls go on with the old one.
    pub async fn renews_thirty_seconds_ahead_of(&self, end: Duration) {
        self.succeeds().await;
        // The window is up to a quarter wider, so that a fleet does not renew in step.
        let fresh = end - Duration::from_secs(38);
        self.time.advance(fresh);
        self.succeeds().await;
        assert_eq!(self.vendor.token_requests(), 1);

        self.vendor.hold_answers();
        self.time.advance(end - Duration::from_secs(30) - fresh);
        for _ in 0..10 {
            self.succeeds().await;
        }
        self.vendor.has_token_requests(2).await;
        let old = self.cache().cached();
        let mut renewal = std::pin::pin!(self.cache().refresh());
        tokio::select! {
            biased;
            _ = &mut renewal => panic!("the answer is held"),
            () = std::future::ready(()) => {} // It has joined the renewal under way.
        }
        self.vendor.release_answers();
        let new = renewal.await.unwrap();

        assert_ne!(old.as_ref(), Some(&new));
        self.time.advance(Duration::from_secs(30));
        self.succeeds().await;
        assert_eq!(self.cache().cached(), Some(new));
        assert_eq!(
            (self.vendor.token_requests(), self.vendor.rejected()),
            (2, 0)
        );
    }

    /// Everything is revoked while a thousand calls are in flight.
    pub async fn has_a_thousand_rejected_calls_healed_by_one_fetch(&self) {
        self.succeeds().await;
        let received = self.vendor.received();
        self.vendor.hold_calls();
        let storm: Vec<_> = (0..STORM)
            .map(|_| {
                let (client, request) = (self.client.clone(), (self.call)(&self.vendor));
                tokio::spawn(client.oneshot(request))
            })
            .collect();
        self.vendor.has_received(received + STORM).await;
        self.vendor.revoke_all();
        self.vendor.release_calls();
        for call in storm {
            assert_eq!(call.await.unwrap().unwrap().status(), StatusCode::OK);
        }
        assert_eq!(self.vendor.token_requests(), 2);
        assert_eq!(self.vendor.rejected(), STORM);
    }

    /// The token is used up to its end, give or take a millisecond, and not after.
    pub async fn has_a_token_that_lives_for(&self, lifetime: Duration) {
        let millisecond = Duration::from_millis(1);
        self.cache().refresh().await.unwrap();
        self.time.advance(lifetime - millisecond);
        assert!(self.cache().cached().is_some(), "ended before {lifetime:?}");
        self.time.advance(2 * millisecond);
        assert!(self.cache().cached().is_none(), "not ended at {lifetime:?}");
    }

    /// A renewal asks with the same words as the first request: nothing was kept to ask with.
    pub async fn asks_again_with_the_same_words(&self) {
        self.cache().token().await.unwrap();
        let first = self.vendor.last_token_request();
        self.cache().refresh().await.unwrap();
        let second = self.vendor.last_token_request();

        assert_eq!(self.vendor.token_requests(), 2);
        assert_eq!((&first.method, &first.path), (&second.method, &second.path));
        assert_eq!(first.headers, second.headers);
        assert_eq!(first.body, second.body);
        assert!(!first.text().contains("refresh"), "{}", first.text());
    }
}

/// The names of the headers that somebody set on purpose: not those of the connection.
pub fn header_names(headers: &http::HeaderMap) -> Vec<&str> {
    let mut names: Vec<_> = headers.keys().map(http::HeaderName::as_str).collect();
    names.retain(|name| !matches!(*name, "host" | "content-length"));
    names.sort_unstable();
    names
}
