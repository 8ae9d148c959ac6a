//! What the requests go to: a server with a thread of its own, which counts.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::net::TcpListener;

use super::{ANSWER, BODY};

/// Answers at once, when it has read the request.
pub(crate) struct Server {
    address: SocketAddr,
    received: Arc<Received>,
}

impl Server {
    /// Serves until the process ends.
    pub(crate) fn start(bearer: HeaderValue) -> Self {
        let received = Arc::new(Received {
            bearer,
            requests: AtomicUsize::new(0),
            as_expected: AtomicUsize::new(0),
            heads: Mutex::default(),
        });
        let served = Arc::clone(&received);
        let (started, address) = mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0")
                    .await
                    .expect("loopback has a free port");
                let address = listener.local_addr().expect("bound");
                started.send(address).expect("somebody waits for it");
                super::parts::serve(listener, move |request| {
                    answer(Arc::clone(&served), request)
                })
                .await;
            });
        });
        Self {
            address: address.recv().expect("the server starts"),
            received,
        }
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests there were since it was asked last, and how many of them were as expected.
    pub(crate) fn take_counts(&self) -> (usize, usize) {
        let take = |count: &AtomicUsize| count.swap(0, Ordering::Relaxed);
        (
            take(&self.received.requests),
            take(&self.received.as_expected),
        )
    }

    /// The heads of the requests to [`HEAD`](super::HEAD) since it was asked last.
    pub(crate) fn take_heads(&self) -> Vec<(Version, HeaderMap)> {
        let mut heads = self.received.heads.lock().expect("nobody panicked");
        std::mem::take(&mut heads)
    }
}

struct Received {
    bearer: HeaderValue,
    requests: AtomicUsize,
    /// With the token, once, and with the body.
    as_expected: AtomicUsize,
    heads: Mutex<Vec<(Version, HeaderMap)>>,
}

async fn answer(received: Arc<Received>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.expect("all of the body").to_bytes();

    let mut tokens = parts.headers.get_all(AUTHORIZATION).iter();
    let has_token = tokens.next() == Some(&received.bearer) && tokens.next().is_none();
    received.requests.fetch_add(1, Ordering::Relaxed);
    if has_token && body == BODY {
        received.as_expected.fetch_add(1, Ordering::Relaxed);
    }
    if parts.uri.path() == super::HEAD {
        let mut heads = received.heads.lock().expect("nobody panicked");
        heads.push((parts.version, parts.headers));
    }
    Response::new(Full::new(Bytes::from_static(ANSWER)))
}
