//! How long requests take while tokens live for a second: the refresh must not be visible.
//!
//! Requests arrive by a schedule, whether or not those before them are done, and latency counts from the
//! scheduled time: nothing that is late is left out. With each arrival every contender gets one request,
//! in random order, in a task of its own on a runtime of two threads. Each has a cache and an issuer of
//! its own, which takes 20 ms. The inner service answers at once, so that a request has no reason to wait
//! but its token. All latencies include that the thread which keeps the schedule wakes up late and that
//! the task is started: *bare*, without any token, shows how much that is.
//!
//! *over bare* is the latency over that of the bare request which arrived at the same time: what happened to
//! the machine then happened to both.
//!
//! *lock* is a `tokio::sync::Mutex` around the token, held while it is fetched; *lock, read first* is
//! only taken when there is no good token (see `by_hand`). Both fetch when the token has expired. If they
//! did so sooner, requests would wait all the same.
//!
//! *Waited* are the requests that were not done when they were first looked at. That of the layer must be
//! zero, which is asserted, unless this machine stood still for so long that a token expired meanwhile.
//!
//! `LATENCY_SECONDS` sets how long it runs.

// It is how a bench speaks.
#![allow(clippy::print_stdout)]

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT, USER_AGENT};
use http::{Request, Response};
use http_body_util::Full;
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, ServiceExt, service_fn};
use tower_bearer::error::BoxError;
use tower_bearer::{BearerAuthLayer, TokenCache};

use self::by_hand::{Client, Keep, Locked, ReadFirst};
use self::issuer::{Conduct, Issuer};

mod by_hand;
mod issuer;

type HttpRequest = Request<Full<Bytes>>;

const ORIGIN: &str = "https://api.example.com";
/// Between arrivals: 5,000 a second for each contender.
const PERIOD: Duration = Duration::from_micros(200);
const LIFE: Duration = Duration::from_secs(1);
const FETCH_TIME: Duration = Duration::from_millis(20);
const LIMIT: Duration = Duration::from_secs(30);
/// A token is replaced when a quarter of its life is left, or up to a quarter of that sooner, which is drawn.
/// A machine that stands still for so long may let it expire.
const STANDSTILL: Duration = Duration::from_millis(100);

fn main() {
    // As criterion decides it: `cargo test` only runs everything once.
    let is_bench = std::env::args().any(|arg| arg == "--bench")
        && !std::env::args().any(|arg| arg == "--test" || arg == "--list");
    let time = match std::env::var("LATENCY_SECONDS") {
        Ok(seconds) if is_bench => Duration::from_secs(seconds.parse().expect("whole seconds")),
        _ if is_bench => Duration::from_secs(60),
        _ => Duration::from_millis(1500),
    };
    let arrivals = time.as_micros() / PERIOD.as_micros();
    let arrivals = usize::try_from(arrivals).expect("it ends some day");

    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("a runtime");
    let contenders = contenders(&runtime, arrivals);
    let latest = keep_to_the_schedule(&runtime, &contenders, arrivals);
    for contender in &contenders {
        contender.log.wait_for_all();
    }
    assert_counts(&contenders, time, latest);
    if is_bench {
        report(&contenders, time);
    }
}

/// Starts one request of each at each arrival. Returns by how much it was late at most.
fn keep_to_the_schedule(runtime: &Runtime, contenders: &[Contender], arrivals: usize) -> Duration {
    let began = Instant::now();
    let mut latest = Duration::ZERO;
    let mut order: Vec<_> = (0..contenders.len()).collect();
    for arrival in 0..arrivals {
        let scheduled = began + PERIOD * u32::try_from(arrival).expect("it ends some day");
        thread::sleep(scheduled.saturating_duration_since(Instant::now()));
        latest = latest.max(scheduled.elapsed());
        fastrand::shuffle(&mut order);
        for &i in &order {
            (contenders[i].start)(runtime, arrival, scheduled);
        }
    }
    latest
}

/// One way to send a request.
struct Contender {
    name: &'static str,
    log: Arc<Log>,
    /// If there is one.
    issuer: Option<Issuer>,
    start: Start,
}

/// Starts the request of an arrival, which was scheduled for then.
type Start = Box<dyn Fn(&Runtime, usize, Instant)>;

const BARE: usize = 0;
const LAYER: usize = 1;

/// In the order of the constants above. All have a token, and its life begins now.
fn contenders(runtime: &Runtime, arrivals: usize) -> Vec<Contender> {
    let issuers = [(); 3].map(|()| Issuer::new(Conduct::Answers(FETCH_TIME), LIFE));
    let [ours, lock, read_first] = &issuers;

    let bare = Contender::new("bare", arrivals, None, |request| {
        service_fn(accept).oneshot(request)
    });
    let cache = TokenCache::new(ours.provider());
    runtime.block_on(cache.token()).expect("a token");
    let layer = BearerAuthLayer::for_origin(cache, ORIGIN).expect("an origin");
    let layered = layer.layer(service_fn(accept));
    let layered = Contender::new("BearerAuth", arrivals, Some(ours), move |request| {
        layered.clone().oneshot(request)
    });
    vec![
        bare,
        layered,
        by_hand::<Locked>(runtime, "lock", arrivals, lock),
        by_hand::<ReadFirst>(runtime, "lock, read first", arrivals, read_first),
    ]
}

fn by_hand<K: Keep>(
    runtime: &Runtime,
    name: &'static str,
    arrivals: usize,
    issuer: &Issuer,
) -> Contender {
    let client = Client::<K, _>::new(issuer, LIMIT, service_fn(accept));
    runtime.block_on(client.token()).expect("a token");
    Contender::new(name, arrivals, Some(issuer), move |request| {
        client.clone().send(request)
    })
}

impl Contender {
    fn new<F>(
        name: &'static str,
        arrivals: usize,
        issuer: Option<&Issuer>,
        send: impl Fn(HttpRequest) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Response<()>, BoxError>> + Send + 'static,
    {
        let log = Log::new(arrivals);
        let logged = Arc::clone(&log);
        let send = Arc::new(send);
        Self {
            name,
            log,
            issuer: issuer.cloned(),
            start: Box::new(move |runtime, arrival, scheduled| {
                let (send, log) = (Arc::clone(&send), Arc::clone(&logged));
                runtime.spawn(async move {
                    let mut response = pin!(send(request()));
                    let first = poll_fn(|cx| Poll::Ready(response.as_mut().poll(cx))).await;
                    let (response, waited) = match first {
                        Poll::Ready(response) => (response, false),
                        Poll::Pending => (response.await, true),
                    };
                    response.expect("an answer");
                    log.done(arrival, scheduled.elapsed(), waited);
                });
            }),
        }
    }

    /// Those that began after the schedule did.
    fn fetches(&self) -> usize {
        self.issuer.as_ref().map_or(0, |issuer| issuer.calls() - 1)
    }
}

/// What became of a contender's requests.
struct Log {
    nanos: Vec<AtomicU64>,
    done: AtomicUsize,
    waited: AtomicUsize,
}

impl Log {
    fn new(arrivals: usize) -> Arc<Self> {
        Arc::new(Self {
            nanos: (0..arrivals).map(|_| AtomicU64::new(0)).collect(),
            done: AtomicUsize::new(0),
            waited: AtomicUsize::new(0),
        })
    }

    fn done(&self, arrival: usize, latency: Duration, waited: bool) {
        let nanos = u64::try_from(latency.as_nanos()).expect("it ends some day");
        self.nanos[arrival].store(nanos, Ordering::Relaxed);
        self.waited
            .fetch_add(usize::from(waited), Ordering::Relaxed);
        self.done.fetch_add(1, Ordering::Release);
    }

    fn wait_for_all(&self) {
        while self.done.load(Ordering::Acquire) < self.nanos.len() {
            thread::yield_now();
        }
    }

    fn waited(&self) -> usize {
        self.waited.load(Ordering::Relaxed)
    }

    /// In the order of arrivals.
    fn micros(&self) -> Vec<f64> {
        let nanos = self.nanos.iter().map(|it| it.load(Ordering::Relaxed));
        nanos.map(|nanos| nanos as f64 / 1e3).collect()
    }

    fn longest(&self) -> Duration {
        let nanos = self.nanos.iter().map(|it| it.load(Ordering::Relaxed));
        Duration::from_nanos(nanos.max().unwrap_or_default())
    }
}

fn assert_counts(contenders: &[Contender], time: Duration, latest: Duration) {
    let layer = &contenders[LAYER];
    let fetch = layer.issuer.as_ref().expect("it has one").longest();
    let stood_still = latest.max(contenders[BARE].log.longest()).max(fetch);
    if stood_still > STANDSTILL {
        println!(
            "This run shows less: the machine stood still for {stood_still:.1?}, so that it is not asserted that \
             nobody waited."
        );
        return;
    }
    assert_eq!(layer.log.waited(), 0, "requests waited");
    // As often as a token becomes stale, and no more. The last one may be under way.
    let lives = time.as_secs() as usize;
    let fetches = layer.fetches();
    assert!(
        (lives..=lives * 2 + 2).contains(&fetches),
        "{fetches} fetches"
    );
    for lock in &contenders[LAYER + 1..] {
        assert!(lock.fetches() <= lives + 1, "{} fetches", lock.fetches());
        assert!(
            lock.log.waited() > 0,
            "of a lock that is held somebody sees something"
        );
    }
}

fn report(contenders: &[Contender], time: Duration) {
    println!(
        "\n## Latency: {} s, tokens live for {} s, a fetch takes {} ms\n",
        time.as_secs(),
        LIFE.as_secs(),
        FETCH_TIME.as_millis(),
    );
    println!(
        "| contender | requests | fetches | waited | p50 (us) | p99 (us) | p99.9 (us) | max (us) | \
         p99 over bare (us) | p99.9 over bare (us) | max over bare (us) |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    let bare = contenders[BARE].log.micros();
    for contender in contenders {
        let own = contender.log.micros();
        let over = own.iter().zip(&bare).map(|(own, bare)| own - bare);
        let (own, over) = (sorted(own.iter().copied()), sorted(over));
        println!(
            "| {} | {} | {} | {} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} |",
            contender.name,
            own.len(),
            contender.fetches(),
            contender.log.waited(),
            at(&own, 0.5),
            at(&own, 0.99),
            at(&own, 0.999),
            at(&own, 1.0),
            at(&over, 0.99),
            at(&over, 0.999),
            at(&over, 1.0),
        );
    }
    println!();
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The least value that is no less than so large a part of them.
fn at(sorted: &[f64], part: f64) -> f64 {
    let rank = (sorted.len() as f64 * part).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

fn request() -> HttpRequest {
    Request::get(format!("{ORIGIN}/v1/accounts"))
        .header(ACCEPT, "application/json")
        .header(USER_AGENT, "latency/1.0")
        .body(Full::default())
        .expect("a request")
}

async fn accept(_: HttpRequest) -> Result<Response<()>, BoxError> {
    Ok(Response::new(()))
}
