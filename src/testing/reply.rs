use std::convert::Infallible;
use std::fmt;
use std::future;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;

use super::gate::Gate;
use crate::error::BoxError;

/// What a server of the kit does with one request.
///
/// ```
/// use std::time::Duration;
/// use http::StatusCode;
/// use tower_bearer::testing::{Gate, Reply};
///
/// let gate = Gate::new();
/// let replies = [
///     Reply::token("abc", Duration::from_secs(60)),
///     Reply::oauth_error(StatusCode::BAD_REQUEST, "invalid_scope"),
///     Reply::status(StatusCode::TOO_MANY_REQUESTS).with_retry_after(Duration::from_secs(5)),
///     Reply::text(StatusCode::OK, "hello").after(&gate),
///     Reply::close(),
/// ];
/// # let _ = replies;
/// ```
#[derive(Clone)]
#[must_use = "a reply is given by a `AuthorizationServer` or an `Api`"]
pub struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    fault: Fault,
    gate: Option<Gate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    Close,
    BreakOff,
    Endless,
    Hang,
}

/// The body of a response of a server of the kit.
pub(super) type ReplyBody = UnsyncBoxBody<Bytes, BoxError>;

impl Reply {
    /// A response without a body.
    ///
    /// # Panics
    ///
    /// At 1xx: what is informational is no answer (RFC 9110 §15.2).
    #[track_caller]
    pub fn status(status: StatusCode) -> Self {
        assert!(
            !status.is_informational(),
            "{status} is no answer: another has to follow it"
        );
        Self {
            status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            fault: Fault::None,
            gate: None,
        }
    }

    /// A response with this text.
    ///
    /// # Panics
    ///
    /// At 1xx, as [`status`](Self::status) does.
    #[track_caller]
    pub fn text(status: StatusCode, text: impl Into<Bytes>) -> Self {
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        Self::status(status)
            .with_body(text)
            .with_header(CONTENT_TYPE, plain)
    }

    /// A response with this text, which is called JSON, whatever it is.
    ///
    /// # Panics
    ///
    /// At 1xx, as [`status`](Self::status) does.
    #[track_caller]
    pub fn json(status: StatusCode, text: impl Into<Bytes>) -> Self {
        let json = HeaderValue::from_static("application/json");
        Self::status(status)
            .with_body(text)
            .with_header(CONTENT_TYPE, json)
    }

    /// A token endpoint's answer with a token (RFC 6749 §5.1).
    ///
    /// `lifetime` is given in whole seconds, rounded down; `None` leaves `expires_in` out.
    pub fn token(access_token: &str, lifetime: impl Into<Option<Duration>>) -> Self {
        let mut members = serde_json::Map::new();
        members.insert("access_token".into(), access_token.into());
        members.insert("token_type".into(), "Bearer".into());
        if let Some(lifetime) = lifetime.into() {
            members.insert("expires_in".into(), lifetime.as_secs().into());
        }
        let no_store = HeaderValue::from_static("no-store");
        let body = serde_json::Value::from(members).to_string();
        Self::json(StatusCode::OK, body).with_header(CACHE_CONTROL, no_store)
    }

    /// A token endpoint's refusal (RFC 6749 §5.2), such as 400 and `invalid_scope`.
    ///
    /// # Panics
    ///
    /// At 1xx, as [`status`](Self::status) does.
    #[track_caller]
    pub fn oauth_error(status: StatusCode, code: &str) -> Self {
        let body = serde_json::json!({ "error": code }).to_string();
        let reply = Self::json(status, body);
        if status == StatusCode::UNAUTHORIZED {
            let basic = HeaderValue::from_static("Basic realm=\"token endpoint\"");
            return reply.with_header(WWW_AUTHENTICATE, basic);
        }
        reply
    }

    /// An API's 401 for a token that is not valid any more (RFC 6750 §3.1).
    pub fn invalid_token() -> Self {
        let bearer = HeaderValue::from_static("Bearer error=\"invalid_token\"");
        Self::text(StatusCode::UNAUTHORIZED, "the token is not valid")
            .with_header(WWW_AUTHENTICATE, bearer)
    }

    /// An API's 401 for a request without a token: its challenge names no error (RFC 6750 §3.1).
    pub fn missing_token() -> Self {
        let bearer = HeaderValue::from_static("Bearer");
        Self::text(StatusCode::UNAUTHORIZED, "there is no token")
            .with_header(WWW_AUTHENTICATE, bearer)
    }

    /// A web page with status 200, as of a captive portal: nobody's token and no JSON.
    pub fn garbage() -> Self {
        let html = HeaderValue::from_static("text/html");
        Self::status(StatusCode::OK)
            .with_body("<!doctype html><title>Sign in to the network</title>")
            .with_header(CONTENT_TYPE, html)
    }

    /// Closes the connection without an answer. Over HTTP/2, resets the stream.
    pub fn close() -> Self {
        Self::status(StatusCode::OK).with_fault(Fault::Close)
    }

    /// Sends status, headers, the length of the body and the first half of it, and closes the connection.
    /// Over HTTP/2, resets the stream, and the last byte of the half may be lost. Of a body of
    /// hundreds of kilobytes, less than half may arrive.
    ///
    /// A body of less than three bytes is filled up with spaces, so that there is something to break off.
    pub fn breaking_off(self) -> Self {
        self.with_fault(Fault::BreakOff)
    }

    /// Sends the body again and again, for as long as the client reads it. An empty one is a space then.
    pub fn endless(self) -> Self {
        self.with_fault(Fault::Endless)
    }

    /// Never answers. Ends when the client goes away, or the server is dropped.
    pub fn hang() -> Self {
        Self::status(StatusCode::OK).with_fault(Fault::Hang)
    }

    /// Sets a header; the last value counts. A reply with several fields of one name is made of an
    /// [`http::Response`], by `into()`.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sets `Retry-After`, in whole seconds, rounded down (RFC 9110 §10.2.3).
    pub fn with_retry_after(self, after: Duration) -> Self {
        self.with_header(RETRY_AFTER, after.as_secs().into())
    }

    /// Sets the body, and says nothing of its type.
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Waits until the gate is open.
    pub fn after(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    fn with_fault(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }

    /// The status and the body, unless the client does not get them in full.
    pub(super) fn whole(&self) -> Option<(StatusCode, &Bytes)> {
        (self.fault == Fault::None).then_some((self.status, &self.body))
    }

    pub(super) async fn wait_for_gate(&self) {
        if let Some(gate) = &self.gate {
            gate.pass().await;
        }
    }

    /// An error closes the connection.
    pub(super) async fn into_response(mut self) -> Result<Response<ReplyBody>, Closed> {
        if self.fault == Fault::BreakOff {
            self.body = filled_up(self.body);
            self.headers.insert(CONTENT_LENGTH, self.body.len().into());
        }
        let body = match self.fault {
            Fault::None => never_fails(Full::new(self.body)),
            Fault::BreakOff => half_of(self.body),
            Fault::Endless => again_and_again(self.body),
            Fault::Close => return Err(Closed),
            Fault::Hang => future::pending().await,
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        Ok(response)
    }
}

/// As any [`http::Response`] has it: status, headers and body. Panics at 1xx, as [`Reply::status`] does.
impl<B: Into<Bytes>> From<Response<B>> for Reply {
    fn from(response: Response<B>) -> Self {
        let (parts, body) = response.into_parts();
        let mut reply = Self::status(parts.status).with_body(body);
        reply.headers = parts.headers;
        reply
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("fault", &self.fault)
            .field("body_len", &self.body.len())
            .finish_non_exhaustive()
    }
}

fn never_fails(body: Full<Bytes>) -> ReplyBody {
    body.map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

/// As many bytes a body has at least that breaks off: two to be sent, and one that is missing.
const SHORTEST: usize = 3;

fn filled_up(body: Bytes) -> Bytes {
    if body.len() >= SHORTEST {
        return body;
    }
    let mut longer = body.to_vec();
    longer.resize(SHORTEST, b' ');
    longer.into()
}

/// At an error, hyper resets an HTTP/2 stream, and drops what was not written of it. Therefore the half comes
/// in two pieces: the second is not taken before the first is on its way, and the head with it, since the
/// server lets no stream buffer more ([`SEND_BUFFER`]).
fn half_of(mut body: Bytes) -> ReplyBody {
    let mut half = body.split_to((body.len() / 2).max(SHORTEST - 1));
    let last = half.split_off(half.len() - 1);
    let pieces = stream::iter([half, last].map(|piece| Ok(Frame::data(piece))));
    let end = stream::once(async {
        // HTTP/1.1 writes what it has when there is nothing more for the moment.
        tokio::task::yield_now().await;
        Err(Closed.into())
    });
    StreamBody::new(pieces.chain(end)).boxed_unsync()
}

/// As little as there is: the next piece of a body waits until the last one was written.
pub(super) const SEND_BUFFER: usize = 1;

const PIECE: usize = 16 * 1024;

/// In large pieces: clients take many small ones over HTTP/2 for an attack.
fn again_and_again(body: Bytes) -> ReplyBody {
    let body = if body.is_empty() {
        Bytes::from_static(b" ")
    } else {
        body
    };
    let piece = Bytes::from(body.repeat(PIECE.div_ceil(body.len())));
    let frames = stream::repeat_with(move || Ok(Frame::data(piece.clone())));
    StreamBody::new(frames).boxed_unsync()
}

/// The connection is closed on purpose.
#[derive(Debug)]
pub(super) struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("closed on purpose")
    }
}

impl std::error::Error for Closed {}
