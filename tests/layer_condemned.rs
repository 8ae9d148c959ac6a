//! A token that is rejected elsewhere while a request waits for the service to become ready.

use http::StatusCode;
use tokio_test::assert_pending;
use tokio_test::task::spawn;
use tower::{Layer, Service, ServiceExt};

use self::layer_support::permits::Pooled;
use self::layer_support::{Issuer, URL, get, layer, token, without_hanging};

mod layer_support;

#[tokio::test(start_paused = true)]
async fn a_token_that_is_rejected_while_the_service_becomes_ready_is_not_sent() {
    let (issuer, pool) = (Issuer::new(), Pooled::new(1, &["token-1"]));
    let layer = layer(&issuer);
    let mut client = layer.layer(pool.clone());
    let mut response = spawn(client.ready().await.unwrap().call(get(URL)));
    let occupied = pool.occupy().await;
    layer.cache().token().await.unwrap();
    assert_pending!(response.poll(), "has a token, and waits for the slot");

    layer.cache().invalidate(&token("token-1"));
    drop(occupied);

    let response = without_hanging(response).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(pool.tokens(), ["none", "token-2"]);
}

#[tokio::test(start_paused = true)]
async fn the_one_retry_is_not_spent_on_a_token_that_is_rejected_already() {
    let (issuer, pool) = (Issuer::new(), Pooled::new(1, &["token-1", "token-2"]));
    let layer = layer(&issuer);
    layer.cache().token().await.unwrap();
    issuer.hold();
    let mut client = layer.layer(pool.clone());
    // Rejected, and waits for a new token with the 401 in hand.
    let mut response = spawn(client.ready().await.unwrap().call(get(URL)));
    assert_pending!(response.poll());
    issuer.wait_for_fetches(2).await;
    // Somebody else is first in the queue for the slot, and takes it when the 401 is dropped.
    let mut occupied = spawn(pool.occupy());
    assert_pending!(occupied.poll());
    issuer.release();
    layer.cache().token().await.unwrap();
    assert_pending!(response.poll(), "has a token, and waits for the slot");

    layer.cache().invalidate(&token("token-2"));
    drop(occupied.await);

    let response = without_hanging(response).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(pool.tokens(), ["token-1", "none", "token-3"]);
}
