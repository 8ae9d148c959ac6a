//! Servers on loopback sockets and a client that follows no redirects.

use std::convert::Infallible;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;

pub(crate) type HttpClient = Client<HttpConnector, Full<Bytes>>;

pub(crate) fn http_client() -> HttpClient {
    Client::builder(TokioExecutor::new()).build(connector())
}

/// A client that speaks HTTP/2 only.
pub(crate) fn http2_client() -> HttpClient {
    Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build(connector())
}

fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    // Head and body are written one after the other.
    connector.set_nodelay(true);
    connector
}

/// A server of HTTP/1.1 and HTTP/2, and what it has received.
pub(crate) struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
    received: Arc<Mutex<Vec<Request<Bytes>>>>,
}

impl Server {
    pub(crate) async fn start(
        answer: impl Fn(&Request<Bytes>) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let received = Arc::<Mutex<Vec<_>>>::default();
        let (answer, log) = (Arc::new(answer), Arc::clone(&received));
        let connections = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                counted.fetch_add(1, Relaxed);
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                    async move {
                        let (parts, body) = request.into_parts();
                        let body = body.collect().await.unwrap().to_bytes();
                        let request = Request::from_parts(parts, body);
                        let response = answer(&request);
                        log.lock().unwrap().push(request);
                        Ok::<_, Infallible>(response)
                    }
                });
                tokio::spawn(async move {
                    let server = auto::Builder::new(TokioExecutor::new());
                    // The client closes a connection when it likes.
                    let _closed = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self {
            port,
            connections,
            received,
        }
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// How many connections were opened.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Relaxed)
    }

    /// What was received since the last time.
    pub(crate) fn received(&self) -> Vec<Request<Bytes>> {
        std::mem::take(&mut self.received.lock().unwrap())
    }
}

pub(crate) fn answer(status: u16, body: &'static str) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .body(Full::from(body))
        .unwrap()
}

pub(crate) fn redirect(status: u16, to: &str) -> Response<Full<Bytes>> {
    let mut response = answer(status, "");
    let to = to.parse().unwrap();
    response.headers_mut().insert(http::header::LOCATION, to);
    response
}

pub(crate) fn post(uri: &str, body: &'static str) -> Request<Full<Bytes>> {
    Request::post(uri).body(Full::from(body)).unwrap()
}
