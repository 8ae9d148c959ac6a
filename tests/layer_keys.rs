//! Which token a request gets, and who shares it.

// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use http::{Request, StatusCode};
use tower::{Layer, ServiceExt};
use tower_bearer::error::BoxError;
use tower_bearer::{AccessToken, BearerAuthLayer, FetchContext, TokenProvider, TokenRequest};

use self::layer_support::{Api, Issuer, ORIGIN, URL, get, layer, token};

mod layer_support;

/// Issues a token that is named for the tenant, and counts how often it did.
#[derive(Clone)]
struct PerTenant(Issuer);

impl TokenProvider for PerTenant {
    async fn fetch_token(&self, cx: FetchContext) -> Result<AccessToken, BoxError> {
        let tenant = cx.token_request().tenant().unwrap_or("nobody").to_owned();
        self.0.fetch_token(cx).await?;
        let of_tenant = |cx: &FetchContext| cx.token_request().tenant() == Some(&tenant);
        let n = self.0.asked().iter().filter(|cx| of_tenant(cx)).count();
        Ok(token(&format!("{tenant}-{n}")))
    }
}

fn per_tenant() -> (Issuer, BearerAuthLayer<PerTenant>) {
    let issuer = Issuer::new();
    let layer = BearerAuthLayer::for_origin(PerTenant(issuer.clone()), ORIGIN).unwrap();
    (issuer, layer)
}

fn of(tenant: &str) -> Request<String> {
    let mut request = get(URL);
    let token = TokenRequest::default().with_tenant(tenant);
    request.extensions_mut().insert(token);
    request
}

#[tokio::test]
async fn the_extension_chooses_the_token() {
    let (issuer, layer) = per_tenant();
    let api = Api::accepting();
    let client = layer.layer(api.clone());

    for request in [of("a"), of("b"), get(URL), of("a"), of("b"), get(URL)] {
        client.clone().oneshot(request).await.unwrap();
    }

    assert_eq!(
        api.tokens(),
        ["a-1", "b-1", "nobody-0", "a-1", "b-1", "nobody-0"]
    );
    assert_eq!(issuer.fetches(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_requests_on_a_cold_cache_get_each_the_token_it_asked_for() {
    let (issuer, layer) = per_tenant();
    issuer.hold();
    let api = Api::answering(|parts| {
        let request = Request::from_parts(parts.clone(), ());
        let tenant = parts.extensions.get::<TokenRequest>().unwrap().tenant();
        let bearer = layer_support::bearer(&request).unwrap();
        assert_eq!(Some(bearer), tenant.map(|t| format!("{t}-1")).as_deref());
        http::Response::new(String::new())
    });
    let client = layer.layer(api.clone());

    let requests: Vec<_> = (0..400)
        .map(|i| tokio::spawn(client.clone().oneshot(of(["a", "b", "c", "d"][i % 4]))))
        .collect();
    issuer.wait_for_fetches(4).await;
    issuer.release();
    for request in requests {
        request.await.unwrap().unwrap();
    }

    assert_eq!(issuer.fetches(), 4);
    assert_eq!(api.sent().len(), 400);
}

#[tokio::test]
async fn a_401_replaces_the_token_of_its_own_key_only() {
    let (issuer, layer) = per_tenant();
    let api = Api::rejecting(&["a-1"]);
    let client = layer.layer(api.clone());
    client.clone().oneshot(of("b")).await.unwrap();
    client.clone().oneshot(get(URL)).await.unwrap();

    let response = client.clone().oneshot(of("a")).await.unwrap();

    assert_eq!(response.status(), StatusCode::OK);
    client.clone().oneshot(of("b")).await.unwrap();
    client.oneshot(get(URL)).await.unwrap();
    assert_eq!(
        api.tokens(),
        ["b-1", "nobody-0", "a-1", "a-2", "b-1", "nobody-0"]
    );
    assert_eq!(issuer.fetches(), 4);
}

#[tokio::test]
async fn asking_for_the_default_token_is_the_same_as_not_asking() {
    let (issuer, api) = (Issuer::new(), Api::accepting());
    let client = layer(&issuer).layer(api.clone());

    let mut request = get(URL);
    request.extensions_mut().insert(TokenRequest::default());
    client.clone().oneshot(request).await.unwrap();
    client.oneshot(get(URL)).await.unwrap();

    assert_eq!(api.tokens(), ["token-1", "token-1"]);
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test]
async fn a_layer_may_be_made_for_another_default_token() {
    let (_, layer) = per_tenant();
    let cache = layer
        .cache()
        .for_request(&TokenRequest::default().with_tenant("a"));
    let client_of_a = BearerAuthLayer::for_origin(cache, ORIGIN).unwrap();
    let api = Api::accepting();
    let client = client_of_a.layer(api.clone());

    for request in [get(URL), of("a"), of("b")] {
        client.clone().oneshot(request).await.unwrap();
    }

    assert_eq!(api.tokens(), ["a-1", "a-1", "b-1"]);
}

#[tokio::test]
async fn a_service_rebuilt_or_cloned_per_request_uses_the_same_cache() {
    let (issuer, api) = (Issuer::new(), Api::accepting());
    let layer = layer(&issuer);
    let service = layer.layer(api.clone());

    for _ in 0..3 {
        layer.layer(api.clone()).oneshot(get(URL)).await.unwrap();
        layer
            .clone()
            .layer(api.clone())
            .oneshot(get(URL))
            .await
            .unwrap();
        service.clone().oneshot(get(URL)).await.unwrap();
    }
    let changed = layer.clone().with_relative_uris();
    changed.layer(api.clone()).oneshot(get(URL)).await.unwrap();

    assert_eq!(issuer.fetches(), 1);
    assert_eq!(api.tokens(), ["token-1"; 10]);
    assert_eq!(service.cache().cached(), Some(token("token-1")));
}

#[tokio::test]
async fn layers_for_different_origins_may_share_a_cache() {
    let (issuer, api) = (Issuer::new(), Api::accepting());
    let one = layer(&issuer);
    let other = BearerAuthLayer::for_origin(one.cache().clone(), "https://b.example").unwrap();

    one.layer(api.clone()).oneshot(get(URL)).await.unwrap();
    let uri = "https://b.example/";
    other.layer(api.clone()).oneshot(get(uri)).await.unwrap();

    assert_eq!(api.tokens(), ["token-1", "token-1"]);
    assert_eq!(issuer.fetches(), 1);
}
