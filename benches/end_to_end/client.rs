//! Ways to send a request: without the layer, and with it.

use std::fmt::Debug;
use std::future::{self, Future};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::task::JoinSet;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_bearer::{AccessToken, BearerAuthLayer, TokenProvider, replay, token_fn};

use super::paired::{Cost, Stopwatch};
use super::parts::HttpClient;
use super::{ANSWER, BODY};

pub(crate) type HttpRequest = Request<Full<Bytes>>;

/// Three headers and a small body.
pub(crate) fn request(url: &str) -> HttpRequest {
    Request::post(url)
        .header(ACCEPT, "application/json")
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, "end-to-end/1.0")
        .body(Full::new(Bytes::from_static(BODY)))
        .expect("a request")
}

/// A provider that counts its calls.
pub(crate) fn provider(token: AccessToken, calls: &Arc<AtomicUsize>) -> impl TokenProvider + use<> {
    let calls = Arc::clone(calls);
    token_fn(move |_| {
        calls.fetch_add(1, Ordering::Relaxed);
        let token = token.clone();
        future::ready(Ok(token.with_expires_in(Duration::from_secs(3600))))
    })
}

/// How many requests are sent in a block, and how many of them at a time.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) requests: usize,
    pub(crate) at_a_time: usize,
}

type Block = Pin<Box<dyn Future<Output = Cost>>>;

pub(crate) struct Contender {
    pub(crate) name: &'static str,
    send: Box<dyn Fn(HttpRequest, Load) -> Block>,
}

impl Contender {
    fn new<S>(name: &'static str, service: S) -> Self
    where
        S: Service<HttpRequest, Response = Response<Incoming>, Error: Debug>,
        S: Clone + Send + 'static,
        S::Future: Send,
    {
        let send =
            move |request, load| -> Block { Box::pin(block(service.clone(), request, load)) };
        Self {
            name,
            send: Box::new(send),
        }
    }

    /// Sends copies of a request, and measures what one took.
    pub(crate) async fn send(&self, request: &HttpRequest, load: Load) -> Cost {
        (self.send)(request.clone(), load).await
    }
}

/// What the others are compared with.
pub(crate) const STATIC: usize = 0;
/// What differs between two that do the same.
pub(crate) const STATIC_AGAIN: usize = 1;

/// What would be seen, if it were the layer's.
const DELAY: Duration = Duration::from_micros(1);

fn spin(time: Duration) {
    if time.is_zero() {
        return;
    }
    let began = Instant::now();
    while began.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// All over the same connections.
pub(crate) fn contenders<P: TokenProvider>(
    client: &HttpClient,
    bearer: &HeaderValue,
    layer: &BearerAuthLayer<P>,
) -> Vec<Contender> {
    // As one would write it who knows nothing of layers.
    let with_header = |delay: Duration| {
        let bearer = bearer.clone();
        let put_on = move |mut request: HttpRequest| {
            request.headers_mut().insert(AUTHORIZATION, bearer.clone());
            spin(delay);
            request
        };
        ServiceBuilder::new()
            .map_request(put_on)
            .service(client.clone())
    };
    let in_memory = layer.clone();
    let never = layer.clone().with_replay(replay::Never);
    // In the order of the constants above.
    vec![
        Contender::new("static header", with_header(Duration::ZERO)),
        Contender::new("static header again", with_header(Duration::ZERO)),
        Contender::new("static header, 1 us later", with_header(DELAY)),
        Contender::new("BearerAuth, Never", never.layer(client.clone())),
        Contender::new("BearerAuth, InMemory", in_memory.layer(client.clone())),
    ]
}

async fn block<S>(service: S, request: HttpRequest, load: Load) -> Cost
where
    S: Service<HttpRequest, Response = Response<Incoming>, Error: Debug> + Clone + Send + 'static,
    S::Future: Send,
{
    let each = load.requests / load.at_a_time;
    let stopwatch = Stopwatch::start();
    let mut senders = JoinSet::new();
    for _ in 0..load.at_a_time {
        let (mut service, request) = (service.clone(), request.clone());
        senders.spawn(async move {
            for _ in 0..each {
                send(&mut service, request.clone()).await;
            }
        });
    }
    while let Some(sent) = senders.join_next().await {
        sent.expect("no panic");
    }
    stopwatch.cost_of(each * load.at_a_time)
}

async fn send<S>(service: &mut S, request: HttpRequest)
where
    S: Service<HttpRequest, Response = Response<Incoming>, Error: Debug>,
{
    let service = service.ready().await.expect("a client that is ready");
    let response = service.call(request).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    let body = response.into_body().collect().await.expect("all of it");
    assert_eq!(body.to_bytes(), ANSWER);
}
