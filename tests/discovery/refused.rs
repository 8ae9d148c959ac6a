//! Metadata that is not believed: the secret stays home.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::header::{LOCATION, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use tokio::sync::Semaphore;
use tower::service_fn;
use tower_bearer::error::{BoxError, FetchError, FetchErrorKind};
use tower_bearer::oauth2::{
    ClientAuth, ClientCredentials, Credential, Issuer, TokenEndpointErrorKind as Kind,
};
use tower_bearer::{TokenCache, TokenRequest};

use crate::server::{Server, response};
use crate::support::{
    OAUTH, OPENID, Site, cause, document, everything, failure, failure_of, fetch, http,
    provider_with,
};

#[tokio::test]
async fn metadata_of_another_issuer_is_refused_even_if_it_is_a_slash() {
    let site = Site::with("{origin}/token").await;
    let issuer = format!("{}/tenant/", site.origin());
    let error = failure(Issuer::new(&issuer)).await;

    assert_eq!(error.kind(), FetchErrorKind::Denied);
    assert_eq!(cause(&error).kind(), Kind::IssuerMismatch);
    let text = cause(&error).to_string();
    let named = format!("authorization server metadata {}{OAUTH} ", site.origin());
    assert!(text.starts_with(&named), "{text}");
    assert!(text.contains("differ by a slash at the end"), "{text}");
    let hint = "choose it by `Issuer::with_openid_configuration`";
    assert!(text.ends_with(hint), "{text}");
    // It is no reason to look for another document.
    assert_eq!(site.reads(), [OAUTH]);
    assert_eq!(site.token_requests().len(), 0);
}

#[tokio::test]
async fn a_token_endpoint_without_tls_on_another_host_is_refused() {
    for endpoint in ["http://id.example.com/token", "/token", ""] {
        let site = Site::with(endpoint).await;
        let issuer = site
            .issuer()
            .with_token_endpoint_origin("https://id.example.com");
        let error = failure(issuer).await;

        assert_eq!(error.kind(), FetchErrorKind::Denied);
        assert_eq!(cause(&error).kind(), Kind::InvalidMetadata, "{endpoint}");
        let text = cause(&error).to_string();
        assert!(
            text.contains("`Issuer::with_openid_configuration`"),
            "{text}"
        );
        assert_eq!(site.token_requests().len(), 0);
    }
}

#[tokio::test]
async fn a_token_endpoint_on_another_origin_gets_nothing() {
    let other = Site::with("").await;
    let site = Site::with(format!("{}/hunter2", other.origin())).await;
    let error = failure(site.issuer()).await;

    assert_eq!(error.kind(), FetchErrorKind::Denied);
    assert_eq!(cause(&error).kind(), Kind::TokenEndpointOrigin);
    let text = cause(&error).to_string();
    assert!(text.ends_with(&other.origin()), "{text}");
    assert!(text.contains("with_token_endpoint_origin"), "{text}");
    assert!(other.received().is_empty());
    assert_eq!(site.token_requests().len(), 0);
}

#[tokio::test]
async fn an_alias_for_mutual_tls_on_another_origin_gets_nothing() {
    let other = Site::with("").await;
    let alias = format!("{}/token", other.origin());
    let site = Site::with_alias(alias).await;
    let error = failure_of(&provider_with(site.issuer(), Credential::tls_certificate())).await;

    assert_eq!(cause(&error).kind(), Kind::TokenEndpointOrigin);
    assert!(other.received().is_empty());
    assert_eq!(site.token_requests().len(), 0);
}

#[tokio::test]
async fn a_redirect_of_the_metadata_is_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let other = Site::start(|_, origin| document(origin, "{origin}/token")).await;
        let location: HeaderValue = format!("{}{OAUTH}", other.origin()).parse().unwrap();
        let site = Site::start(move |_, _| {
            let mut response = response(status, "");
            response.headers_mut().insert(LOCATION, location.clone());
            response
        })
        .await;
        let error = failure(site.issuer()).await;

        assert_eq!(error.kind(), FetchErrorKind::Unavailable);
        assert_eq!(cause(&error).kind(), Kind::Redirected);
        assert_eq!(site.reads(), [OAUTH, OPENID]);
        assert!(other.received().is_empty());
        assert_eq!(site.token_requests().len(), 0);
    }
}

#[tokio::test]
async fn metadata_of_more_than_a_mebibyte_is_not_read() {
    let site = Site::start(|_, origin| {
        let padding = "x".repeat(2 * 1024 * 1024);
        let body = format!(
            r#"{{"issuer":"{origin}/tenant","token_endpoint":"{origin}/token","x":"{padding}"}}"#
        );
        response(200, body)
    })
    .await;
    let error = failure(site.issuer()).await;

    assert_eq!(error.kind(), FetchErrorKind::Unavailable);
    assert_eq!(cause(&error).kind(), Kind::TooLarge);
    assert_eq!(site.reads(), [OAUTH]);
    assert_eq!(site.token_requests().len(), 0);
}

#[tokio::test]
async fn what_is_no_json_object_is_not_quoted() {
    for body in [
        "",
        "<html>hunter2",
        r#"["hunter2"]"#,
        r#"{"issuer":"hunter2""#,
        "hunter2.hunter2.hunter2",
        // A JWT, which a token endpoint may answer with.
        "eyJhbGciOiJub25lIn0.eyJpYXQiOjEwLCJleHAiOjIwfQ.c2ln",
    ] {
        let site = Site::start(move |_, _| response(200, body)).await;
        let error = failure(site.issuer()).await;

        assert_eq!(error.kind(), FetchErrorKind::Unavailable);
        assert_eq!(cause(&error).kind(), Kind::NotJson, "{body}");
        assert!(!everything(&error).contains("c2ln"));
        assert_eq!(site.token_requests().len(), 0);
    }
}

#[tokio::test]
async fn the_kind_of_failure_follows_from_the_status() {
    use FetchErrorKind::{Denied, Unavailable};

    for (status, kind, reads) in [
        (400, Denied, 2),
        (403, Denied, 2),
        (404, Denied, 2),
        (408, Unavailable, 1),
        (429, Unavailable, 1),
        (500, Unavailable, 1),
        (503, Unavailable, 1),
    ] {
        let site = Site::start(move |_, _| {
            let mut response = response(status, "");
            let headers = response.headers_mut();
            headers.insert(RETRY_AFTER, HeaderValue::from_static("77"));
            response
        })
        .await;
        let error = failure(site.issuer()).await;

        assert_eq!(error.kind(), kind, "{status}");
        assert_eq!(cause(&error).kind(), Kind::Rejected);
        assert_eq!(error.retry_after().unwrap().as_secs(), 77);
        assert_eq!(site.reads().len(), reads, "{status}");
        let text = cause(&error).to_string();
        for place in ["with_openid_configuration", "with_oauth_metadata"] {
            assert!(text.contains(place), "{text}");
        }
        assert_eq!(site.token_requests().len(), 0);
    }
}

#[tokio::test]
async fn if_there_is_no_metadata_both_places_are_named() {
    let site = Site::start(|_, _| response(404, r#"{"error":"unknown_tenant"}"#)).await;
    let error = failure(site.issuer()).await;

    assert_eq!(cause(&error).error_code(), Some("unknown_tenant"));
    let text = everything(&error);
    for place in [OAUTH, OPENID] {
        let place = format!("metadata {}{place} (HTTP status 404)", site.origin());
        assert!(text.contains(&place), "{text}");
    }
}

#[tokio::test]
async fn who_has_chosen_a_document_is_told_of_no_other() {
    let site = Site::start(|_, origin| document("https://evil.example", origin)).await;
    for issuer in [
        site.issuer().with_openid_configuration(),
        site.issuer().with_oauth_metadata(),
    ] {
        let text = cause(&failure(issuer).await).to_string();
        assert!(
            text.contains("https://evil.example/tenant instead of"),
            "{text}"
        );
        assert!(!text.contains("Issuer::with"), "{text}");
    }
}

#[tokio::test]
async fn a_key_in_the_query_of_the_metadata_is_shown_nowhere() {
    let server = Server::start(|request| {
        response(
            404,
            format!("no such page: {}, p%C3%A4ss HUNTER2", request.uri),
        )
    })
    .await;
    let url = format!("{}?key=hunter2&b=p%C3%A4ss", server.url());
    let error = failure(Issuer::new("http://127.0.0.1").with_metadata_url(url)).await;

    let text = everything(&error).to_lowercase();
    assert!(
        !text.contains("hunter2") && !text.contains("p%c3%a4ss"),
        "{text}"
    );
    assert!(text.contains("no such page: /token?"), "{text}");
}

#[tokio::test]
async fn an_issuer_that_cannot_be_reached_is_unavailable() {
    let site = Site::with("").await;
    let issuer = site.issuer();
    drop(site);
    let error = failure(issuer).await;

    assert_eq!(error.kind(), FetchErrorKind::Unavailable);
    assert_eq!(cause(&error).kind(), Kind::Transport);
}

#[tokio::test]
async fn a_failure_of_discovery_is_one_failure_for_all_keys() {
    let (reads, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let (counted, closed) = (Arc::clone(&reads), Arc::clone(&gate));
    let transport = service_fn(move |request: Request<Full<Bytes>>| {
        assert_eq!(request.method(), Method::GET);
        counted.fetch_add(1, Ordering::Relaxed);
        let closed = Arc::clone(&closed);
        async move {
            closed.acquire().await?.forget();
            let mut response = Response::new(Full::<Bytes>::default());
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            Ok::<_, BoxError>(response)
        }
    });
    let issuer = Issuer::new("https://id.example.com");
    let provider = ClientCredentials::builder(issuer, "me", "hunter2");
    let cache = TokenCache::new(provider.build(transport).unwrap());
    let keys = (0..100).map(|key| {
        let request = TokenRequest::default().with_scope(&format!("scope-{key}"));
        let cache = cache.for_request(&request);
        tokio::spawn(async move { cache.token().await.map(drop) })
    });
    let keys = keys.collect::<Vec<_>>();
    // So many fetches run at once before the first success, and each reads by itself.
    while reads.load(Ordering::Relaxed) < 4 {
        tokio::task::yield_now().await;
    }
    gate.add_permits(100);
    for key in keys {
        let error = key.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), FetchErrorKind::Unavailable);
    }
    // The pause after the first failure holds for all keys.
    assert_eq!(reads.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn a_client_that_is_refused_learns_what_the_metadata_lists() {
    let server = Server::start(|request| {
        if request.method == Method::POST {
            return response(401, r#"{"error":"invalid_client"}"#);
        }
        let origin = format!("http://{}", request.header("host").unwrap());
        let body = format!(
            r#"{{"issuer":"{origin}","token_endpoint":"{origin}/token",
                "token_endpoint_auth_methods_supported":["hunter3","client_secret_post","none"]}}"#
        );
        response(200, body)
    })
    .await;
    let text = async |auth| {
        let issuer = Issuer::new(server.url().replace("/token", ""));
        let builder = ClientCredentials::builder(issuer, "me", "hunter2").with_client_auth(auth);
        let error = fetch(&builder.build(http()).unwrap()).await.unwrap_err();
        let error = error.downcast::<FetchError>().unwrap();
        assert!(!cause(&error).is_discovery());
        cause(&error).to_string()
    };

    let basic = text(ClientAuth::Basic).await;
    let hint = "client_secret_basic is not among what the issuer's metadata lists: client_secret_post, none;";
    assert!(basic.contains(hint), "{basic}");
    let post = text(ClientAuth::Post).await;
    assert!(!post.contains("metadata lists"), "{post}");
}
