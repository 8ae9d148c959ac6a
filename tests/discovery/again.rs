//! Metadata that is read again.

use std::error::Error;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::LOCATION;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use tower::service_fn;
use tower_bearer::error::{BoxError, FetchError};
use tower_bearer::oauth2::{ClientCredentials, Issuer, TokenEndpointError};

use crate::server::{Server, response};
use crate::support::{OAUTH, Site, cause, document, fetch, provider, token};

#[tokio::test]
async fn metadata_that_is_too_old_is_read_again() {
    let reads = AtomicUsize::new(0);
    let site = Site::start(move |_, origin| {
        let read = reads.fetch_add(1, Ordering::Relaxed);
        document(origin, &format!("{{origin}}/token{read}"))
    })
    .await;
    let provider = provider(site.issuer().with_max_age(Duration::ZERO));

    assert_eq!(token(&provider).await, "token0");
    // Beside a fetch, which goes on with what there is.
    assert_eq!(token(&provider).await, "token0");
    while token(&provider).await != "token1" {}
    assert!(site.reads().iter().all(|path| path == OAUTH));
}

#[tokio::test]
async fn an_issuer_that_hangs_keeps_no_fetch_waiting() {
    let reads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reads);
    let transport = service_fn(move |request: Request<Full<Bytes>>| {
        let is_token_request = request.method() == Method::POST;
        let is_first = !is_token_request && counted.fetch_add(1, Ordering::Relaxed) == 0;
        async move {
            let body = match (is_token_request, is_first) {
                (true, _) => r#"{"access_token":"token"}"#,
                (_, true) => {
                    r#"{"issuer":"https://id.example.com","token_endpoint":"https://id.example.com/t"}"#
                }
                _ => pending().await,
            };
            Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(body)))
        }
    });
    let issuer = Issuer::new("https://id.example.com").with_max_age(Duration::ZERO);
    let builder = ClientCredentials::builder(issuer, "me", "hunter2");
    let provider = builder.build(transport).unwrap();

    assert_eq!(token(&provider).await, "token");
    for _ in 0..3 {
        // With nothing that has to pass: neither time nor a turn of another task.
        let token = fetch(&provider)
            .now_or_never()
            .expect("it waits for nothing");
        assert_eq!(token.unwrap().expose_secret(), "token");
    }
    while reads.load(Ordering::Relaxed) < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(token(&provider).await, "token");
    assert_eq!(reads.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_read_that_fails_later_is_no_outage_and_is_put_off() {
    for fault in 0..7 {
        let reads = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&reads);
        let elsewhere = Site::with("").await;
        let evil = format!("{}/token", elsewhere.origin());
        let site = Site::start(move |_, origin| {
            if counted.fetch_add(1, Ordering::Relaxed) == 0 {
                return document(origin, "{origin}/token");
            }
            match fault {
                0 => response(503, ""),
                1 => response(404, ""),
                2 => response(200, "<html>"),
                3 => document("https://evil.example", "{origin}/token"),
                4 => document(origin, &evil),
                5 => response(200, "x".repeat(2 * 1024 * 1024)),
                _ => {
                    let mut response = response(302, "");
                    let location: HeaderValue = evil.parse().unwrap();
                    response.headers_mut().insert(LOCATION, location);
                    response
                }
            }
        })
        .await;
        let provider = provider(site.issuer().with_max_age(Duration::ZERO));
        assert_eq!(token(&provider).await, "token");

        for _ in 0..5 {
            assert_eq!(token(&provider).await, "token", "{fault}");
        }
        // The first, and one attempt, which may have looked at both places.
        let attempt = if matches!(fault, 1 | 2 | 6) { 2 } else { 1 };
        while reads.load(Ordering::Relaxed) < 1 + attempt {
            tokio::task::yield_now().await;
        }
        assert_eq!(token(&provider).await, "token", "{fault}");
        assert_eq!(reads.load(Ordering::Relaxed), 1 + attempt, "{fault}");
        assert_eq!(site.token_requests(), ["/token"; 7]);
        assert!(elsewhere.received().is_empty(), "{fault}");
    }
}

#[tokio::test]
async fn a_token_is_given_while_the_issuer_is_down() {
    let token_endpoint = Site::with("").await;
    let site = Site::with(format!("{}/token", token_endpoint.origin())).await;
    let issuer = site.issuer().with_max_age(Duration::ZERO);
    let provider = provider(issuer.with_token_endpoint_origin(token_endpoint.origin()));
    assert_eq!(token(&provider).await, "token");
    // Nobody listens there any more. Connections that are open may still be answered, or not.
    drop(site);
    assert_eq!(token(&provider).await, "token");
    assert_eq!(token(&provider).await, "token");
}

#[tokio::test]
async fn metadata_of_a_token_endpoint_that_has_gone_is_read_before_the_next_fetch() {
    for (status, is_gone) in [
        (404, true),
        (410, true),
        (302, true),
        (400, false),
        (500, false),
    ] {
        let reads = AtomicUsize::new(0);
        let server = Server::start(move |request| {
            if request.method == Method::POST {
                return match request.uri.path() {
                    "/token0" => response(status, ""),
                    _ => response(200, r#"{"access_token":"token"}"#),
                };
            }
            let read = reads.fetch_add(1, Ordering::Relaxed);
            let origin = format!("http://{}", request.header("host").unwrap());
            document(&origin, &format!("{origin}/token{read}"))
        })
        .await;
        let provider = provider(Issuer::new(server.url().replace("/token", "/tenant")));

        let error = fetch(&provider).await.unwrap_err();
        let error = error.downcast::<FetchError>().unwrap();
        assert!(!cause(&error).is_discovery());
        assert_eq!(fetch(&provider).await.is_ok(), is_gone, "{status}");
        let received = server.received().into_iter();
        let reads = received.filter(|it| it.method == Method::GET).count();
        assert_eq!(reads, 1 + usize::from(is_gone), "{status}");
    }
}

#[tokio::test]
async fn a_token_endpoint_that_stays_away_has_the_metadata_read_once_a_minute() {
    let reads = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        if request.method == Method::POST {
            return response(404, "");
        }
        let origin = format!("http://{}", request.header("host").unwrap());
        match reads.fetch_add(1, Ordering::Relaxed) {
            0 => document(&origin, "{origin}/token"),
            _ => response(503, ""),
        }
    })
    .await;
    let provider = provider(Issuer::new(server.url().replace("/token", "/tenant")));

    let first = fetch(&provider).await.unwrap_err();
    let first = first.downcast::<FetchError>().unwrap();
    assert!(cause(&first).source().is_none());
    for _ in 0..3 {
        let error = fetch(&provider).await.unwrap_err();
        let error = error.downcast::<FetchError>().unwrap();
        assert_eq!(cause(&error).status(), Some(StatusCode::NOT_FOUND));
        // And why that is all it knows.
        let metadata = cause(&error).source().unwrap();
        let metadata = metadata.downcast_ref::<TokenEndpointError>().unwrap();
        assert!(metadata.is_discovery());
        assert_eq!(metadata.status(), Some(StatusCode::SERVICE_UNAVAILABLE));
    }
    let received = server.received().into_iter();
    assert_eq!(received.filter(|it| it.method == Method::GET).count(), 2);
}

#[tokio::test]
async fn a_failed_first_read_is_tried_again_by_the_next_fetch() {
    let reads = AtomicUsize::new(0);
    let site = Site::start(
        move |_, origin| match reads.fetch_add(1, Ordering::Relaxed) {
            0 => response(503, ""),
            _ => document(origin, "{origin}/token"),
        },
    )
    .await;
    let provider = provider(site.issuer());

    crate::support::failure_of(&provider).await;
    assert_eq!(token(&provider).await, "token");
    assert_eq!(site.reads(), [OAUTH; 2]);
}
