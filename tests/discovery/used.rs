//! Metadata that is found and used.

use std::sync::{Arc, Mutex};

use http::header::LOCATION;
use http::{HeaderValue, Method};
use tower::{ServiceBuilder, ServiceExt};
use tower_bearer::TokenCache;
use tower_bearer::TokenRequest;
use tower_bearer::error::FetchErrorKind;
use tower_bearer::oauth2::{
    Assertion, ClientCredentials, Credential, Issuer, TokenEndpointErrorKind as Kind,
};
use tower_bearer::provider::PassThrough;

use crate::server::response;
use crate::support::{
    OAUTH, OPENID, Site, cause, document, failure, fetch, http, provider, provider_with, token,
};

#[tokio::test]
async fn a_token_is_asked_for_where_the_metadata_says() {
    let site = Site::with("{origin}/oauth/token").await;
    let provider = provider(site.issuer());

    assert_eq!(token(&provider).await, "oauth.token");
    let [metadata, request] = &site.received()[..] else {
        panic!("one read and one token request");
    };
    assert_eq!(
        (&metadata.method, metadata.uri.path()),
        (&Method::GET, OAUTH)
    );
    assert_eq!(metadata.header("accept"), Some("application/json"));
    assert_eq!(metadata.header("authorization"), None);
    assert_eq!(metadata.form, "");
    assert_eq!(request.method, Method::POST);
    assert_eq!(request.form, "grant_type=client_credentials");

    // It is remembered.
    assert_eq!(token(&provider).await, "oauth.token");
    assert_eq!(site.reads(), [OAUTH]);
}

#[tokio::test]
async fn where_there_is_no_metadata_of_rfc_8414_that_of_openid_connect_is_read() {
    for status in [400, 401, 403, 404, 405, 410, 200, 302] {
        let site = Site::start(move |path, origin| match path {
            OPENID => document(origin, "{origin}/token"),
            _ => {
                let mut page = response(status, "<html>Welcome");
                let location = HeaderValue::from_static("/login");
                page.headers_mut().insert(LOCATION, location);
                page
            }
        })
        .await;

        assert_eq!(token(&provider(site.issuer())).await, "token", "{status}");
        assert_eq!(site.reads(), [OAUTH, OPENID], "{status}");
    }
}

#[tokio::test]
async fn json_without_an_issuer_is_no_metadata_but_with_another_it_is() {
    for (body, reads) in [
        ("{}", 2),
        (
            r#"{"issuer":null,"token_endpoint":"https://evil.example"}"#,
            2,
        ),
        (r#"{"status":404,"title":"Not Found"}"#, 2),
        (r#"{"issuer":""}"#, 1),
        (r#"{"issuer":[]}"#, 1),
        (r#"{"issuer":"https://evil.example"}"#, 1),
    ] {
        let site = Site::start(move |path, origin| match path {
            OPENID => document(origin, "{origin}/token"),
            _ => response(200, body),
        })
        .await;
        let token = fetch(&provider(site.issuer())).await;
        assert_eq!(token.is_ok(), reads == 2, "{body}");
        assert_eq!(site.reads().len(), reads, "{body}");
    }
    let site = Site::start(|_, _| response(200, "{}")).await;
    let error = failure(site.issuer()).await;
    assert_eq!(error.kind(), FetchErrorKind::Denied);
    assert_eq!(cause(&error).kind(), Kind::IssuerMismatch);
    assert_eq!(site.token_requests().len(), 0);
}

#[tokio::test]
async fn the_choice_of_one_document_asks_for_no_other() {
    let site = Site::start(|_, origin| document(origin, "{origin}/token")).await;
    for (issuer, read) in [
        (site.issuer().with_openid_configuration(), OPENID),
        (site.issuer().with_oauth_metadata(), OAUTH),
        (
            site.issuer()
                .with_metadata_url(format!("{}/own/place?a=b", site.origin())),
            "/own/place",
        ),
    ] {
        assert_eq!(token(&provider(issuer)).await, "token");
        assert_eq!(site.reads().pop().unwrap(), read);
    }
    assert_eq!(site.reads().len(), 3);
}

#[tokio::test]
async fn another_origin_is_used_once_it_has_been_named() {
    let other = Site::with("").await;
    let site = Site::with(format!("{}/token", other.origin())).await;
    let issuer = site.issuer().with_token_endpoint_origin(other.origin());

    assert_eq!(token(&provider(issuer)).await, "token");
    assert_eq!(other.token_requests(), ["/token"]);
    assert_eq!(site.token_requests().len(), 0);
}

#[tokio::test]
async fn a_client_with_a_certificate_uses_the_alias_for_mutual_tls() {
    let mtls = Site::with("").await;
    let alias = format!("{}/mtls/token", mtls.origin());
    let site = Site::with_alias(alias).await;
    let issuer = || site.issuer().with_token_endpoint_origin(mtls.origin());

    let certificate = provider_with(issuer(), Credential::tls_certificate());
    assert_eq!(token(&certificate).await, "mtls.token");
    assert_eq!(token(&provider(issuer())).await, "token");
    assert_eq!(mtls.token_requests(), ["/mtls/token"]);
    assert_eq!(site.token_requests(), ["/token"]);
}

#[tokio::test]
async fn an_assertion_is_for_the_issuer_that_named_the_endpoint() {
    let site = Site::with("{origin}/token?a=b").await;
    let seen = Arc::<Mutex<Vec<(String, String)>>>::default();
    let log = Arc::clone(&seen);
    let assertion = Assertion::from_fn(move |cx| {
        let seen = (cx.audience().to_owned(), cx.token_endpoint().to_owned());
        log.lock().unwrap().push(seen);
        async { Ok("a.b.c".to_owned()) }
    });

    token(&provider_with(site.issuer(), assertion.clone())).await;
    let other = assertion.clone().with_audience("other");
    token(&provider_with(site.issuer(), other.clone())).await;
    let endpoint = other.with_token_endpoint_as_audience();
    token(&provider_with(site.issuer(), endpoint)).await;
    let (issuer, url) = (
        format!("{}/tenant", site.origin()),
        format!("{}/token?a=b", site.origin()),
    );
    let other = "other".to_owned();
    let expected = [issuer, other, url.clone()].map(|it| (it, url.clone()));
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_transport_that_is_itself_wrapped_passes_the_read_through() {
    let site = Site::with("{origin}/token").await;
    let marked = Arc::<Mutex<Vec<bool>>>::default();
    let log = Arc::clone(&marked);
    let transport = ServiceBuilder::new()
        .map_request(move |request: http::Request<_>| {
            let mark = request.extensions().get::<PassThrough>().is_some();
            log.lock().unwrap().push(mark);
            request
        })
        .service(http())
        .boxed_clone();
    let builder = ClientCredentials::builder(site.issuer(), "me", "hunter2");

    fetch(&builder.build(transport).unwrap()).await.unwrap();
    assert_eq!(*marked.lock().unwrap(), [true, true]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_fetch_has_read_serves_those_that_follow() {
    let site = Site::with("{origin}/token").await;
    let cache = TokenCache::new(provider(site.issuer()));
    cache.token().await.unwrap();
    let keys = (0..12).map(|key| {
        let request = TokenRequest::default().with_scope(&format!("scope-{key}"));
        let cache = cache.for_request(&request);
        tokio::spawn(async move { cache.token().await.map(drop) })
    });
    for key in keys.collect::<Vec<_>>() {
        key.await.unwrap().unwrap();
    }
    assert_eq!(site.reads(), [OAUTH]);
    assert_eq!(site.token_requests().len(), 13);
}

#[test]
fn debug_of_an_issuer_shows_no_password() {
    let issuer = Issuer::new("https://me:hunter2@id.example.com")
        .with_metadata_url("https://id.example.com/?key=hunter2")
        .with_token_endpoint_origin("https://me:hunter2@id.example.com");
    let builder = ClientCredentials::builder(issuer.clone(), "me", "hunter2");
    assert!(!format!("{issuer:?} {builder:?}").contains("hunter2"));
}
