//! Where the layer sends tokens.

// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use http::header::AUTHORIZATION;
use http::{HeaderName, Request, Response, StatusCode};
use tokio_test::assert_ready_ok;
use tokio_test::task::spawn;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_bearer::error::{BoxError, MissingTokenRequest, OriginNotAllowed};
use tower_bearer::origin::InvalidOriginKind;
use tower_bearer::provider::StaticToken;
use tower_bearer::{AccessToken, BearerAuthLayer, Origin, TokenRequest};

use self::layer_support::{
    Api, Issuer, ORIGIN, URL, bearer, get, layer, reason, token, unauthorized,
};

mod layer_support;

const OTHERS: [&str; 8] = [
    "https://evil.example/",
    "http://api.example.com/",
    "https://api.example.com:8443/",
    "https://api.example.com.evil.example/",
    "https://api.example.com@evil.example/",
    "https://sub.api.example.com/",
    "https://api.example.com./",
    "/relative",
];

fn with_app_id(issuer: &Issuer) -> BearerAuthLayer<Issuer> {
    let name = HeaderName::from_static("x-app");
    layer(issuer).with_header(name, "app".parse().unwrap())
}

#[tokio::test]
async fn another_origin_gets_neither_token_nor_extra_headers_and_its_401_concerns_no_token() {
    for uri in OTHERS {
        let with_header =
            token("token-1").with_header(HeaderName::from_static("x-quota"), "q".parse().unwrap());
        let issuer = Issuer::answering([with_header.into()]);
        let api = Api::answering(|_| unauthorized("who are you"));
        let layer = with_app_id(&issuer);
        layer.cache().token().await.unwrap();
        let client = layer.layer(api.clone());
        let request = || {
            Request::post(uri)
                .header("x-own", "1")
                .extension(5_u8)
                .body("body")
                .unwrap()
        };

        let response = client.oneshot(request()).await.unwrap();

        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{uri}");
        assert!(reason(&response).is_none(), "{uri}");
        let sent = api.sent();
        assert_eq!(sent.len(), 1, "{uri}: not sent again");
        assert_eq!(sent[0].headers(), request().headers(), "{uri}");
        assert_eq!(sent[0].uri(), request().uri());
        assert_eq!(sent[0].method(), request().method());
        assert_eq!(sent[0].extensions().get(), Some(&5_u8));
        assert_eq!(sent[0].body(), request().body());
        assert_eq!(layer.cache().cached(), Some(token("token-1")), "{uri}");
        assert_eq!(issuer.fetches(), 1, "{uri}");
    }
}

#[tokio::test]
async fn another_origin_is_an_error_if_the_layer_is_told_so_and_nothing_is_sent() {
    for uri in OTHERS {
        let (issuer, api) = (Issuer::new(), Api::accepting());
        let client = with_app_id(&issuer)
            .with_other_origins_refused()
            .layer(api.clone());

        let error = client.clone().oneshot(get(uri)).await.unwrap_err();
        assert!(error.is::<OriginNotAllowed>(), "{uri}");
        assert!(api.sent().is_empty());
        assert_eq!(issuer.fetches(), 0);

        client.oneshot(get(URL)).await.unwrap();
        assert_eq!(api.tokens(), ["token-1"]);
    }
}

#[tokio::test]
async fn the_named_origin_gets_the_token_however_it_is_spelled() {
    let (issuer, api) = (Issuer::new(), Api::accepting());
    let client = layer(&issuer).layer(api.clone());

    for uri in [
        "https://api.example.com",
        "https://API.EXAMPLE.COM/x",
        "https://api.example.com:443/x?y#z",
        "HTTPS://api.example.com/",
    ] {
        client.clone().oneshot(get(uri)).await.unwrap();
        assert_eq!(api.tokens(), ["token-1"], "{uri}");
    }
}

#[tokio::test]
async fn several_origins_can_be_named() {
    let (issuer, api) = (Issuer::new(), Api::accepting());
    let client = layer(&issuer)
        .allow_origin("https://files.example.com:8443")
        .unwrap()
        .layer(api.clone());

    client.clone().oneshot(get(URL)).await.unwrap();
    let uri = "https://files.example.com:8443/f";
    client.clone().oneshot(get(uri)).await.unwrap();
    assert_eq!(api.tokens(), ["token-1", "token-1"]);

    client
        .oneshot(get("https://files.example.com/f"))
        .await
        .unwrap();
    assert_eq!(api.tokens(), ["none"]);
}

#[tokio::test]
async fn relative_uris_get_the_token_only_if_the_layer_is_told_so() {
    let (issuer, api) = (Issuer::new(), Api::accepting());
    let layer = layer(&issuer);

    layer
        .layer(api.clone())
        .oneshot(get("/items"))
        .await
        .unwrap();
    assert_eq!(api.tokens(), ["none"]);

    let client = layer.with_relative_uris().layer(api.clone());
    client.clone().oneshot(get("/items")).await.unwrap();
    assert_eq!(api.tokens(), ["token-1"]);
    client
        .clone()
        .oneshot(get("https://evil.example/"))
        .await
        .unwrap();
    assert_eq!(api.tokens(), ["none"]);
    // The target of a CONNECT has no scheme and no path.
    client.oneshot(get("evil.example:443")).await.unwrap();
    assert_eq!(api.tokens(), ["none"]);
}

#[tokio::test]
async fn every_https_origin_is_every_https_origin_and_no_other() {
    let (issuer, api) = (Issuer::new(), Api::accepting());
    let client = BearerAuthLayer::for_every_https_origin(issuer).layer(api.clone());

    for (uri, token) in [
        ("https://any.example/", "token-1"),
        ("https://other.example:8443/", "token-1"),
        ("http://any.example/", "none"),
        ("http://localhost/", "none"),
        ("wss://any.example/", "none"),
        ("/relative", "none"),
    ] {
        client.clone().oneshot(get(uri)).await.unwrap();
        assert_eq!(api.tokens(), [token], "{uri}");
    }
}

#[test]
fn plain_http_to_a_public_host_is_an_error_when_the_layer_is_made() {
    let public = "http://api.example.com";
    let error = BearerAuthLayer::for_origin(Issuer::new(), public).unwrap_err();
    assert_eq!(error.kind(), InvalidOriginKind::Insecure);
    let error = layer(&Issuer::new()).allow_origin(public).unwrap_err();
    assert_eq!(error.kind(), InvalidOriginKind::Insecure);
    let error = BearerAuthLayer::for_every_https_origin(Issuer::new())
        .allow_origin(public)
        .unwrap_err();
    assert_eq!(error.kind(), InvalidOriginKind::Insecure);

    assert!(BearerAuthLayer::for_origin(Issuer::new(), "http://127.0.0.1:8080").is_ok());
    assert!(BearerAuthLayer::for_origin(Issuer::new(), "http://[::1]").is_ok());
}

#[tokio::test]
async fn plain_http_to_a_public_host_takes_a_call_with_insecure_in_its_name() {
    let (issuer, api) = (Issuer::new(), Api::accepting());
    let origin = Origin::new_insecure_http("http://api.internal:8080").unwrap();
    let client = BearerAuthLayer::for_origin(issuer, origin)
        .unwrap()
        .layer(api.clone());

    client
        .oneshot(get("http://api.internal:8080/"))
        .await
        .unwrap();

    assert_eq!(api.tokens(), ["token-1"]);
}

#[tokio::test]
async fn replaced_authorization_is_also_stripped_for_other_origins() {
    for uri in OTHERS {
        let (issuer, api) = (Issuer::new(), Api::accepting());
        let client = layer(&issuer)
            .with_authorization_replaced()
            .layer(api.clone());
        let mut request = get(uri);
        for value in ["Basic inbound", "Bearer inbound"] {
            let value = value.parse().unwrap();
            request.headers_mut().append(AUTHORIZATION, value);
        }

        client.oneshot(request).await.unwrap();

        assert_eq!(bearer(&api.sent()[0]), None, "{uri}");
        assert_eq!(issuer.fetches(), 0);
    }
}

#[tokio::test]
async fn a_request_that_names_no_token_is_an_error_if_the_layer_is_told_so() {
    let (issuer, api) = (Issuer::new(), Api::accepting());
    let client = layer(&issuer)
        .with_token_request_required()
        .layer(api.clone());

    let error = client.clone().oneshot(get(URL)).await.unwrap_err();
    assert!(error.is::<MissingTokenRequest>());
    assert!(api.sent().is_empty());
    assert_eq!(issuer.fetches(), 0);

    // The default token can still be asked for.
    let mut request = get(URL);
    request.extensions_mut().insert(TokenRequest::default());
    client.clone().oneshot(request).await.unwrap();
    // What gets no token need not say which.
    client.oneshot(get("https://other.example/")).await.unwrap();
    assert_eq!(api.tokens(), ["token-1", "none"]);
}

#[test]
fn debug_of_the_layer_and_its_service_shows_no_secret() {
    let layer = with_app_id(&Issuer::answering([token("hunter2").into()]))
        .with_header(HeaderName::from_static("x-key"), "hunter2".parse().unwrap());
    let service = layer.layer("inner");

    let shown = format!("{layer:?} {service:?} {:?}", layer.cache());

    assert!(!shown.contains("hunter2"), "{shown}");
    let host = ORIGIN.strip_prefix("https://").unwrap();
    assert!(shown.contains(host), "{shown}");
}

#[tokio::test]
async fn a_refused_request_gives_its_slot_back() {
    let limit = tower::limit::GlobalConcurrencyLimitLayer::new(1);
    let inner = limit.layer(service_fn(|_: Request<String>| async {
        Ok::<_, BoxError>(Response::new(String::new()))
    }));
    let token = StaticToken::new(AccessToken::new("t").unwrap());
    let layer = BearerAuthLayer::for_origin(token, "https://api.example.com")
        .unwrap()
        .with_other_origins_refused();
    let (mut refused, mut other) = (layer.layer(inner.clone()), layer.layer(inner));

    let request = Request::get("https://other.example.com/").body(String::new());
    let ready = refused.ready().await.unwrap();
    assert!(ready.call(request.unwrap()).await.is_err());

    assert_ready_ok!(spawn(other.ready()).poll().map(|ready| ready.map(drop)));
}
