//! A server on loopback that wants a token, and keeps what it was sent.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::loopback::serve;

/// Far longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer, which may be a stream.
pub type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// The server. It serves until the runtime ends.
pub struct Site {
    origin: String,
    received: Arc<watch::Sender<Vec<Received>>>,
}

/// A request, as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Whether its token was good.
    pub is_accepted: bool,
}

impl Site {
    /// Answers what `accepts` a token with `answer`, and all else with `reject`.
    pub async fn start(
        accepts: impl Fn(&HeaderMap) -> bool + Send + Sync + 'static,
        answer: impl Fn(&Received) -> Answer + Send + Sync + 'static,
        reject: impl Fn(&Received) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let address = listener.local_addr().expect("bound");
        let received = Arc::new(watch::Sender::new(Vec::new()));
        let log = Arc::clone(&received);
        let rules = Arc::new((accepts, answer, reject));
        tokio::spawn(serve(listener, move |request| {
            let (log, rules) = (Arc::clone(&log), Arc::clone(&rules));
            async move {
                let (accepts, answer, reject) = &*rules;
                // Before the body is read, as servers do.
                let is_accepted = accepts(request.headers());
                let received = Received::read(request, is_accepted).await;
                log.send_modify(|log| log.push(received.clone()));
                match is_accepted {
                    true => answer(&received),
                    false => reject(&received),
                }
            }
        }));
        Self {
            origin: format!("http://{address}"),
            received,
        }
    }

    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// All requests, in the order in which they were read.
    pub fn received(&self) -> Vec<Received> {
        self.received.borrow().clone()
    }

    /// How many requests came with a good token.
    pub fn accepted(&self) -> usize {
        let all = self.received.borrow();
        all.iter().filter(|request| request.is_accepted).count()
    }

    /// How many requests came without one.
    pub fn rejected(&self) -> usize {
        self.received.borrow().len() - self.accepted()
    }

    /// Waits until so many requests have been read.
    pub async fn has_received(&self, requests: usize) {
        let mut log = self.received.subscribe();
        let waited = tokio::time::timeout(PATIENCE, log.wait_for(|log| log.len() >= requests));
        let arrived = waited.await.expect("the requests never came");
        arrived.expect("the server lives as long");
    }
}

impl Received {
    async fn read(request: Request<Incoming>, is_accepted: bool) -> Self {
        let (head, body) = request.into_parts();
        let body = body.collect().await;
        Self {
            method: head.method,
            uri: head.uri,
            headers: head.headers,
            body: body.map(|body| body.to_bytes()).unwrap_or_default(),
            is_accepted,
        }
    }

    /// The value of a header, and nothing if it has none.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).map(|value| value.to_str());
        value.transpose().expect("visible ASCII").unwrap_or("")
    }
}

/// An answer in JSON.
pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(body.into()).boxed_unsync())
        .expect("valid response")
}
