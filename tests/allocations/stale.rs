//! A token that is due to be replaced.

use std::future::ready;
use std::time::Duration;

use tower::Layer;
use tower_bearer::replay::Never;
use tower_bearer::testing::ManualClock;
use tower_bearer::{AccessToken, BearerAuthLayer, TokenCache, TokenProvider, token_fn};

use crate::contenders::{Ready, request, send};
use crate::support::{NOTHING, ORIGIN, cost_of, cost_of_next, measure_next, token};

/// Its token has become stale.
fn stale() -> (BearerAuthLayer<impl TokenProvider, Never>, ManualClock) {
    let clock = ManualClock::new();
    let hour = Duration::from_secs(3600);
    let provider = token_fn(move |_| {
        ready(
            AccessToken::new(&token())
                .map(|token| token.with_expires_in(hour))
                .map_err(Into::into),
        )
    });
    let cache = TokenCache::builder(provider)
        .with_clock(clock.clone())
        .build();
    futures_executor::block_on(cache.token()).expect("a token");
    let layer = BearerAuthLayer::for_origin(cache, ORIGIN).expect("an origin");
    let layer = layer.with_replay(Never);
    send(&mut layer.layer(Ready), request());
    clock.advance(hour - Duration::from_secs(1));
    (layer, clock)
}

#[tokio::test]
async fn the_first_to_use_a_stale_token_pays_for_the_refresh_and_the_others_nothing() {
    let (layer, _clock) = stale();
    let mut service = layer.layer(Ready);

    let (first, bare) = measure_next(&mut service, request);
    assert!(first.count_total > bare.count_total, "begins a fetch");
    assert_eq!(cost_of(&mut service, request), NOTHING, "it is under way");
    let mut another = layer.layer(Ready);
    assert_eq!(cost_of(&mut another, request), NOTHING);

    // The fetch ends; each service looks once at what it brought.
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    let (first, bare) = measure_next(&mut service, request);
    let copy = first.count_total - bare.count_total;
    assert!((1..=3).contains(&copy), "{copy} for a copy of the token");
    // With what it replaces, of which nobody else may hold anything.
    assert!(first.count_current <= 0 && first.bytes_current <= 0);
    assert_eq!(cost_of_next(&mut service, request), NOTHING);
}

#[test]
fn where_nobody_would_drive_a_refresh_a_stale_token_costs_nothing() {
    let (layer, _clock) = stale();
    let mut service = layer.layer(Ready);
    assert_eq!(cost_of(&mut service, request), NOTHING);
    assert_eq!(cost_of_next(&mut service, request), NOTHING);
}
