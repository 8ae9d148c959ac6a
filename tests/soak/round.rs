//! One round: a cache, its requesters and the weather.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Collected, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use tokio::runtime::{Builder, Runtime};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};
use tower_bearer::oauth2::{ClientAuth, ClientCredentials};
use tower_bearer::rejection::{NotRetried, NotRetriedReason};
use tower_bearer::{
    AccessToken, BearerAuthLayer, FetchContext, FetchError, TokenCache, TokenProvider, TokenRequest,
};

use crate::layer_support::bearer;
use crate::layer_support::socket::http_client;
use crate::oracle::Oracle;
use crate::outcome::{Done, Failure};
use crate::servers::{Random, api, token_endpoint};
use crate::tally::Tally;

#[derive(Clone, Copy)]
pub(crate) enum Weather {
    /// The token endpoint is slow, never so that a token could not be replaced in time.
    Mild,
    /// It fails, and the API resets connections and revokes tokens.
    Harsh,
}

const REQUESTERS: usize = 64;
const KEYS: usize = 4;

/// How long a requester rests between two requests, in milliseconds.
const REST: (u64, u64) = (10, 50);

/// How long a fetch may take.
const LIMIT: Duration = Duration::from_millis(300);

/// A request that takes longer is stuck.
const STUCK: Duration = Duration::from_secs(20);

/// How often the layer has sent a request.
#[derive(Clone, Default)]
struct Sends(Arc<AtomicUsize>);

pub(crate) fn round(weather: Weather, time: Duration, mut random: fastrand::Rng) -> Tally {
    let oracle = Oracle::new();
    let (servers, clients) = (runtime(1), runtime(2));
    let mut fork = || -> Random { Arc::new(random.fork().into()) };
    let (tokens, api) = servers.block_on(async {
        let tokens = token_endpoint(weather, oracle.clone(), fork());
        (tokens, api(weather, oracle.clone(), fork()))
    });
    let over = Arc::new(AtomicBool::new(false));
    let beats = [
        heartbeat(&servers, &oracle),
        heartbeat(&clients, &oracle),
        heartbeat(&clients, &oracle),
    ];
    let thread = heartbeat_of_a_thread(oracle.clone(), Arc::clone(&over));

    clients.block_on(async {
        let cache = cache(&tokens.origin(), &oracle);
        if let Weather::Mild = weather {
            // The first request of each key, which waits.
            for key in 0..KEYS {
                let key = token_request(key);
                cache.for_request(&key).token().await.unwrap();
            }
        }
        let number = Arc::new(AtomicU64::new(0));
        let requesters: Vec<_> = (0..REQUESTERS)
            .map(|i| {
                let requester = Requester {
                    cache: cache.clone(),
                    origin: api.origin(),
                    key: i % KEYS,
                    oracle: oracle.clone(),
                    number: Arc::clone(&number),
                    until: Instant::now() + time,
                };
                tokio::spawn(requester.run(random.fork()))
            })
            .collect();
        for requester in requesters {
            requester.await.unwrap();
        }
    });
    over.store(true, Relaxed);
    thread.join().unwrap();
    beats.iter().for_each(tokio::task::JoinHandle::abort);
    oracle.sum(matches!(weather, Weather::Mild))
}

fn runtime(threads: usize) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder
        .worker_threads(threads)
        .enable_all()
        .build()
        .unwrap()
}

const BEAT: Duration = Duration::from_millis(5);

/// Tells the oracle when a runtime did not run.
fn heartbeat(runtime: &Runtime, oracle: &Oracle) -> tokio::task::JoinHandle<()> {
    let oracle = oracle.clone();
    runtime.spawn(async move {
        loop {
            let before = Instant::now();
            tokio::time::sleep(BEAT).await;
            oracle.ran(before, Instant::now());
        }
    })
}

fn heartbeat_of_a_thread(oracle: Oracle, over: Arc<AtomicBool>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        while !over.load(Relaxed) {
            let before = Instant::now();
            thread::sleep(BEAT);
            oracle.ran(before, Instant::now());
        }
    })
}

/// Tells the oracle when the cache calls.
struct Watched<P> {
    provider: P,
    oracle: Oracle,
}

impl<P: TokenProvider> TokenProvider for Watched<P> {
    async fn fetch_token(&self, cx: FetchContext) -> Result<AccessToken, BoxError> {
        self.oracle
            .called(cx.token_request().scopes().next().unwrap());
        self.provider.fetch_token(cx).await
    }
}

fn cache(endpoint: &str, oracle: &Oracle) -> TokenCache<impl TokenProvider + use<>> {
    let (client, watching) = (http_client(), oracle.clone());
    let oracle = oracle.clone();
    let transport = service_fn(move |mut request: Request<Full<Bytes>>| {
        let form = request.body().clone().collect().now_or_never();
        let form = form.unwrap().unwrap().to_bytes();
        let form = std::str::from_utf8(&form).unwrap();
        let (_, rest) = form.split_once("scope=").unwrap();
        let key = rest.split('&').next().unwrap();
        let mut under_way = UnderWay {
            taken: false,
            fetch: oracle.fetch_began(key),
            oracle: oracle.clone(),
        };
        let fetch = HeaderValue::from(under_way.fetch);
        request.headers_mut().insert("x-fetch", fetch);
        let response = client.request(request);
        async move {
            let response = response.await?;
            // Small enough to be a part of the fetch.
            let (parts, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            under_way.taken = parts.status.is_success();
            drop(under_way);
            Ok::<_, BoxError>(Response::from_parts(parts, Full::new(body)))
        }
    });
    let provider = ClientCredentials::builder(format!("{endpoint}/oauth"), "me", "hunter2")
        .with_client_auth(ClientAuth::Post)
        .build(transport.boxed_clone())
        .unwrap();
    let oracle = watching;
    TokenCache::builder(Watched { provider, oracle })
        .with_fetch_timeout(LIMIT)
        .build()
}

struct UnderWay {
    oracle: Oracle,
    fetch: usize,
    taken: bool,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.oracle.fetch_ended(self.fetch, self.taken);
    }
}

struct Requester<P> {
    cache: TokenCache<P>,
    origin: String,
    key: usize,
    oracle: Oracle,
    number: Arc<AtomicU64>,
    until: Instant,
}

fn name(key: usize) -> String {
    format!("key-{key}")
}

fn token_request(key: usize) -> TokenRequest {
    TokenRequest::default().with_scope(&name(key))
}

impl<P: TokenProvider> Requester<P> {
    async fn run(self, mut random: fastrand::Rng) {
        let (client, oracle) = (http_client(), self.oracle.clone());
        let key = name(self.key);
        // Below the layer.
        let inner = service_fn(move |request: Request<Full<Bytes>>| {
            let sends: &Sends = request.extensions().get().unwrap();
            sends.0.fetch_add(1, Relaxed);
            oracle.sent(&key, bearer(&request).unwrap());
            client.request(request)
        });
        let layer = BearerAuthLayer::for_origin(self.cache.clone(), &*self.origin).unwrap();
        let mut service = layer.layer(inner);

        while Instant::now() < self.until {
            let number = self.number.fetch_add(1, Relaxed);
            let sends = Sends::default();
            let mut request = Request::post(&self.origin)
                .body(Full::from("payload"))
                .unwrap();
            request.headers_mut().insert("x-request", number.into());
            request.extensions_mut().insert(sends.clone());
            request.extensions_mut().insert(token_request(self.key));
            let began = Instant::now();
            let response = service.ready().await.unwrap().call(request);
            // Called within `call`, if there was a token.
            let waited = sends.0.load(Relaxed) == 0;
            let Ok(result) = tokio::time::timeout(STUCK, response).await else {
                self.oracle.fault(format!("request {number} is stuck"));
                continue;
            };
            self.oracle.done(Done {
                number,
                key: name(self.key),
                began,
                waited,
                sends: sends.0.load(Relaxed),
                failure: self.failure(result).await,
            });
            let rest = random.u64(REST.0..REST.1);
            tokio::time::sleep(Duration::from_millis(rest)).await;
        }
    }

    async fn failure(&self, result: Result<Response<Incoming>, BoxError>) -> Option<Failure> {
        let response = match result {
            Ok(response) => response,
            Err(error) => {
                if let Some(error) = error.downcast_ref::<FetchError>() {
                    self.show(error);
                    return Some(Failure::NoToken(error.kind()));
                }
                return Some(match error.is::<legacy::Error>() {
                    true => Failure::Connection,
                    false => Failure::Other(format!("an error of another type: {error}")),
                });
            }
        };
        let (parts, body) = response.into_parts();
        let reason = parts.extensions.get().map(NotRetried::reason);
        let failure = match (parts.status.as_u16(), reason) {
            (200, None) => None,
            (401, None) => Some(Failure::Twice),
            (401, Some(NotRetriedReason::FetchFailed(error))) => {
                self.show(error);
                Some(Failure::NoToken(error.kind()))
            }
            (401, Some(NotRetriedReason::BudgetSpent)) => Some(Failure::BudgetSpent),
            other => Some(Failure::Other(format!("{other:?}"))),
        };
        let expected = if failure.is_none() { "welcome" } else { "no" };
        match body.collect().await.map(Collected::to_bytes) {
            Ok(body) if body == expected => failure,
            _ => Some(Failure::Other("another body".to_owned())),
        }
    }

    /// Looks for a secret in what can be printed of an error.
    fn show(&self, error: &FetchError) {
        let mut next: Option<&(dyn Error + 'static)> = Some(error);
        while let Some(error) = next {
            let text = format!("{error} {error:?}");
            if text.contains("hunter2") || text.contains("soak-") {
                self.oracle.fault(format!("a secret: {text}"));
            }
            next = error.source();
        }
    }
}
