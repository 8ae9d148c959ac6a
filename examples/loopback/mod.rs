//! A token endpoint and an API on loopback, the test kit's, with a client that they know.
#![allow(dead_code, unused_imports)] // Each example uses a part.

mod parts;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, LOCATION};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tower_bearer::testing::{AuthorizationServer, Reply};

pub(crate) use self::parts::{Counter, Gate, serve};
pub use self::parts::{HttpClient, http1_client, http2_client};

pub const CLIENT_ID: &str = "quick-start";
pub const CLIENT_SECRET: &str = "a secret: with spaces & signs";

/// An authorization server that issues tokens to `CLIENT_ID`.
#[derive(Clone)]
pub struct Issuer {
    url: String,
    endpoint: Arc<AuthorizationServer>,
}

impl Issuer {
    pub async fn start() -> Self {
        let endpoint = AuthorizationServer::start().await;
        endpoint.require_client(CLIENT_ID, CLIENT_SECRET);
        Self {
            url: endpoint.url(),
            endpoint: Arc::new(endpoint),
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// How many token requests there were.
    pub fn requests(&self) -> usize {
        self.endpoint.requests()
    }

    pub async fn has_seen(&self, requests: usize) {
        self.endpoint.wait_for_requests(requests).await;
    }

    /// How long the next tokens live, in seconds.
    pub fn set_expires_in(&self, seconds: u64) {
        self.endpoint.set_lifetime(Duration::from_secs(seconds));
    }

    pub fn hold_answers(&self) {
        self.endpoint.hold();
    }

    pub fn release_answers(&self) {
        self.endpoint.release();
    }

    /// Makes every token issued so far worthless.
    pub fn revoke_all(&self) {
        self.endpoint.revoke_all();
    }

    /// Whether a request with these headers carries a token that is worth something, for an API that is
    /// not [`Api`].
    pub fn accepts(&self, headers: &HeaderMap) -> bool {
        let token = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        token.is_some_and(|token| self.endpoint.accepts(token))
    }
}

/// An API that wants a token of its [`Issuer`]'s, and sends back the body of a request.
pub struct Api {
    issuer: Issuer,
    origin: String,
    api: tower_bearer::testing::Api,
}

impl Api {
    pub async fn start(issuer: &Issuer) -> Self {
        let api = tower_bearer::testing::Api::start(&issuer.endpoint).await;
        Self {
            issuer: issuer.clone(),
            origin: api.origin(),
            api,
        }
    }

    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Redirects requests for `/moved` with a valid token to this URL.
    pub fn move_to(&self, url: &str) {
        let moved = Reply::status(StatusCode::TEMPORARY_REDIRECT)
            .with_header(LOCATION, HeaderValue::from_str(url).expect("a URL"));
        let issuer = self.issuer.clone();
        self.api.answer_with(move |request| {
            let is_moved = request.path() == "/moved" && issuer.accepts(request.headers());
            is_moved.then(|| moved.clone())
        });
    }

    pub fn received(&self) -> usize {
        self.api.requests()
    }

    pub fn accepted(&self) -> usize {
        self.api.accepted()
    }

    pub fn rejected(&self) -> usize {
        self.api.rejected()
    }

    pub async fn has_received(&self, requests: usize) {
        self.api.wait_for_requests(requests).await;
    }

    pub async fn has_accepted(&self, requests: usize) {
        self.api.wait_for_accepted(requests).await;
    }

    /// Holds requests before their token is looked at.
    pub fn hold_requests(&self) {
        self.api.hold();
    }

    pub fn release_requests(&self) {
        self.api.release();
    }
}

/// Serves on a free port until the runtime ends.
pub async fn start<F, Fut>(handler: F) -> std::net::SocketAddr
where
    F: Fn(Request<Incoming>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback has a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(serve(listener, handler));
    address
}
