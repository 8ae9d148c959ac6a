//! Over real sockets, by HTTP/1.1 and HTTP/2: servers that answer before they have read the request.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tower::{Layer, ServiceExt};
use tower_bearer::error::BoxError;
use tower_bearer::rejection::NotRetriedReason;
use tower_bearer::replay::{ReplayBody, Streaming};
use tower_bearer::testing;
use tower_bearer::{BearerAuth, BearerAuthLayer};

use super::layer_support::{Issuer, bearer, reason, without_hanging};
use super::support::trailers;

type Body = UnsyncBoxBody<Bytes, BoxError>;
type Auth = BearerAuth<Client<HttpConnector, ReplayBody<Body>>, Issuer, Streaming>;

const LIMIT: usize = 64 * 1024;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Http {
    One,
    Two,
}

const BOTH: [Http; 2] = [Http::One, Http::Two];

/// Answers requests whose bodies have not been read.
async fn serve(
    version: Http,
    answer: impl Fn(Request<Incoming>) -> Response<Body> + Send + Sync + 'static,
) -> String {
    serve_later(version, move |request| ready(answer(request))).await
}

async fn serve_later<F>(
    version: Http,
    answer: impl Fn(Request<Incoming>) -> F + Send + Sync + 'static,
) -> String
where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        loop {
            let io = TokioIo::new(listener.accept().await.unwrap().0);
            let answer = Arc::clone(&answer);
            let service = service_fn(move |request| {
                let response = answer(request);
                async { Ok::<_, Infallible>(response.await) }
            });
            match version {
                Http::One => {
                    let server = hyper::server::conn::http1::Builder::new();
                    tokio::spawn(server.serve_connection(io, service));
                }
                Http::Two => {
                    let mut server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    // A retry that waited for the first request to end would wait for ever.
                    server.max_concurrent_streams(1);
                    tokio::spawn(server.serve_connection(io, service));
                }
            }
        }
    });
    format!("http://127.0.0.1:{port}")
}

fn client(version: Http, origin: &str, issuer: &Issuer) -> Auth {
    let http = Client::builder(TokioExecutor::new())
        .http2_only(version == Http::Two)
        .build_http();
    BearerAuthLayer::for_origin(issuer.clone(), origin)
        .unwrap()
        .with_replay(Streaming::up_to(LIMIT))
        .layer(http)
}

fn text(text: &'static str) -> Body {
    Full::from(text)
        .map_err(|never| match never {})
        .boxed_unsync()
}

fn unauthorized(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response
}

fn echo(request: Request<Incoming>) -> Response<Body> {
    Response::new(request.into_body().map_err(Into::into).boxed_unsync())
}

/// Echoes what comes with another token than `token-1`. The bodies of what comes with that are kept, and
/// not read.
async fn echo_server(version: Http) -> String {
    let unread = Mutex::new(Vec::new());
    serve(version, move |request| {
        if bearer(&request) == Some("token-1") {
            unread.lock().unwrap().push(request.into_body());
            return unauthorized(text("no"));
        }
        echo(request)
    })
    .await
}

/// A body that is sent by hand.
struct Upload {
    chunks: mpsc::UnboundedSender<Frame<Bytes>>,
}

impl Upload {
    fn new(origin: &str) -> (Self, Request<Body>) {
        let (chunks, mut sent) = mpsc::unbounded_channel();
        let stream = futures_util::stream::poll_fn(move |cx| {
            sent.poll_recv(cx).map(|frame| frame.map(Ok::<_, BoxError>))
        });
        let request = Request::post(origin).body(StreamBody::new(stream).boxed_unsync());
        (Self { chunks }, request.unwrap())
    }

    fn send(&self, data: impl Into<Bytes>) {
        self.chunks.send(Frame::data(data.into())).unwrap();
    }

    fn end_with(self, trailers: HeaderMap) {
        self.chunks.send(Frame::trailers(trailers)).unwrap();
    }
}

#[tokio::test]
async fn rejected_before_the_body_has_been_read_the_rest_follows() {
    for version in BOTH {
        let (origin, issuer) = (echo_server(version).await, Issuer::new());
        let client = client(version, &origin, &issuer);
        let (upload, request) = Upload::new(&origin);
        upload.send("ab");

        // The response begins before the body has ended.
        let response = without_hanging(client.oneshot(request)).await.unwrap();
        assert_eq!(response.status(), 200, "{version:?}");
        assert_eq!(issuer.fetches(), 2);

        upload.send("cd");
        upload.end_with(trailers());
        let body = without_hanging(response.into_body().collect())
            .await
            .unwrap();
        if version == Http::Two {
            assert_eq!(body.trailers(), Some(&trailers()));
        }
        assert_eq!(body.to_bytes(), "abcd", "{version:?}");
    }
}

#[tokio::test]
async fn a_conversation_that_is_rejected_at_its_start_goes_on() {
    let (origin, issuer) = (echo_server(Http::Two).await, Issuer::new());
    let client = client(Http::Two, &origin, &issuer);
    let (upload, request) = Upload::new(&origin);
    upload.send("hello");

    let response = without_hanging(client.oneshot(request)).await.unwrap();
    let mut body = response.into_body();
    let hello = without_hanging(body.frame()).await.unwrap().unwrap();
    assert_eq!(hello.into_data().unwrap(), "hello");
    // Each message is answered before the next, and all together are longer than the limit.
    for n in 0..200_u8 {
        upload.send(vec![n; 1000]);
        let mut echoed = 0;
        while echoed < 1000 {
            let frame = without_hanging(body.frame()).await.unwrap().unwrap();
            let data = frame.into_data().unwrap();
            assert!(data.iter().all(|byte| *byte == n));
            echoed += data.len();
        }
    }
    drop(upload);
    let rest = without_hanging(body.collect()).await.unwrap();
    assert_eq!(rest.to_bytes(), "");
}

#[tokio::test]
async fn a_body_longer_than_the_limit_is_sent_once_and_whole() {
    for version in BOTH {
        let received = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&received);
        let origin = serve_later(version, move |request| {
            let log = Arc::clone(&log);
            async move {
                let token = bearer(&request).unwrap().to_owned();
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let answer = match &token[..] {
                    "token-1" => unauthorized(text("no")),
                    _ => Response::new(text("welcome")),
                };
                log.lock().unwrap().push((token, body));
                answer
            }
        })
        .await;
        let issuer = Issuer::new();
        let client = client(version, &origin, &issuer);
        let long = Bytes::from(vec![7; LIMIT + 1]);
        let send = || {
            let (upload, request) = Upload::new(&origin);
            upload.send(long.slice(..LIMIT));
            upload.send(long.slice(LIMIT..));
            without_hanging(client.clone().oneshot(request))
        };

        let response = send().await.unwrap();
        assert_eq!(response.status(), 401, "{version:?}");
        let reason = reason(&response);
        assert!(matches!(reason, Some(NotRetriedReason::BodyNotReplayable)));
        // The next one has a token that is good.
        assert_eq!(send().await.unwrap().status(), 200);
        let expected = ["token-1", "token-2"].map(|token| (token.to_owned(), long.clone()));
        assert_eq!(*received.lock().unwrap(), expected);
    }
}

#[tokio::test]
async fn without_another_token_the_caller_gets_the_whole_rejection() {
    for version in BOTH {
        // What it answers ends when the request ends.
        let origin = serve(version, |request| unauthorized(echo(request).into_body())).await;
        let issuer = Issuer::answering([
            testing::Answer::token("token-1"),
            testing::Answer::error("no more"),
        ]);
        let client = client(version, &origin, &issuer);
        let (upload, request) = Upload::new(&origin);
        upload.send("ab");

        let response = without_hanging(client.oneshot(request)).await.unwrap();
        assert_eq!(response.status(), 401);
        let reason = reason(&response);
        assert!(matches!(reason, Some(NotRetriedReason::FetchFailed(_))));
        // The rest goes to the first request, whatever its length.
        upload.send(vec![b'x'; 2 * LIMIT]);
        drop(upload);
        let body = without_hanging(response.into_body().collect())
            .await
            .unwrap();
        assert_eq!(body.to_bytes().len(), 2 + 2 * LIMIT, "{version:?}");
    }
}

#[tokio::test]
async fn while_the_new_token_is_fetched_the_first_request_goes_on_and_then_ends() {
    for version in BOTH {
        let reads = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&reads);
        let origin = serve(version, move |request| {
            if bearer(&request) != Some("token-1") {
                return echo(request);
            }
            let (reads, read) = mpsc::unbounded_channel();
            log.lock().unwrap().push(read);
            tokio::spawn(async move {
                let mut body = request.into_body();
                let mut read = Ok(Bytes::new());
                while read.is_ok() {
                    read = match body.frame().await {
                        Some(Ok(frame)) => Ok(frame.into_data().unwrap()),
                        Some(Err(_)) => Err("failed"),
                        None => Err("ended"),
                    };
                    let _ = reads.send(read.clone());
                }
            });
            unauthorized(text("no"))
        })
        .await;
        let issuer = Issuer::new();
        let client = client(version, &origin, &issuer);
        without_hanging(client.cache().token()).await.unwrap();
        issuer.hold();

        let (upload, request) = Upload::new(&origin);
        upload.send("ab");
        let response = tokio::spawn(client.oneshot(request));
        issuer.wait_for_fetches(2).await;
        upload.send("cd");
        let mut read = reads.lock().unwrap().pop().unwrap();
        let mut first = Vec::new();
        while first != b"abcd" {
            first.extend(without_hanging(read.recv()).await.unwrap().unwrap());
        }
        issuer.release();
        let response = without_hanging(response).await.unwrap().unwrap();
        assert_eq!(response.status(), 200);
        drop(upload);
        let body = without_hanging(response.into_body().collect())
            .await
            .unwrap();
        assert_eq!(body.to_bytes(), "abcd", "{version:?}");

        // Lest the first request look complete.
        let end = without_hanging(read.recv()).await;
        assert_eq!(end, Some(Err("failed")), "{version:?}");
    }
}
