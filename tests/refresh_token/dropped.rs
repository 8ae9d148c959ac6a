//! A fetch that is dropped before its end.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Semaphore;
use tower::ServiceExt;
use tower::limit::ConcurrencyLimit;
use tower_bearer::FetchContext;
use tower_bearer::TokenProvider;

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
async fn a_fetch_that_is_dropped_while_the_store_is_told_loses_nothing() {
    let family = Family::new();
    let server = family.serve().await;
    let told = Arc::new(Semaphore::new(0));
    let (saving, gate) = (Arc::clone(&told), Arc::new(Semaphore::new(0)));
    let (open, store) = (Arc::clone(&gate), Store::default());
    let saved = store.clone();
    let provider = client(&server, "r0")
        .with_rotation_saved_by(move |rotation| {
            saving.add_permits(1);
            let (gate, saved) = (Arc::clone(&gate), saved.clone());
            async move {
                gate.acquire().await?.forget();
                saved.put(rotation.expose_new());
                Ok(())
            }
        })
        .build(hyper())
        .unwrap();

    drop_once(&told, fetch(&provider)).await;
    // It is told again, and nothing is asked before.
    drop_once(&told, fetch(&provider)).await;
    assert_eq!(refresh_tokens(&server), ["r0"]);
    assert_eq!(store.text(), "");

    open.add_permits(10);
    assert_eq!(fetch_text(&provider).await, "a2");
    assert_eq!(refresh_tokens(&server), ["r0", "r1"]);
    assert_eq!(store.text(), "r2");
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
