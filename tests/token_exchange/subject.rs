//! Where the subject token comes from.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::StatusCode;
use http_body_util::Full;
use tower::{Layer, ServiceExt};
use tower_bearer::oauth2::{
    ClientCredentials, SubjectToken, TokenEndpointErrorKind, TokenTypeIdentifier,
};
use tower_bearer::{
    AccessToken, BearerAuthLayer, FetchContext, FetchError, FetchErrorKind, TokenCache,
    TokenProvider, TokenRequest, token_fn,
};

use crate::server::{Server, response};
use crate::{ISSUED, cause, exchange, failure, hyper};

/// The subject tokens that arrived, in order.
fn subject_tokens(server: &Server) -> Vec<String> {
    let received = server.received().into_iter();
    let subject = |form: &str| {
        let mut pairs = form_urlencoded::parse(form.as_bytes());
        let value = pairs.find(|(name, _)| name == "subject_token").unwrap().1;
        value.into_owned()
    };
    received.map(|request| subject(&request.form)).collect()
}

#[tokio::test]
async fn the_subject_token_is_read_anew_for_every_fetch() {
    let server = Server::answering(200, ISSUED).await;
    let reads = AtomicUsize::new(0);
    let read = SubjectToken::from_fn(TokenTypeIdentifier::JWT, move || {
        let read = reads.fetch_add(1, Ordering::SeqCst);
        async move {
            match read {
                0 | 1 => Ok(format!("subject-{read}")),
                2 => Err("the file hunter2 is missing".into()),
                _ => Err(FetchError::denied("no").into()),
            }
        }
    });
    let provider = exchange(&server, read).build(hyper()).unwrap();
    let fetch = async || provider.fetch_token(FetchContext::default()).await;
    fetch().await.unwrap();
    fetch().await.unwrap();
    assert_eq!(subject_tokens(&server), ["subject-0", "subject-1"]);

    let error: FetchError = *fetch().await.unwrap_err().downcast().unwrap();
    assert_eq!(error.kind(), FetchErrorKind::Unavailable);
    assert_eq!(cause(&error).kind(), TokenEndpointErrorKind::SubjectToken);
    assert!(!cause(&error).to_string().contains("hunter2"));
    // One that says what it concerns is taken at its word.
    let error: FetchError = *fetch().await.unwrap_err().downcast().unwrap();
    assert_eq!(error.kind(), FetchErrorKind::Denied);
    assert_eq!(server.received().len(), 2);
}

#[tokio::test]
async fn the_subjects_provider_keeps_the_kind_of_its_error() {
    let server = Server::answering(200, ISSUED).await;
    let hour = Duration::from_secs(3600);
    for (kind, error) in [
        (
            FetchErrorKind::Denied,
            FetchError::denied("no").with_retry_after(hour),
        ),
        (
            FetchErrorKind::InvalidRequest,
            FetchError::invalid_request("no").with_retry_after(hour),
        ),
        (
            FetchErrorKind::Unavailable,
            FetchError::unavailable("no").with_retry_after(hour),
        ),
    ] {
        let failing = token_fn(move |_| {
            let error = error.clone();
            async { Err(error.into()) }
        });
        let error = failure(exchange(&server, SubjectToken::access_token_of(failing))).await;
        assert_eq!((error.kind(), error.retry_after()), (kind, Some(hour)));
    }
    let foreign = token_fn(|_| async { Err("no".into()) });
    let error = failure(exchange(&server, SubjectToken::access_token_of(foreign))).await;
    assert_eq!(error.kind(), FetchErrorKind::Other);
    let panicking = token_fn(|_| async { panic!("hunter2") });
    let error = failure(exchange(&server, SubjectToken::access_token_of(panicking))).await;
    assert_eq!(error.kind(), FetchErrorKind::Panicked);
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn the_access_token_of_another_grant_is_exchanged() {
    let first = Server::answering(200, r#"{"access_token":"of-the-service"}"#).await;
    let server = Server::answering(200, ISSUED).await;
    let subject = ClientCredentials::builder(first.url(), "me", "s3cret").with_scope("sts");
    let subject = SubjectToken::access_token_of(subject.build(hyper()).unwrap());
    let provider = exchange(&server, subject).build(hyper()).unwrap();
    let cache = TokenCache::new(provider);
    let read = cache.for_request(&TokenRequest::default().with_scope("read"));

    assert_eq!(read.token().await.unwrap().expose_secret(), "issued");
    // The scopes are those of the exchange, and the subject's its own.
    assert_eq!(
        first.only_request().form,
        "grant_type=client_credentials&scope=sts"
    );
    let form = server.only_request().form;
    assert!(form.contains("&subject_token=of-the-service&"), "{form}");
    assert!(
        form.contains("token-type%3Aaccess_token&scope=read"),
        "{form}"
    );
}

#[tokio::test]
async fn a_rejection_of_the_new_token_is_none_of_the_subjects() {
    let server = Server::start(|_| {
        static ISSUED: AtomicUsize = AtomicUsize::new(0);
        let number = ISSUED.fetch_add(1, Ordering::SeqCst);
        response(200, format!(r#"{{"access_token":"issued-{number}"}}"#))
    })
    .await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let subject = token_fn(move |cx: FetchContext| {
        let told = (cx.rejected_token().cloned(), cx.challenges().len());
        log.lock().unwrap().push(told);
        async { Ok(AccessToken::new("subject")?) }
    });
    let builder = exchange(&server, SubjectToken::access_token_of(subject));
    let api = Server::start(|request| match request.header("authorization") {
        Some("Bearer issued-1") => response(200, ""),
        _ => {
            let mut response = response(401, "");
            let challenge = http::HeaderValue::from_static(r#"Bearer error="invalid_token""#);
            response.headers_mut().insert("www-authenticate", challenge);
            response
        }
    })
    .await;
    let provider = builder.build(hyper()).unwrap();
    let origin = api.url().replace("/token", "");
    let layer = BearerAuthLayer::for_origin(provider, &*origin).unwrap();
    let request = http::Request::get(api.url()).body(Full::default()).unwrap();
    let response = layer.layer(hyper()).oneshot(request).await.unwrap();

    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(subject_tokens(&server), ["subject", "subject"]);
    assert_eq!(*asked.lock().unwrap(), [(None, 0), (None, 0)]);
}

#[tokio::test]
async fn the_subjects_provider_is_asked_one_at_a_time() {
    let server = Server::answering(200, ISSUED).await;
    let (at_once, most) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
    let seen = Arc::clone(&most);
    let subject = token_fn(move |_| {
        let (at_once, most) = (Arc::clone(&at_once), Arc::clone(&most));
        async move {
            let now = at_once.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(now, Ordering::SeqCst);
            tokio::task::yield_now().await;
            at_once.fetch_sub(1, Ordering::SeqCst);
            Ok(AccessToken::new("subject")?)
        }
    });
    let builder = exchange(&server, SubjectToken::access_token_of(subject));
    let provider = builder.build(hyper()).unwrap();
    let fetch = |scope: &str| {
        let request = TokenRequest::default().with_scope(scope);
        provider.fetch_token(FetchContext::new(request))
    };
    let all = tokio::join!(fetch("a"), fetch("b"), fetch("c"));

    assert!(all.0.is_ok() && all.1.is_ok() && all.2.is_ok());
    assert_eq!(seen.load(Ordering::SeqCst), 1);
}
