//! The layer as a middleware of `reqwest_middleware`, and above a client of it: on real sockets.

// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Extensions, StatusCode};
use reqwest::redirect::Policy;
use reqwest::{Client, Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error, Middleware, Next, Result};
use tower::{Layer, ServiceExt};
use tower_bearer::error::BoxError;
use tower_bearer::oauth2::ClientCredentials;
use tower_bearer::reqwest::ReqwestTransport;
use tower_bearer::{
    AccessToken, BearerAuthLayer, FetchContext, FetchError, FetchErrorKind, TokenRequest, token_fn,
};

use self::loopback::{Api, CLIENT_ID, CLIENT_SECRET, Issuer};
use self::middleware::BearerAuth;

#[path = "../examples/loopback/mod.rs"]
mod loopback;
#[path = "../examples/middleware/mod.rs"]
mod middleware;

const LIMIT: Duration = Duration::from_secs(60);

type Layered = BearerAuthLayer<ClientCredentials<ReqwestTransport>>;

/// Counts what passes, and says so in the extensions.
#[derive(Clone, Default)]
struct Passes(Arc<AtomicUsize>);

impl Passes {
    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often a request has passed.
#[derive(Clone, Default)]
struct Sends(usize);

#[async_trait::async_trait]
impl Middleware for Passes {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        self.0.fetch_add(1, Ordering::Relaxed);
        extensions.get_or_insert_default::<Sends>().0 += 1;
        next.run(request, extensions).await
    }
}

struct Scene {
    issuer: Issuer,
    api: Api,
    auth: Layered,
    above: Passes,
    below: Passes,
}

impl Scene {
    async fn new() -> Self {
        let issuer = Issuer::start().await;
        let api = Api::start(&issuer).await;
        let transport = ReqwestTransport::new().unwrap();
        let provider = ClientCredentials::builder(issuer.url(), CLIENT_ID, CLIENT_SECRET)
            .build(transport)
            .unwrap();
        Self {
            auth: BearerAuthLayer::for_origin(provider, api.origin()).unwrap(),
            issuer,
            api,
            above: Passes::default(),
            below: Passes::default(),
        }
    }

    fn client(&self) -> ClientWithMiddleware {
        ClientBuilder::new(http())
            .with(self.above.clone())
            .with(BearerAuth(self.auth.clone()))
            .with(self.below.clone())
            .build()
    }

    fn counts(&self) -> (usize, usize, usize) {
        (self.issuer.requests(), self.above.get(), self.below.get())
    }
}

fn http() -> Client {
    let builder = Client::builder().redirect(Policy::none());
    builder.no_proxy().build().unwrap()
}

#[tokio::test]
async fn a_revoked_token_is_healed_below_one_middleware_and_above_another() {
    let scene = Scene::new().await;
    let client = scene.client();
    let send = async || {
        let request = client.post(scene.api.origin()).body("payload");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.text().await.unwrap(), "payload");
    };

    send().await;
    assert_eq!(scene.counts(), (1, 1, 1));
    scene.issuer.revoke_all();
    send().await;

    assert_eq!(scene.counts(), (2, 2, 3));
    assert_eq!((scene.api.accepted(), scene.api.rejected()), (2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_requests_share_one_token_request() {
    let scene = Scene::new().await;
    let client = scene.client();
    scene.auth.cache().token().await.unwrap();
    scene.api.hold_requests();
    let requests: Vec<_> = (0..100)
        .map(|_| tokio::spawn(client.get(scene.api.origin()).send()))
        .collect();
    scene.api.has_received(100).await;
    scene.issuer.revoke_all();
    scene.api.release_requests();

    for request in requests {
        assert_eq!(request.await.unwrap().unwrap().status(), 200);
    }

    assert_eq!(scene.counts(), (2, 100, 200));
}

#[tokio::test]
async fn what_those_below_put_into_the_extensions_is_seen_by_the_second_send_and_above() {
    let scene = Scene::new().await;
    scene.auth.cache().token().await.unwrap();
    scene.issuer.revoke_all();
    let client = scene.client();
    let mut extensions = Extensions::new();

    let request = client.get(scene.api.origin()).build().unwrap();
    let response = client.execute_with_extensions(request, &mut extensions);

    assert_eq!(response.await.unwrap().status(), 200);
    // Once above, and twice below.
    assert_eq!(extensions.get::<Sends>().unwrap().0, 3);
}

#[tokio::test]
async fn errors_of_reqwest_stay_such_and_ours_can_be_told() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let scene = Scene::new().await;
    let client = scene.client();
    let error = client.get(nowhere).send().await.unwrap_err();
    assert!(matches!(error, Error::Reqwest(error) if error.is_connect()));

    let provider = token_fn(|_| async { Err(FetchError::denied("no").into()) });
    let auth = BearerAuthLayer::for_origin(provider, scene.api.origin()).unwrap();
    let client = ClientBuilder::new(http()).with(BearerAuth(auth)).build();
    let error = client.get(scene.api.origin()).send().await.unwrap_err();

    let Error::Middleware(error) = error else {
        panic!("{error:?}");
    };
    let error = error.downcast_ref::<BoxError>().unwrap();
    let error = error.downcast_ref::<FetchError>().unwrap();
    assert_eq!(error.kind(), FetchErrorKind::Denied);
    assert_eq!(scene.api.received(), 0);
}

/// Answers in place of a server, and keeps what it was given. Rejects the first request.
#[derive(Clone, Default)]
struct Below(Arc<Mutex<Vec<Request>>>);

#[async_trait::async_trait]
impl Middleware for Below {
    async fn handle(&self, request: Request, _: &mut Extensions, _: Next<'_>) -> Result<Response> {
        let mut given = self.0.lock().unwrap();
        given.push(request);
        let status = if given.len() == 1 { 401 } else { 200 };
        let response = http::Response::builder().status(status).body("");
        Ok(response.unwrap().into())
    }
}

#[tokio::test]
async fn the_token_can_be_chosen_by_the_extensions_and_nothing_of_the_request_gets_lost() {
    const URL: &str = "https://api.example.com/orders?page=2#top";
    let orders = TokenRequest::default().with_scope("orders");
    // Its scope is the token.
    let provider = token_fn(|cx: FetchContext| async move {
        let scope = cx
            .token_request()
            .scopes()
            .next()
            .unwrap_or("none")
            .to_owned();
        let is_second = cx.rejected_token().is_some();
        Ok(AccessToken::new(&format!("{scope}-{is_second}"))?)
    });
    let auth = BearerAuthLayer::for_origin(provider, "https://api.example.com").unwrap();
    let below = Below::default();
    let client = ClientBuilder::new(http())
        .with(BearerAuth(auth))
        .with(below.clone())
        .build();
    let mut extensions = Extensions::new();
    extensions.insert(orders);

    // With these extensions twice, as a middleware above may send it.
    for _ in 0..2 {
        let request = client.post(URL).timeout(LIMIT).build().unwrap();
        let response = client.execute_with_extensions(request, &mut extensions);
        assert_eq!(response.await.unwrap().status(), 200);
    }
    client.get(URL).send().await.unwrap();

    let given = below.0.lock().unwrap();
    let tokens: Vec<_> = given
        .iter()
        .map(|it| &it.headers()["authorization"])
        .collect();
    assert_eq!(
        tokens,
        [
            "Bearer orders-false",
            "Bearer orders-true",
            "Bearer orders-true",
            "Bearer none-false",
        ]
    );
    for request in &given[..3] {
        assert_eq!(request.method(), "POST");
        assert_eq!(request.url().as_str(), URL);
        assert_eq!(request.timeout(), Some(&LIMIT));
        assert!(request.body().is_none());
    }
}

#[tokio::test]
async fn the_layer_may_be_above_a_client_with_middleware() {
    let scene = Scene::new().await;
    let client = ClientBuilder::new(http()).with(scene.below.clone()).build();
    let auth = scene.auth.layer(client.clone());
    scene.auth.cache().token().await.unwrap();
    scene.issuer.revoke_all();

    let request = client.get(scene.api.origin()).build().unwrap();
    let response = auth.oneshot(request).await.unwrap();

    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!((scene.issuer.requests(), scene.below.get()), (2, 2));
}
