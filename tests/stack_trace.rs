//! `Trace` above the layer and below it, by HTTP/1.1 and HTTP/2 on real sockets, with all headers logged.
#![cfg(feature = "tracing")]
// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, ServiceExt};
use tower_bearer::BearerAuthLayer;
use tower_bearer::error::BoxError;
use tower_http::classify::{ServerErrorsAsFailures, SharedClassifier};
use tower_http::trace::{DefaultMakeSpan, DefaultOnRequest, DefaultOnResponse, TraceLayer};
use tracing::field::{Field, Visit};
use tracing::{Level, span};

use self::layer_support::socket::{HttpClient, Server, answer};
use self::layer_support::{Issuer, bearer, without_hanging};
use self::stack_support::clients;

mod layer_support;
mod stack_support;

/// Each span and each event of all there is, on a line of its own.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

impl Log {
    /// How many lines have this in them.
    fn lines_with(&self, text: &str) -> usize {
        let lines = self.0.lock().unwrap();
        lines.iter().filter(|line| line.contains(text)).count()
    }

    fn line(&self, kind: &str, record: impl FnOnce(&mut Line)) {
        let mut line = Line(format!("{kind} "));
        record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        self.line(span.metadata().name(), |line| span.record(line));
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        self.line("recorded", |line| values.record(line));
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        self.line(event.metadata().target(), |line| event.record(line));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

type Trace = TraceLayer<SharedClassifier<ServerErrorsAsFailures>>;

/// Logs all headers there are.
fn trace() -> Trace {
    TraceLayer::new_for_http()
        .make_span_with(
            DefaultMakeSpan::new()
                .level(Level::INFO)
                .include_headers(true),
        )
        .on_request(DefaultOnRequest::new().level(Level::INFO))
        .on_response(
            DefaultOnResponse::new()
                .level(Level::INFO)
                .include_headers(true),
        )
}

/// What is logged of a request whose first token is rejected.
async fn log<S, B>(
    stack: impl Fn(BearerAuthLayer<Issuer>, HttpClient) -> S,
    http: HttpClient,
) -> Log
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: Into<BoxError>>,
{
    let server = Server::start(|request| match bearer(request) {
        Some("token-1") => answer(401, "revoked"),
        _ => answer(200, "welcome"),
    })
    .await;
    let layer = BearerAuthLayer::for_origin(Issuer::new(), server.origin())
        .unwrap()
        .with_header(
            HeaderName::from_static("x-app"),
            HeaderValue::from_static("app"),
        );
    let log = Log::default();
    let _logging = tracing::subscriber::set_default(log.clone());

    let request = Request::get(server.url("/")).header("x-own", "own");
    let request = request.body(Full::default()).unwrap();
    let response = without_hanging(stack(layer, http).oneshot(request)).await;

    assert_eq!(response.map_err(Into::into).unwrap().status(), 200);
    assert_eq!(server.received().len(), 2);
    // hyper and h2 log nothing of it either.
    assert_eq!(log.lines_with("token-"), 0, "a token in the log");
    log
}

#[tokio::test]
async fn above_it_sees_one_request_without_the_token() {
    for (_, http) in clients() {
        let log = log(|layer, http| trace().layer(layer.layer(http)), http).await;

        assert_eq!(log.lines_with("\"x-own\": \"own\""), 1);
        assert_eq!(log.lines_with("started processing request"), 1);
        assert_eq!(log.lines_with("finished processing request"), 1);
        assert_eq!(log.lines_with("status=200"), 1);
        assert_eq!(log.lines_with("status=401"), 0);
        assert_eq!(log.lines_with("\"authorization\""), 0);
        assert_eq!(log.lines_with("\"x-app\""), 0);
    }
}

#[tokio::test]
async fn below_it_sees_both_with_the_token_marked_as_sensitive() {
    for (_, http) in clients() {
        let log = log(|layer, http| layer.layer(trace().layer(http)), http).await;

        assert_eq!(log.lines_with("\"x-own\": \"own\""), 2);
        assert_eq!(log.lines_with("started processing request"), 2);
        assert_eq!(log.lines_with("finished processing request"), 2);
        assert_eq!(log.lines_with("status=401"), 1);
        assert_eq!(log.lines_with("status=200"), 1);
        assert_eq!(log.lines_with("\"authorization\": Sensitive"), 2);
        assert_eq!(log.lines_with("\"x-app\": \"app\""), 2);
    }
}
