//! What callers are told, by the layer for channels and by the plain one.

use std::error::Error;

use tonic::{Code, Status};
use tower::Layer;
use tower_bearer::oauth2::ClientCredentials;
use tower_bearer::rejection::NotRetriedReason;
use tower_bearer::{BearerAuthLayer, FetchError, FetchErrorKind};
use tower_bearer_clients::grpc::Server;
use tower_bearer_clients::grpc::echo::echo_client::EchoClient;
use tower_bearer_clients::loopback::{CLIENT_ID, CLIENT_SECRET, http1_client};

use super::support::{LIMIT, Provider, Site, client, not_retried, without_hanging, words};

/// A layer with a token endpoint and a client secret of its own.
fn layer(site: &Site, token_url: &str, secret: &str) -> BearerAuthLayer<Provider> {
    let provider = ClientCredentials::builder(token_url, CLIENT_ID, secret)
        .build(http1_client())
        .unwrap();
    let layer = BearerAuthLayer::for_origin(provider, &*site.server.origin()).unwrap();
    layer.with_relative_uris()
}

/// What a caller is told by the layer for channels, and by the plain one.
async fn both(site: &Site, layer: BearerAuthLayer<Provider>) -> [Status; 2] {
    let channel = site.endpoint().connect_lazy();
    let mut without = EchoClient::new(layer.layer(channel.clone()));
    let mut with = client(layer.into_grpc(LIMIT), channel);
    [
        without_hanging(with.say(words("hello"))).await.unwrap_err(),
        without_hanging(without.say(words("hello")))
            .await
            .unwrap_err(),
    ]
}

fn fetch_error(status: &Status) -> &FetchError {
    status.source().unwrap().downcast_ref().unwrap()
}

/// An address at which nobody listens.
async fn nobody() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// All that a log could show of it.
fn all_texts(status: &Status) -> String {
    let mut texts = format!("{status} {status:?} {status:#?}");
    let mut source = status.source();
    while let Some(error) = source {
        texts += &format!(" {error} {error:?}");
        source = error.source();
    }
    texts
}

#[tokio::test]
async fn an_issuer_that_is_not_there_makes_the_call_unavailable() {
    let site = Site::start().await;
    let layer = layer(&site, &format!("{}/token", nobody().await), CLIENT_SECRET);

    let [with, without] = both(&site, layer).await;

    let message = "no access token: the issuer is unavailable";
    assert_eq!((with.code(), with.message()), (Code::Unavailable, message));
    assert_eq!(fetch_error(&with).kind(), FetchErrorKind::Unavailable);
    assert_eq!(
        (without.code(), without.message()),
        (Code::Unknown, message)
    );
    assert_eq!(site.server.received(), 0);
}

#[tokio::test]
async fn a_client_that_the_issuer_refuses_is_unauthenticated() {
    let site = Site::start().await;
    let layer = layer(&site, site.issuer.url(), "another secret");

    let [with, without] = both(&site, layer).await;

    let message =
        "no access token: the issuer refuses this client; check its credentials and account";
    assert_eq!(
        (with.code(), with.message()),
        (Code::Unauthenticated, message)
    );
    assert_eq!(fetch_error(&with).kind(), FetchErrorKind::Denied);
    assert_eq!(
        (without.code(), without.message()),
        (Code::Unknown, message)
    );
    for status in [with, without] {
        let texts = all_texts(&status);
        // "another secret", plain and as sent.
        for secret in [
            "another secret",
            "another+secret",
            "another%20secret",
            "Basic ",
        ] {
            assert!(!texts.contains(secret), "{texts}");
        }
    }
    assert_eq!(site.counts(), [1, 0, 0]);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable_either_way() {
    let site = Site::start().await;
    let endpoint = tonic::transport::Endpoint::from_shared(nobody().await).unwrap();
    let layer = site.plain_layer().with_relative_uris();

    let mut without = EchoClient::new(layer.layer(endpoint.connect_lazy()));
    let mut with = client(layer.into_grpc(LIMIT), endpoint.connect_lazy());
    let with = without_hanging(with.say(words("hello"))).await.unwrap_err();
    let without = without_hanging(without.say(words("hello")))
        .await
        .unwrap_err();

    assert_eq!(with.code(), Code::Unavailable);
    assert_eq!(without.code(), Code::Unavailable);
    assert_eq!(with.message(), without.message());
}

#[tokio::test]
async fn a_rejection_that_cannot_be_healed_says_why() {
    let site = Site::start().await;
    let layer = site.layer();
    let cache = layer.cache().clone();
    let mut client = client(layer, site.endpoint().connect_lazy());
    client.say(words("first")).await.unwrap();
    site.issuer.revoke_all();
    cache.close().await;

    let status = without_hanging(client.say(words("second")))
        .await
        .unwrap_err();

    // What the server said, and what stood in the way.
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(status.message(), "token revoked");
    let Some(NotRetriedReason::FetchFailed(error)) = not_retried(&status) else {
        panic!("{status:?}");
    };
    assert_eq!(error.kind(), FetchErrorKind::Closed);
    assert!(!all_texts(&status).contains("token-1"));

    assert_eq!(site.counts(), [1, 2, 1]);
}

#[tokio::test]
async fn a_call_after_the_cache_was_closed_is_cancelled() {
    let site = Site::start().await;
    let layer = site.layer();
    layer.cache().close().await;
    let mut client = client(layer, site.endpoint().connect_lazy());

    let status = without_hanging(client.say(words("hello")))
        .await
        .unwrap_err();

    assert_eq!(status.code(), Code::Cancelled);
    assert_eq!(fetch_error(&status).kind(), FetchErrorKind::Closed);
    assert_eq!(site.counts(), [0, 0, 0]);
}

#[tokio::test]
async fn a_401_of_a_proxy_that_cannot_be_healed_says_why_too() {
    let site = Site::start().await;
    site.server.put_behind_proxy();
    let mut client = site.client_with_revoked_token().await;

    let long = words("x".repeat(LIMIT));
    let status = without_hanging(client.say(long)).await.unwrap_err();

    assert_eq!(status.code(), Code::Unauthenticated);
    let reason = not_retried(&status);
    assert!(matches!(reason, Some(NotRetriedReason::BodyNotReplayable)));
    let challenge = status.metadata().get("www-authenticate").unwrap();
    assert_eq!(challenge, "Bearer error=\"invalid_token\"");
}

#[tokio::test]
async fn a_proxy_that_rejects_twice_is_unauthenticated_too_whatever_its_page() {
    let site = Site::start().await;
    let server = Server::start(|_| false).await;
    server.put_behind_proxy();
    let channel = tonic::transport::Endpoint::from_shared(server.origin());
    let mut client = client(site.layer(), channel.unwrap().connect_lazy());

    let status = without_hanging(client.say(words("hello")))
        .await
        .unwrap_err();

    assert_eq!(status.code(), Code::Unauthenticated, "{status}");
    assert!(not_retried(&status).is_none());
    let challenge = status.metadata().get("www-authenticate").unwrap();
    assert_eq!(challenge, "Bearer error=\"invalid_token\"");
    assert_eq!((server.received(), site.issuer.requests()), (2, 2));
}

#[tokio::test]
async fn a_call_to_another_origin_that_is_refused_is_a_mistake_of_the_program() {
    let site = Site::start().await;
    let layer = site.plain_layer().with_other_origins_refused();
    let channel = layer.into_grpc(LIMIT).layer(site.endpoint().connect_lazy());
    let elsewhere = http::Uri::from_static("https://elsewhere.example");
    let mut client = EchoClient::with_origin(channel, elsewhere);

    let status = without_hanging(client.say(words("hello")))
        .await
        .unwrap_err();

    assert_eq!(status.code(), Code::Internal);
    assert!(status.message().contains("allow_origin"), "{status}");
    assert_eq!(site.counts(), [0, 0, 0]);
}
