use std::sync::{Arc, Mutex};

use tonic::metadata::MetadataValue;
use tonic::{Code, GrpcMethod, Request};
use tower::Layer;
use tower_bearer::rejection::{NotRetriedReason, grpc_unauthenticated};
use tower_bearer::{AccessToken, BearerAuthLayer, TokenRequest, token_fn};
use tower_bearer_clients::grpc::echo::echo_client::EchoClient;
use tower_bearer_clients::grpc::{FORBIDDEN, Server};

use super::support::{
    AROUND_A_TEXT, LIMIT, Site, client, code, not_retried, without_hanging, words,
};

#[tokio::test]
async fn a_call_whose_token_was_revoked_is_sent_again_with_a_new_one() {
    let site = Site::start().await;
    let mut client = site.client_with_revoked_token().await;

    let answer = without_hanging(client.say(words("second"))).await.unwrap();

    assert_eq!(answer.into_inner(), words("second"));
    assert_eq!(site.counts(), [2, 3, 1]);
}

#[tokio::test]
async fn a_hundred_calls_at_once_after_a_revocation_cost_one_token_request() {
    let site = Site::start().await;
    let client = site.client_with_revoked_token().await;

    site.server.hold_arrivals();
    let calls: Vec<_> = (0..100)
        .map(|number| {
            let mut client = client.clone();
            tokio::spawn(async move { client.say(words(number.to_string())).await })
        })
        .collect();
    site.server.has_received(101).await;
    site.server.release_arrivals();

    for (number, call) in calls.into_iter().enumerate() {
        let answer = without_hanging(call).await.unwrap().unwrap();
        assert_eq!(answer.into_inner(), words(number.to_string()));
    }
    assert_eq!(site.counts(), [2, 201, 100]);
}

#[tokio::test]
async fn a_401_of_a_proxy_is_a_rejection_too() {
    let site = Site::start().await;
    site.server.put_behind_proxy();
    let mut client = site.client_with_revoked_token().await;

    let answer = without_hanging(client.say(words("second"))).await.unwrap();

    assert_eq!(answer.into_inner(), words("second"));
    assert_eq!(site.counts(), [2, 3, 1]);
}

#[tokio::test]
async fn a_call_that_is_rejected_twice_ends_with_what_the_server_says() {
    let site = Site::start().await;
    let server = Server::start(|_| false).await;
    let channel = tonic::transport::Endpoint::from_shared(server.origin());
    let mut client = client(site.layer(), channel.unwrap().connect_lazy());

    let status = without_hanging(client.say(words("hello")))
        .await
        .unwrap_err();

    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(status.message(), "token revoked");
    assert_eq!((server.received(), site.issuer.requests()), (2, 2));
}

#[tokio::test]
async fn another_status_than_unauthenticated_says_nothing_about_the_token() {
    let site = Site::start().await;
    let mut client = site.client();

    let status = without_hanging(client.say(words(FORBIDDEN)))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::PermissionDenied, "not here")
    );

    without_hanging(client.say(words("next"))).await.unwrap();
    assert_eq!(site.counts(), [1, 2, 0]);
}

#[tokio::test]
async fn what_is_sent_again_has_the_same_metadata() {
    let site = Site::start().await;
    let mut client = site.client_with_revoked_token().await;

    let mut request = Request::new(words("second"));
    let metadata = request.metadata_mut();
    metadata.append("tag", "a".parse().unwrap());
    metadata.append("tag", "b".parse().unwrap());
    metadata.insert_bin("trace-bin", MetadataValue::from_bytes(&[0, 255]));
    without_hanging(client.say(request)).await.unwrap();

    let mut heads = site.server.heads();
    let authorizations: Vec<_> = heads[1..]
        .iter_mut()
        .map(|head| head.remove("authorization").unwrap())
        .collect();
    assert_eq!(authorizations, ["Bearer token-1", "Bearer token-2"]);
    assert_eq!(heads[1], heads[2]);
    let tags: Vec<_> = heads[2].get_all("tag").iter().collect();
    assert_eq!(tags, ["a", "b"]);
    assert!(heads[2].contains_key("trace-bin"));
}

#[tokio::test]
async fn a_message_over_the_limit_is_sent_once_and_the_next_call_gets_a_new_token() {
    let site = Site::start().await;
    let mut client = site.client_with_revoked_token().await;

    let long = words("x".repeat(LIMIT - AROUND_A_TEXT + 1));
    let status = without_hanging(client.say(long.clone())).await.unwrap_err();

    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(status.message(), "token revoked");
    let reason = not_retried(&status);
    assert!(matches!(reason, Some(NotRetriedReason::BodyNotReplayable)));
    assert_eq!(site.counts(), [1, 2, 1]);

    let answer = without_hanging(client.say(long.clone())).await.unwrap();
    assert_eq!(answer.into_inner(), long);
    assert_eq!(site.counts(), [2, 3, 1]);
}

#[tokio::test]
async fn a_message_within_the_limit_is_sent_again() {
    let site = Site::start().await;
    let mut client = site.client_with_revoked_token().await;

    let long = words("x".repeat(LIMIT - AROUND_A_TEXT));
    let answer = without_hanging(client.say(long.clone())).await.unwrap();

    assert_eq!(answer.into_inner(), long);
    assert_eq!(site.counts(), [2, 3, 1]);
}

#[tokio::test]
async fn the_default_way_to_keep_requests_knows_no_grpc_and_sends_them_once() {
    let site = Site::start().await;
    let layer = site.plain_layer().with_relative_uris();
    let layer = layer.with_rejection(grpc_unauthenticated);
    let mut client = EchoClient::new(layer.layer(site.endpoint().connect_lazy()));
    client.say(words("first")).await.unwrap();
    site.issuer.revoke_all();

    let status = without_hanging(client.say(words("second")))
        .await
        .unwrap_err();

    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(site.counts(), [1, 2, 1]);
}

#[tokio::test]
async fn a_call_says_by_an_extension_which_token_it_needs() {
    let provider = token_fn(|cx| async move {
        let scopes: Vec<_> = cx.token_request().scopes().collect();
        Ok(AccessToken::new(&format!("for-{}", scopes.join("+")))?)
    });
    let server = Server::start(|headers| headers["authorization"] == "Bearer for-read").await;
    let layer = BearerAuthLayer::for_origin(provider, &*server.origin()).unwrap();
    let endpoint = tonic::transport::Endpoint::from_shared(server.origin()).unwrap();
    let mut client = client(
        layer.with_token_request_required().into_grpc(LIMIT),
        endpoint.connect_lazy(),
    );

    for (scope, expected) in [("read", Code::Ok), ("write", Code::Unauthenticated)] {
        let mut request = Request::new(words("hello"));
        let scope = TokenRequest::default().with_scope(scope);
        request.extensions_mut().insert(scope);
        assert_eq!(code(without_hanging(client.say(request)).await), expected);
    }
    // Who does not say so is told, rather than given any token.
    let status = client.say(words("hello")).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert!(status.message().contains("TokenRequest"), "{status}");
}

#[tokio::test]
async fn a_token_can_be_chosen_by_the_method_that_is_called() {
    let site = Site::start().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let for_layer = Arc::clone(&seen);
    let layer = site.plain_layer().with_token_chosen_by(move |head| {
        let method = head.extensions.get::<GrpcMethod<'_>>();
        let method = method.map(|method| method.method().to_owned());
        let path = head.uri.path().to_owned();
        for_layer.lock().unwrap().push((path, method));
        None
    });
    let mut client = client(layer.into_grpc(LIMIT), site.endpoint().connect_lazy());

    without_hanging(client.say(words("hello"))).await.unwrap();

    let say = ("/echo.v1.Echo/Say".to_owned(), Some("Say".to_owned()));
    assert_eq!(*seen.lock().unwrap(), [say]);
}
