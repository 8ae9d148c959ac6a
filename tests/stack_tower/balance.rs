//! The layer over and below tower's balancer, which chooses among servers.

use bytes::Bytes;
use futures_util::future::join_all;
use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use tower::balance::p2c::Balance;
use tower::buffer::Buffer;
use tower::discover::ServiceList;
use tower::load::Constant;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_bearer::BearerAuthLayer;
use tower_bearer::error::BoxError;

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
