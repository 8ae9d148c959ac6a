//! Clients that prove who they are by something else than a secret.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tower_bearer::error::{BoxError, FetchErrorKind};
use tower_bearer::oauth2::{
    Assertion, ClientCredentials, ClientCredentialsBuilder, Credential, InvalidConfigKind,
    TokenEndpointErrorKind as Kind,
};
use tower_bearer::provider::FileToken;
use tower_bearer::{AccessToken, FetchContext, FetchError, TokenProvider, TokenRequest, token_fn};

use super::server::{Received, Server, response};
use super::support::*;

fn with(server: &Server, credential: impl Into<Credential>) -> ClientCredentialsBuilder {
    ClientCredentials::builder(server.url(), ID, credential)
}

fn member<'a>(form: &'a [(String, String)], name: &str) -> &'a str {
    let mut values = form.iter().filter(|(it, _)| it == name);
    let value = values.next().unwrap_or_else(|| panic!("no {name}"));
    assert!(values.next().is_none(), "{name} twice");
    &value.1
}

fn pairs(request: &Received) -> Vec<(String, String)> {
    form_urlencoded::parse(request.form.as_bytes())
        .into_owned()
        .collect()
}

#[tokio::test]
async fn a_client_without_a_secret_sends_its_id_in_the_form_and_nothing_else() {
    for credential in [Credential::none(), Credential::tls_certificate()] {
        let server = Server::answering(200, TOKEN).await;
        fetch(with(&server, credential)).await.unwrap();

        let request = server.only_request();
        assert_eq!(request.header("authorization"), None);
        let expected = [("grant_type", "client_credentials"), ("client_id", ID)];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(pairs(&request), expected);
    }
}

#[tokio::test]
async fn an_assertion_is_made_anew_for_every_token_request() {
    let server = Server::answering(200, TOKEN).await;
    let made = AtomicUsize::new(0);
    let assertion = Assertion::from_fn(move |cx| {
        assert_eq!(cx.client_id(), Some(ID));
        let number = made.fetch_add(1, Ordering::Relaxed);
        async move { Ok(format!("e30.e30.{number}")) }
    });
    let provider = with(&server, assertion).build(hyper()).unwrap();
    for _ in 0..2 {
        let fetched = provider.fetch_token(FetchContext::default()).await;
        fetched.unwrap();
    }

    let requests = server.received();
    assert_eq!(requests.len(), 2);
    for (request, assertion) in requests.iter().zip(["e30.e30.0", "e30.e30.1"]) {
        assert_eq!(request.header("authorization"), None);
        let form = pairs(request);
        assert_eq!(member(&form, "client_id"), ID);
        assert_eq!(member(&form, "client_assertion"), assertion);
        assert_eq!(
            member(&form, "client_assertion_type"),
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        );
        assert!(!request.form.contains("client_secret"));
    }
}

#[tokio::test]
async fn an_assertion_is_for_the_configured_url_unless_told_whom_it_is_for() {
    let server = Server::answering(200, TOKEN).await;
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let assertion = Assertion::from_fn(move |cx| {
        let scopes: Vec<_> = cx.token_request().scopes().map(str::to_owned).collect();
        let audience = cx.audience().to_owned();
        log.lock().unwrap().push((audience, scopes));
        async { Ok("e30.e30.sig".to_owned()) }
    });
    let url = server.url();
    let configured = ClientCredentials::builder(&url, ID, assertion.clone()).with_scope("b a");
    fetch(configured.clone()).await.unwrap();
    let wanted = TokenRequest::default().with_scope("c");
    fetch_for(configured, wanted).await.unwrap();
    fetch(with(&server, assertion.with_audience("urn:issuer")))
        .await
        .unwrap();

    let scopes = |scopes: &[&str]| scopes.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        *seen.lock().unwrap(),
        [
            (url.clone(), scopes(&["a", "b"])),
            (url, scopes(&["c"])),
            ("urn:issuer".to_owned(), scopes(&[])),
        ]
    );
}

#[tokio::test]
async fn an_assertion_that_cannot_be_made_is_not_sent_and_not_quoted() {
    let failing: fn() -> Result<String, BoxError> = || Err("the vault says hunter2".into());
    for (make, has_source) in [
        (failing, true),
        (|| Ok(String::new()), false),
        (|| Ok("e30.e30.hunter2\n".to_owned()), false),
        (|| Ok("e30.e30.hunter2é".to_owned()), false),
    ] {
        let server = Server::answering(200, TOKEN).await;
        let assertion = Assertion::from_fn(move |_| async move { make() });
        let provider = with(&server, assertion).build(hyper()).unwrap();
        let result = provider.fetch_token(FetchContext::default()).await;
        let error = *result
            .unwrap_err()
            .downcast::<tower_bearer::FetchError>()
            .unwrap();

        assert_eq!(error.kind(), FetchErrorKind::Unavailable);
        let cause = cause(&error);
        assert_eq!(cause.kind(), Kind::Assertion);
        assert!(!format!("{error} {error:?} {cause} {cause:?}").contains("hunter2"));
        assert_eq!(std::error::Error::source(cause).is_some(), has_source);
        assert_eq!(server.received().len(), 0);
    }
}

#[tokio::test]
async fn the_text_of_a_file_authenticates_a_client() {
    let server = Server::answering(200, TOKEN).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "e30.e30.file\n").unwrap();
    let assertion = Assertion::of(FileToken::new(file.path()));
    fetch(with(&server, assertion)).await.unwrap();

    let form = pairs(&server.only_request());
    assert_eq!(member(&form, "client_assertion"), "e30.e30.file");
}

#[tokio::test]
async fn an_assertion_of_a_provider_is_sent_again_while_it_is_good() {
    let server = Server::answering(200, TOKEN).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let tokens = token_fn(move |cx| {
        assert_eq!(*cx.token_request(), TokenRequest::default());
        let number = count.fetch_add(1, Ordering::Relaxed);
        async move { Ok(AccessToken::new(&format!("e30.e30.{number}"))?) }
    });
    let provider = with(&server, Assertion::of(tokens)).with_scope("read");
    let provider = provider.build(hyper()).unwrap();
    for _ in 0..2 {
        let fetched = provider.fetch_token(FetchContext::default()).await;
        fetched.unwrap();
    }

    assert_eq!(asked.load(Ordering::Relaxed), 1);
    for request in server.received() {
        assert_eq!(member(&pairs(&request), "client_assertion"), "e30.e30.0");
    }
}

#[tokio::test]
async fn an_assertion_that_cannot_be_had_says_what_that_concerns() {
    let server = Server::answering(200, TOKEN).await;
    let hour = std::time::Duration::from_secs(3600);
    for (error, expected) in [
        (FetchError::denied("no"), FetchErrorKind::Denied),
        (
            FetchError::invalid_request("no"),
            FetchErrorKind::InvalidRequest,
        ),
        (FetchError::unavailable("no"), FetchErrorKind::Unavailable),
    ] {
        let error = error.with_retry_after(hour);
        let failing = token_fn(move |_| {
            let error = error.clone();
            async { Err(error.into()) }
        });
        let error = failure(with(&server, Assertion::of(failing))).await;
        assert_eq!((error.kind(), error.retry_after()), (expected, Some(hour)));
        assert_eq!(cause(&error).kind(), Kind::Assertion);
    }
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn an_assertion_that_the_server_echoes_is_not_shown() {
    let server = Server::start(|request| response(400, request.form.clone())).await;
    let assertion = Assertion::from_fn(|_| async { Ok("e30.e30.hunter2".to_owned()) });
    let error = failure(with(&server, assertion)).await;

    assert_eq!(error.kind(), FetchErrorKind::Denied);
    assert!(cause(&error).to_string().contains("[redacted]"));
}

#[test]
fn parameters_that_an_assertion_needs_are_its_own() {
    let assertion = Assertion::from_fn(|_| async { Ok("e30.e30.sig".to_owned()) });
    for name in ["client_assertion", "client_assertion_type"] {
        let with = |credential: Credential| {
            ClientCredentials::builder("https://id.example.com/token", "me", credential)
                .with_parameter(name, "x")
                .build(())
                .map_err(|error| error.kind())
        };

        let refused = Err(InvalidConfigKind::ReservedParameter);
        assert_eq!(with(assertion.clone().into()).map(drop), refused);
        // Somebody's own way of doing it.
        assert_eq!(with(Credential::none()).map(drop), Ok(()));
    }
}

#[test]
fn debug_shows_what_kind_of_credential_it_is() {
    let assertion = Assertion::from_fn(|_| async { Ok("hunter2".to_owned()) });
    for (credential, text) in [
        (Credential::from("hunter2"), "Credential::Secret(..)"),
        (assertion.into(), "Credential::Assertion(..)"),
        (Credential::tls_certificate(), "Credential::Certificate"),
        (Credential::none(), "Credential::None"),
    ] {
        let builder = ClientCredentials::builder("https://id.example.com/token", "me", credential);
        let provider = builder.clone().build(()).unwrap();
        for debug in [format!("{builder:?}"), format!("{provider:?}")] {
            assert!(debug.contains(text), "{debug}");
            assert!(debug.contains("client_credentials"), "{debug}");
        }
    }
}
