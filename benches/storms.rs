//! Ten thousand tasks that want a token at the same instant.
//!
//! - *cold*: there is no token yet, and all call at once;
//! - *cold, steps*: the same, and the fetch is woken ten times, as one over a network is;
//! - *rejected*: all are on their way with a token that the server then rejects, for all of them at once;
//! - *dead*: there is no token, and the issuer fails;
//! - *hanging*: there is no token, and the issuer says nothing, up to the time limit of a fetch;
//! - *keys*: each task wants a token of its own, of which 16 are fetched at once. Without a limit all
//!   would be, which is shown beside it;
//! - *dead, keys*: each task wants a token of its own, and the issuer fails;
//! - *queue*: each task wants a token of its own, and all but the first few are in the queue before the
//!   issuer answers; from then on it does so at once. What is left is the cost of the queue. It must grow
//!   no faster than the number of tasks: that is the last column.
//!
//! The layer is compared with the lock that one writes by hand (see `by_hand`): *lock* is a
//! `tokio::sync::Mutex` around the token, held while it is fetched; *lock, read first* is only taken when
//! there is no good token; *lock a key* are such locks in a map, and a semaphore.
//!
//! The number of fetches is asserted. A lock lets every task try a dead issuer, one after another, so it
//! gets fewer tasks there: compare the last column.
//!
//! *Issuer's own* is what the fetches take at least: what one took on average, by as many as cannot be at the
//! same time. What is over it includes that all tasks are woken and run, on two threads.

// It is how a bench speaks.
#![allow(clippy::print_stdout)]

use std::future;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_bearer::error::BoxError;
use tower_bearer::{
    BearerAuth, BearerAuthLayer, BoxTokenProvider, TokenCache, TokenProvider, TokenRequest,
};

use self::by_hand::{Client, Keep, Keyed, Locked, ReadFirst};
use self::issuer::{Conduct, Issuer};
use self::storm::{Contender, Measured, Outcome, Start, Storm, failed, measure, served};

mod by_hand;
mod issuer;
mod storm;

type HttpRequest = Request<Full<Bytes>>;

const ORIGIN: &str = "https://api.example.com";
const FETCH_TIME: Duration = Duration::from_millis(10);
const STEPS: u32 = 10;
/// Of ten thousand fetches.
const SHORT_FETCH_TIME: Duration = Duration::from_millis(5);
/// A fetch may take so long.
const LIMIT: Duration = Duration::from_secs(30);
/// The same of an issuer that hangs.
const SHORT_LIMIT: Duration = Duration::from_millis(50);
const LIFE: Duration = Duration::from_secs(3600);
/// So many fetches of one cache run at once.
const PLACES: usize = 16;
/// So many begin without one being answered.
const ON_TRUST: usize = 4;
const UNBOUNDED: usize = tokio::sync::Semaphore::MAX_PERMITS;

fn main() {
    // As criterion decides it: `cargo test` only runs everything once.
    let is_bench = std::env::args().any(|arg| arg == "--bench")
        && !std::env::args().any(|arg| arg == "--test" || arg == "--list");
    let only = std::env::var("STORM").unwrap_or_default();

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("a runtime");
    // Spawned, so that it runs on the workers and not beside them.
    let all = runtime.spawn(async move {
        let storms = match is_bench {
            true => storms(10_000, 21),
            false => storms(500, 1),
        };
        for storm in storms.iter().filter(|storm| storm.title.contains(&only)) {
            let table = storm.run().await;
            if is_bench {
                println!("{table}");
            }
        }
    });
    runtime.block_on(all).expect("no panic");
}

fn storms(tasks: usize, rounds: usize) -> Vec<Storm> {
    let few = (tasks / 100).min(20);
    let mut storms = vec![
        Storm {
            title: format!("Storm, cold: {tasks} tasks and no token"),
            contenders: vec![
                Contender::new("BearerAuth", tasks, cold),
                Contender::new("lock", tasks, by_hand_cold::<Locked>),
                Contender::new("lock, read first", tasks, by_hand_cold::<ReadFirst>),
            ],
            rounds,
        },
        Storm {
            title: format!(
                "Storm, cold, steps: {tasks} tasks and no token, fetched in {STEPS} steps"
            ),
            contenders: vec![
                Contender::new("BearerAuth", tasks, cold_in_steps),
                Contender::new("lock", tasks, by_hand_cold_in_steps::<Locked>),
                Contender::new(
                    "lock, read first",
                    tasks,
                    by_hand_cold_in_steps::<ReadFirst>,
                ),
            ],
            rounds,
        },
        Storm {
            title: format!("Storm, rejected: {tasks} requests get a 401 at once"),
            contenders: vec![
                Contender::new("BearerAuth", tasks, rejected),
                Contender::new("lock", tasks, by_hand_rejected::<Locked>),
                Contender::new("lock, read first", tasks, by_hand_rejected::<ReadFirst>),
            ],
            rounds,
        },
        Storm {
            title: format!("Storm, dead: {tasks} tasks, no token, and the issuer fails"),
            contenders: vec![
                Contender::new("BearerAuth", tasks, dead),
                Contender::new("lock", few, by_hand_dead::<Locked>),
                Contender::new("lock, read first", few, by_hand_dead::<ReadFirst>),
            ],
            rounds: rounds.min(11),
        },
        Storm {
            title: format!("Storm, hanging: {tasks} tasks, no token, and the issuer says nothing"),
            contenders: vec![
                Contender::new("BearerAuth", tasks, hanging),
                Contender::new("lock", few / 2, by_hand_hanging::<Locked>),
                Contender::new("lock, read first", few / 2, by_hand_hanging::<ReadFirst>),
            ],
            rounds: rounds.min(5),
        },
        Storm {
            title: format!("Storm, dead, keys: {tasks} tokens, and the issuer fails"),
            contenders: vec![Contender::new("BearerAuth", tasks, dead_keys)],
            rounds,
        },
        Storm {
            title: format!("Storm, keys: {tasks} tokens, {PLACES} fetches at once"),
            contenders: vec![
                Contender::new("BearerAuth", tasks, keys),
                Contender::new(
                    "BearerAuth, another fetch has no driver",
                    tasks,
                    keys_undriven,
                ),
                Contender::new("lock a key", tasks, |tasks| by_hand_keys(tasks, PLACES)),
                Contender::new("lock a key, no limit", tasks, |tasks| {
                    by_hand_keys(tasks, UNBOUNDED)
                }),
            ],
            rounds: rounds.min(3),
        },
    ];
    for tasks in [tasks / 10, tasks, tasks * 5] {
        storms.push(Storm {
            title: format!("Storm, queue: {tasks} tokens from an issuer that takes no time"),
            contenders: vec![
                Contender::new("BearerAuth", tasks, queue),
                Contender::new("lock a key", tasks, by_hand_queue),
            ],
            rounds: rounds.min(5),
        });
    }
    storms
}

// --- The storms

async fn cold(tasks: usize) -> Measured {
    with_no_token(tasks, answers(FETCH_TIME), LIMIT, served).await
}

async fn by_hand_cold<K: Keep>(tasks: usize) -> Measured {
    let measured = by_hand_with_no_token::<K>(tasks, answers(FETCH_TIME), LIMIT, served);
    measured.await.assert_fetches(1..=1)
}

async fn cold_in_steps(tasks: usize) -> Measured {
    with_no_token(tasks, answers_in_steps(), LIMIT, served).await
}

async fn by_hand_cold_in_steps<K: Keep>(tasks: usize) -> Measured {
    let measured = by_hand_with_no_token::<K>(tasks, answers_in_steps(), LIMIT, served);
    measured.await.assert_fetches(1..=1)
}

async fn dead(tasks: usize) -> Measured {
    with_no_token(tasks, fails(), LIMIT, failed).await
}

async fn by_hand_dead<K: Keep>(tasks: usize) -> Measured {
    let measured = by_hand_with_no_token::<K>(tasks, fails(), LIMIT, failed);
    measured.await.assert_fetches(tasks..=tasks)
}

async fn hanging(tasks: usize) -> Measured {
    with_no_token(tasks, hangs(), SHORT_LIMIT, failed).await
}

async fn by_hand_hanging<K: Keep>(tasks: usize) -> Measured {
    let measured = by_hand_with_no_token::<K>(tasks, hangs(), SHORT_LIMIT, failed);
    measured.await.assert_fetches(tasks..=tasks)
}

async fn with_no_token(
    tasks: usize,
    issuer: Issuer,
    limit: Duration,
    expected: fn(&Outcome) -> bool,
) -> Measured {
    let start = Start::new(tasks);
    let client = cache(&issuer, limit).layer(Accept);
    let measured = measure(&start, &issuer, 1, expected, |_| {
        let (client, start) = (client.clone(), Arc::clone(&start));
        async move {
            start.wait().await;
            Ok(client.oneshot(request()).await?.status())
        }
    });
    measured.await.assert_fetches(1..=1)
}

async fn by_hand_with_no_token<K: Keep>(
    tasks: usize,
    issuer: Issuer,
    limit: Duration,
    expected: fn(&Outcome) -> bool,
) -> Measured {
    let start = Start::new(tasks);
    let client = Client::<K, _>::new(&issuer, limit, Accept);
    let measured = measure(&start, &issuer, 1, expected, |_| {
        let (client, start) = (client.clone(), Arc::clone(&start));
        async move {
            start.wait().await;
            Ok(client.send(request()).await?.status())
        }
    });
    measured.await
}

async fn rejected(tasks: usize) -> Measured {
    let (issuer, start) = (answers(FETCH_TIME), Start::new(tasks));
    let layer = cache(&issuer, LIMIT);
    layer.cache().token().await.expect("a token");
    let client = layer.layer(rejecting_the_first_token(&start));
    let measured = measure(&start, &issuer, 1, served, |_| {
        let response = client.clone().oneshot(request());
        async move { Ok(response.await?.status()) }
    });
    measured.await.assert_fetches(1..=1)
}

async fn by_hand_rejected<K: Keep>(tasks: usize) -> Measured {
    let (issuer, start) = (answers(FETCH_TIME), Start::new(tasks));
    let client = Client::<K, _>::new(&issuer, LIMIT, rejecting_the_first_token(&start));
    client.token().await.expect("a token");
    let measured = measure(&start, &issuer, 1, served, |_| {
        let response = client.clone().send(request());
        async move { Ok(response.await?.status()) }
    });
    measured.await.assert_fetches(1..=1)
}

async fn dead_keys(tasks: usize) -> Measured {
    let (issuer, start) = (fails(), Start::new(tasks));
    let client = keyed_client(&issuer, tasks);
    let measured = measure(&start, &issuer, 1, failed, |number| {
        let (client, start) = (client.clone(), Arc::clone(&start));
        async move {
            start.wait().await;
            Ok(client.oneshot(request_for(number)).await?.status())
        }
    });
    measured.await.assert_fetches(1..=ON_TRUST)
}

async fn keys(tasks: usize) -> Measured {
    keys_after(tasks, |_| {}).await
}

/// A thread without a runtime has begun a fetch, and gone.
async fn keys_undriven(tasks: usize) -> Measured {
    let begin_and_go = |client: &KeyedClient| {
        let cache = client.cache().clone();
        std::thread::spawn(move || cache.warm_up()).join()
    };
    keys_after(tasks, |client| begin_and_go(client).expect("no panic")).await
}

async fn keys_after(tasks: usize, before: impl FnOnce(&KeyedClient)) -> Measured {
    let (issuer, start) = (answers(SHORT_FETCH_TIME), Start::new(tasks));
    let client = keyed_client(&issuer, tasks);
    before(&client);
    let measured = measure(&start, &issuer, tasks.div_ceil(PLACES), served, |number| {
        let (client, start) = (client.clone(), Arc::clone(&start));
        async move {
            start.wait().await;
            Ok(client.oneshot(request_for(number)).await?.status())
        }
    });
    let measured = measured.await.assert_fetches(tasks..=tasks);
    measured.assert_at_once(PLACES)
}

async fn by_hand_keys(tasks: usize, places: usize) -> Measured {
    let (issuer, start) = (answers(SHORT_FETCH_TIME), Start::new(tasks));
    let keyed = Arc::new(Keyed::new(&issuer, LIMIT, places));
    let measured = measure(&start, &issuer, tasks.div_ceil(places), served, |number| {
        let (keyed, start) = (Arc::clone(&keyed), Arc::clone(&start));
        async move {
            start.wait().await;
            send_by_hand(&keyed, number).await
        }
    });
    let measured = measured.await.assert_fetches(tasks..=tasks);
    measured.assert_at_once(places)
}

async fn queue(tasks: usize) -> Measured {
    let start = Start::new(tasks);
    let issuer = Issuer::new(Conduct::AnswersOnce(start.shot()), LIFE);
    let client = keyed_client(&issuer, tasks);
    let measured = measure(&start, &issuer, 0, served, |number| {
        let response = client.clone().oneshot(request_for(number));
        Arc::clone(&start).after_a_look(async move { Ok(response.await?.status()) })
    });
    let measured = measured.await.assert_fetches(tasks..=tasks);
    measured.assert_at_once(PLACES)
}

async fn by_hand_queue(tasks: usize) -> Measured {
    let start = Start::new(tasks);
    let issuer = Issuer::new(Conduct::AnswersOnce(start.shot()), LIFE);
    let keyed = Arc::new(Keyed::new(&issuer, LIMIT, PLACES));
    let measured = measure(&start, &issuer, 0, served, |number| {
        let keyed = Arc::clone(&keyed);
        Arc::clone(&start).after_a_look(async move { send_by_hand(&keyed, number).await })
    });
    let measured = measured.await.assert_fetches(tasks..=tasks);
    measured.assert_at_once(PLACES)
}

// --- Who takes part

fn answers(after: Duration) -> Issuer {
    Issuer::new(Conduct::Answers(after), LIFE)
}

fn answers_in_steps() -> Issuer {
    Issuer::new(Conduct::AnswersInSteps(STEPS, FETCH_TIME / STEPS), LIFE)
}

fn fails() -> Issuer {
    Issuer::new(Conduct::Fails(FETCH_TIME), LIFE)
}

fn hangs() -> Issuer {
    Issuer::new(Conduct::Hangs(SHORT_LIMIT), LIFE)
}

fn cache(issuer: &Issuer, limit: Duration) -> BearerAuthLayer<impl TokenProvider + use<>> {
    let cache = TokenCache::builder(issuer.provider()).with_fetch_timeout(limit);
    BearerAuthLayer::for_origin(cache.build(), ORIGIN).expect("an origin")
}

type KeyedClient = BearerAuth<Accept, BoxTokenProvider>;

/// All of its keys are kept.
fn keyed_client(issuer: &Issuer, keys: usize) -> KeyedClient {
    let provider = BoxTokenProvider::new(issuer.provider());
    let cache = TokenCache::builder(provider).with_max_keys(2 * keys);
    let layer = BearerAuthLayer::for_origin(cache.build(), ORIGIN).expect("an origin");
    layer.layer(Accept)
}

async fn send_by_hand(keyed: &Keyed, number: usize) -> Result<StatusCode, BoxError> {
    let mut request = request();
    let bearer = keyed.token(&key(number)).await?;
    request.headers_mut().insert(AUTHORIZATION, bearer);
    Ok(Accept.oneshot(request).await?.status())
}

fn request() -> HttpRequest {
    Request::get(format!("{ORIGIN}/v1/accounts"))
        .body(Full::default())
        .expect("a request")
}

fn request_for(number: usize) -> HttpRequest {
    let mut request = request();
    request.extensions_mut().insert(key(number));
    request
}

fn key(number: usize) -> TokenRequest {
    TokenRequest::default().with_tenant(number.to_string())
}

/// Answers at once.
#[derive(Clone)]
struct Accept;

impl Service<HttpRequest> for Accept {
    type Response = Response<()>;
    type Error = BoxError;
    type Future = future::Ready<Result<Response<()>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: HttpRequest) -> Self::Future {
        future::ready(Ok(Response::new(())))
    }
}

/// Holds every request with the first token until all have arrived, and then rejects it.
fn rejecting_the_first_token(
    start: &Arc<Start>,
) -> impl Service<HttpRequest, Response = Response<()>, Error = BoxError, Future: Send>
+ Clone
+ Send
+ Sync
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
