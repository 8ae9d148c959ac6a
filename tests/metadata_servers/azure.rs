use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::Method;
use http::header::{HeaderName, HeaderValue};
use http_body_util::Full;
use tower::{ServiceBuilder, ServiceExt};
use tower_bearer::error::FetchErrorKind;
use tower_bearer::oauth2::metadata::{AzureManagedIdentity, AzureManagedIdentityBuilder};
use tower_bearer::oauth2::{ClientSecret, TokenEndpointErrorKind as Kind};
use tower_bearer::{TokenCache, TokenRequest};

use crate::server::{Server, response};
use crate::support::{assert_refused, cause, everything, failure, fetch, http, token};

const MANAGEMENT: &str = "https://management.azure.com/";

/// As the service writes it: all members are texts.
const TOKEN: &str = r#"{"access_token":"eyJ0issued","client_id":"c","expires_in":"86399",
    "expires_on":"4000000000","ext_expires_in":"86399","not_before":"1","resource":"r",
    "token_type":"Bearer"}"#;

const APP_SERVICE_TOKEN: &str = r#"{"access_token":"eyJ0issued","expires_on":"4000000000",
    "resource":"r","token_type":"Bearer","client_id":"c"}"#;

fn imds(server: &Server) -> AzureManagedIdentityBuilder {
    AzureManagedIdentity::imds()
        .with_url(server.url())
        .with_resource(MANAGEMENT)
}

fn app_service(server: &Server, header: impl Into<ClientSecret>) -> AzureManagedIdentityBuilder {
    AzureManagedIdentity::app_service(server.url(), header).with_resource(MANAGEMENT)
}

fn last_query(server: &Server) -> String {
    let uri = server.received().pop().unwrap().uri;
    uri.query().unwrap().to_owned()
}

#[tokio::test]
async fn a_virtual_machine_asks_for_one_resource_with_the_header_that_azure_wants() {
    let server = Server::answering(200, TOKEN).await;
    let cache = TokenCache::new(imds(&server).build(http()).unwrap());

    assert_eq!(cache.token().await.unwrap().expose_secret(), "eyJ0issued");
    assert!(cache.cached().is_some());
    let request = server.only_request();
    assert_eq!(
        (&request.method, request.uri.path()),
        (&Method::GET, "/token")
    );
    let query = "api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com%2F";
    assert_eq!(last_query(&server), query);
    assert_eq!(request.header("metadata"), Some("true"));
    assert_eq!(request.header("x-identity-header"), None);
    assert_eq!(request.form, "");
}

#[tokio::test]
async fn an_app_service_shows_its_header_as_a_secret() {
    let server = Server::answering(200, APP_SERVICE_TOKEN).await;
    let transport = ServiceBuilder::new()
        .map_request(|request: http::Request<Full<Bytes>>| {
            assert!(request.headers()["x-identity-header"].is_sensitive());
            request
        })
        .service(http())
        .boxed_clone();
    let provider = app_service(&server, "hunter2").build(transport).unwrap();
    let cache = TokenCache::new(provider);

    assert_eq!(cache.token().await.unwrap().expose_secret(), "eyJ0issued");
    assert!(cache.cached().is_some());
    let request = server.only_request();
    assert_eq!(request.header("x-identity-header"), Some("hunter2"));
    assert_eq!(request.header("metadata"), None);
    let query = "api-version=2019-08-01&resource=https%3A%2F%2Fmanagement.azure.com%2F";
    assert_eq!(last_query(&server), query);
}

#[tokio::test]
async fn the_resource_of_the_request_replaces_the_default_as_does_its_default_scope() {
    let server = Server::answering(200, TOKEN).await;
    let provider = imds(&server).build(http()).unwrap();
    for (request, resource) in [
        (
            TokenRequest::default().with_resource("api://a&b"),
            "api%3A%2F%2Fa%26b",
        ),
        (
            TokenRequest::default().with_scope("api://a/.default"),
            "api%3A%2F%2Fa",
        ),
        // As Entra has it: the slash is the resource's own.
        (
            TokenRequest::default().with_scope("https://management.azure.com//.default"),
            "https%3A%2F%2Fmanagement.azure.com%2F",
        ),
    ] {
        fetch(&provider, request).await.unwrap();
        let query = format!("api-version=2018-02-01&resource={resource}");
        assert_eq!(last_query(&server), query);
    }
}

#[tokio::test]
async fn what_it_cannot_be_asked_for_is_refused_and_not_sent() {
    let server = Server::answering(200, TOKEN).await;
    let request = TokenRequest::default;
    let refused = [
        request().with_resource("a").with_resource("b"),
        request().with_resource("a").with_scope("b/.default"),
        request().with_scope("a/.default b/.default"),
        request().with_scope("a/user.read"),
        request().with_scope("/.default"),
        request().with_resource(""),
        request().with_audience("a"),
        request().with_tenant("a"),
        request().with_parameter("claims", "{}"),
        // Longer than a URL can be.
        request().with_resource("a".repeat(70_000)),
    ];
    assert_refused(&imds(&server).build(http()).unwrap(), &refused).await;
    let without_default = AzureManagedIdentity::imds().with_url(server.url());
    assert_refused(&without_default.build(http()).unwrap(), &[request()]).await;
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn each_service_has_its_own_names_for_an_identity() {
    let server = Server::answering(200, TOKEN).await;
    type Choice = fn(AzureManagedIdentityBuilder) -> AzureManagedIdentityBuilder;
    let choices: [(Choice, &str, &str); 4] = [
        (
            |it| it.with_client_id("a/b"),
            "client_id=a%2Fb",
            "client_id=a%2Fb",
        ),
        (|it| it.with_object_id("o"), "object_id=o", "principal_id=o"),
        (
            |it| it.with_resource_id("/r"),
            "msi_res_id=%2Fr",
            "mi_res_id=%2Fr",
        ),
        (
            |it| it.with_client_id("a").with_object_id("o"),
            "object_id=o",
            "principal_id=o",
        ),
    ];
    for (choose, on_machine, on_app_service) in choices {
        for (builder, expected) in [
            (imds(&server), on_machine),
            (app_service(&server, "hunter2"), on_app_service),
        ] {
            token(&choose(builder).build(http()).unwrap()).await;
            let query = last_query(&server);
            let (_, rest) = query.split_once("azure.com%2F&").unwrap();
            assert_eq!(rest, expected);
        }
    }
}

#[tokio::test]
async fn the_kind_of_failure_follows_from_the_status_and_the_code() {
    use FetchErrorKind::{Denied, InvalidRequest, Unavailable};

    for (status, code, kind) in [
        (400, "invalid_request", Denied),
        (400, "invalid_resource", InvalidRequest),
        (401, "invalid_resource", Denied),
        (403, "", Denied),
        // It is being updated.
        (404, "invalid_resource", Unavailable),
        (410, "", Unavailable),
        (429, "", Unavailable),
        (500, "", Unavailable),
        (503, "invalid_resource", Unavailable),
    ] {
        let body = format!(r#"{{"error":"{code}","error_description":"Identity not found"}}"#);
        let server = Server::answering(status, body).await;
        let error = failure(&imds(&server).build(http()).unwrap()).await;

        assert_eq!(error.kind(), kind, "{status} {code}");
        assert_eq!(cause(&error).kind(), Kind::Rejected);
        let text = cause(&error).to_string();
        let name = format!("Azure managed identity endpoint {} ", server.url());
        assert!(text.starts_with(&name), "{text}");
        assert_eq!(
            text.contains("does this machine have"),
            kind == Denied,
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_header_that_is_echoed_is_cut_out() {
    let server = Server::start(|request| {
        let header = request.header("x-identity-header").unwrap();
        response(
            401,
            format!(r#"{{"statusCode":401,"message":"not {header}"}}"#),
        )
    })
    .await;
    let error = failure(
        &app_service(&server, "hunter2:+/%\"=")
            .build(http())
            .unwrap(),
    )
    .await;

    assert_eq!(error.kind(), FetchErrorKind::Denied);
    let text = everything(&error);
    assert!(text.contains("not [redacted]"), "{text}");
}

#[tokio::test]
async fn nothing_of_a_successful_answer_is_quoted() {
    for (kind, body) in [
        (Kind::NotJson, "hunter2"),
        (Kind::MissingToken, r#"{"accessToken":"hunter2"}"#),
        (Kind::InvalidToken, r#"{"access_token":"hunter2\n"}"#),
        (
            Kind::UnsupportedTokenType,
            r#"{"access_token":"hunter2","token_type":"pop"}"#,
        ),
    ] {
        let server = Server::answering(200, body).await;
        let error = failure(&imds(&server).build(http()).unwrap()).await;
        assert_eq!(cause(&error).kind(), kind, "{body}");
        assert_eq!(error.kind(), FetchErrorKind::Unavailable);
    }
}

#[tokio::test]
async fn a_header_from_a_closure_is_read_for_every_fetch() {
    let server = Server::answering(200, APP_SERVICE_TOKEN).await;
    let reads = AtomicUsize::new(0);
    let header = ClientSecret::from_fn(move || {
        let read = reads.fetch_add(1, Ordering::Relaxed);
        async move {
            match read {
                0 | 1 => Ok(format!("hunter2-{read}")),
                _ => Ok("hunter2\n".to_owned()),
            }
        }
    });
    let provider = app_service(&server, header).build(http()).unwrap();
    token(&provider).await;
    token(&provider).await;
    let name = HeaderName::from_static("x-identity-header");
    let sent = server
        .received()
        .into_iter()
        .map(|it| it.headers[&name].clone());
    let expected = ["hunter2-0", "hunter2-1"].map(HeaderValue::from_static);
    assert_eq!(sent.collect::<Vec<_>>(), expected);

    let error = failure(&provider).await;
    assert_eq!(cause(&error).kind(), Kind::ClientSecret);
    assert_eq!(server.received().len(), 2);
}
