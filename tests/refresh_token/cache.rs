//! The refresh token grant below a cache.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response};
use http_body_util::Full;
use tokio::sync::Semaphore;
use tokio_test::assert_pending;
use tower::service_fn;
use tower::util::BoxCloneSyncService;
use tower_bearer::TokenCache;
use tower_bearer::error::BoxError;
use tower_bearer::oauth2::{Credential, RefreshToken};

use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_callers_with_two_scopes_use_each_refresh_token_once() {
    let (family, store) = (Family::new(), Store::default());
    let server = family.serve().await;
    let provider = store.saves(client(&server, "r0")).build(hyper()).unwrap();
    let cache = TokenCache::new(provider);
    let caches = [
        cache.for_request(&scope("a")),
        cache.for_request(&scope("b")),
    ];

    for round in 1..=3 {
        let callers = (0..1000).map(|n| {
            let cache = caches[n % 2].clone();
            tokio::spawn(async move { cache.token().await.unwrap().expose_secret().to_owned() })
        });
        let mut tokens: Vec<_> = join_all(callers)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        tokens.sort();
        tokens.dedup();
        let (a, b) = (2 * round - 1, 2 * round);
        assert_eq!(tokens, [format!("a{a}"), format!("a{b}")]);

        // What a server rejects is replaced by one fetch for each of the scopes.
        for cache in &caches {
            cache.invalidate(&cache.cached().unwrap());
        }
    }
    let used: Vec<_> = (0..6).map(|n| format!("r{n}")).collect();
    assert_eq!(refresh_tokens(&server)[..6], used);
    assert!(!family.is_revoked());
    cache.close().await;
}

#[tokio::test]
async fn the_new_refresh_token_is_saved_though_the_caller_has_gone() {
    let (family, store) = (Family::new(), Store::default());
    let server = family.serve().await;
    let (transport, open, come) = gated();
    let provider = store.saves(client(&server, "r0")).build(transport).unwrap();
    let cache = TokenCache::new(provider);

    tokio::select! {
        biased;
        _ = come.acquire() => {}
        _ = cache.token() => panic!("came to its end"),
    }
    open.add_permits(1);
    cache.close().await;
    assert_eq!(store.text(), "r1");
    assert_eq!(cache.cached().unwrap().expose_secret(), "a1");
    assert_eq!(refresh_tokens(&server), ["r0"]);
}

#[test]
fn a_fetch_that_nobody_drives_holds_up_no_other_key() {
    let gate = Arc::new(Semaphore::new(0));
    let open = Arc::clone(&gate);
    let family = Family::new();
    let server = family.clone();
    let transport = service_fn(move |request: Request<Full<Bytes>>| {
        let (gate, server) = (Arc::clone(&gate), server.clone());
        async move {
            let body = http_body_util::BodyExt::collect(request.into_body()).await?;
            let form = String::from_utf8(body.to_bytes().to_vec())?;
            let sent = parameter(&form, "refresh_token").unwrap();
            let new = server.use_up(&sent).expect("used once");
            gate.acquire().await?.forget();
            let body = answer(&new.replace('r', "a"), &new);
            Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(body)))
        }
    });
    let url = "https://id.example.com/token";
    let provider = RefreshToken::builder(url, "my-app", Credential::none(), "r0")
        .build(BoxCloneSyncService::new(transport))
        .unwrap();
    let cache = TokenCache::new(provider);
    // There is no runtime, so that a fetch advances only while somebody waits.
    let (first, second) = (
        cache.for_request(&scope("a")),
        cache.for_request(&scope("b")),
    );
    let mut gone = tokio_test::task::spawn(first.token());
    assert_pending!(gone.poll());
    drop(gone);

    open.add_permits(2);
    let token = futures_executor::block_on(second.token()).unwrap();
    assert_eq!(token.expose_secret(), "a2");
    let token = futures_executor::block_on(first.token()).unwrap();
    assert_eq!(token.expose_secret(), "a1");
    assert!(!family.is_revoked());
}

#[cfg(feature = "test-util")]
#[tokio::test]
async fn an_answer_that_comes_after_the_time_limit_is_not_lost() {
    let (family, store) = (Family::new(), Store::default());
    let server = family.serve().await;
    let (transport, open, come) = gated();
    let provider = store.saves(client(&server, "r0")).build(transport).unwrap();
    let clock = tower_bearer::testing::ManualClock::new();
    let builder = TokenCache::builder(provider).with_clock(clock.clone());
    let cache = builder.build();

    let late = async {
        come.acquire().await.unwrap().forget();
        clock.advance(std::time::Duration::from_secs(31));
    };
    let (error, ()) = tokio::join!(cache.token(), late);
    let kind = error.unwrap_err().kind();
    assert_eq!(kind, tower_bearer::FetchErrorKind::TimedOut);

    open.add_permits(2);
    cache.reset_backoff();
    assert_eq!(cache.token().await.unwrap().expose_secret(), "a2");
    assert_eq!(refresh_tokens(&server), ["r0", "r1"]);
    assert_eq!(store.text(), "r2");
    assert!(!family.is_revoked());
}
