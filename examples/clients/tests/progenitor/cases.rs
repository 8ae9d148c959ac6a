use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use tokio::task::JoinSet;
use tower_bearer::oauth2::ClientCredentials;
use tower_bearer::reqwest::ReqwestTransport;
use tower_bearer::{BoxTokenProvider, TokenCache};
use tower_bearer_clients::loopback::{CLIENT_ID, CLIENT_SECRET, Issuer};
use tower_bearer_clients::notes::api;
use tower_bearer_clients::site::{Received, Site};

use super::sdk::{self, Client, types::NewNote};

struct Scene {
    issuer: Issuer,
    site: Site,
    client: Client,
}

impl Scene {
    async fn new() -> Self {
        let issuer = Issuer::start().await;
        let for_site = issuer.clone();
        let site = api::start(move |headers| for_site.accepts(headers)).await;
        let base = format!("{}/v1", site.origin());
        let client = sdk::client(&base, tokens(&issuer)).unwrap();
        Self {
            issuer,
            site,
            client,
        }
    }

    /// Token requests, requests with a good token, requests with another.
    fn counts(&self) -> (usize, usize, usize) {
        let site = &self.site;
        (self.issuer.requests(), site.accepted(), site.rejected())
    }
}

fn tokens(issuer: &Issuer) -> TokenCache {
    let transport = ReqwestTransport::new().unwrap();
    let provider = ClientCredentials::builder(issuer.url(), CLIENT_ID, CLIENT_SECRET)
        .build(transport)
        .unwrap();
    TokenCache::new(BoxTokenProvider::new(provider))
}

fn note(text: impl Into<String>) -> NewNote {
    NewNote { text: text.into() }
}

fn without_token(request: &Received) -> HeaderMap {
    let mut headers = request.headers.clone();
    headers.remove("authorization").expect("it has a token");
    headers
}

#[tokio::test]
async fn a_revoked_token_is_replaced_and_the_caller_does_not_notice() {
    let scene = Scene::new().await;
    assert_eq!(scene.client.list_notes().await.unwrap()[0].text, "hello");
    assert_eq!(scene.counts(), (1, 1, 0));

    scene.issuer.revoke_all();
    assert_eq!(scene.client.list_notes().await.unwrap()[0].text, "hello");
    assert_eq!(scene.counts(), (2, 2, 1));
}

#[tokio::test]
async fn what_is_posted_is_sent_again_as_it_was() {
    let scene = Scene::new().await;
    scene.client.list_notes().await.unwrap();
    scene.issuer.revoke_all();

    let created = scene.client.create_note(&note("milk")).await.unwrap();
    assert_eq!((created.id, &*created.text), (1, "milk"));
    assert_eq!(scene.counts(), (2, 2, 1));
    let all = scene.site.received();
    let [_, first, second] = &*all else { panic!() };
    assert!(!first.is_accepted && second.is_accepted);
    for request in [first, second] {
        assert_eq!(request.method, Method::POST);
        assert_eq!(request.uri, "/v1/notes");
        assert_eq!(request.body, r#"{"text":"milk"}"#);
    }
    assert_eq!(without_token(first), without_token(second));
}

#[tokio::test]
async fn a_hundred_callers_whose_token_is_revoked_cause_one_token_request() {
    let scene = Scene::new().await;
    scene.client.list_notes().await.unwrap();
    scene.issuer.revoke_all();

    let mut callers = JoinSet::new();
    for i in 0..100 {
        let client = scene.client.clone();
        callers.spawn(async move {
            let text = format!("note {i}");
            let created = client.create_note(&note(&text)).await.unwrap();
            assert_eq!(created.text, text);
        });
    }
    let all = tokio::time::timeout(Duration::from_secs(60), callers.join_all());
    all.await.expect("it hangs");
    let (token_requests, accepted, _) = scene.counts();
    assert_eq!((token_requests, accepted), (2, 101));
}

#[tokio::test]
async fn a_stream_is_sent_once_and_the_next_request_recovers() {
    let scene = Scene::new().await;
    scene.client.list_notes().await.unwrap();
    scene.issuer.revoke_all();
    let stream = || {
        let chunks = ["a", "b"].map(|chunk| Ok::<_, std::io::Error>(Bytes::from(chunk)));
        reqwest::Body::wrap_stream(tokio_stream::iter(chunks))
    };

    let error = scene.client.attach(1, stream()).await.unwrap_err();
    assert_eq!(error.status().unwrap(), 401);
    assert_eq!(scene.counts(), (1, 1, 1));

    let attached = scene.client.attach(1, stream()).await.unwrap();
    assert_eq!(attached.status(), 204);
    assert_eq!(scene.counts(), (2, 2, 1));
    assert_eq!(scene.site.received().last().unwrap().body, "ab");
}

#[tokio::test]
async fn a_file_in_memory_is_sent_again() {
    let scene = Scene::new().await;
    scene.client.list_notes().await.unwrap();
    scene.issuer.revoke_all();

    scene.client.attach(1, "a file").await.unwrap();
    let all = scene.site.received();
    assert_eq!(
        (&*all[1].body, &*all[2].body),
        (&b"a file"[..], &b"a file"[..])
    );
    assert_eq!(scene.counts(), (2, 2, 1));
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_the_next_one_a_token() {
    let scene = Scene::new().await;
    scene.client.list_notes().await.unwrap();
    scene.issuer.revoke_all();
    scene.issuer.hold_answers();

    let client = scene.client.clone();
    let caller = tokio::spawn(async move { client.list_notes().await.map(drop) });
    scene.issuer.has_seen(2).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    scene.issuer.release_answers();

    scene.client.list_notes().await.unwrap();
    assert_eq!(scene.counts(), (2, 2, 1));
}
