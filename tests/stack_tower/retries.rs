//! The layer over and below tower's `Retry`, and what a 503 and a 401 after one another come to.

use std::future;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use tower::retry::{Policy, Retry};
use tower::{Layer, Service, ServiceExt};
use tower_bearer::BearerAuthLayer;
use tower_bearer::error::BoxError;

use crate::layer_support::socket::{HttpClient, Server, answer};
use crate::layer_support::{Issuer, bearer, without_hanging};
use crate::stack_support::{clients, heals};

/// Sends a request once more that came to an error or to a 5xx, and no other.
#[derive(Clone)]
struct Again {
    left: u8,
}

impl<E> Policy<Request<Full<Bytes>>, Response<Incoming>, E> for Again {
    type Future = future::Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<Full<Bytes>>,
        result: &mut Result<Response<Incoming>, E>,
    ) -> Option<future::Ready<()>> {
        let fails = match result {
            Ok(response) => response.status().is_server_error(),
            Err(_) => true,
        };
        self.left = self.left.checked_sub(u8::from(fails))?;
        fails.then(|| future::ready(()))
    }

    fn clone_request(&mut self, request: &Request<Full<Bytes>>) -> Option<Request<Full<Bytes>>> {
        Some(request.clone())
    }
}

#[tokio::test]
async fn over_a_retry() {
    heals(|layer, http| layer.layer(Retry::new(Again { left: 1 }, http))).await;
}

#[tokio::test]
async fn below_a_retry() {
    heals(|layer, http| Retry::new(Again { left: 1 }, layer.layer(http))).await;
}

/// Sends one request to a server that answers so, in this order, and returns the tokens that came.
async fn sent<S>(
    answers: &'static [u16],
    stack: impl Fn(BearerAuthLayer<Issuer>, HttpClient) -> S,
) -> Vec<(StatusCode, Vec<String>)>
where
    S: Service<Request<Full<Bytes>>, Response = Response<Incoming>, Error = BoxError>,
{
    let mut outcomes = Vec::new();
    for (_, http) in clients() {
        let next = AtomicUsize::new(0);
        let server = Server::start(move |_| answer(answers[next.fetch_add(1, Relaxed)], "")).await;
        let layer = BearerAuthLayer::for_origin(Issuer::new(), server.origin()).unwrap();
        let request = Request::post(server.url("/")).body(Full::from("payload"));
        let response = stack(layer, http).oneshot(request.unwrap());
        let response = without_hanging(response).await.unwrap();
        let received = server.received();
        for request in &received {
            assert_eq!(request.body(), "payload");
        }
        let tokens = received
            .iter()
            .map(|request| bearer(request).unwrap().to_owned());
        outcomes.push((response.status(), tokens.collect()));
    }
    outcomes
}

fn in_both_versions(status: u16, tokens: &[&str]) -> Vec<(StatusCode, Vec<String>)> {
    let tokens: Vec<_> = tokens.iter().map(|&token| token.to_owned()).collect();
    vec![(StatusCode::from_u16(status).unwrap(), tokens); 2]
}

#[tokio::test]
async fn a_retry_above_begins_anew_and_each_of_its_attempts_can_be_healed() {
    let stack = |layer: BearerAuthLayer<_>, http| Retry::new(Again { left: 1 }, layer.layer(http));

    let outcome = sent(&[401, 503, 200], stack).await;
    assert_eq!(
        outcome,
        in_both_versions(200, &["token-1", "token-2", "token-2"])
    );
    let outcome = sent(&[503, 401, 200], stack).await;
    assert_eq!(
        outcome,
        in_both_versions(200, &["token-1", "token-1", "token-2"])
    );
    let outcome = sent(&[401, 503, 401, 200], stack).await;
    assert_eq!(
        outcome,
        in_both_versions(200, &["token-1", "token-2", "token-2", "token-3"])
    );
}

#[tokio::test]
async fn a_retry_below_sends_the_same_token_and_counts_its_attempts_for_each_of_ours() {
    let stack = |layer: BearerAuthLayer<_>, http| layer.layer(Retry::new(Again { left: 1 }, http));

    let outcome = sent(&[503, 401, 503, 200], stack).await;
    assert_eq!(
        outcome,
        in_both_versions(200, &["token-1", "token-1", "token-2", "token-2"])
    );
    let outcome = sent(&[503, 401, 503, 401], stack).await;
    assert_eq!(
        outcome,
        in_both_versions(401, &["token-1", "token-1", "token-2", "token-2"])
    );
}
