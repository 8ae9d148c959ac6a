use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use super::received::{ReceivedRequest, Several};
use super::register::Register;
use super::reply::Reply;
use super::server::{Server, Usual};

/// An authorization server on loopback (RFC 6749 §1.1), of which there is the token endpoint: a real server for
/// HTTP/1.1 and HTTP/2, on a port of its own.
///
/// The n-th request gets the token `token-n`, for an hour, if it is a token request as RFC 6749 §3.2 has them: a
/// `POST` of a form (`application/x-www-form-urlencoded`) with one `grant_type`, whatever grant it is. A `GET`
/// is answered with 405, anything else, such as JSON, with 400 and `invalid_request`; for a server that takes
/// those, say so by [`answer_with`](Self::answer_with). What else differs is said by a [`Reply`]. Stops when it is
/// dropped, with all of its connections.
///
/// Needs a tokio runtime, whose I/O driver is enabled.
///
/// ```
/// use http::StatusCode;
/// use tower_bearer::testing::{AuthorizationServer, Reply};
/// # #[cfg(feature = "oauth2")]
/// use tower_bearer::{FetchErrorKind, TokenCache, oauth2::ClientCredentials};
/// # use hyper_util::{client::legacy::Client, rt::TokioExecutor};
///
/// # #[cfg(feature = "oauth2")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let endpoint = AuthorizationServer::start().await;
/// endpoint.require_client("my-service", "hunter2");
/// endpoint.answer_next([Reply::oauth_error(StatusCode::BAD_REQUEST, "invalid_scope")]);
///
/// # let http = Client::builder(TokioExecutor::new()).build_http();
/// let provider = ClientCredentials::builder(endpoint.url(), "my-service", "hunter2").build(http)?;
/// let cache = TokenCache::new(provider);
///
/// let error = cache.token().await.unwrap_err();
/// assert_eq!(error.kind(), FetchErrorKind::InvalidRequest);
///
/// cache.reset_backoff();
/// assert_eq!(cache.token().await?.expose_secret(), "token-2");
/// let grant = endpoint.received()[1].parameter("grant_type");
/// assert_eq!(grant.as_deref(), Some("client_credentials"));
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "oauth2"))]
/// # fn main() {}
/// ```
pub struct AuthorizationServer {
    server: Server,
    issuer: Arc<Issuer>,
}

struct Issuer {
    register: Arc<Register>,
    settings: Mutex<Settings>,
}

struct Settings {
    lifetime: Option<Duration>,
    client: Option<Client>,
}

struct Client {
    id: String,
    secret: Zeroizing<String>,
}

impl AuthorizationServer {
    /// Starts on a free port of 127.0.0.1.
    ///
    /// # Panics
    ///
    /// If there is no free port, or no tokio runtime.
    pub async fn start() -> Self {
        let issuer = Arc::new(Issuer {
            register: Arc::default(),
            settings: Mutex::new(Settings {
                lifetime: Some(Duration::from_secs(3600)),
                client: None,
            }),
        });
        Self {
            server: Server::start(Arc::clone(&issuer) as _).await,
            issuer,
        }
    }

    /// Where tokens are asked for: `http://127.0.0.1:port/token`. Other paths do as well.
    pub fn url(&self) -> String {
        format!("{}/token", self.origin())
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> String {
        self.server.origin()
    }

    /// Refuses from now on, as `invalid_client`, who does not name this client and its secret, by
    /// `client_secret_basic` or `client_secret_post` (RFC 6749 §2.3.1).
    ///
    /// In `Basic`, both are form-urlencoded first, as that section wants it. Who sends them as they are is
    /// refused if there is a `+` or `%` in them; for such clients, look at the header in
    /// [`answer_with`](Self::answer_with).
    pub fn require_client(&self, id: impl Into<String>, secret: impl Into<String>) {
        self.issuer.settings().client = Some(Client {
            id: id.into(),
            secret: Zeroizing::new(secret.into()),
        });
    }

    /// Sets the `expires_in` of the tokens to come; `None` leaves it out.
    ///
    /// It is what the client is told. An [`Api`](super::Api) takes a token until it is revoked, so that no test
    /// depends on how fast it runs.
    pub fn set_lifetime(&self, lifetime: impl Into<Option<Duration>>) {
        self.issuer.settings().lifetime = lifetime.into();
    }

    /// Answers the next requests so, one each; then as before.
    ///
    /// What is in an `access_token` of such an answer has been issued as well.
    pub fn answer_next(&self, replies: impl IntoIterator<Item = Reply>) {
        self.server.answer_next(replies);
    }

    /// Answers every request by `answer` from now on, and as usual those for which it has none.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use http::StatusCode;
    /// use tower_bearer::testing::{AuthorizationServer, Reply};
    ///
    /// let endpoint = AuthorizationServer::start().await;
    /// endpoint.answer_with(|request| {
    ///     let scope = request.parameter("scope");
    ///     let is_known = scope.as_deref() == Some("orders:read");
    ///     (!is_known).then(|| Reply::oauth_error(StatusCode::BAD_REQUEST, "invalid_scope"))
    /// });
    /// # }
    /// ```
    ///
    /// If `answer` panics, its connection is closed; over HTTP/2, the stream is reset.
    pub fn answer_with(
        &self,
        answer: impl Fn(&ReceivedRequest) -> Option<Reply> + Send + Sync + 'static,
    ) {
        self.server.answer_with(Arc::new(answer));
    }

    /// Answers every request so from now on.
    pub fn answer_always(&self, reply: Reply) {
        self.answer_with(move |_| Some(reply.clone()));
    }

    /// Forgets all that was said of answers.
    pub fn answer_as_usual(&self) {
        self.server.answer_as_usual();
    }

    /// Holds requests from now on, after they were counted and before they are looked at.
    ///
    /// A request takes its reply of [`answer_next`](Self::answer_next) when it arrives. All else counts that has
    /// been said when it is let go: [`answer_with`](Self::answer_with), the lifetime and the required client.
    pub fn hold(&self) {
        self.server.gate().shut();
    }

    /// Lets go what is held.
    pub fn release(&self) {
        self.server.gate().open();
    }

    /// Makes a token worthless.
    pub fn revoke(&self, token: &str) {
        self.issuer.register.revoke(token);
    }

    /// Makes every token issued so far worthless.
    pub fn revoke_all(&self) {
        self.issuer.register.revoke_all();
    }

    /// The tokens that were issued, in that order, those included that were revoked.
    pub fn issued(&self) -> Vec<String> {
        self.issuer.register.issued()
    }

    /// Whether a token was issued and not revoked: for a server of one's own, where an
    /// [`Api`](super::Api) will not do.
    pub fn accepts(&self, token: &str) -> bool {
        self.issuer.register.is_valid(token)
    }

    /// How many requests arrived in full, of whatever outcome.
    pub fn requests(&self) -> usize {
        self.server.requests()
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

    /// Waits until at least so many requests have arrived in full.
    ///
    /// # Panics
    ///
    /// After a minute, so that a test that waits in vain says so.
    pub async fn wait_for_requests(&self, at_least: usize) {
        self.server.wait_for_requests(at_least).await;
    }

    pub(super) fn register(&self) -> Arc<Register> {
        Arc::clone(&self.issuer.register)
    }
}

impl fmt::Debug for AuthorizationServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationServer")
            .field("url", &self.url())
            .field("requests", &self.requests())
            .finish_non_exhaustive()
    }
}

impl Usual for Issuer {
    fn reply(&self, request: &ReceivedRequest) -> Reply {
        if request.method() != Method::POST {
            return Reply::status(StatusCode::METHOD_NOT_ALLOWED);
        }
        self.issue(request)
            .unwrap_or_else(|Several| invalid_request())
    }

    /// Whatever reply it is that brings it: a token that the client was given has been issued.
    fn sent(&self, _: &ReceivedRequest, reply: &Reply) {
        let Some((status, body)) = reply.whole() else {
            return;
        };
        let answer: Option<serde_json::Value> = serde_json::from_slice(body).ok();
        let token = answer
            .as_ref()
            .and_then(|answer| answer.get("access_token"));
        match token.and_then(serde_json::Value::as_str) {
            Some(token) if status.is_success() => self.register.issue(token),
            _ => {}
        }
    }
}

impl Issuer {
    /// # Errors
    ///
    /// If something came several times that may come once (RFC 6749 §3.2).
    fn issue(&self, request: &ReceivedRequest) -> Result<Reply, Several> {
        let is_form = request
            .only_header("content-type")?
            .is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
        if !is_form || request.only_parameter("grant_type")?.is_none() {
            return Ok(invalid_request());
        }
        let settings = self.settings();
        let is_client = match &settings.client {
            None => true,
            Some(client) => client.is_named_by(request)?,
        };
        if !is_client {
            return Ok(Reply::oauth_error(
                StatusCode::UNAUTHORIZED,
                "invalid_client",
            ));
        }
        let token = format!("token-{}", request.number);
        Ok(Reply::token(&token, settings.lifetime))
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Client {
    fn is_named_by(&self, request: &ReceivedRequest) -> Result<bool, Several> {
        let named = match request.only_header("authorization")? {
            Some(value) => basic(value),
            None => {
                let id = request.only_parameter("client_id")?;
                id.zip(request.only_parameter("client_secret")?)
            }
        };
        Ok(named.is_some_and(|(id, secret)| id == self.id && secret == *self.secret))
    }
}

fn invalid_request() -> Reply {
    Reply::oauth_error(StatusCode::BAD_REQUEST, "invalid_request")
}

/// Client id and secret, each form-urlencoded before they were joined (RFC 6749 §2.3.1).
fn basic(value: &str) -> Option<(String, String)> {
    let (scheme, credentials) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let credentials = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
    let (id, secret) = credentials.split_once(':')?;
    Some((form_decode(id)?, form_decode(secret)?))
}

fn form_decode(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    let decoded = percent_decode_str(&text).decode_utf8().ok()?;
    Some(decoded.into_owned())
}
