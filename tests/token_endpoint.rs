//! The client credentials grant, against token endpoints on real sockets.

#![cfg(feature = "oauth2")]
// Helpers of tests are not tests to clippy.
#![allow(clippy::unwrap_used)]

use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, DATE, LOCATION, RETRY_AFTER};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tower::util::BoxCloneService;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_bearer::error::{BoxError, FetchError, FetchErrorKind};
use tower_bearer::oauth2::{
    ClientAuth, ClientCredentials, ClientCredentialsBuilder, ClientSecret, TokenEndpointError,
    TokenEndpointErrorKind as Kind,
};
use tower_bearer::provider::PassThrough;
use tower_bearer::{AccessToken, FetchContext, TokenProvider, TokenRequest};

use self::server::{Server, response};

#[path = "token_endpoint/server.rs"]
mod server;

const TOKEN: &str = r#"{"access_token":"issued","token_type":"Bearer","expires_in":3600}"#;

/// An id and a secret that come out differently by every encoding.
const ID: &str = "i:d+%/ é";
const SECRET: &str = r#"hunter2:+%/ \"<&'*~é"#;

fn hyper() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

fn client(server: &Server) -> ClientCredentialsBuilder {
    ClientCredentials::builder(&server.url(), "my-service", SECRET)
}

async fn fetch(builder: ClientCredentialsBuilder) -> Result<AccessToken, BoxError> {
    fetch_for(builder, TokenRequest::default()).await
}

async fn fetch_for(
    builder: ClientCredentialsBuilder,
    request: TokenRequest,
) -> Result<AccessToken, BoxError> {
    let provider = builder.build(hyper()).unwrap();
    provider.fetch_token(FetchContext::new(request)).await
}

/// The failure of a fetch, of which nothing shows the secret.
async fn failure(builder: ClientCredentialsBuilder) -> FetchError {
    fetch_error(fetch(builder).await)
}

fn fetch_error(result: Result<AccessToken, BoxError>) -> FetchError {
    let error = *result.unwrap_err().downcast::<FetchError>().unwrap();
    let text = everything(&error);
    assert!(!text.contains("hunter2"), "{text}");
    error
}

fn cause(error: &FetchError) -> &TokenEndpointError {
    error.source().unwrap().downcast_ref().unwrap()
}

/// What can be printed of an error and all its sources.
fn everything(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        text += &format!("{error}\n{error:?}\n{error:#?}\n");
        next = error.source();
    }
    text
}

#[tokio::test]
async fn basic_sends_id_and_secret_each_form_encoded() {
    let server = Server::answering(200, TOKEN).await;
    let token = fetch(ClientCredentials::builder(&server.url(), ID, SECRET)).await;

    assert_eq!(token.unwrap().expose_secret(), "issued");
    let request = server.only_request();
    assert_eq!(
        (request.method.clone(), request.uri.path()),
        (Method::POST, "/token")
    );
    let content_type = Some("application/x-www-form-urlencoded");
    assert_eq!(request.header("content-type"), content_type);
    assert_eq!(request.header("accept"), Some("application/json"));
    let credential =
        STANDARD.encode("i%3Ad%2B%25%2F%20%C3%A9:hunter2%3A%2B%25%2F%20%5C%22%3C%26%27%2A~%C3%A9");
    let authorization = format!("Basic {credential}");
    assert_eq!(request.header("authorization"), Some(&*authorization));
    assert_eq!(request.form, "grant_type=client_credentials");
}

#[tokio::test]
async fn basic_raw_sends_id_and_secret_as_they_are() {
    let server = Server::answering(200, TOKEN).await;
    let builder = ClientCredentials::builder(&server.url(), "i+%/ é", SECRET);
    fetch(builder.with_client_auth(ClientAuth::BasicRaw))
        .await
        .unwrap();

    let request = server.only_request();
    let authorization = format!("Basic {}", STANDARD.encode(format!("i+%/ é:{SECRET}")));
    assert_eq!(request.header("authorization"), Some(&*authorization));
    assert_eq!(request.form, "grant_type=client_credentials");
}

#[tokio::test]
async fn post_sends_id_and_secret_in_the_form_only() {
    let server = Server::answering(200, TOKEN).await;
    let builder = ClientCredentials::builder(&server.url(), ID, SECRET);
    fetch(builder.with_client_auth(ClientAuth::Post))
        .await
        .unwrap();

    let request = server.only_request();
    assert_eq!(request.header("authorization"), None);
    assert_eq!(
        request.form,
        "grant_type=client_credentials&client_id=i%3Ad%2B%25%2F+%C3%A9\
         &client_secret=hunter2%3A%2B%25%2F+%5C%22%3C%26%27*%7E%C3%A9"
    );
}

#[tokio::test]
async fn the_token_request_replaces_the_defaults_it_speaks_of() {
    let server = Server::answering(200, TOKEN).await;
    let builder = client(&server)
        .with_scope("write read")
        .with_resource("urn:default")
        .with_audience("everyone")
        .with_parameter("a", "default")
        .with_parameter("b", "default");

    let forms = async |request| {
        fetch_for(builder.clone(), request).await.unwrap();
        server.received().pop().unwrap().form
    };
    assert_eq!(
        forms(TokenRequest::default()).await,
        "grant_type=client_credentials&scope=read+write&resource=urn%3Adefault&audience=everyone\
         &a=default&b=default"
    );
    assert_eq!(
        forms(TokenRequest::default().with_scope("RestAPI/GET:balance")).await,
        "grant_type=client_credentials&scope=RestAPI%2FGET%3Abalance&resource=urn%3Adefault\
         &audience=everyone&a=default&b=default"
    );
    let other = TokenRequest::default()
        .with_resource("urn:2")
        .with_resource("urn:1")
        .with_audience("me")
        .with_parameter("b", "other")
        .with_parameter("c", "other");
    assert_eq!(
        forms(other).await,
        "grant_type=client_credentials&scope=read+write&resource=urn%3A1&resource=urn%3A2\
         &audience=me&a=default&b=other&c=other"
    );
}

#[tokio::test]
async fn what_the_grant_cannot_honour_is_refused_and_not_sent() {
    let server = Server::answering(200, TOKEN).await;
    for request in [
        TokenRequest::default().with_tenant("acme"),
        TokenRequest::default().with_parameter("grant_type", "password"),
        TokenRequest::default().with_parameter("client_id", "somebody"),
        TokenRequest::default().with_parameter("client_secret", "x"),
        TokenRequest::default().with_parameter("scope", "admin"),
        TokenRequest::default().with_parameter("resource", "urn:x"),
        TokenRequest::default().with_parameter("audience", "x"),
        TokenRequest::default().with_parameter("", "x"),
    ] {
        let error = fetch_error(fetch_for(client(&server), request).await);

        assert_eq!(error.kind(), FetchErrorKind::InvalidRequest);
        assert_eq!(cause(&error).kind(), Kind::NotSent);
    }
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn a_secret_from_a_closure_is_read_for_every_fetch() {
    let server = Server::answering(200, TOKEN).await;
    let reads = AtomicUsize::new(0);
    let secret = ClientSecret::from_fn(move || {
        let read = reads.fetch_add(1, Ordering::Relaxed);
        async move {
            match read {
                0 | 1 => Ok(format!("hunter2-{read}")),
                2 => Ok("hunter2\n".to_owned()),
                _ => Err("the vault is sealed".into()),
            }
        }
    });
    let provider = ClientCredentials::builder(&server.url(), "me", secret)
        .with_client_auth(ClientAuth::Post)
        .build(hyper())
        .unwrap();

    provider.fetch_token(FetchContext::default()).await.unwrap();
    provider.fetch_token(FetchContext::default()).await.unwrap();
    let forms = server.received().into_iter().map(|request| request.form);
    let ends: Vec<_> = forms
        .map(|form| form.rsplit('=').next().unwrap().to_owned())
        .collect();
    assert_eq!(ends, ["hunter2-0", "hunter2-1"]);

    let error = fetch_error(provider.fetch_token(FetchContext::default()).await);
    assert_eq!(cause(&error).kind(), Kind::ClientSecret);
    let error = fetch_error(provider.fetch_token(FetchContext::default()).await);
    assert_eq!(error.kind(), FetchErrorKind::Unavailable);
    assert_eq!(
        cause(&error).source().unwrap().to_string(),
        "the vault is sealed"
    );
    assert!(!format!("{error} {}", cause(&error)).contains("sealed"));
    assert_eq!(server.received().len(), 2);
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_secret_stays_home() {
    for status in [301, 302, 303, 307, 308] {
        let other = Server::answering(200, TOKEN).await;
        let location: HeaderValue = other.url().parse().unwrap();
        let server = Server::start(move |_| {
            let mut response = response(status, "");
            response.headers_mut().insert(LOCATION, location.clone());
            response
        })
        .await;
        let error = failure(client(&server).with_client_auth(ClientAuth::Post)).await;

        assert_eq!(error.kind(), FetchErrorKind::Unavailable);
        assert_eq!(cause(&error).kind(), Kind::Redirected);
        assert_eq!(cause(&error).status().unwrap(), status);
        assert_eq!((server.received().len(), other.received().len()), (1, 0));
    }
}

#[tokio::test]
async fn a_page_instead_of_json_is_the_endpoints_failure() {
    let server = Server::answering(200, "<html>Welcome, hunter2").await;
    let error = failure(client(&server)).await;

    assert_eq!(error.kind(), FetchErrorKind::Unavailable);
    assert_eq!(cause(&error).kind(), Kind::NotJson);
    let text = cause(&error).to_string();
    assert!(
        text.contains(&server.url()) && !text.contains("Welcome"),
        "{text}"
    );

    let server = Server::answering(204, "").await;
    assert_eq!(cause(&failure(client(&server)).await).kind(), Kind::NotJson);
}

#[tokio::test]
async fn an_encoding_that_the_transport_left_is_named() {
    let server = Server::start(|_| {
        let mut response = response(200, &b"\x1f\x8b\x08\x00"[..]);
        let gzip = HeaderValue::from_static("gzip");
        response.headers_mut().insert(CONTENT_ENCODING, gzip);
        response
    })
    .await;
    let error = failure(client(&server)).await;

    assert_eq!(cause(&error).kind(), Kind::NotJson);
    assert!(
        cause(&error).to_string().contains("gzip"),
        "{}",
        cause(&error)
    );
}

#[tokio::test]
async fn an_answer_without_end_is_read_up_to_a_limit() {
    for (status, kind, expected) in [
        (200, FetchErrorKind::Unavailable, Kind::TooLarge),
        (400, FetchErrorKind::Denied, Kind::Rejected),
    ] {
        let server = Server::start(move |_| {
            let frame = || Ok(Frame::data(Bytes::from_static(&[b' '; 16 * 1024])));
            let body = StreamBody::new(futures_util::stream::repeat_with(frame));
            response(status, "").map(|_| body.boxed_unsync())
        })
        .await;
        let error = failure(client(&server)).await;

        assert_eq!((error.kind(), cause(&error).kind()), (kind, expected));
        assert_eq!(cause(&error).status().unwrap(), status);
    }
}

#[tokio::test]
async fn an_answer_of_one_mebibyte_is_not_too_large() {
    let padded = |size: usize| TOKEN.to_owned() + &" ".repeat(size - TOKEN.len());
    let server = Server::answering(200, padded(1024 * 1024)).await;
    assert!(fetch(client(&server)).await.is_ok());

    let server = Server::answering(200, padded(1024 * 1024 + 1)).await;
    assert_eq!(
        cause(&failure(client(&server)).await).kind(),
        Kind::TooLarge
    );
}

#[tokio::test]
async fn a_refusal_is_told_as_rfc_6749_has_it() {
    let body = r#"{"error":"invalid_client","error_description":"no such client",
                   "error_uri":"https://id.example.com/help"}"#;
    for status in [401, 200] {
        let server = Server::answering(status, body).await;
        let error = failure(client(&server)).await;

        assert_eq!(error.kind(), FetchErrorKind::Denied);
        let cause = cause(&error);
        assert_eq!(cause.kind(), Kind::Rejected);
        assert_eq!(cause.error_code(), Some("invalid_client"));
        // Nothing but a code that is known is quoted of an answer that should hold a token.
        let quotes = status != 200;
        let (description, uri) = (cause.error_description(), cause.error_uri());
        assert_eq!(description, quotes.then_some("no such client"));
        assert_eq!(uri, quotes.then_some("https://id.example.com/help"));
        assert_eq!(cause.to_string().contains("no such client"), quotes);
    }
}

#[tokio::test]
async fn a_blocked_account_is_denied_and_the_server_is_quoted() {
    let server = Server::answering(400, "Account temporarily blocked\r\n").await;
    let error = failure(client(&server)).await;

    assert_eq!(error.kind(), FetchErrorKind::Denied);
    assert_eq!(cause(&error).status(), Some(StatusCode::BAD_REQUEST));
    let text = cause(&error).to_string();
    assert!(text.ends_with(": Account temporarily blocked"), "{text}");
}

#[tokio::test]
async fn retry_after_is_passed_on() {
    for (status, value, kind) in [
        (429, "120", FetchErrorKind::Unavailable),
        (
            503,
            "Sun, 06 Nov 1994 08:51:37 GMT",
            FetchErrorKind::Unavailable,
        ),
        (400, "120", FetchErrorKind::Denied),
        (307, "120", FetchErrorKind::Unavailable),
    ] {
        let server = Server::start(move |_| {
            let mut response = response(status, "");
            let date = HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT");
            response.headers_mut().insert(DATE, date);
            let value = HeaderValue::from_static(value);
            response.headers_mut().insert(RETRY_AFTER, value);
            response
        })
        .await;
        let error = failure(client(&server)).await;

        assert_eq!(error.kind(), kind);
        assert_eq!(
            error.retry_after(),
            Some(Duration::from_secs(120)),
            "{status}"
        );
    }
}

#[tokio::test]
async fn a_secret_that_the_server_echoes_is_shown_in_no_spelling() {
    let decoded = "hunter2:+%/ \\\"<&'*~é";
    let json = serde_json::to_string(decoded).unwrap();
    let json = &json[1..json.len() - 1];
    let echoes = [
        decoded.to_owned(),
        json.to_owned(),
        json.replace('/', "\\/")
            .replace('<', "\\u003c")
            .replace('é', "\\u00E9"),
        "hunter2%3A%2B%25%2F+%5C%22%3C%26%27*%7E%C3%A9".to_owned(),
        "hunter2%3a%2b%25%2f%20%5c%22%3c%26%27%2a~%c3%a9".to_owned(),
        "hunter2:+%/ \\&quot;&lt;&amp;&#39;*~&#xE9;".to_owned(),
        STANDARD.encode(format!("my-service:{decoded}")),
    ];
    for auth in [ClientAuth::Basic, ClientAuth::BasicRaw, ClientAuth::Post] {
        for echo in &echoes {
            if auth != ClientAuth::BasicRaw && *echo == echoes[6] {
                continue;
            }
            let text = format!("received <{echo}> from you");
            let member = serde_json::to_string(&text).unwrap();
            let all = format!(
                r#"{{"error":{member},"error_description":{member},"error_uri":{member}}}"#
            );
            for body in [text, all.clone(), format!("({all}")] {
                let server = Server::answering(400, body).await;
                let error = failure(client(&server).with_client_auth(auth)).await;

                let shown = everything(&error);
                assert!(shown.contains("received <[redacted]> from you"), "{shown}");
                assert!(!shown.contains(echo), "{shown}");
            }
        }
    }
}

#[tokio::test]
async fn a_request_that_the_server_echoes_is_shown_without_its_secrets() {
    for auth in [ClientAuth::Basic, ClientAuth::BasicRaw, ClientAuth::Post] {
        let server = Server::start(|request| {
            let authorization = request.header("authorization").unwrap_or_default();
            let credential = authorization
                .trim_start_matches("Basic ")
                .trim_end_matches('=');
            let decoded = STANDARD
                .decode(authorization.trim_start_matches("Basic "))
                .unwrap();
            let for_urls = URL_SAFE_NO_PAD.encode(&decoded);
            let decoded = String::from_utf8(decoded).unwrap();
            let form = &request.form;
            response(
                400,
                format!("{authorization} {credential} {for_urls} {decoded} {form} end"),
            )
        })
        .await;
        // Its base64 differs from that for URLs.
        let builder = ClientCredentials::builder(&server.url(), "me", "hunter2???>>>ÿÿÿ")
            .with_client_auth(auth)
            .with_parameter("password", "pass word/1")
            .with_parameter("client_assertion", "eyJhbGciOi.J9");
        let error = failure(builder).await;

        let shown = everything(&error);
        let request = server.only_request();
        let authorization = request.header("authorization").unwrap_or("Basic none");
        let credential = authorization
            .trim_start_matches("Basic ")
            .trim_end_matches('=');
        let for_urls = credential.replace('+', "-").replace('/', "_");
        assert!(auth != ClientAuth::BasicRaw || credential != for_urls);
        for secret in [
            credential,
            &for_urls,
            "grant_type",
            "pass+word",
            "eyJhbGciOi",
        ] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
        assert!(shown.contains("[redacted] end"), "{shown}");
    }
}

#[tokio::test]
async fn a_refused_connection_is_named_and_its_error_is_reachable() {
    // A port that was just free. Nobody listens there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!(
        "http://{}/token?key=hunter2",
        listener.local_addr().unwrap()
    );
    drop(listener);
    let result = fetch(ClientCredentials::builder(&url, "me", SECRET)).await;

    let error = *result.unwrap_err().downcast::<FetchError>().unwrap();
    assert_eq!(error.kind(), FetchErrorKind::Unavailable);
    let cause = cause(&error);
    assert_eq!((cause.kind(), cause.status()), (Kind::Transport, None));
    assert!(cause.to_string().contains("connection refused"), "{cause}");
    assert!(!format!("{cause} {cause:?}").contains("hunter2"));
    let source = cause.source().unwrap();
    assert!(source.is::<hyper_util::client::legacy::Error>());
}

#[tokio::test]
async fn a_connection_lost_within_the_answer_is_a_failed_transport() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"access_token\":\"hunter2";
    let server = Server::sending(head).await;
    let error = failure(client(&server)).await;

    assert_eq!(error.kind(), FetchErrorKind::Unavailable);
    assert_eq!(cause(&error).kind(), Kind::Transport);
    assert_eq!(cause(&error).status(), Some(StatusCode::OK));

    let server = Server::sending("HTTP/1.1 401 No\r\ncontent-length: 100\r\n\r\nhalf").await;
    let error = failure(client(&server)).await;

    assert_eq!(error.kind(), FetchErrorKind::Denied);
    assert_eq!(cause(&error).kind(), Kind::Rejected);
}

#[tokio::test]
async fn only_a_transport_that_was_polled_ready_is_called() {
    let server = Server::answering(200, TOKEN).await;
    // Both panic when called without.
    let transport = ServiceBuilder::new()
        .buffer(1)
        .concurrency_limit(1)
        .service(hyper());
    let transport = BoxCloneService::new(transport);
    let provider = client(&server).build(transport).unwrap();

    for _ in 0..2 {
        let token = provider.fetch_token(FetchContext::default()).await;
        assert_eq!(token.unwrap().expose_secret(), "issued");
    }
}

#[tokio::test]
async fn token_requests_are_marked_and_their_credential_is_sensitive() {
    let seen = Arc::new(Mutex::new(None));
    let log = Arc::clone(&seen);
    let transport = service_fn(move |request: Request<Full<Bytes>>| {
        *log.lock().unwrap() = Some(request);
        async { Ok::<_, BoxError>(response(200, TOKEN)) }
    });
    let provider = ClientCredentials::builder("https://id.example.com/token?v=1", "me", SECRET)
        .build(transport.boxed_clone())
        .unwrap();
    provider.fetch_token(FetchContext::default()).await.unwrap();

    let request = seen.lock().unwrap().take().unwrap();
    assert_eq!(request.uri(), "https://id.example.com/token?v=1");
    assert!(request.extensions().get::<PassThrough>().is_some());
    assert!(request.headers()["authorization"].is_sensitive());
}

#[cfg(feature = "reqwest")]
mod reqwest {
    use ::reqwest::{ClientBuilder, redirect};
    use tower_bearer::reqwest::ReqwestTransport;

    use super::*;

    async fn fetch(
        builder: ClientCredentialsBuilder,
        transport: ReqwestTransport,
    ) -> Result<AccessToken, BoxError> {
        let provider = builder.build(transport).unwrap();
        provider.fetch_token(FetchContext::default()).await
    }

    async fn redirecting_to(other: &Server) -> Server {
        let location: HeaderValue = other.url().parse().unwrap();
        Server::start(move |_| {
            let mut response = response(307, "");
            response.headers_mut().insert(LOCATION, location.clone());
            response
        })
        .await
    }

    #[tokio::test]
    async fn reqwest_carries_a_token_request() {
        let server = Server::answering(200, TOKEN).await;
        let builder = client(&server).with_client_auth(ClientAuth::Post);
        let token = fetch(builder, ReqwestTransport::new().unwrap()).await;

        assert_eq!(token.unwrap().expose_secret(), "issued");
        let request = server.only_request();
        assert_eq!(request.method, Method::POST);
        let length = request.form.len().to_string();
        assert_eq!(request.header("content-length"), Some(&*length));
        assert!(
            request
                .form
                .starts_with("grant_type=client_credentials&client_id=my-service")
        );
    }

    #[tokio::test]
    async fn reqwest_follows_no_redirect_even_if_its_builder_says_so() {
        let other = Server::answering(200, TOKEN).await;
        let server = redirecting_to(&other).await;
        let builder = ClientBuilder::new().redirect(redirect::Policy::limited(5));
        let transport = ReqwestTransport::from_builder(builder).unwrap();
        let error = fetch_error(fetch(client(&server), transport).await);

        assert_eq!(cause(&error).kind(), Kind::Redirected);
        assert_eq!((server.received().len(), other.received().len()), (1, 0));
    }

    #[tokio::test]
    async fn a_client_that_follows_redirects_is_taken_by_a_name_that_says_so() {
        let other = Server::answering(200, TOKEN).await;
        let server = redirecting_to(&other).await;
        let finished = ::reqwest::Client::new();
        let transport = ReqwestTransport::from_client_that_may_follow_redirects(finished);
        let builder = client(&server).with_client_auth(ClientAuth::Post);

        assert!(fetch(builder, transport).await.is_ok());
        assert!(other.only_request().form.contains("hunter2"));
    }

    #[tokio::test]
    async fn an_error_of_reqwest_does_not_show_the_query() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!(
            "http://{}/token?key=hunter2",
            listener.local_addr().unwrap()
        );
        drop(listener);
        let builder = ClientCredentials::builder(&url, "me", SECRET);
        let error = fetch_error(fetch(builder, ReqwestTransport::new().unwrap()).await);

        assert_eq!(cause(&error).kind(), Kind::Transport);
        assert!(cause(&error).to_string().contains("connection refused"));
    }
}
