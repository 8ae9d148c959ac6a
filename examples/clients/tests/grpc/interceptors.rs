use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tonic::service::interceptor::InterceptedService;
use tonic::{Code, Request, Status};
use tower::Layer;
use tower_bearer_clients::grpc::echo::echo_client::EchoClient;

use super::support::{Site, not_retried, without_hanging, words};

#[tokio::test]
async fn an_interceptor_around_the_layer_is_called_once_and_what_it_adds_is_sent_twice() {
    let site = Site::start().await;
    let called = Arc::new(AtomicUsize::new(0));
    let for_interceptor = Arc::clone(&called);
    let channel = site.layer().layer(site.endpoint().connect_lazy());
    let mut client = EchoClient::with_interceptor(channel, move |mut request: Request<()>| {
        let number = for_interceptor.fetch_add(1, Ordering::Relaxed);
        request.metadata_mut().insert("number", number.into());
        Ok(request)
    });
    client.say(words("first")).await.unwrap();
    site.issuer.revoke_all();

    without_hanging(client.say(words("second"))).await.unwrap();

    assert_eq!(called.load(Ordering::Relaxed), 2);
    let heads = site.server.heads();
    let numbers: Vec<_> = heads.iter().map(|head| &head["number"]).collect();
    assert_eq!(numbers, ["0", "1", "1"]);
    assert_eq!(site.counts(), [2, 3, 1]);
}

#[tokio::test]
async fn a_token_that_an_interceptor_sets_is_the_callers_own() {
    let site = Site::start().await;
    let channel = site.layer().layer(site.endpoint().connect_lazy());
    let mut client = EchoClient::with_interceptor(channel, |mut request: Request<()>| {
        let own = "Bearer my-own".parse().expect("a metadata value");
        request.metadata_mut().insert("authorization", own);
        Ok(request)
    });

    let status = without_hanging(client.say(words("hello")))
        .await
        .unwrap_err();

    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(not_retried(&status).is_none());
    assert_eq!(site.server.heads()[0]["authorization"], "Bearer my-own");
    assert_eq!(site.counts(), [0, 1, 1]);
}

#[tokio::test]
async fn an_interceptor_below_the_layer_sees_each_token_marked_sensitive() {
    let site = Site::start().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let for_interceptor = Arc::clone(&seen);
    let look = move |request: Request<()>| -> Result<Request<()>, Status> {
        let headers = request.metadata().clone().into_headers();
        let token = headers["authorization"].clone();
        for_interceptor.lock().unwrap().push(token);
        Ok(request)
    };
    let channel = InterceptedService::new(site.endpoint().connect_lazy(), look);
    let mut client = EchoClient::new(site.layer().layer(channel));
    client.say(words("first")).await.unwrap();
    site.issuer.revoke_all();

    without_hanging(client.say(words("second"))).await.unwrap();

    let seen = seen.lock().unwrap();
    assert_eq!(
        *seen,
        ["Bearer token-1", "Bearer token-1", "Bearer token-2"]
    );
    assert!(seen.iter().all(http::HeaderValue::is_sensitive));
}
