//! A token endpoint and an API on loopback: real servers on real sockets, that count what they see.
#![allow(dead_code, unused_imports)] // Each example uses a part.

mod parts;

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::net::TcpListener;

pub(crate) use self::parts::{Counter, Gate, serve};
pub use self::parts::{HttpClient, http1_client, http2_client};

pub const CLIENT_ID: &str = "quick-start";
pub const CLIENT_SECRET: &str = "a secret: with spaces & signs";

/// `CLIENT_ID` and `CLIENT_SECRET`, each form-encoded, in base64 (RFC 6749 §2.3.1).
const BASIC: &str =
    "Basic cXVpY2stc3RhcnQ6YSUyMHNlY3JldCUzQSUyMHdpdGglMjBzcGFjZXMlMjAlMjYlMjBzaWducw==";

/// An authorization server: `POST /oauth/token` with the client credentials grant.
#[derive(Clone)]
pub struct Issuer {
    url: String,
    state: Arc<IssuerState>,
}

struct IssuerState {
    requests: Counter,
    expires_in: AtomicUsize,
    gate: Gate,
    valid: Mutex<HashSet<String>>,
}

impl Issuer {
    pub async fn start() -> Self {
        let state = Arc::new(IssuerState {
            requests: Counter::new(),
            expires_in: AtomicUsize::new(3600),
            gate: Gate::open(),
            valid: Mutex::default(),
        });
        let for_server = Arc::clone(&state);
        let address = start(move |request| {
            let state = Arc::clone(&for_server);
            async move { state.answer(request).await }
        })
        .await;
        Self {
            url: format!("http://{address}/oauth/token"),
            state,
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// How many token requests there were.
    pub fn requests(&self) -> usize {
        self.state.requests.get()
    }

    pub async fn has_seen(&self, requests: usize) {
        self.state.requests.reaches(requests).await;
    }

    /// How long the next tokens live, in seconds.
    pub fn set_expires_in(&self, seconds: usize) {
        self.state.expires_in.store(seconds, Ordering::Relaxed);
    }

    pub fn hold_answers(&self) {
        self.state.gate.set(false);
    }

    pub fn release_answers(&self) {
        self.state.gate.set(true);
    }

    /// Makes every token issued so far worthless.
    pub fn revoke_all(&self) {
        self.state.valid.lock().expect("no panic").clear();
    }

    /// Whether a request with these headers carries a token that is worth something, for an API that is
    /// not [`Api`].
    pub fn accepts(&self, headers: &HeaderMap) -> bool {
        self.state.accepts(headers)
    }
}

impl IssuerState {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        self.requests.add_one();
        let number = self.requests.get();
        self.gate.pass().await;

        let is_token_request =
            request.method() == Method::POST && request.uri().path() == "/oauth/token";
        let is_client = request
            .headers()
            .get(AUTHORIZATION)
            .is_some_and(|v| v == BASIC);
        let Ok(body) = request.into_body().collect().await else {
            return reply(StatusCode::BAD_REQUEST, r#"{"error":"invalid_request"}"#);
        };
        if !is_token_request || body.to_bytes() != "grant_type=client_credentials" {
            return reply(StatusCode::BAD_REQUEST, r#"{"error":"invalid_request"}"#);
        }
        if !is_client {
            return reply(StatusCode::UNAUTHORIZED, r#"{"error":"invalid_client"}"#);
        }
        let token = format!("token-{number}");
        let expires_in = self.expires_in.load(Ordering::Relaxed);
        let answer = format!(
            r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":{expires_in}}}"#
        );
        self.valid.lock().expect("no panic").insert(token);
        reply(StatusCode::OK, &answer)
    }

    fn accepts(&self, headers: &HeaderMap) -> bool {
        let token = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        let valid = self.valid.lock().expect("no panic");
        token.is_some_and(|token| valid.contains(token))
    }
}

/// An API that wants a token of its [`Issuer`]'s, and sends back the body of a request.
pub struct Api {
    origin: String,
    state: Arc<ApiState>,
}

struct ApiState {
    issuer: Arc<IssuerState>,
    received: Counter,
    accepted: Counter,
    rejected: Counter,
    gate: Gate,
    moved: Mutex<Option<HeaderValue>>,
}

impl Api {
    pub async fn start(issuer: &Issuer) -> Self {
        let state = Arc::new(ApiState {
            issuer: Arc::clone(&issuer.state),
            received: Counter::new(),
            accepted: Counter::new(),
            rejected: Counter::new(),
            gate: Gate::open(),
            moved: Mutex::default(),
        });
        let for_server = Arc::clone(&state);
        let address = start(move |request| {
            let state = Arc::clone(&for_server);
            async move { state.answer(request).await }
        })
        .await;
        Self {
            origin: format!("http://{address}"),
            state,
        }
    }

    pub fn origin(&self) -> &str {
        &self.origin
    }

    pub fn received(&self) -> usize {
        self.state.received.get()
    }

    pub fn accepted(&self) -> usize {
        self.state.accepted.get()
    }

    pub fn rejected(&self) -> usize {
        self.state.rejected.get()
    }

    pub async fn has_received(&self, requests: usize) {
        self.state.received.reaches(requests).await;
    }

    pub async fn has_accepted(&self, requests: usize) {
        self.state.accepted.reaches(requests).await;
    }

    /// Redirects requests for `/moved` with a valid token to this URL.
    pub fn move_to(&self, url: &str) {
        let url = HeaderValue::from_str(url).expect("a URL");
        *self.state.moved.lock().expect("no panic") = Some(url);
    }

    /// Holds requests before their token is looked at.
    pub fn hold_requests(&self) {
        self.state.gate.set(false);
    }

    pub fn release_requests(&self) {
        self.state.gate.set(true);
    }
}

impl ApiState {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        self.received.add_one();
        self.gate.pass().await;

        let is_valid = self.issuer.accepts(request.headers());
        let moved = (request.uri().path() == "/moved")
            .then(|| self.moved.lock().expect("no panic").clone())
            .flatten();
        let Ok(body) = request.into_body().collect().await else {
            return reply(StatusCode::BAD_REQUEST, "");
        };
        if is_valid {
            self.accepted.add_one();
            if let Some(url) = moved {
                let mut response = reply(StatusCode::TEMPORARY_REDIRECT, "");
                response.headers_mut().insert(LOCATION, url);
                return response;
            }
            Response::new(Full::new(body.to_bytes()))
        } else {
            self.rejected.add_one();
            reply(StatusCode::UNAUTHORIZED, r#"{"error":"token revoked"}"#)
        }
    }
}

fn reply(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .expect("valid response")
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
