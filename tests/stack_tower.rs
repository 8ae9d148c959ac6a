//! The layer over tower's middleware and below it, by HTTP/1.1 and HTTP/2 on real sockets: a revoked token
//! is healed by one token request, and nothing waits for itself.

// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use std::future;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use tower::buffer::Buffer;
use tower::limit::GlobalConcurrencyLimitLayer;
use tower::retry::{Policy, Retry};
use tower::util::BoxCloneService;
use tower::{Layer, ServiceBuilder};
use tower_bearer::error::BoxError;

use self::stack_support::heals;

mod layer_support;
mod stack_support;

/// Nothing here takes as long.
const LONG: Duration = Duration::from_secs(30);

/// Each request takes a slot of its own, and the rejected ones take two.
const PACE: Duration = Duration::from_millis(1);

#[tokio::test]
async fn over_a_buffer_of_one() {
    heals(|layer, http| layer.layer(Buffer::new(http, 1))).await;
}

#[tokio::test]
async fn below_a_buffer_of_one() {
    heals(|layer, http| Buffer::new(layer.layer(http), 1)).await;
}

#[tokio::test]
async fn over_a_limit_of_one() {
    heals(|layer, http| layer.layer(GlobalConcurrencyLimitLayer::new(1).layer(http))).await;
}

#[tokio::test]
async fn below_a_limit_of_one() {
    heals(|layer, http| GlobalConcurrencyLimitLayer::new(1).layer(layer.layer(http))).await;
}

#[tokio::test]
async fn between_limits_of_one_and_buffers_of_one() {
    heals(|layer, http| {
        ServiceBuilder::new()
            .buffer(1)
            .concurrency_limit(1)
            .layer(layer)
            .buffer(1)
            .concurrency_limit(1)
            .service(http)
    })
    .await;
}

#[tokio::test]
async fn over_a_rate_limit_which_is_not_clone_and_so_is_buffered() {
    heals(|layer, http| {
        ServiceBuilder::new()
            .layer(layer)
            .buffer(1)
            .rate_limit(1, PACE)
            .service(http)
    })
    .await;
}

#[tokio::test]
async fn below_a_rate_limit() {
    heals(|layer, http| {
        ServiceBuilder::new()
            .buffer(1)
            .rate_limit(1, PACE)
            .layer(layer)
            .service(http)
    })
    .await;
}

#[tokio::test]
async fn over_load_shedding_that_has_room_for_each_request_once() {
    heals(|layer, http| {
        ServiceBuilder::new()
            .layer(layer)
            .load_shed()
            .layer(GlobalConcurrencyLimitLayer::new(stack_support::AT_ONCE))
            .service(http)
    })
    .await;
}

#[tokio::test]
async fn below_load_shedding_that_has_room_for_each_request_once() {
    heals(|layer, http| {
        ServiceBuilder::new()
            .load_shed()
            .layer(GlobalConcurrencyLimitLayer::new(stack_support::AT_ONCE))
            .layer(layer)
            .service(http)
    })
    .await;
}

#[tokio::test]
async fn over_a_time_limit() {
    heals(|layer, http| {
        ServiceBuilder::new()
            .layer(layer)
            .timeout(LONG)
            .service(http)
    })
    .await;
}

#[tokio::test]
async fn below_a_time_limit() {
    heals(|layer, http| {
        ServiceBuilder::new()
            .timeout(LONG)
            .layer(layer)
            .service(http)
    })
    .await;
}

#[tokio::test]
async fn over_a_boxed_service() {
    heals(|layer, http| layer.layer(BoxCloneService::new(http))).await;
}

#[tokio::test]
async fn below_a_box() {
    heals(|layer, http| BoxCloneService::new(layer.layer(http))).await;
}

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

/// What a 503 and a 401 after one another come to, by where the layer stands.
mod both_retries {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::Relaxed;

    use tower::{Service, ServiceExt};
    use tower_bearer::BearerAuthLayer;

    use super::*;
    use crate::layer_support::socket::{HttpClient, Server, answer};
    use crate::layer_support::{Issuer, bearer, without_hanging};
    use crate::stack_support::clients;

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
            let server =
                Server::start(move |_| answer(answers[next.fetch_add(1, Relaxed)], "")).await;
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
        let stack =
            |layer: BearerAuthLayer<_>, http| Retry::new(Again { left: 1 }, layer.layer(http));

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
        let stack =
            |layer: BearerAuthLayer<_>, http| layer.layer(Retry::new(Again { left: 1 }, http));

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
}

/// Over the servers among which tower's balancer chooses.
mod balance {
    use http::Uri;
    use http::uri::PathAndQuery;
    use tower::balance::p2c::Balance;
    use tower::discover::ServiceList;
    use tower::load::Constant;
    use tower::{Service, ServiceExt};
    use tower_bearer::BearerAuthLayer;

    use futures_util::future::join_all;

    use super::*;
    use crate::layer_support::socket::{HttpClient, Server};
    use crate::layer_support::{Issuer, bearer, without_hanging};
    use crate::stack_support::{AT_ONCE, Api, clients};

    /// Sends requests with relative URIs to one server.
    fn to(
        server: &Server,
        http: HttpClient,
    ) -> impl Service<
        Request<Full<Bytes>>,
        Response = Response<Incoming>,
        Error: Into<BoxError>,
        Future: Send,
    > + Clone
    + Send
    + use<> {
        let origin = server.origin();
        ServiceBuilder::new()
            .map_request(move |mut request: Request<Full<Bytes>>| {
                let path = request.uri().path_and_query().map(PathAndQuery::as_str);
                let uri = format!("{origin}{}", path.unwrap_or("/"));
                *request.uri_mut() = Uri::try_from(uri).unwrap();
                request
            })
            .service(http)
    }

    fn relative(text: String) -> Request<Full<Bytes>> {
        Request::post("/").body(Full::from(text)).unwrap()
    }

    /// Sends many at once to two servers that both have revoked the token.
    async fn many_to_two<S>(stack: impl Fn(BearerAuthLayer<Issuer>, [&Server; 2], HttpClient) -> S)
    where
        S: Service<Request<Full<Bytes>>, Response = Response<Incoming>, Error = BoxError> + Clone,
    {
        for (version, http) in clients() {
            let (one, other) = (Api::start().await, Api::start().await);
            let issuer = Issuer::new();
            let layer = BearerAuthLayer::for_origin(issuer.clone(), one.server.origin())
                .unwrap()
                .allow_origin(other.server.origin())
                .unwrap()
                .with_relative_uris();
            layer.cache().token().await.unwrap();
            let client = stack(layer, [&one.server, &other.server], http);
            one.revoke();
            other.revoke();

            let sent = (0..AT_ONCE).map(|i| {
                let request = relative(format!("number {i}"));
                without_hanging(client.clone().oneshot(request))
            });
            for response in join_all(sent).await {
                assert_eq!(response.unwrap().status(), 200, "{version:?}");
            }

            assert_eq!(issuer.fetches(), 2, "{version:?}: one token request more");
            let accepted = [one, other].map(|api| {
                let received = api.server.received();
                let accepted = received
                    .iter()
                    .filter(|request| bearer(request) == Some("token-2"));
                accepted.count()
            });
            assert_eq!(accepted.iter().sum::<usize>(), AT_ONCE);
            assert!(
                !accepted.contains(&0),
                "both servers are used: {accepted:?}"
            );
        }
    }

    #[tokio::test]
    async fn over_a_balancer_which_is_not_clone_and_so_is_buffered() {
        many_to_two(|layer, servers, http| {
            let servers = servers.map(|server| Constant::new(to(server, http.clone()), 0));
            let balance = Balance::new(ServiceList::new(servers));
            layer.layer(Buffer::new(balance, 1))
        })
        .await;
    }

    #[tokio::test]
    async fn below_a_balancer_of_services_that_share_one_cache() {
        many_to_two(|layer, servers, http| {
            let servers = servers.map(|server| {
                let server = layer.layer(to(server, http.clone()));
                Constant::new(server, 0)
            });
            Buffer::new(Balance::new(ServiceList::new(servers)), 1)
        })
        .await;
    }
}
