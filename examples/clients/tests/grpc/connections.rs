//! Channels of several kinds, and another client below generated code.

use std::sync::{Arc, Mutex};

use http::{Request, Response, Uri};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceBuilder};
use tower_bearer::rejection::grpc_unauthenticated;
use tower_bearer::replay::{ReplayBody, Streaming};
use tower_bearer::tonic::into_status;
use tower_bearer_clients::grpc::Server;
use tower_bearer_clients::grpc::echo::echo_client::EchoClient;

use super::support::{LIMIT, Site, client, code, server_of, without_hanging, words};

/// Goes to the server that is put there.
fn channel_to(server: &Arc<Mutex<Option<std::net::SocketAddr>>>) -> Channel {
    let server = Arc::clone(server);
    let connector = tower::service_fn(move |_: Uri| {
        let address = *server.lock().unwrap();
        async move {
            let address = address.ok_or(std::io::ErrorKind::ConnectionRefused)?;
            TcpStream::connect(address).await.map(TokioIo::new)
        }
    });
    Endpoint::from_static("http://localhost").connect_with_connector_lazy(connector)
}

#[tokio::test]
async fn a_lazy_channel_serves_when_its_server_is_there_and_after_its_restart() {
    let mut site = Site::start().await;
    let address = Arc::new(Mutex::new(None));
    let mut client = client(site.layer(), channel_to(&address));

    let status = without_hanging(client.say(words("too early"))).await;
    assert_eq!(code(status), Code::Unavailable);
    assert_eq!(site.counts(), [1, 0, 0]);

    *address.lock().unwrap() = Some(site.server.address());
    without_hanging(client.say(words("first"))).await.unwrap();
    assert_eq!(site.counts(), [1, 1, 0]);

    let new = server_of(&site.issuer).await;
    *address.lock().unwrap() = Some(new.address());
    let old = std::mem::replace(&mut site.server, new);
    without_hanging(old.stop()).await;
    // The channel may not have noticed yet.
    while site.server.received() == 0 {
        let _may_fail = without_hanging(client.say(words("again"))).await;
    }
    without_hanging(client.say(words("again"))).await.unwrap();
    assert_eq!((site.issuer.requests(), site.server.rejected()), (1, 0));
}

#[tokio::test]
async fn a_token_that_was_revoked_is_replaced_once_for_all_servers_of_a_balanced_channel() {
    let site = Site::start().await;
    let other = server_of(&site.issuer).await;
    let endpoints = [site.server.origin(), other.origin()];
    let endpoints = endpoints.map(|origin| Endpoint::from_shared(origin).unwrap());
    let channel = Channel::balance_list(endpoints.into_iter());
    let mut client = client(site.layer(), channel);

    for number in 0..20 {
        if number == 10 {
            site.issuer.revoke_all();
        }
        let text = words(number.to_string());
        let answer = without_hanging(client.say(text.clone())).await.unwrap();
        assert_eq!(answer.into_inner(), text);
    }
    assert_eq!(site.issuer.requests(), 2);
    assert_eq!(site.server.received() + other.received(), 21);
    assert_eq!(site.server.rejected() + other.rejected(), 1);
}

#[tokio::test]
async fn a_channel_with_room_for_one_call_is_not_blocked_by_its_rejection() {
    let site = Site::start().await;
    let channel = site.endpoint().concurrency_limit(1).connect_lazy();
    let client = client(site.layer(), channel);
    client.clone().say(words("first")).await.unwrap();
    site.issuer.revoke_all();

    let calls: Vec<_> = (0..20)
        .map(|number| {
            let mut client = client.clone();
            tokio::spawn(async move { client.say(words(number.to_string())).await })
        })
        .collect();
    for call in calls {
        without_hanging(call).await.unwrap().unwrap();
    }
    assert_eq!(site.issuer.requests(), 2);
}

#[tokio::test]
async fn over_a_channel_its_endpoint_decides_where_the_token_goes() {
    let site = Site::start().await;
    let channel = site.layer().layer(site.endpoint().connect_lazy());

    // Neither says where.
    let mut relative = EchoClient::new(channel.clone());
    without_hanging(relative.say(words("hello"))).await.unwrap();
    // The layer's origin.
    let origin = site.server.origin().parse().unwrap();
    let mut named = EchoClient::with_origin(channel.clone(), origin);
    without_hanging(named.say(words("hello"))).await.unwrap();
    assert_eq!(site.counts(), [1, 2, 0]);

    // Another: it gets no token, and arrives all the same.
    let elsewhere = Uri::from_static("https://elsewhere.example");
    let mut other = EchoClient::with_origin(channel, elsewhere);
    let status = without_hanging(other.say(words("hello"))).await;
    assert_eq!(code(status), Code::Unauthenticated);
    assert_eq!(site.counts(), [1, 3, 1]);
    assert!(!site.server.heads()[2].contains_key("authorization"));
}

#[tokio::test]
async fn over_a_client_that_goes_where_it_is_told_only_the_named_origin_gets_the_token() {
    let site = Site::start().await;
    let elsewhere = Server::start(|_| false).await;
    let http = HyperClient::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http::<ReplayBody<Body>>();
    let layer = site
        .plain_layer()
        .with_rejection(grpc_unauthenticated)
        .with_replay(Streaming::up_to(LIMIT));
    let service = ServiceBuilder::new()
        .map_err(into_status)
        .layer(layer)
        .service(http);

    let origin = site.server.origin().parse().unwrap();
    let mut client = EchoClient::with_origin(service.clone(), origin);
    without_hanging(client.say(words("first"))).await.unwrap();
    site.issuer.revoke_all();
    without_hanging(client.say(words("second"))).await.unwrap();
    assert_eq!(site.counts(), [2, 3, 1]);

    let mut client = EchoClient::with_origin(service, elsewhere.origin().parse().unwrap());
    let status = without_hanging(client.say(words("hello"))).await;
    assert_eq!(code(status), Code::Unauthenticated);
    assert_eq!(elsewhere.received(), 1);
    assert!(!elsewhere.heads()[0].contains_key("authorization"));
    assert_eq!(site.issuer.requests(), 2);
}

#[tokio::test]
async fn a_client_can_be_hidden_in_a_box_and_sent_to_another_thread() {
    type Hidden = BoxCloneSyncService<Request<Body>, Response<Body>, Status>;

    let site = Site::start().await;
    let channel = site.layer().layer(site.endpoint().connect_lazy());
    let mut client: EchoClient<Hidden> = EchoClient::new(BoxCloneSyncService::new(channel));
    client.say(words("first")).await.unwrap();
    site.issuer.revoke_all();

    let call = tokio::spawn(async move { client.say(words("second")).await });
    without_hanging(call).await.unwrap().unwrap();
    assert_eq!(site.counts(), [2, 3, 1]);
}
