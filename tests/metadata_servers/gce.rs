use http::header::{LOCATION, RETRY_AFTER};
use http::{HeaderValue, Method, Response};
use tower::{ServiceBuilder, ServiceExt};
use tower_bearer::error::FetchErrorKind;
use tower_bearer::oauth2::TokenEndpointErrorKind as Kind;
use tower_bearer::oauth2::metadata::{GceMetadata, GceMetadataBuilder};
use tower_bearer::provider::PassThrough;
use tower_bearer::{TokenCache, TokenRequest};

use crate::server::{Body, Server, response};
use crate::support::{assert_refused, cause, failure, fetch, host, http, token};

const TOKEN: &str = r#"{"access_token":"ya29.issued","expires_in":3599,"token_type":"Bearer"}"#;

/// {"alg":"RS256"}, {"aud":"a","exp":4000000000}
const IDENTITY: &str = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJhIiwiZXhwIjo0MDAwMDAwMDAwfQ.c2ln";

fn flavored(status: u16, body: &'static str) -> Response<Body> {
    let mut response = response(status, body);
    let google = HeaderValue::from_static("Google");
    response.headers_mut().insert("metadata-flavor", google);
    response
}

async fn server(status: u16, body: &'static str) -> Server {
    Server::start(move |_| flavored(status, body)).await
}

fn builder(server: &Server) -> GceMetadataBuilder {
    GceMetadata::builder().with_host(host(server))
}

fn last_query(server: &Server) -> String {
    let uri = server.received().pop().unwrap().uri;
    uri.query().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn the_default_account_is_asked_for_a_token_with_the_header_that_google_wants() {
    let server = server(200, TOKEN).await;
    let cache = TokenCache::new(builder(&server).build(http()).unwrap());

    let issued = cache.token().await.unwrap();
    assert_eq!(issued.expose_secret(), "ya29.issued");
    assert!(cache.cached().is_some());
    let request = server.only_request();
    assert_eq!(request.method, Method::GET);
    assert_eq!(
        request.uri.path(),
        "/computeMetadata/v1/instance/service-accounts/default/token"
    );
    assert_eq!(request.header("metadata-flavor"), Some("Google"));
    assert_eq!(request.header("authorization"), None);
    assert_eq!(request.form, "");
}

#[tokio::test]
async fn scopes_are_joined_by_commas_and_those_of_the_request_count() {
    let server = server(200, TOKEN).await;
    let provider = builder(&server).build(http()).unwrap();
    token(&provider).await;
    assert_eq!(last_query(&server), "");

    let scope = "https://www.googleapis.com/auth/pubsub";
    let provider = builder(&server)
        .with_scope(scope)
        .with_scope("a&b")
        .build(http())
        .unwrap();
    token(&provider).await;
    let encoded = "scopes=a%26b%2Chttps%3A%2F%2Fwww.googleapis.com%2Fauth%2Fpubsub";
    assert_eq!(last_query(&server), encoded);

    let other = TokenRequest::default().with_scope("other");
    fetch(&provider, other).await.unwrap();
    assert_eq!(last_query(&server), "scopes=other");
}

#[tokio::test]
async fn another_account_is_named_in_the_path() {
    let server = server(200, TOKEN).await;
    let account = "me@project.iam.gserviceaccount.com";
    let builder = builder(&server).with_service_account(account);
    token(&builder.build(http()).unwrap()).await;

    let path = format!("/computeMetadata/v1/instance/service-accounts/{account}/token");
    assert_eq!(server.only_request().uri.path(), path);
}

#[tokio::test]
async fn an_identity_token_is_asked_for_by_its_audience() {
    let server = server(200, IDENTITY).await;
    let provider = builder(&server)
        .with_identity_tokens_for("https://orders.run.app/?a=b")
        .build(http())
        .unwrap();

    assert_eq!(token(&provider).await, IDENTITY);
    let request = server.only_request();
    assert_eq!(
        request.uri.path(),
        "/computeMetadata/v1/instance/service-accounts/default/identity"
    );
    let query = "audience=https%3A%2F%2Forders.run.app%2F%3Fa%3Db&format=full";
    assert_eq!(last_query(&server), query);

    let other = TokenRequest::default().with_audience("other");
    fetch(&provider, other).await.unwrap();
    assert_eq!(last_query(&server), "audience=other&format=full");
}

#[tokio::test]
async fn what_is_no_identity_token_is_not_taken_for_one() {
    for body in [TOKEN, "not.a.jwt", "<html>hunter2", ""] {
        let server = server(200, body).await;
        let builder = builder(&server).with_identity_tokens_for("a");
        let error = failure(&builder.build(http()).unwrap()).await;

        assert_eq!(error.kind(), FetchErrorKind::Unavailable);
        assert_eq!(cause(&error).kind(), Kind::NotJson, "{body}");
        assert!(!cause(&error).to_string().contains("ya29"));
    }
}

#[tokio::test]
async fn what_it_cannot_be_asked_for_is_refused_and_not_sent() {
    let server = server(200, TOKEN).await;
    let access = builder(&server).build(http()).unwrap();
    let request = TokenRequest::default;
    let by_none = [
        request().with_tenant("acme"),
        request().with_resource("urn:x"),
        request().with_parameter("a", "b"),
    ];
    assert_refused(&access, &by_none).await;
    let of_identity = [request().with_audience("a"), request().with_scope("a,b")];
    assert_refused(&access, &of_identity).await;

    let identity = builder(&server).with_identity_tokens_for("a");
    let identity = identity.build(http()).unwrap();
    assert_refused(&identity, &by_none).await;
    let of_access = [
        request().with_scope("a"),
        request().with_audience(""),
        // Longer than a URL can be, once it is encoded.
        request().with_audience("é".repeat(12_000)),
    ];
    assert_refused(&identity, &of_access).await;
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn an_answer_without_googles_header_is_not_the_metadata_servers() {
    for status in [200, 403, 404] {
        let server = Server::answering(status, TOKEN).await;
        let error = failure(&builder(&server).build(http()).unwrap()).await;

        assert_eq!(error.kind(), FetchErrorKind::Unavailable);
        assert_eq!(cause(&error).kind(), Kind::NotMetadataServer);
        assert_eq!(cause(&error).status().unwrap(), status);
        assert!(!cause(&error).to_string().contains("ya29"));
    }
}

#[tokio::test]
async fn the_kind_of_failure_follows_from_the_status() {
    use FetchErrorKind::{Denied, Unavailable};

    for (status, kind) in [
        (400, Denied),
        (403, Denied),
        (404, Denied),
        (429, Unavailable),
        (500, Unavailable),
        (503, Unavailable),
    ] {
        let server = Server::start(move |_| {
            let mut response = flavored(status, "why");
            let headers = response.headers_mut();
            headers.insert(RETRY_AFTER, HeaderValue::from_static("7"));
            response
        });
        let server = server.await;
        let error = failure(&builder(&server).build(http()).unwrap()).await;

        assert_eq!(error.kind(), kind, "{status}");
        assert_eq!(error.retry_after().unwrap().as_secs(), 7);
        assert_eq!(cause(&error).kind(), Kind::Rejected);
        let text = cause(&error).to_string();
        let name = format!(
            "GCE metadata server http://{}/computeMetadata/v1/",
            host(&server)
        );
        assert!(text.starts_with(&name), "{text}");
        let advice = "does this machine have that service account";
        assert_eq!(text.contains(advice), kind == Denied, "{text}");
    }
    // One without the header may stand before it.
    let server = Server::answering(502, "").await;
    let error = failure(&builder(&server).build(http()).unwrap()).await;
    assert_eq!(cause(&error).kind(), Kind::Rejected);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = server(200, TOKEN).await;
    let location: HeaderValue = other.url().parse().unwrap();
    let server = Server::start(move |_| {
        let mut response = flavored(302, "");
        response.headers_mut().insert(LOCATION, location.clone());
        response
    })
    .await;
    let error = failure(&builder(&server).build(http()).unwrap()).await;

    assert_eq!(cause(&error).kind(), Kind::Redirected);
    assert!(other.received().is_empty());
}

#[tokio::test]
async fn a_transport_that_is_itself_wrapped_passes_the_request_through() {
    let server = server(200, TOKEN).await;
    let transport = ServiceBuilder::new()
        .map_request(|request: http::Request<_>| {
            assert!(request.extensions().get::<PassThrough>().is_some());
            request
        })
        .service(http())
        .boxed_clone();
    token(&builder(&server).build(transport).unwrap()).await;
}
