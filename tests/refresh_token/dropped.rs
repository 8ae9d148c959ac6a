//! A fetch that is dropped before its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Semaphore;
use tower::ServiceExt;
use tower::limit::ConcurrencyLimit;
use tower_bearer::FetchContext;
use tower_bearer::TokenProvider;
use tower_bearer::oauth2::{ClientSecret, RefreshToken, RefreshTokenBuilder};

use crate::support::*;

/// Fails rather than hang.
async fn in_time<F: Future>(future: F) -> F::Output {
    let output = tokio::time::timeout(Duration::from_secs(60), future).await;
    output.expect("hangs")
}

/// Polls a fetch until `reached` has a permit, and drops it then.
async fn drop_once(reached: &Semaphore, fetch: impl Future) {
    let until = async {
        tokio::select! {
            biased;
            permit = reached.acquire() => permit.unwrap().forget(),
            _ = fetch => panic!("came to its end"),
        }
    };
    in_time(until).await;
}

#[tokio::test]
async fn the_answer_to_a_dropped_fetch_is_not_lost() {
    let (family, store) = (Family::new(), Store::default());
    let server = family.serve().await;
    let (transport, open, come) = gated();
    let provider = store.saves(client(&server, "r0")).build(transport).unwrap();

    drop_once(&come, fetch(&provider)).await;
    // Nor if those who wait for it are dropped as well.
    for _ in 0..3 {
        assert!(fetch(&provider).now_or_never().is_none());
    }
    open.add_permits(10);
    assert_eq!(fetch_text(&provider).await, "a2");
    assert_eq!(refresh_tokens(&server), ["r0", "r1"]);
    assert_eq!(store.text(), "r2");
    assert!(!family.is_revoked());
}

#[tokio::test]
async fn what_a_dropped_fetch_holds_is_let_go_without_another_fetch() {
    let family = Family::new();
    let server = family.serve().await;
    let (transport, open, come) = gated();
    // Shared with the API, as by a client of one connection.
    let limit = ConcurrencyLimit::new(transport, 1);
    let provider = client(&server, "r0").build(limit.clone()).unwrap();

    drop_once(&come, fetch(&provider)).await;
    let mut api = tokio_test::task::spawn(limit.ready_oneshot());
    assert!(api.poll().is_pending());
    open.add_permits(1);
    in_time(api).await.unwrap();
    assert_eq!(refresh_tokens(&server), ["r0"]);
}

#[tokio::test]
async fn a_request_that_was_not_sent_is_left_to_nobody() {
    let family = Family::new();
    let server = family.serve().await;
    let provider = client(&server, "r0").build(hyper()).unwrap();

    drop(fetch(&provider));
    assert_eq!(fetch_text(&provider).await, "a1");
    assert_eq!(refresh_tokens(&server), ["r0"]);
}

#[tokio::test]
async fn a_secret_that_hangs_holds_up_nobody_once_its_fetch_is_gone() {
    let family = Family::new();
    let server = family.serve().await;
    let reached = Arc::new(Semaphore::new(0));
    let reads = Arc::clone(&reached);
    let is_first = AtomicBool::new(true);
    let secret = ClientSecret::from_fn(move || {
        let hangs = is_first.swap(false, Ordering::SeqCst);
        reads.add_permits(1);
        async move {
            if hangs {
                std::future::pending::<()>().await;
            }
            Ok("s3cret".to_owned())
        }
    });
    let builder = RefreshToken::builder(server.url(), "me", secret, "r0");
    let provider = builder.build(hyper()).unwrap();

    drop_once(&reached, fetch(&provider)).await;
    assert_eq!(in_time(fetch_text(&provider)).await, "a1");
    assert_eq!(refresh_tokens(&server), ["r0"]);
}

/// A store that takes its time, and says when it is told and when it has saved.
struct SlowStore {
    store: Store,
    told: Semaphore,
    gate: Semaphore,
    saved: Semaphore,
}

impl SlowStore {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            store: Store::default(),
            told: Semaphore::new(0),
            gate: Semaphore::new(0),
            saved: Semaphore::new(0),
        })
    }

    fn saves(self: &Arc<Self>, builder: RefreshTokenBuilder) -> RefreshTokenBuilder {
        let store = Arc::clone(self);
        builder.with_rotation_saved_by(move |rotation| {
            let store = Arc::clone(&store);
            async move {
                store.told.add_permits(1);
                store.gate.acquire().await?.forget();
                store.store.put(rotation.expose_new());
                store.saved.add_permits(1);
                Ok(())
            }
        })
    }

    async fn has_saved(&self) -> String {
        in_time(self.saved.acquire()).await.unwrap().forget();
        self.store.text()
    }
}

#[tokio::test]
async fn the_answer_to_a_dropped_fetch_is_saved_without_another_fetch() {
    let (family, store) = (Family::new(), SlowStore::new());
    let server = family.serve().await;
    let (transport, open, come) = gated();
    let builder = store.saves(client(&server, "r0"));
    let provider = builder.build(transport).unwrap();

    drop_once(&come, fetch(&provider)).await;
    open.add_permits(1);
    store.gate.add_permits(1);
    assert_eq!(store.has_saved().await, "r1");
    assert_eq!(refresh_tokens(&server), ["r0"]);
}

#[tokio::test]
async fn a_fetch_that_is_dropped_while_the_store_is_told_does_not_stop_the_store() {
    let (family, store) = (Family::new(), SlowStore::new());
    let server = family.serve().await;
    let builder = store.saves(client(&server, "r0"));
    let provider = builder.build(hyper()).unwrap();

    drop_once(&store.told, fetch(&provider)).await;
    // Nothing is asked before it has.
    let mut second = tokio_test::task::spawn(fetch_text(&provider));
    assert!(second.poll().is_pending());
    store.gate.add_permits(1);
    assert_eq!(store.has_saved().await, "r1");
    assert_eq!(refresh_tokens(&server), ["r0"]);

    store.gate.add_permits(1);
    assert_eq!(in_time(second).await, "a2");
    assert_eq!(refresh_tokens(&server), ["r0", "r1"]);
    assert_eq!(store.has_saved().await, "r2");
    assert!(!family.is_revoked());
}

#[test]
fn one_who_waits_on_a_runtime_that_ends_takes_no_request_along() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let builder = builder.worker_threads(1).enable_all();
        builder.build().unwrap()
    };
    let (servers, first, ending) = (runtime(), runtime(), runtime());
    let family = Family::new();
    let server = servers.block_on(family.serve());
    let (transport, open, come) = gated();
    let provider = client(&server, "r0").build(transport).unwrap();
    let mut owner = tokio_test::task::spawn(fetch_text(&provider));
    {
        let _entered = first.enter();
        assert!(owner.poll().is_pending());
    }
    // Somebody with a runtime of their own waits meanwhile, and goes away with it.
    ending.block_on(drop_once(&come, fetch(&provider)));
    drop(ending);

    open.add_permits(2);
    assert_eq!(first.block_on(in_time(owner)), "a1");
    assert_eq!(first.block_on(fetch_text(&provider)), "a2");
    assert_eq!(refresh_tokens(&server), ["r0", "r1"]);
    assert!(!family.is_revoked());
}

#[tokio::test]
async fn fetches_for_several_scopes_at_once_use_one_refresh_token_each() {
    let family = Family::new();
    let server = family.serve().await;
    let provider = client(&server, "r0").build(hyper()).unwrap();
    let fetch = |name| provider.fetch_token(FetchContext::new(scope(name)));
    let tokens = tokio::join!(fetch("a"), fetch("b"), fetch("c"), fetch("d"));

    let mut tokens = [tokens.0, tokens.1, tokens.2, tokens.3]
        .map(|token| token.unwrap().expose_secret().to_owned());
    tokens.sort();
    assert_eq!(tokens, ["a1", "a2", "a3", "a4"]);
    assert_eq!(refresh_tokens(&server), ["r0", "r1", "r2", "r3"]);
}
