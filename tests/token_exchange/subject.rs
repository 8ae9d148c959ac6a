//! Where the subject token comes from.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use http::StatusCode;
use http_body_util::Full;
use tower::{Layer, ServiceExt};
use tower_bearer::oauth2::{
    ActorToken, ClientCredentials, SubjectToken, TokenEndpointErrorKind, TokenTypeIdentifier,
};
use tower_bearer::provider::FileToken;
use tower_bearer::{
    AccessToken, BearerAuthLayer, FetchContext, FetchError, FetchErrorKind, TokenCache,
    TokenProvider, TokenRequest, token_fn,
};

use crate::server::{Server, response};
use crate::{ISSUED, cause, exchange, failure, fetch, hyper};

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
    assert_eq!(*asked.lock().unwrap(), [(None, 0)]);
}

/// A provider of `{name}-0`, `{name}-1` and so on, and the tokens that it was told were rejected.
fn numbered(name: &'static str) -> (impl TokenProvider, Arc<Mutex<Vec<Option<String>>>>) {
    let asked = Arc::<Mutex<Vec<_>>>::default();
    let log = Arc::clone(&asked);
    let provider = token_fn(move |cx: FetchContext| {
        let mut asked = log.lock().unwrap();
        let text = format!("{name}-{}", asked.len());
        let rejected = cx.rejected_token();
        asked.push(rejected.map(|token| token.expose_secret().to_owned()));
        async move {
            tokio::task::yield_now().await;
            Ok(AccessToken::new(&text)?)
        }
    });
    (provider, asked)
}

#[tokio::test]
async fn any_number_of_exchanges_share_one_fetch_of_the_subject() {
    let server = Server::answering(200, ISSUED).await;
    let (subject, asked) = numbered("subject");
    let builder = exchange(&server, SubjectToken::access_token_of(subject));
    let cache = TokenCache::new(builder.build(hyper()).unwrap());
    let scopes = ["a", "b", "c", "d"].map(|scope| TokenRequest::default().with_scope(scope));
    let caches = scopes.map(|scope| cache.for_request(&scope));
    for token in join_all(caches.iter().map(TokenCache::token)).await {
        assert_eq!(token.unwrap().expose_secret(), "issued");
    }

    assert_eq!(*asked.lock().unwrap(), [None]);
    assert_eq!(subject_tokens(&server), ["subject-0"; 4]);
}

#[tokio::test]
async fn the_subject_may_be_of_a_cache_that_others_use() {
    let server = Server::answering(200, ISSUED).await;
    let (subject, asked) = numbered("subject");
    let tokens = TokenCache::new(subject);
    tokens.token().await.unwrap();
    let builder = exchange(&server, SubjectToken::access_token_of(tokens.clone()));
    fetch(builder).await.unwrap();

    assert_eq!(subject_tokens(&server), ["subject-0"]);
    assert_eq!(tokens.cached().unwrap().expose_secret(), "subject-0");
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_token_that_the_exchange_does_not_accept_is_replaced_for_the_next() {
    for (status, code, is_replaced) in [
        (400, "invalid_request", true),
        (400, "invalid_grant", true),
        (401, "invalid_grant", true),
        (400, "invalid_target", false),
        (401, "invalid_client", false),
        (429, "invalid_request", false),
        (503, "invalid_grant", false),
    ] {
        let refusals = AtomicUsize::new(1);
        let server = Server::start(move |_| {
            let is_refused = refusals.swap(0, Ordering::SeqCst) == 1;
            match is_refused {
                true => response(status, format!(r#"{{"error":"{code}"}}"#)),
                false => response(200, ISSUED),
            }
        })
        .await;
        let ((subject, of_subject), (actor, of_actor)) = (numbered("s"), numbered("a"));
        let actor = ActorToken::of(TokenTypeIdentifier::JWT, actor);
        let builder = exchange(&server, SubjectToken::access_token_of(subject));
        let provider = builder.with_actor_token(actor).build(hyper()).unwrap();
        let fetch = async || provider.fetch_token(FetchContext::default()).await;
        fetch().await.unwrap_err();
        fetch().await.unwrap();

        let second = if is_replaced { "s-1" } else { "s-0" };
        assert_eq!(subject_tokens(&server), ["s-0", second], "{status} {code}");
        let told = |name: &str| {
            let rejected = is_replaced.then(|| Some(format!("{name}-0")));
            [None].into_iter().chain(rejected).collect::<Vec<_>>()
        };
        assert_eq!(*of_subject.lock().unwrap(), told("s"));
        assert_eq!(*of_actor.lock().unwrap(), told("a"));
    }
}

#[tokio::test]
async fn the_text_of_a_file_is_exchanged_as_the_type_that_is_named() {
    let server = Server::answering(200, ISSUED).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, "e.y.J\n").unwrap();
    let subject = SubjectToken::of(TokenTypeIdentifier::JWT, FileToken::new(file.path()));
    fetch(exchange(&server, subject)).await.unwrap();

    let form = server.only_request().form;
    let expected =
        "&subject_token=e.y.J&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt";
    assert!(form.ends_with(expected), "{form}");
}
