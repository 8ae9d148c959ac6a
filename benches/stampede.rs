//! Ten thousand tasks that want one token at the same instant.
//!
//! *Cold*: there is no token yet, and all call at once. *Rejected*: all are on their way with a token
//! that the server then rejects, for all of them at once. The provider takes 10 ms, and has to be asked
//! once. The layer is compared with the lock that one writes by hand: a `tokio::sync::Mutex` around the
//! token, held while it is fetched.

// It is how a bench speaks.
#![allow(clippy::print_stdout)]

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tokio::sync::{Barrier, Mutex};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_bearer::error::BoxError;
use tower_bearer::{AccessToken, BearerAuthLayer, TokenCache, token_fn};

type HttpRequest = Request<Full<Bytes>>;

const ORIGIN: &str = "https://api.example.com";
const TASKS: usize = 10_000;
const FETCH_TIME: Duration = Duration::from_millis(10);
const ROUNDS: usize = 21;

fn main() {
    // As criterion decides it: `cargo test` only runs everything once.
    let is_bench = std::env::args().any(|arg| arg == "--bench");
    let is_test = std::env::args().any(|arg| arg == "--test" || arg == "--list");

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("a runtime");
    // Spawned, so that it runs on the workers and not beside them.
    let all = runtime.spawn(async move {
        if is_bench && !is_test {
            report(&rounds(ROUNDS).await);
        } else {
            rounds(1).await;
        }
    });
    runtime.block_on(all).expect("no panic");
}

const CONTENDERS: [&str; 4] = [
    "cold: BearerAuth",
    "cold: lock",
    "rejected: BearerAuth",
    "rejected: lock",
];

/// In the order of their names.
type Results = [Vec<Measured>; CONTENDERS.len()];

async fn rounds(rounds: usize) -> Results {
    let mut results = Results::default();
    for _ in 0..rounds {
        // In turn, so that what happens to the machine meanwhile happens to both.
        results[0].push(layer_cold().await);
        results[1].push(lock_cold().await);
        results[2].push(layer_rejected().await);
        results[3].push(lock_rejected().await);
    }
    results
}

fn report(results: &Results) {
    println!("\n{ROUNDS} rounds, medians; a fetch takes {FETCH_TIME:?} and what the timer adds");
    println!("| contender | tasks | provider calls | total | over the provider's own | ratio |");
    println!("|---|--:|--:|--:|--:|--:|");
    for (i, name) in CONTENDERS.into_iter().enumerate() {
        let calls = results[i].iter().map(|measured| measured.calls).max();
        let calls = calls.expect("a round");
        let total = median(results[i].iter().map(|measured| measured.total));
        let over = median(results[i].iter().map(Measured::over));
        // To the layer's.
        let base = median(results[i - i % 2].iter().map(Measured::over));
        let ratio = over.as_secs_f64() / base.as_secs_f64();
        println!("| {name} | {TASKS} | {calls} | {total:.1?} | {over:.1?} | {ratio:.2} |");
    }
}

async fn layer_cold() -> Measured {
    let (issuer, start) = (Issuer::default(), Start::new());
    let client = layer(&issuer).layer(service_fn(accept));
    let cold = || {
        let (client, start) = (client.clone(), Arc::clone(&start));
        async move {
            start.wait().await;
            client.oneshot(request()).await.expect("an answer").status()
        }
    };
    let measured = measure(&start, &issuer, cold).await;
    assert_eq!(measured.calls, 1);
    measured
}

async fn lock_cold() -> Measured {
    let (issuer, start) = (Issuer::default(), Start::new());
    let client = Locked::new(&issuer, service_fn(accept));
    let cold = || {
        let (client, start) = (client.clone(), Arc::clone(&start));
        async move {
            start.wait().await;
            client.send(request()).await
        }
    };
    let measured = measure(&start, &issuer, cold).await;
    assert_eq!(measured.calls, 1);
    measured
}

async fn layer_rejected() -> Measured {
    let (issuer, start) = (Issuer::default(), Start::new());
    let layer = layer(&issuer);
    layer.cache().token().await.expect("a token");
    let client = layer.layer(rejecting_the_first_token(&start));
    let rejected = || {
        let response = client.clone().oneshot(request());
        async move { response.await.expect("an answer").status() }
    };
    let measured = measure(&start, &issuer, rejected).await;
    assert_eq!(measured.calls, 1);
    measured
}

async fn lock_rejected() -> Measured {
    let (issuer, start) = (Issuer::default(), Start::new());
    let client = Locked::new(&issuer, rejecting_the_first_token(&start));
    client.token().await;
    let rejected = || {
        let client = client.clone();
        async move { client.send(request()).await }
    };
    let measured = measure(&start, &issuer, rejected).await;
    assert_eq!(measured.calls, 1);
    measured
}

/// What came of all tasks, from the start on.
struct Measured {
    calls: usize,
    total: Duration,
    /// Of it, what the provider took.
    fetching: Duration,
}

impl Measured {
    fn over(&self) -> Duration {
        self.total.saturating_sub(self.fetching)
    }
}

/// Sends one request a task. All must succeed.
async fn measure<F>(start: &Start, issuer: &Issuer, send: impl Fn() -> F) -> Measured
where
    F: Future<Output = StatusCode> + Send + 'static,
{
    let calls_before = issuer.calls.load(Ordering::Relaxed);
    let tasks: Vec<_> = (0..TASKS).map(|_| tokio::spawn(send())).collect();
    let started = start.shot().await;
    for task in tasks {
        assert_eq!(task.await.expect("no panic"), StatusCode::OK);
    }
    let total = started.elapsed();
    Measured {
        calls: issuer.calls.load(Ordering::Relaxed) - calls_before,
        total,
        fetching: *issuer.last_fetch.lock().await,
    }
}

/// Lets all tasks go on at the same instant.
struct Start {
    arrived: AtomicUsize,
    barrier: Barrier,
}

impl Start {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            arrived: AtomicUsize::new(0),
            barrier: Barrier::new(TASKS + 1),
        })
    }

    async fn wait(&self) {
        self.arrived.fetch_add(1, Ordering::Relaxed);
        self.barrier.wait().await;
    }

    /// Waits for all tasks to arrive, and then for nothing.
    async fn shot(&self) -> Instant {
        while self.arrived.load(Ordering::Relaxed) < TASKS {
            tokio::task::yield_now().await;
        }
        let now = Instant::now();
        self.barrier.wait().await;
        now
    }
}

/// Issues tokens that are numbered, and takes its time.
#[derive(Clone, Default)]
struct Issuer {
    calls: Arc<AtomicUsize>,
    last_fetch: Arc<Mutex<Duration>>,
}

impl Issuer {
    async fn issue(self) -> Result<AccessToken, BoxError> {
        let began = Instant::now();
        let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        tokio::time::sleep(FETCH_TIME).await;
        let token = AccessToken::new(&format!("token-{number}"))?;
        *self.last_fetch.lock().await = began.elapsed();
        Ok(token.with_expires_in(Duration::from_secs(3600)))
    }
}

fn layer(issuer: &Issuer) -> BearerAuthLayer<impl tower_bearer::TokenProvider + use<>> {
    let issuer = issuer.clone();
    let cache = TokenCache::new(token_fn(move |_| issuer.clone().issue()));
    BearerAuthLayer::for_origin(cache, ORIGIN).expect("an origin")
}

/// What one writes by hand.
#[derive(Clone)]
struct Locked<S> {
    token: Arc<Mutex<Option<AccessToken>>>,
    issuer: Issuer,
    service: S,
}

impl<S> Locked<S>
where
    S: Service<HttpRequest, Response = Response<()>, Error = BoxError> + Clone,
{
    fn new(issuer: &Issuer, service: S) -> Self {
        Self {
            token: Arc::default(),
            issuer: issuer.clone(),
            service,
        }
    }

    async fn token(&self) -> AccessToken {
        let mut kept = self.token.lock().await;
        if let Some(token) = &*kept {
            return token.clone();
        }
        let token = self.issuer.clone().issue().await.expect("a token");
        kept.insert(token).clone()
    }

    async fn send(self, request: HttpRequest) -> StatusCode {
        let token = self.token().await;
        let status = self.send_with(&token, request.clone()).await;
        if status != StatusCode::UNAUTHORIZED {
            return status;
        }
        let mut kept = self.token.lock().await;
        // The careful way: drops no token but the one that was rejected.
        if kept.as_ref() == Some(&token) {
            *kept = None;
        }
        drop(kept);
        let token = self.token().await;
        self.send_with(&token, request).await
    }

    async fn send_with(&self, token: &AccessToken, mut request: HttpRequest) -> StatusCode {
        let bearer = token.header_value().clone();
        request.headers_mut().insert(AUTHORIZATION, bearer);
        let response = self.service.clone().oneshot(request).await;
        response.expect("an answer").status()
    }
}

fn request() -> HttpRequest {
    Request::get(format!("{ORIGIN}/v1/accounts"))
        .body(Full::default())
        .expect("a request")
}

async fn accept(_: HttpRequest) -> Result<Response<()>, BoxError> {
    Ok(Response::new(()))
}

/// Holds every request with the first token until all have arrived, and then rejects it.
fn rejecting_the_first_token(
    start: &Arc<Start>,
) -> impl Service<HttpRequest, Response = Response<()>, Error = BoxError, Future: Send>
+ Clone
+ Send
+ use<> {
    let start = Arc::clone(start);
    service_fn(move |request: HttpRequest| {
        let start = Arc::clone(&start);
        async move {
            let mut response = Response::new(());
            if request.headers()[AUTHORIZATION] == "Bearer token-1" {
                start.wait().await;
                *response.status_mut() = StatusCode::UNAUTHORIZED;
            }
            Ok(response)
        }
    })
}

fn median(values: impl Iterator<Item = Duration>) -> Duration {
    let mut values: Vec<_> = values.collect();
    values.sort();
    values[values.len() / 2]
}
