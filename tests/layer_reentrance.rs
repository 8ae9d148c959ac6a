//! Somebody else's code that runs in the midst of a request: it sends another through the same service, or it
//! panics.

// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use tower::{Layer, ServiceExt};
use tower_bearer::replay::{Copied, InMemory, Replay};
use tower_bearer::{BearerAuth, BearerAuthLayer};

use self::layer_support::{Api, Issuer, URL, get, layer};

mod layer_support;

type Client = BearerAuth<Api<String>, Issuer, Meddling>;

/// Where it is that somebody else's code runs.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Choose,
    /// Of the header value that ours replaces, while that is put there.
    Drop,
    Keep,
    Prepare,
}

const PLACES: [Place; 4] = [Place::Choose, Place::Drop, Place::Keep, Place::Prepare];

type Meddle = Rc<dyn Fn()>;

thread_local! {
    /// What is to be done once by this thread.
    static TODO: RefCell<Option<(Place, Meddle)>> = const { RefCell::new(None) };
}

fn meddle_in(place: Place, f: impl Fn() + 'static) {
    TODO.set(Some((place, Rc::new(f))));
}

fn runs_in(place: Place) {
    let todo = TODO.with_borrow_mut(|todo| todo.take_if(|(at, _)| *at == place));
    if let Some((_, f)) = todo {
        f();
    }
}

fn is_done() -> bool {
    TODO.with_borrow(Option::is_none)
}

#[derive(Clone)]
struct Meddling;

impl Replay<String> for Meddling {
    type Body = String;
    type Kept = Copied<String>;

    fn keep(&self, request: &mut Request<String>) -> Option<Copied<String>> {
        runs_in(Place::Keep);
        InMemory.keep(request)
    }

    fn prepare(
        &self,
        request: Request<String>,
        kept: Option<&mut Copied<String>>,
    ) -> Request<String> {
        runs_in(Place::Prepare);
        InMemory.prepare(request, kept)
    }

    fn is_replayable(kept: &mut Copied<String>) -> bool {
        <InMemory as Replay<String>>::is_replayable(kept)
    }

    fn replay(kept: Copied<String>) -> Request<String> {
        <InMemory as Replay<String>>::replay(kept)
    }
}

/// The bytes of a header value.
struct Meddlesome;

impl AsRef<[u8]> for Meddlesome {
    fn as_ref(&self) -> &[u8] {
        b"Bearer inbound"
    }
}

impl Drop for Meddlesome {
    fn drop(&mut self) {
        runs_in(Place::Drop);
    }
}

/// With a value that is dropped when it is replaced.
fn inbound() -> Request<String> {
    let value = HeaderValue::from_maybe_shared(Bytes::from_owner(Meddlesome)).unwrap();
    let mut request = get(URL);
    request.headers_mut().insert(AUTHORIZATION, value);
    request
}

fn meddled_with(issuer: &Issuer) -> BearerAuthLayer<Issuer, Meddling> {
    let layer = layer(issuer).with_authorization_replaced();
    let layer = layer.with_token_chosen_by(|_| {
        runs_in(Place::Choose);
        None
    });
    layer.with_replay(Meddling)
}

/// A service that has sent, and so has its token at hand.
fn warm(issuer: &Issuer, api: &Api<String>) -> Client {
    let client = meddled_with(issuer).layer(api.clone());
    send(&client, get(URL));
    assert_eq!(api.tokens(), ["token-1"]);
    client
}

/// Nothing here waits, and an executor cannot be entered twice.
fn at_once<F: Future>(future: F) -> F::Output {
    future.now_or_never().expect("had to wait")
}

fn send(client: &Client, request: Request<String>) {
    // By a clone of the same thread, which has the same at hand.
    let response = at_once(client.clone().oneshot(request)).unwrap();
    assert_eq!(response.body(), "welcome");
}

/// Fails if a thread waits for itself.
fn on_a_thread(f: impl FnOnce() + Send + 'static) {
    let (done, result) = mpsc::channel();
    let thread = thread::spawn(move || {
        f();
        done.send(()).unwrap();
    });
    match result.recv_timeout(Duration::from_secs(60)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("hangs"),
        _ => thread.join().unwrap(),
    }
}

#[test]
fn a_request_may_be_sent_in_the_midst_of_another() {
    for place in PLACES {
        on_a_thread(move || {
            let (issuer, api) = (Issuer::new(), Api::accepting());
            let client = warm(&issuer, &api);
            let again = client.clone();
            meddle_in(place, move || send(&again, get(URL)));

            send(&client, inbound());

            assert!(is_done(), "{place:?}");
            assert_eq!(api.tokens(), ["token-1", "token-1"], "{place:?}");
            send(&client, inbound());
            assert_eq!(issuer.fetches(), 1, "{place:?}");
        });
    }
}

#[test]
fn the_token_may_be_replaced_in_the_midst_of_a_request() {
    for place in PLACES {
        on_a_thread(move || {
            let (issuer, api) = (Issuer::new(), Api::accepting());
            let client = warm(&issuer, &api);
            let (again, cache) = (client.clone(), client.cache().clone());
            meddle_in(place, move || {
                at_once(cache.refresh()).unwrap();
                send(&again, get(URL));
            });

            send(&client, inbound());
            assert!(is_done(), "{place:?}");
            send(&client, get(URL));

            let [inner, outer, next] = &api.tokens()[..] else {
                panic!("three requests")
            };
            assert_eq!([inner, next], ["token-2"; 2], "{place:?}");
            // Who had its token before has it still.
            let expected = match place {
                Place::Choose => "token-2",
                _ => "token-1",
            };
            assert_eq!(outer, expected, "{place:?}");
        });
    }
}

#[test]
fn a_panic_in_the_midst_of_a_request_is_nothing_to_the_next() {
    for place in PLACES {
        on_a_thread(move || {
            let (issuer, api) = (Issuer::new(), Api::accepting());
            let client = warm(&issuer, &api);
            meddle_in(place, || panic!("somebody else's"));

            let sending = AssertUnwindSafe(|| send(&client, inbound()));
            let payload = catch_unwind(sending).unwrap_err();

            assert_eq!(*payload.downcast::<&str>().unwrap(), "somebody else's");
            assert_eq!(api.tokens(), [""; 0], "{place:?}");
            for _ in 0..3 {
                send(&client, inbound());
            }
            at_once(client.cache().refresh()).unwrap();
            send(&client, get(URL));
            let expected = ["token-1", "token-1", "token-1", "token-2"];
            assert_eq!(api.tokens(), expected, "{place:?}");
            assert_eq!(issuer.fetches(), 2, "{place:?}");
        });
    }
}

/// `http` panics when a map is full.
#[test]
fn neither_is_one_with_more_headers_than_there_can_be() {
    const MOST: usize = 24_576;

    let (issuer, api) = (Issuer::new(), Api::accepting());
    let client = layer(&issuer).layer(api.clone());
    let send = |request| at_once(client.clone().oneshot(request)).unwrap();
    send(get(URL));
    let mut full = get(URL);
    let mut headers = HeaderMap::with_capacity(MOST);
    for number in 0..MOST {
        let name = HeaderName::from_bytes(format!("x-{number}").as_bytes());
        headers.insert(name.unwrap(), HeaderValue::from_static("1"));
    }
    *full.headers_mut() = headers;

    assert!(catch_unwind(AssertUnwindSafe(|| send(full))).is_err());

    send(get(URL));
    send(get(URL));
    assert_eq!(api.tokens(), ["token-1"; 3]);
    assert_eq!(issuer.fetches(), 1);
}
