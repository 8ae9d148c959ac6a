//! What is asked for is the key, and nobody gets a token of another.

use tokio::task::JoinSet;
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready_ok};
use tower_bearer::{FetchContext, TokenCache, TokenRequest, token_fn};

use crate::support::{at_once, issuer, key, now, token};

/// The text of the token that the issuer makes for `request`: one for each key.
fn text(request: &TokenRequest) -> String {
    let mut text = String::from("t");
    for scope in request.scopes() {
        text += &format!(";s={scope}");
    }
    for resource in request.resources() {
        text += &format!(";r={resource}");
    }
    for (name, value) in request.parameters() {
        text += &format!(";{name}={value}");
    }
    format!("{text};a={:?};t={:?}", request.audience(), request.tenant()).replace(' ', "_")
}

fn all_kinds() -> Vec<TokenRequest> {
    let none = TokenRequest::default;
    vec![
        none(),
        none().with_scope("x"),
        none().with_scope("y"),
        none().with_scope("x y"),
        none().with_resource("x"),
        none().with_audience("x"),
        none().with_tenant("x"),
        none().with_tenant("x").with_audience("x"),
        none().with_parameter("x", "x"),
        none().with_parameter("x", "y"),
        none().with_parameter("y", "x"),
    ]
}

#[test]
fn scopes_in_any_order_are_one_key() {
    let (provider, calls) = at_once(|_, cx| Ok(token(&text(cx.token_request()), 3600)));
    let cache = TokenCache::new(provider);
    let spellings = [
        key("a b"),
        key("b a"),
        key(" b  a a"),
        key("b").with_scope("a"),
    ];
    for spelling in &spellings {
        now(cache.for_request(spelling).token()).unwrap();
    }

    assert_eq!(calls.get(), 1);
}

#[test]
fn scopes_in_any_order_share_a_fetch_under_way() {
    let (issuer, mut desk) = issuer();
    let cache = TokenCache::new(issuer);
    let (ab, ba) = (
        cache.for_request(&key("a b")),
        cache.for_request(&key("b a")),
    );
    let (mut one, mut two) = (spawn(ab.token()), spawn(ba.token()));
    assert_pending!(one.poll());
    assert_pending!(two.poll());
    desk.now().answer(token("one", 3600));

    assert_ready_ok!(one.poll());
    assert_ready_ok!(two.poll());
    assert_eq!(desk.calls(), 1);
}

#[test]
fn whatever_differs_gets_a_token_of_its_own() {
    let (provider, calls) = at_once(|_, cx| Ok(token(&text(cx.token_request()), 3600)));
    let cache = TokenCache::new(provider);
    let requests = all_kinds();
    for _ in 0..2 {
        for request in &requests {
            let got = now(cache.for_request(request).token()).unwrap();
            assert_eq!(got.expose_secret(), text(request));
        }
    }

    assert_eq!(calls.get(), requests.len());
}

#[test]
fn two_keys_on_a_cold_cache_each_get_their_own_token() {
    let (issuer, mut desk) = issuer();
    let cache = TokenCache::new(issuer);
    let (a, b) = (cache.for_request(&key("a")), cache.for_request(&key("b")));
    let (mut one, mut two) = (spawn(a.token()), spawn(b.token()));
    assert_pending!(one.poll());
    assert_pending!(two.poll());

    // Answered the other way round.
    let (first, second) = (desk.now(), desk.now());
    for asked in [second, first] {
        let text = text(asked.cx.token_request());
        asked.answer(token(&text, 3600));
    }
    assert_eq!(
        assert_ready_ok!(one.poll()).expose_secret(),
        text(&key("a"))
    );
    assert_eq!(
        assert_ready_ok!(two.poll()).expose_secret(),
        text(&key("b"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_different_keys_are_never_mixed_up() {
    const KEYS: usize = 50;
    let provider = token_fn(|cx: FetchContext| async move {
        tokio::task::yield_now().await;
        Ok(token(&text(cx.token_request()), 3600))
    });
    let cache = TokenCache::new(provider);
    let mut callers = JoinSet::new();
    for i in 0..2_000 {
        let cache = cache.clone();
        callers.spawn(async move {
            let request = key(i % KEYS).with_tenant((i % 3).to_string());
            let handle = cache.for_request(&request);
            let got = match i % 5 {
                0 => handle.refresh().await.unwrap(),
                _ => handle.token().await.unwrap(),
            };
            assert_eq!(got.expose_secret(), text(&request));
            if i % 11 == 0 {
                handle.invalidate(&got);
            }
            if let Some(cached) = handle.cached() {
                assert_eq!(cached.expose_secret(), text(&request));
            }
        });
    }
    while let Some(result) = callers.join_next().await {
        result.unwrap();
    }
}

#[test]
fn a_rejected_token_of_one_key_leaves_the_same_text_under_another() {
    let (provider, _) = at_once(|_, _| Ok(token("same", 3600)));
    let cache = TokenCache::new(provider);
    let (a, b) = (cache.for_request(&key("a")), cache.for_request(&key("b")));
    now(a.token()).unwrap();
    let same = now(b.token()).unwrap();

    a.invalidate(&same);
    assert!(a.cached().is_none());
    assert!(b.cached().is_some());
}

#[test]
fn a_renewal_asks_for_what_the_first_fetch_asked_for() {
    let (issuer, mut desk) = issuer();
    let cache = TokenCache::new(issuer);
    let request = key("a b").with_audience("api").with_parameter("p", "q");
    let handle = cache.for_request(&request);
    for _ in 0..2 {
        let mut caller = spawn(handle.refresh());
        assert_pending!(caller.poll());
        let asked = desk.now();
        assert_eq!(asked.cx.token_request(), &request);
        asked.answer(token("one", 3600));
        assert_ready_ok!(caller.poll());
    }
}
