//! A minute of a token endpoint that is dead, in which a thousand callers ask again and again.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tower::{ServiceExt, service_fn};
use tower_bearer::error::BoxError;
use tower_bearer::oauth2::ClientCredentials;
use tower_bearer::testing::ManualClock;
use tower_bearer::{
    AccessToken, FetchError, FetchErrorKind, TokenCache, TokenProvider, TokenRequest, token_fn,
};

use crate::layer_support::without_hanging;
use crate::scene::LIMIT;
use crate::socket_support::{Conn, RawServer, unheard};

const CALLERS: usize = 1000;
const STEP: Duration = Duration::from_millis(100);
const STEPS: u32 = 600;

/// What happened below the cache.
#[derive(Clone, Default)]
struct Traffic {
    connects: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    under_way: Arc<AtomicUsize>,
}

struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

fn cache(endpoint: &str) -> (TokenCache<impl TokenProvider>, ManualClock, Traffic) {
    let traffic = Traffic::default();
    let connects = Arc::clone(&traffic.connects);
    let connector = HttpConnector::new().map_request(move |uri: Uri| {
        connects.fetch_add(1, Relaxed);
        uri
    });
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let (requests, under_way) = (
        Arc::clone(&traffic.requests),
        Arc::clone(&traffic.under_way),
    );
    let transport = service_fn(move |request: Request<Full<Bytes>>| {
        requests.fetch_add(1, Relaxed);
        under_way.fetch_add(1, Relaxed);
        let until_dropped = UnderWay(Arc::clone(&under_way));
        let response = client.request(request);
        async move {
            let response = response.await;
            drop(until_dropped);
            response
        }
    });
    let provider = ClientCredentials::builder(format!("{endpoint}/oauth"), "me", "hunter2")
        .build(transport.boxed_clone())
        .unwrap();
    let clock = ManualClock::new();
    let cache = TokenCache::builder(provider)
        .with_clock(clock.clone())
        .with_fetch_timeout(LIMIT)
        .build();
    (cache, clock, traffic)
}

type Asking<'a> = Pin<Box<dyn Future<Output = Result<AccessToken, FetchError>> + 'a>>;

/// Callers who each ask again, a step after they were told that there is no token.
async fn dead_minute(endpoint: &str, keys: usize, hangs: bool) -> Traffic {
    let (cache, clock, traffic) = cache(endpoint);
    let handles: Vec<_> = (0..keys)
        .map(|i| cache.for_request(&TokenRequest::default().with_scope(&format!("key-{i}"))))
        .collect();
    let kind = match hangs {
        true => FetchErrorKind::TimedOut,
        false => FetchErrorKind::Unavailable,
    };
    let mut asking: Vec<Option<Asking<'_>>> = (0..CALLERS).map(|_| None).collect();
    let (mut told_at_once, mut told_later) = (0, 0);

    for _ in 0..STEPS {
        for (i, caller) in asking.iter_mut().enumerate() {
            if caller.is_none() {
                let mut new: Asking<'_> = Box::pin(handles[i % keys].token());
                match poll(&mut new) {
                    Poll::Ready(result) => {
                        assert_failed(result, kind);
                        told_at_once += 1;
                    }
                    Poll::Pending => {
                        // Only a fetch is waited for, never a pause.
                        assert_ne!(traffic.under_way.load(Relaxed), 0, "waits for nothing");
                        *caller = Some(new);
                    }
                }
            }
        }
        // What hangs ends by the clock, and what is refused in a moment.
        let mut settle = pin!(async {
            loop {
                tokio::task::yield_now().await;
                for caller in &mut asking {
                    if let Some(Poll::Ready(result)) = caller.as_mut().map(poll) {
                        assert_failed(result, kind);
                        told_later += 1;
                        *caller = None;
                    }
                }
                if hangs || asking.iter().all(Option::is_none) {
                    break;
                }
            }
        });
        without_hanging(&mut settle).await;
        clock.advance(STEP);
    }
    println!(
        "dead minute: callers={CALLERS} keys={keys} hangs={hangs} token_requests={} connects={} \
         told_at_once={told_at_once} told_later={told_later}",
        traffic.requests.load(Relaxed),
        traffic.connects.load(Relaxed),
    );
    assert!(told_at_once > told_later, "most of them fall into a pause");
    traffic
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    let mut cx = Context::from_waker(Waker::noop());
    Pin::new(future).poll(&mut cx)
}

fn assert_failed(result: Result<AccessToken, FetchError>, kind: FetchErrorKind) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind);
}

fn assert_few(traffic: &Traffic) {
    for count in [&traffic.requests, &traffic.connects] {
        let count = count.load(Relaxed);
        assert!(count <= 12, "{count}");
        assert!(count >= 3, "{count}: it was not tried again");
    }
}

#[tokio::test]
async fn a_thousand_callers_at_a_port_that_refuses_make_at_most_twelve_attempts_in_a_minute() {
    // Bound, so that nobody else begins to listen there.
    let socket = unheard();
    let endpoint = format!("http://{}", socket.local_addr().unwrap());
    for keys in [1, CALLERS] {
        let traffic = dead_minute(&endpoint, keys, false).await;
        assert_few(&traffic);
    }
}

/// What is asked there begins and hangs.
async fn silent_minute(keys: usize) {
    let server = RawServer::start(|_| unreachable!("it never answers"));
    for _ in 0..100 {
        server.next(async |mut conn: Conn| {
            conn.closed().await;
            None
        });
    }
    let traffic = dead_minute(&server.origin(), keys, true).await;
    assert_few(&traffic);
    assert!(server.connections() <= 12 && server.requests() <= 12);
    assert!(server.requests() >= 3);
}

#[tokio::test]
async fn a_thousand_callers_at_a_port_that_never_answers_make_at_most_twelve_attempts_in_a_minute()
{
    silent_minute(1).await;
}

#[tokio::test]
async fn a_thousand_keys_at_a_port_that_never_answers_make_at_most_twelve_attempts_in_a_minute() {
    silent_minute(CALLERS).await;
}

#[test]
fn no_fetch_of_the_queue_begins_as_those_before_it_run_into_their_time_limit() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let provider = token_fn(move |_| {
        counted.fetch_add(1, Relaxed);
        std::future::pending::<Result<AccessToken, BoxError>>()
    });
    let clock = ManualClock::new();
    let cache = TokenCache::builder(provider)
        .with_clock(clock.clone())
        .with_fetch_timeout(LIMIT)
        .build();
    let handles: Vec<_> = (0..5)
        .map(|i| cache.for_request(&TokenRequest::default().with_scope(&format!("key-{i}"))))
        .collect();
    let mut callers: Vec<_> = handles.iter().map(|h| Box::pin(h.token())).collect();
    for caller in &mut callers {
        assert!(poll(caller).is_pending());
    }
    assert_eq!(calls.load(Relaxed), 4); // those let in on trust

    clock.advance(LIMIT);
    // The one in the queue first.
    let _maybe_told = poll(&mut callers[4]);
    for caller in &mut callers[..4] {
        assert!(poll(caller).is_ready());
    }
    assert_eq!(calls.load(Relaxed), 4);
}
