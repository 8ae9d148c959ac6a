//! When the layer makes the inner service ready, and what a request holds meanwhile.

use http::StatusCode;
use tokio_test::task::spawn;
use tokio_test::{assert_pending, assert_ready_ok};
use tower::{Layer, Service, ServiceExt};
use tower_bearer::FetchError;
use tower_bearer::rejection::NotRetriedReason;

use self::layer_support::permits::{PoolClosed, Pooled};
use self::layer_support::{Issuer, URL, get, layer, reason, token, without_hanging};

mod layer_support;

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_a_token_gives_its_slot_back() {
    let (issuer, pool) = (Issuer::new(), Pooled::new(1, &[]));
    issuer.hold();
    let mut client = layer(&issuer).layer(pool.clone());

    client.ready().await.unwrap();
    assert_eq!(pool.free(), 0);
    let mut response = spawn(client.call(get(URL)));
    assert_eq!(pool.free(), 1, "given back by the call");
    assert_pending!(response.poll());
    issuer.wait_for_fetches(1).await;
    assert_pending!(response.poll());
    assert_eq!(pool.free(), 1);

    issuer.release();
    let response = without_hanging(response).await.unwrap();
    assert_eq!(response.body().text, "answer to token-1");
    assert_eq!(pool.free(), 0);
    drop(response);
    assert_eq!(pool.free(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_with_a_token_at_hand_is_sent_by_the_service_that_was_polled_ready() {
    let (issuer, pool) = (Issuer::new(), Pooled::new(1, &[]));
    let layer = layer(&issuer);
    layer.cache().token().await.unwrap();
    let mut client = layer.layer(pool.clone());

    let ready = without_hanging(client.ready()).await.unwrap();
    // The only slot is the caller's: a clone would wait for it.
    let mut response = spawn(ready.call(get(URL)));

    let response = assert_ready_ok!(response.poll());
    assert_eq!(response.body().text, "answer to token-1");
}

#[tokio::test(start_paused = true)]
async fn the_401_is_kept_during_the_fetch_and_its_body_dropped_before_the_service_is_made_ready() {
    let (issuer, pool) = (Issuer::new(), Pooled::new(1, &["token-1"]));
    let layer = layer(&issuer);
    layer.cache().token().await.unwrap();
    issuer.hold();
    let mut client = layer.layer(pool.clone());

    let mut response = spawn(client.ready().await.unwrap().call(get(URL)));
    assert_pending!(response.poll());
    issuer.wait_for_fetches(2).await;
    assert_eq!(pool.free(), 0, "the 401 may still have to be returned");

    issuer.release();
    let response = without_hanging(response).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.body().text, "answer to token-2");
    assert_eq!(pool.tokens(), ["token-1", "token-2"]);
}

#[tokio::test(start_paused = true)]
async fn if_the_fetch_fails_the_401_comes_with_its_own_body() {
    let failure = FetchError::denied("no");
    let issuer = Issuer::answering([token("token-1").into(), failure.into()]);
    let pool = Pooled::new(1, &["token-1"]);
    let client = layer(&issuer).layer(pool.clone());

    let response = without_hanging(client.oneshot(get(URL))).await.unwrap();

    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.body().text, "answer to token-1");
    assert!(matches!(
        reason(&response),
        Some(NotRetriedReason::FetchFailed(_))
    ));
    assert_eq!(pool.free(), 0);
}

#[tokio::test(start_paused = true)]
async fn once_there_is_a_new_token_a_failure_to_become_ready_is_an_error() {
    let (issuer, pool) = (Issuer::new(), Pooled::new(1, &["token-1"]));
    let layer = layer(&issuer);
    layer.cache().token().await.unwrap();
    issuer.hold();
    let mut client = layer.layer(pool.clone());
    let mut response = spawn(client.ready().await.unwrap().call(get(URL)));
    assert_pending!(response.poll());
    issuer.wait_for_fetches(2).await;

    pool.close();
    issuer.release();

    let error = without_hanging(response).await.unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&PoolClosed));
    assert_eq!(pool.tokens(), ["token-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_to_become_ready_is_the_inner_services_own_error() {
    let (issuer, pool) = (Issuer::new(), Pooled::new(1, &[]));
    issuer.hold();
    let mut client = layer(&issuer).layer(pool.clone());
    let mut response = spawn(client.ready().await.unwrap().call(get(URL)));
    assert_pending!(response.poll());
    issuer.wait_for_fetches(1).await;
    pool.close();
    issuer.release();

    // After the wait for a token, and before it.
    let error = without_hanging(response).await.unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&PoolClosed));
    let error = client.ready().await.map(drop).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&PoolClosed));
}

#[tokio::test(start_paused = true)]
async fn the_token_is_the_newest_there_is_once_the_service_is_ready() {
    let (issuer, pool) = (Issuer::new(), Pooled::new(1, &[]));
    let layer = layer(&issuer);
    let mut client = layer.layer(pool.clone());
    let mut response = spawn(client.ready().await.unwrap().call(get(URL)));
    let occupied = pool.occupy().await;
    layer.cache().token().await.unwrap();
    assert_pending!(response.poll(), "has a token, and waits for the slot");

    layer.cache().refresh().await.unwrap();
    drop(occupied);

    let response = without_hanging(response).await.unwrap();
    assert_eq!(response.body().text, "answer to token-2");
}
