use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http::StatusCode;
use http::header::CONTENT_TYPE;
use tokio::sync::watch;

use super::authorization_server::AuthorizationServer;
use super::gate::wait_for;
use super::received::{ReceivedRequest, Several, bearer};
use super::register::Register;
use super::reply::Reply;
use super::server::{Server, Usual};

/// An API on loopback that wants an access token: a real server for HTTP/1.1 and HTTP/2, on a port of its
/// own.
///
/// A request with a good token gets its own body back, with status 200; any other a 401 whose challenge is
/// that of RFC 6750 §3, or a 400 if it has more than one `Authorization` header. What differs from that is said
/// by a [`Reply`]. Stops when it is dropped, with all of its connections.
///
/// Needs a tokio runtime, whose I/O driver is enabled.
///
/// ```
/// use tower::{Layer, ServiceExt};
/// use tower_bearer::BearerAuthLayer;
/// use tower_bearer::testing::{Api, ScriptedProvider};
/// # use hyper_util::{client::legacy::Client, rt::TokioExecutor};
/// # use http_body_util::Empty;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_bearer::error::BoxError> {
/// let api = Api::start_accepting_any_token().await;
/// let provider = ScriptedProvider::new();
/// let layer = BearerAuthLayer::for_origin(provider.clone(), api.origin())?;
/// # let http = Client::builder(TokioExecutor::new()).build_http::<Empty<bytes::Bytes>>();
/// let client = layer.layer(http);
///
/// api.revoke("token-1");
/// let request = http::Request::get(api.url("/orders")).body(Empty::new())?;
/// let response = client.oneshot(request).await?;
///
/// assert_eq!(response.status(), 200);
/// assert_eq!((api.rejected(), api.accepted()), (1, 1));
/// assert_eq!(api.received()[1].bearer_token(), Some("token-2"));
/// assert_eq!(api.connections(), 1);
/// # Ok(())
/// # }
/// ```
pub struct Api {
    server: Server,
    guard: Arc<Guard>,
}

struct Guard {
    register: Arc<Register>,
    tally: watch::Sender<Tally>,
    /// How many of the next requests are rejected, whatever they carry.
    rejecting: AtomicUsize,
    is_early: AtomicBool,
}

#[derive(Clone, Copy, Default)]
struct Tally {
    accepted: usize,
    rejected: usize,
}

impl Api {
    /// Starts on a free port of 127.0.0.1. Takes what `endpoint` issues, until it is revoked.
    ///
    /// # Panics
    ///
    /// If there is no free port, or no tokio runtime.
    pub async fn start(endpoint: &AuthorizationServer) -> Self {
        Self::guarded_by(endpoint.register()).await
    }

    /// Starts on a free port of 127.0.0.1. Takes any token until it is revoked: for tests whose tokens come
    /// from elsewhere, such as from a [`ScriptedProvider`](super::ScriptedProvider).
    ///
    /// # Panics
    ///
    /// If there is no free port, or no tokio runtime.
    pub async fn start_accepting_any_token() -> Self {
        Self::guarded_by(Arc::new(Register::of_any())).await
    }

    async fn guarded_by(register: Arc<Register>) -> Self {
        let guard = Arc::new(Guard {
            register,
            tally: watch::Sender::default(),
            rejecting: AtomicUsize::new(0),
            is_early: AtomicBool::new(false),
        });
        Self {
            server: Server::start(Arc::clone(&guard) as _).await,
            guard,
        }
    }

    /// Scheme, host and port, as [`for_origin`](crate::BearerAuthLayer::for_origin) takes it.
    pub fn origin(&self) -> String {
        self.server.origin()
    }

    /// The origin with this path, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin())
    }

    /// Makes a token worthless, at every API of its endpoint.
    pub fn revoke(&self, token: &str) {
        self.guard.register.revoke(token);
    }

    /// Makes every token worthless that was issued so far, or, if any token is taken, that was shown so far.
    pub fn revoke_all(&self) {
        self.guard.register.revoke_all();
    }

    /// Rejects the next so many requests for which no reply is scripted, whatever token they carry, which
    /// stays good. After [`reject_before_body`](Self::reject_before_body), without having read their body.
    pub fn reject_next(&self, requests: usize) {
        self.guard.rejecting.store(requests, Ordering::Relaxed);
    }

    /// Rejects every request from now on, whatever token it carries.
    pub fn reject_everything(&self) {
        self.reject_next(usize::MAX);
    }

    /// Answers without having read the body, from now on, the requests that are rejected: those whose head is
    /// seen not to carry a good token, and those of [`reject_next`](Self::reject_next) and
    /// [`reject_everything`](Self::reject_everything). Who is rejected when the head arrives stays so, also if
    /// it is held and its token good again when it is let go.
    ///
    /// Over HTTP/1.1 the connection cannot be used again then, unless the body came at once.
    pub fn reject_before_body(&self) {
        self.guard.is_early.store(true, Ordering::Relaxed);
    }

    /// Answers the next requests so, one each, whatever token they carry; then as before.
    pub fn answer_next(&self, replies: impl IntoIterator<Item = Reply>) {
        self.server.answer_next(replies);
    }

    /// Answers every request by `answer` from now on, and as usual those for which it has none.
    ///
    /// If `answer` panics, its connection is closed; over HTTP/2, the stream is reset.
    pub fn answer_with(
        &self,
        answer: impl Fn(&ReceivedRequest) -> Option<Reply> + Send + Sync + 'static,
    ) {
        self.server.answer_with(Arc::new(answer));
    }

    /// Answers every request so from now on, whatever token it carries.
    pub fn answer_always(&self, reply: Reply) {
        self.answer_with(move |_| Some(reply.clone()));
    }

    /// Forgets all that was said of answers and rejections. What was revoked stays so.
    pub fn answer_as_usual(&self) {
        self.reject_next(0);
        self.guard.is_early.store(false, Ordering::Relaxed);
        self.server.answer_as_usual();
    }

    /// Holds requests from now on, after they were counted and before their token is looked at.
    ///
    /// A request takes its reply of [`answer_next`](Self::answer_next) when it arrives. All else counts that has
    /// been said when it is let go: [`answer_with`](Self::answer_with), `reject_next` and what is revoked.
    pub fn hold(&self) {
        self.server.gate().shut();
    }

    /// Lets go what is held.
    pub fn release(&self) {
        self.server.gate().open();
    }

    /// How many requests arrived in full, of whatever outcome, or were rejected before their body.
    pub fn requests(&self) -> usize {
        self.server.requests()
    }

    /// How many requests were answered with a status of success.
    pub fn accepted(&self) -> usize {
        self.guard.tally.borrow().accepted
    }

    /// How many requests were answered with a 401.
    pub fn rejected(&self) -> usize {
        self.guard.tally.borrow().rejected
    }

    /// How many connections were opened.
    pub fn connections(&self) -> usize {
        self.server.connections()
    }

    /// What arrived, in that order.
    pub fn received(&self) -> Vec<ReceivedRequest> {
        self.server.received()
    }

    /// What arrived since the last time. The counts go on.
    pub fn take_received(&self) -> Vec<ReceivedRequest> {
        self.server.take_received()
    }

    /// Waits until at least so many requests have arrived.
    ///
    /// # Panics
    ///
    /// After a minute, so that a test that waits in vain says so.
    pub async fn wait_for_requests(&self, at_least: usize) {
        self.server.wait_for_requests(at_least).await;
    }

    /// Waits until at least so many requests were answered with a status of success.
    ///
    /// # Panics
    ///
    /// After a minute.
    pub async fn wait_for_accepted(&self, at_least: usize) {
        let tally = &self.guard.tally;
        wait_for(tally, "accepted requests", at_least, |t| t.accepted).await;
    }

    /// Waits until at least so many requests were answered with a 401.
    ///
    /// # Panics
    ///
    /// After a minute.
    pub async fn wait_for_rejected(&self, at_least: usize) {
        let tally = &self.guard.tally;
        wait_for(tally, "rejected requests", at_least, |t| t.rejected).await;
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("origin", &self.origin())
            .field("accepted", &self.accepted())
            .field("rejected", &self.rejected())
            .finish_non_exhaustive()
    }
}

impl Usual for Guard {
    fn reply(&self, request: &ReceivedRequest) -> Reply {
        match self.refusal(request) {
            Some(refusal) => refusal,
            None => echo(request),
        }
    }

    fn early_reply(&self, request: &ReceivedRequest) -> Option<Reply> {
        let is_early = self.is_early.load(Ordering::Relaxed);
        is_early.then(|| self.refusal(request)).flatten()
    }

    fn sent(&self, _: &ReceivedRequest, reply: &Reply) {
        let Some((status, _)) = reply.whole() else {
            return;
        };
        self.tally.send_modify(|tally| {
            tally.accepted += usize::from(status.is_success());
            tally.rejected += usize::from(status == StatusCode::UNAUTHORIZED);
        });
    }
}

impl Guard {
    fn refusal(&self, request: &ReceivedRequest) -> Option<Reply> {
        let next = |left: usize| match left {
            usize::MAX => Some(left),
            _ => left.checked_sub(1),
        };
        let rejecting = &self.rejecting;
        let is_rejected = rejecting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        match self.refusal_of_head(request) {
            None if is_rejected.is_ok() => Some(Reply::invalid_token()),
            refusal => refusal,
        }
    }

    fn refusal_of_head(&self, request: &ReceivedRequest) -> Option<Reply> {
        match request.only_header("authorization") {
            Err(Several) => Some(Reply::text(
                StatusCode::BAD_REQUEST,
                "more than one Authorization header",
            )),
            Ok(value) => match value.and_then(bearer) {
                None => Some(Reply::missing_token()),
                Some(token) if self.register.is_valid(token) => None,
                Some(_) => Some(Reply::invalid_token()),
            },
        }
    }
}

fn echo(request: &ReceivedRequest) -> Reply {
    let reply = Reply::status(StatusCode::OK).with_body(request.body().clone());
    match request.headers().get(CONTENT_TYPE) {
        Some(content_type) => reply.with_header(CONTENT_TYPE, content_type.clone()),
        None => reply,
    }
}
