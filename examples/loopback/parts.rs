//! What servers on loopback are made of: connections, and what can be held and counted on them.

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How many requests may be in flight on one HTTP/2 connection.
const MAX_STREAMS: usize = 20_000;

/// Far longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(60);

pub type HttpClient = Client<HttpConnector, Full<Bytes>>;

/// A client that opens as many HTTP/1.1 connections as it needs.
pub fn http1_client() -> HttpClient {
    Client::builder(TokioExecutor::new()).build(connector())
}

/// A client that sends everything over one HTTP/2 connection.
pub fn http2_client() -> HttpClient {
    Client::builder(TokioExecutor::new())
        .http2_only(true)
        // As many as may be rejected at once: see `tower_bearer::rejection`.
        .http2_max_concurrent_reset_streams(MAX_STREAMS)
        .build(connector())
}

fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    // Head and body are written one after the other.
    connector.set_nodelay(true);
    connector
}

/// Serves HTTP/1.1 and HTTP/2.
pub(crate) async fn serve<F, Fut, B>(listener: TcpListener, handler: F)
where
    F: Fn(Request<Incoming>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Error + Send + Sync> + Send + 'static,
{
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).expect("a TCP socket");
        let handler = handler.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = handler(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            let mut server = auto::Builder::new(TokioExecutor::new());
            server.http2().max_concurrent_streams(MAX_STREAMS as u32);
            // The client closes a connection when it likes.
            let _closed = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// Lets requests through, or holds them.
pub(crate) struct Gate(watch::Sender<bool>);

impl Gate {
    pub(crate) fn open() -> Self {
        Self(watch::channel(true).0)
    }

    pub(crate) fn set(&self, open: bool) {
        self.0.send_replace(open);
    }

    pub(crate) async fn pass(&self) {
        let mut state = self.0.subscribe();
        let passed = state.wait_for(|open| *open).await;
        passed.expect("the gate outlives its server");
    }
}

/// A counter that can be waited for.
pub(crate) struct Counter(watch::Sender<usize>);

impl Counter {
    pub(crate) fn new() -> Self {
        Self(watch::channel(0).0)
    }

    pub(crate) fn add_one(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    pub(crate) fn get(&self) -> usize {
        *self.0.borrow()
    }

    /// Panics after a while, so that what waits in vain is told instead of hanging.
    pub(crate) async fn reaches(&self, at_least: usize) {
        let mut state = self.0.subscribe();
        let reached = state.wait_for(|count| *count >= at_least);
        let Ok(reached) = tokio::time::timeout(PATIENCE, reached).await else {
            panic!(
                "waited for {at_least} requests, and there are {}",
                self.get()
            );
        };
        reached.expect("the counter outlives its server");
    }
}
