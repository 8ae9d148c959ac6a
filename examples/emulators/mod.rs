//! Five vendors on loopback: token endpoints and APIs on real sockets, each as strict as the vendor's
//! document lets it be.
//!
//! What they have in common is here; [`Vendor`] is where they differ.
// Each example and each test uses a part.
#![allow(dead_code, unused_imports)]

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use http::StatusCode;
use tokio::net::TcpListener;

pub mod azupay;
pub mod buckaroo;
pub mod mangopay;
pub mod mazooma;
pub mod partner_api;
mod server;
mod site;
pub mod story;
mod wire;

use self::server::{Counter, Gate, serve};
pub use self::server::{HttpClient, http1_client, http2_client};
pub use self::site::{Clock, Issued, Site};
pub use self::wire::{Reply, Wire};

/// One vendor: what its document says, and nothing of sockets.
pub trait Vendor: Send + Sync + 'static {
    const TOKEN_PATH: &'static str;

    /// How long a token lives, unless the emulator is told otherwise.
    const LIFETIME: Duration;

    /// Answers a request to the token endpoint.
    fn token(&self, request: &Wire, site: &Site) -> Result<Reply, Reply>;

    /// Answers an API call without a valid token.
    fn unauthorized(&self) -> Reply;

    /// Answers an API call with a valid token.
    fn call(&self, request: &Wire, token: &Issued) -> Result<Reply, Reply>;

    /// Answers requests that need no token, if this is one.
    fn without_token(&self, _: &Wire, _: &Site) -> Option<Reply> {
        None
    }
}

/// A vendor that listens on loopback until the runtime ends.
pub struct Emulator<V> {
    state: Arc<State<V>>,
}

struct State<V> {
    vendor: V,
    site: Site,
    token_requests: Counter,
    received: Counter,
    accepted: Counter,
    rejected: Counter,
    calls: Gate,
    answers: Gate,
    settings: Mutex<Settings>,
}

#[derive(Default)]
struct Settings {
    last_token_request: Option<Wire>,
    last_call: Option<Wire>,
    call_outage: Option<StatusCode>,
    token_outage: Option<StatusCode>,
    closed_path: Option<String>,
}

impl<V: Vendor> Emulator<V> {
    pub async fn start(vendor: V) -> Self {
        let now = || SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
        Self::start_with_clock(vendor, Arc::new(now)).await
    }

    /// Starts a vendor that reads the time, as that since 1970, from `clock`.
    pub async fn start_with_clock(vendor: V, clock: Clock) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(State {
            vendor,
            site: Site::new(format!("http://{address}"), clock, V::LIFETIME),
            token_requests: Counter::new(),
            received: Counter::new(),
            accepted: Counter::new(),
            rejected: Counter::new(),
            calls: Gate::open(),
            answers: Gate::open(),
            settings: Mutex::default(),
        });
        tokio::spawn(serve(listener, Arc::clone(&state)));
        Self { state }
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> &str {
        self.state.site.origin()
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin())
    }

    pub fn token_url(&self) -> String {
        self.url(V::TOKEN_PATH)
    }

    pub fn vendor(&self) -> &V {
        &self.state.vendor
    }

    /// How many token requests there were, of whatever outcome.
    pub fn token_requests(&self) -> usize {
        self.state.token_requests.get()
    }

    pub async fn has_token_requests(&self, at_least: usize) {
        self.state.token_requests.reaches(at_least).await;
    }

    /// How many API calls there were, of whatever outcome.
    pub fn received(&self) -> usize {
        self.state.received.get()
    }

    pub async fn has_received(&self, at_least: usize) {
        self.state.received.reaches(at_least).await;
    }

    /// How many API calls succeeded.
    pub fn accepted(&self) -> usize {
        self.state.accepted.get()
    }

    /// How many API calls got a 401.
    pub fn rejected(&self) -> usize {
        self.state.rejected.get()
    }

    /// The last token request as it came over the wire.
    pub fn last_token_request(&self) -> Wire {
        let last = self.state.settings().last_token_request.clone();
        last.expect("there was a token request")
    }

    /// The last API call as it came over the wire.
    pub fn last_call(&self) -> Wire {
        let last = self.state.settings().last_call.clone();
        last.expect("there was a call")
    }

    /// How long the next tokens live.
    pub fn set_lifetime(&self, lifetime: Duration) {
        self.state.site.set_lifetime(lifetime);
    }

    /// Makes every token issued so far worthless.
    pub fn revoke_all(&self) {
        self.state.site.revoke_all();
    }

    /// Holds API calls before their token is looked at.
    pub fn hold_calls(&self) {
        self.state.calls.set(false);
    }

    pub fn release_calls(&self) {
        self.state.calls.set(true);
    }

    /// Holds token requests before they are looked at.
    pub fn hold_answers(&self) {
        self.state.answers.set(false);
    }

    pub fn release_answers(&self) {
        self.state.answers.set(true);
    }

    /// Answers every API call with `status`.
    pub fn fail_calls(&self, status: StatusCode) {
        self.state.settings().call_outage = Some(status);
    }

    /// Counts every token request, and answers with `status`.
    pub fn fail_token_requests(&self, status: StatusCode) {
        self.state.settings().token_outage = Some(status);
    }

    /// Rejects every token on this path.
    pub fn close_path(&self, path: &str) {
        self.state.settings().closed_path = Some(path.to_owned());
    }
}

impl<V: Vendor> State<V> {
    async fn answer(&self, request: Wire) -> Reply {
        if request.path == V::TOKEN_PATH {
            self.settings().last_token_request = Some(request.clone());
            self.token_requests.add_one();
            self.answers.pass().await;
            let reply = self
                .vendor
                .token(&request, &self.site)
                .unwrap_or_else(|e| e);
            return match self.settings().token_outage {
                Some(status) => Reply::text(status, "out of order"),
                None => reply,
            };
        }
        if let Some(reply) = self.vendor.without_token(&request, &self.site) {
            return reply;
        }
        self.settings().last_call = Some(request.clone());
        self.received.add_one();
        self.calls.pass().await;
        let reply = self.call(&request);
        if reply.status.is_success() {
            self.accepted.add_one();
        } else if reply.status == StatusCode::UNAUTHORIZED {
            self.rejected.add_one();
        }
        reply
    }

    fn call(&self, request: &Wire) -> Reply {
        let settings = self.settings();
        if let Some(status) = settings.call_outage {
            return Reply::text(status, "out of order");
        }
        let is_closed = settings.closed_path.as_ref() == Some(&request.path);
        match self.site.token_of(request) {
            Some(token) if !is_closed => self.vendor.call(request, &token).unwrap_or_else(|e| e),
            _ => self.vendor.unauthorized(),
        }
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().expect("no panic")
    }
}
