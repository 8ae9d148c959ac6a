use std::error::Error as _;
use std::pin::pin;
use std::time::Duration;

use http::{Method, Request};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::client::Body;
use kube::{Api, Client, Config, Error, ResourceExt};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_stream::StreamExt;
use tower_bearer::error::FetchErrorKind;
use tower_bearer::oauth2::ClientCredentials;
use tower_bearer::rejection::{NotRetried, NotRetriedReason};
use tower_bearer::reqwest::ReqwestTransport;
use tower_bearer::{AccessToken, FetchError, TokenProvider, token_fn};
use tower_bearer_clients::kubernetes::cluster::Cluster;
use tower_bearer_clients::loopback::{CLIENT_ID, CLIENT_SECRET, Issuer};

use super::client;

struct Scene {
    issuer: Issuer,
    cluster: Cluster,
    client: Client,
}

impl Scene {
    async fn new() -> Self {
        Self::configured(|_| {}).await
    }

    async fn configured(configure: impl FnOnce(&mut Config)) -> Self {
        let issuer = Issuer::start().await;
        let for_cluster = issuer.clone();
        let cluster = Cluster::start(move |headers| for_cluster.accepts(headers)).await;
        let mut config = cluster.config();
        configure(&mut config);
        let client = client(config, credentials(&issuer, CLIENT_SECRET)).unwrap();
        Self {
            issuer,
            cluster,
            client,
        }
    }

    fn pods(&self) -> Api<Pod> {
        Api::default_namespaced(self.client.clone())
    }

    /// Token requests, requests with a good token, requests with another.
    fn counts(&self) -> (usize, usize, usize) {
        let site = &self.cluster.site;
        (self.issuer.requests(), site.accepted(), site.rejected())
    }
}

fn credentials(issuer: &Issuer, secret: &str) -> impl TokenProvider {
    let transport = ReqwestTransport::new().unwrap();
    ClientCredentials::builder(issuer.url(), CLIENT_ID, secret)
        .build(transport)
        .unwrap()
}

async fn list(pods: &Api<Pod>) -> Vec<String> {
    let list = pods.list(&ListParams::default()).await.unwrap();
    list.iter().map(ResourceExt::name_any).collect()
}

fn pod(name: &str) -> Pod {
    let mut pod = Pod::default();
    pod.metadata.name = Some(name.into());
    pod
}

async fn soon<F: Future>(future: F) -> F::Output {
    let patience = Duration::from_secs(60);
    let waited = tokio::time::timeout(patience, future).await;
    waited.expect("it hangs")
}

#[tokio::test]
async fn a_revoked_token_is_replaced_and_the_caller_does_not_notice() {
    let scene = Scene::new().await;
    assert_eq!(list(&scene.pods()).await, ["one"]);
    assert_eq!(scene.counts(), (1, 1, 0));

    scene.issuer.revoke_all();
    assert_eq!(list(&scene.pods()).await, ["one"]);
    assert_eq!(scene.counts(), (2, 2, 1));
}

#[tokio::test]
async fn a_hundred_callers_whose_token_is_revoked_cause_one_token_request() {
    let scene = Scene::new().await;
    list(&scene.pods()).await;
    scene.issuer.revoke_all();

    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let pods = scene.pods();
        callers.spawn(async move { list(&pods).await });
    }
    for names in soon(callers.join_all()).await {
        assert_eq!(names, ["one"]);
    }
    let (token_requests, accepted, _) = scene.counts();
    assert_eq!((token_requests, accepted), (2, 101));
}

#[tokio::test]
async fn what_is_created_and_patched_is_sent_again_as_it_was() {
    let scene = Scene::configured(|config| {
        config.auth_info.impersonate = Some("jane".into());
    })
    .await;
    let pods = scene.pods();
    list(&pods).await;

    scene.issuer.revoke_all();
    let created = pods.create(&PostParams::default(), &pod("two")).await;
    assert_eq!(created.unwrap().name_any(), "two");
    scene.issuer.revoke_all();
    let patch = Patch::Merge(json!({ "metadata": { "labels": { "a": "b" } } }));
    let patched = pods.patch("two", &PatchParams::default(), &patch).await;
    assert_eq!(patched.unwrap().name_any(), "two");

    assert_eq!(scene.counts(), (3, 3, 2));
    let all = scene.cluster.site.received();
    for (pair, method, kind) in [
        (&all[1..3], Method::POST, "application/json"),
        (&all[3..5], Method::PATCH, "application/merge-patch+json"),
    ] {
        let [first, second] = pair else { panic!() };
        assert!(!first.is_accepted && second.is_accepted);
        assert_eq!(
            (&first.method, &first.uri, &first.body),
            (&second.method, &second.uri, &second.body)
        );
        assert_eq!(first.method, method);
        assert!(!first.body.is_empty());
        let without_token = |request: &tower_bearer_clients::site::Received| {
            let mut headers = request.headers.clone();
            headers.remove("authorization").expect("it has a token");
            headers
        };
        assert_eq!(without_token(first), without_token(second));
        assert_eq!(second.header("content-type"), kind);
        assert_eq!(second.header("impersonate-user"), "jane");
    }
}

#[tokio::test]
async fn events_of_a_watch_arrive_as_they_happen_also_after_a_retry() {
    let scene = Scene::new().await;
    let pods = scene.pods();
    list(&pods).await;
    scene.issuer.revoke_all();

    let events = pods.watch(&WatchParams::default(), "0").await.unwrap();
    assert_eq!(scene.counts(), (2, 2, 1));
    let mut events = pin!(events);
    for (kind, name) in [("ADDED", "two"), ("MODIFIED", "two"), ("DELETED", "two")] {
        // Each is read before the next is written.
        scene.cluster.emit(kind, name);
        match (kind, soon(events.next()).await.unwrap().unwrap()) {
            ("ADDED", WatchEvent::Added(pod))
            | ("MODIFIED", WatchEvent::Modified(pod))
            | ("DELETED", WatchEvent::Deleted(pod)) => assert_eq!(pod.name_any(), name),
            other => panic!("{other:?}"),
        }
        // That concerns the next request, and no answer that has begun.
        scene.issuer.revoke_all();
    }
    assert_eq!(list(&pods).await, ["one"]);
    scene.cluster.end_watches();
    assert!(soon(events.next()).await.is_none());
    assert_eq!(scene.counts(), (3, 3, 2));
}

#[tokio::test]
async fn without_a_token_nothing_is_sent_and_the_caller_learns_why() {
    let issuer = Issuer::start().await;
    let cluster = Cluster::start(|_| true).await;
    let client = client(cluster.config(), credentials(&issuer, "hunter2")).unwrap();
    let pods: Api<Pod> = Api::default_namespaced(client);

    let error = pods.list(&ListParams::default()).await.unwrap_err();
    let mut text = format!("{error} {error:?}");
    let Error::Service(error) = &error else {
        panic!("{error:?}");
    };
    let error = error.downcast_ref::<FetchError>().unwrap();
    assert_eq!(error.kind(), FetchErrorKind::Denied);
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(" {error} {error:?}");
        cause = error.source();
    }
    assert!(!text.contains("hunter2"), "{text}");
    assert!(cluster.site.received().is_empty());
}

#[tokio::test]
async fn a_second_rejection_is_the_clusters_own_status() {
    let issuer = Issuer::start().await;
    let cluster = Cluster::start(|_| false).await;
    let client = client(cluster.config(), credentials(&issuer, CLIENT_SECRET)).unwrap();
    let pods: Api<Pod> = Api::default_namespaced(client);

    match pods.list(&ListParams::default()).await.unwrap_err() {
        Error::Api(status) => assert_eq!((status.code, &*status.reason), (401, "Unauthorized")),
        other => panic!("{other:?}"),
    }
    assert_eq!(cluster.site.received().len(), 2);
    assert_eq!(issuer.requests(), 2);
}

#[tokio::test]
async fn why_a_request_was_not_sent_again_is_in_the_response_that_send_returns() {
    let cluster = Cluster::start(|_| false).await;
    let same = token_fn(|_| async { Ok(AccessToken::new("always-the-same")?) });
    let client = client(cluster.config(), same).unwrap();

    let request = Request::get("/api/v1/namespaces/default/pods").body(Body::empty());
    let response = client.send(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), 401);
    let why = response.extensions().get::<NotRetried>().unwrap();
    assert!(matches!(why.reason(), NotRetriedReason::SameToken));
    assert_eq!(cluster.site.received().len(), 1);
}

#[tokio::test]
async fn credentials_of_the_configuration_do_not_get_in_the_way() {
    let scene = Scene::configured(|config| {
        config.auth_info.token = Some(String::from("of-the-kubeconfig").into());
        config.auth_info.token_file = Some("/nonexistent".into());
        config.auth_info.username = Some("jane".into());
        config.auth_info.password = Some(String::from("hunter2").into());
    })
    .await;

    assert_eq!(list(&scene.pods()).await, ["one"]);
    assert_eq!(scene.counts(), (1, 1, 0));
    let request = &scene.cluster.site.received()[0];
    assert_eq!(request.header("authorization"), "Bearer token-1");
}

#[tokio::test]
async fn a_cluster_at_a_path_of_its_server_gets_its_token_there() {
    let issuer = Issuer::start().await;
    let for_cluster = issuer.clone();
    let cluster = Cluster::start(move |headers| for_cluster.accepts(headers)).await;
    let config = Config::new(format!("{}/k8s", cluster.site.origin()).parse().unwrap());
    let client = client(config, credentials(&issuer, CLIENT_SECRET)).unwrap();

    // There are no pods at that path, but the token was asked for.
    let request = Request::get("/version").body(Body::empty()).unwrap();
    assert_eq!(client.send(request).await.unwrap().status(), 404);
    let request = &cluster.site.received()[0];
    assert_eq!(
        (request.uri.path(), request.is_accepted),
        ("/k8s/version", true)
    );
}

#[tokio::test]
async fn a_cluster_to_which_a_token_would_go_unencrypted_is_refused() {
    let config = Config::new("http://cluster.example.com".parse().unwrap());
    let tokens = token_fn(|_| async { Ok(AccessToken::new("t")?) });
    let error = client(config, tokens).err().unwrap();
    assert!(error.is::<tower_bearer::origin::InvalidOrigin>(), "{error}");
}
