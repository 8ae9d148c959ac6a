//! What threads that have sent with a token see of what others do to it: nothing later than their next request.
#![cfg(feature = "test-util")]
// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::future::ready;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use futures_executor::block_on;
use http::{HeaderName, HeaderValue, Request, Response};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_bearer::testing::{Answer, ManualClock};
use tower_bearer::{BearerAuth, BearerAuthLayer, FetchErrorKind, TokenCache};

use self::layer_support::{Api, Issuer, ORIGIN, URL, bearer, get, token, unauthorized};

mod layer_support;

type Client = BearerAuth<Api<String>, Issuer>;

type Job = Box<dyn FnOnce(&mut Client) + Send>;

const HOUR: Duration = Duration::from_secs(3600);

/// A thread with a service of its own, which does one thing after another.
struct Worker {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Worker {
    fn new(mut client: Client) -> Self {
        let (jobs, todo) = mpsc::channel::<Job>();
        let work = move || todo.iter().for_each(|job| job(&mut client));
        Self {
            jobs: Some(jobs),
            thread: Some(thread::spawn(work)),
        }
    }

    /// Returns when it is done.
    fn run<T: Send + 'static>(&self, f: impl FnOnce(&mut Client) -> T + Send + 'static) -> T {
        let (done, result) = mpsc::channel();
        let job = move |client: &mut Client| done.send(f(client)).unwrap();
        self.jobs.as_ref().unwrap().send(Box::new(job)).unwrap();
        let patience = Duration::from_secs(60);
        result
            .recv_timeout(patience)
            .expect("neither hangs nor panics")
    }

    fn send(&self) -> String {
        self.run(send)
    }

    /// By a clone that is made for the request.
    fn send_by_clone(&self) -> String {
        self.run(|client| send(&mut client.clone()))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

/// Sends a request and returns the token that was accepted, or the last that was not.
fn send(client: &mut Client) -> String {
    let response = block_on(async { client.ready().await?.call(get(URL)).await });
    response.unwrap().into_body()
}

struct Scene {
    layer: BearerAuthLayer<Issuer>,
    clock: ManualClock,
    issuer: Issuer,
    /// One has cloned, another has been given what a third cloned, and the others have a service each.
    workers: Vec<Worker>,
}

/// Threads that have all sent with `token-1`.
fn scene(issuer: Issuer, rejected: &'static [&'static str]) -> Scene {
    let clock = ManualClock::new();
    let cache = TokenCache::builder(issuer.clone()).with_clock(clock.clone());
    let layer = BearerAuthLayer::for_origin(cache.build(), ORIGIN).unwrap();
    let api = Api::answering(move |parts| {
        let request = http::Request::from_parts(parts.clone(), ());
        let token = bearer(&request).unwrap();
        match parts.uri.path() == "/rejected" && rejected.contains(&token) {
            true => unauthorized(token),
            false => Response::new(token.to_owned()),
        }
    });
    let client = layer.layer(api.clone());
    let mut workers = vec![
        Worker::new(client.clone()),
        Worker::new(client.clone()),
        Worker::new(layer.layer(api)),
    ];
    workers.push(Worker::new(workers[0].run(|client| client.clone())));
    let scene = Scene {
        layer,
        clock,
        issuer,
        workers,
    };
    scene.assert_all_send("token-1");
    scene
}

impl Scene {
    #[track_caller]
    fn assert_all_send(&self, expected: &str) {
        for worker in &self.workers {
            let sent = [worker.send(), worker.send_by_clone(), worker.send()];
            assert_eq!(sent, [expected; 3]);
        }
    }
}

#[test]
fn a_token_that_another_thread_replaced_is_not_sent_again() {
    let scene = scene(Issuer::new(), &[]);
    for (round, worker) in scene.workers.iter().enumerate() {
        let replaced = worker.run(|client| block_on(client.cache().refresh()).unwrap());
        let expected = format!("token-{}", round + 2);
        assert_eq!(replaced, token(&expected));
        scene.assert_all_send(&expected);
    }
    assert_eq!(scene.issuer.fetches(), 5);
}

#[test]
fn a_token_that_another_thread_states_to_be_rejected_is_not_sent_again() {
    for who in 0..4 {
        let scene = scene(Issuer::new(), &[]);
        scene.workers[who].run(|client| client.cache().invalidate(&token("token-1")));
        scene.assert_all_send("token-2");
        assert_eq!(scene.issuer.fetches(), 2);
    }
}

#[test]
fn a_token_that_a_request_of_another_thread_had_rejected_is_not_sent_again() {
    for who in 0..4 {
        let scene = scene(Issuer::new(), &["token-1"]);
        let healed = scene.workers[who].run(|client| {
            let request = get("https://api.example.com/rejected");
            let response = block_on(client.clone().oneshot(request)).unwrap();
            response.into_body()
        });
        assert_eq!(healed, "token-2");
        scene.assert_all_send("token-2");
        assert_eq!(scene.issuer.fetches(), 2);
    }
}

#[test]
fn a_token_that_was_put_back_for_want_of_another_is_sent_again_by_all() {
    let down = || Answer::failure(FetchErrorKind::Unavailable);
    let issuer = Issuer::answering([token("token-1").into(), down()]);
    let scene = scene(issuer, &["token-1"]);
    let kept = scene.workers[1].run(|client| {
        let request = get("https://api.example.com/rejected");
        block_on(client.clone().oneshot(request))
            .unwrap()
            .into_body()
    });
    assert_eq!(kept, "token-1", "the rejection itself");

    scene.assert_all_send("token-1");
    assert_eq!(scene.issuer.fetches(), 2);

    // When the pause is over somebody replaces it; that all see too.
    scene.layer.cache().reset_backoff();
    block_on(scene.layer.cache().refresh()).unwrap();
    scene.assert_all_send("token-3");
}

#[test]
fn a_token_that_has_expired_is_not_sent_again() {
    let scene = scene(Issuer::new(), &[]);
    scene.clock.advance(HOUR);
    scene.assert_all_send("token-2");
    // And one that has only by the wall clock, which is looked at every other second.
    scene.clock.advance(Duration::from_secs(2));
    scene.clock.set_wall_time(scene.clock.wall_time() + HOUR);
    scene.assert_all_send("token-3");
    assert_eq!(scene.issuer.fetches(), 3);
}

#[tokio::test]
async fn a_stale_token_is_sent_while_it_is_replaced_and_then_no_more() {
    let scene = scene(Issuer::new(), &[]);
    scene.clock.advance(HOUR - Duration::from_secs(1));
    // Their threads have no runtime that could drive a refresh.
    scene.assert_all_send("token-1");
    assert_eq!(scene.issuer.fetches(), 1);

    scene.issuer.hold();
    let runtime = tokio::runtime::Handle::current();
    let sent = scene.workers[0].run(move |client| {
        let _entered = runtime.enter();
        send(client)
    });
    assert_eq!(sent, "token-1");
    scene.issuer.wait_for_fetches(2).await;
    scene.assert_all_send("token-1");

    scene.issuer.release();
    while scene.layer.cache().cached() != Some(token("token-2")) {
        tokio::task::yield_now().await;
    }
    scene.assert_all_send("token-2");
    assert_eq!(scene.issuer.fetches(), 2);
}

#[test]
fn of_a_token_that_was_replaced_nothing_is_kept_once_any_thread_sends_with_another() {
    struct Shared(Arc<str>);

    impl AsRef<[u8]> for Shared {
        fn as_ref(&self) -> &[u8] {
            self.0.as_bytes()
        }
    }

    let tracked: Arc<str> = "tenant".into();
    let value = Bytes::from_owner(Shared(Arc::clone(&tracked)));
    let value = HeaderValue::from_maybe_shared(value).unwrap();
    let first = token("token-1").with_header(HeaderName::from_static("x-tenant"), value);
    let layer = BearerAuthLayer::for_origin(Issuer::answering([first.into()]), ORIGIN).unwrap();
    let client = layer.layer(service_fn(|request: Request<String>| {
        let tenant = request.headers().get("x-tenant").is_some();
        ready(Ok::<_, Infallible>(Response::new(tenant)))
    }));
    let send = || {
        block_on(client.clone().oneshot(get(URL)))
            .unwrap()
            .into_body()
    };
    block_on(layer.cache().token()).unwrap();
    // What a thread has seen that has ended is nobody's any more.
    let by_another = thread::scope(|scope| scope.spawn(send).join().unwrap());
    assert!(by_another && Arc::strong_count(&tracked) == 2);

    block_on(layer.cache().refresh()).unwrap();
    assert!(!send());
    assert_eq!(Arc::strong_count(&tracked), 1);
}
