//! What is not done silently is told, and without secrets.
#![cfg(feature = "tracing")]

use std::fmt;
use std::io::Write;
use std::sync::Arc;

use http::{Request, Response, StatusCode};
use tower::{Layer, ServiceExt, service_fn};
use tower_bearer::error::{BoxError, FetchError};
use tower_bearer::provider::{FileToken, StaticToken};
use tower_bearer::testing::{Logs, Secrets};
use tower_bearer::{AccessToken, BearerAuthLayer, FetchContext, TokenProvider, token_fn};
use tracing::field::{Field, Visit};
use tracing::span;

/// Writes down every field of every event and span, at every level.
#[derive(Clone, Default)]
struct Log(Logs);

impl Log {
    fn text(&self) -> String {
        self.0.text()
    }
}

impl Visit for Log {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        writeln!(&self.0, "{field}={value:?}").unwrap();
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        writeln!(&self.0, "span={}", span.metadata().name()).unwrap();
        span.record(&mut self.clone());
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &span::Id) {
        writeln!(&self.0, "entered").unwrap();
    }

    fn exit(&self, _: &span::Id) {
        writeln!(&self.0, "left").unwrap();
    }
}

#[track_caller]
fn assert_hidden(log: &str) {
    Secrets::new(["hunter2"]).assert_absent_from(log);
}

/// Sends one request, which the server rejects, and returns what was logged.
async fn log_of_a_rejected_request(provider: impl TokenProvider, uri: &str) -> String {
    let log = Log::default();
    let _logging = tracing::subscriber::set_default(log.clone());
    let layer = BearerAuthLayer::for_origin(provider, "https://api.example.com").unwrap();
    let client = layer.layer(service_fn(|_: Request<String>| async {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        Ok::<_, BoxError>(response)
    }));

    let request = Request::get(uri).body("hunter2".to_owned()).unwrap();
    let _outcome = client.oneshot(request).await;
    log.text()
}

#[tokio::test]
async fn a_rejection_that_is_not_retried_is_told_without_the_token() {
    let provider = StaticToken::new(AccessToken::new("hunter2").unwrap());
    let log = log_of_a_rejected_request(provider, "https://api.example.com/hunter2").await;

    assert!(log.contains("reason=\"same_token\""), "{log}");
    assert_hidden(&log);
}

#[tokio::test]
async fn a_failed_fetch_is_told_without_the_providers_text() {
    let provider = token_fn(|_| async { Err(FetchError::denied("hunter2").into()) });
    let log = log_of_a_rejected_request(provider, "https://api.example.com/hunter2").await;

    assert!(log.contains("outcome=\"denied\""), "{log}");
    assert_hidden(&log);
}

#[tokio::test]
async fn a_request_that_goes_without_a_token_is_told_without_its_address() {
    let provider = StaticToken::new(AccessToken::new("hunter2").unwrap());
    let log = log_of_a_rejected_request(provider, "https://hunter2.example.com/").await;

    assert!(log.contains("without an access token"), "{log}");
    assert_hidden(&log);
}

#[cfg(feature = "oauth2")]
#[tokio::test]
async fn metadata_that_cannot_be_read_again_is_told_without_the_servers_text() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use bytes::Bytes;
    use http_body_util::Full;
    use tower_bearer::oauth2::{ClientCredentials, Issuer};

    let log = Log::default();
    let _logging = tracing::subscriber::set_default(log.clone());
    let reads = Arc::new(AtomicUsize::new(0));
    let transport = service_fn(move |request: Request<Full<Bytes>>| {
        let body = if request.method() == http::Method::POST {
            r#"{"access_token":"hunter2"}"#
        } else if reads.fetch_add(1, Ordering::Relaxed) == 0 {
            r#"{"issuer":"https://id.example.com","token_endpoint":"https://id.example.com/hunter2"}"#
        } else {
            r#"{"issuer":"https://hunter2.example.com"}"#
        };
        async move { Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(body))) }
    });
    let issuer = Issuer::new("https://id.example.com").with_max_age(Duration::ZERO);
    let provider = ClientCredentials::builder(issuer, "me", "hunter2");
    let provider = provider.build(transport).unwrap();

    provider.fetch_token(FetchContext::default()).await.unwrap();
    assert!(!log.text().contains("metadata"), "{}", log.text());
    provider.fetch_token(FetchContext::default()).await.unwrap();
    let told = "message=authorization server metadata not read again, the last is used\noutcome=\"denied\"";
    // By a task beside the fetch.
    while !log.text().contains("metadata") {
        tokio::task::yield_now().await;
    }
    assert!(log.text().contains(told), "{}", log.text());
    assert_hidden(&log.text());
}

#[cfg(feature = "oauth2")]
#[tokio::test]
async fn a_refresh_token_that_is_not_saved_is_told_and_not_shown() {
    use bytes::Bytes;
    use http_body_util::Full;
    use tower_bearer::oauth2::{Credential, RefreshToken};

    let log = Log::default();
    let _logging = tracing::subscriber::set_default(log.clone());
    let transport = service_fn(|_: Request<Full<Bytes>>| async {
        let body = r#"{"access_token":"hunter2","refresh_token":"hunter3"}"#;
        Ok::<_, BoxError>(Response::new(Full::<Bytes>::from(body)))
    });
    let endpoint = "https://id.example.com/token";
    let provider = RefreshToken::builder(endpoint, "me", Credential::none(), "hunter1")
        .with_rotation_saved_by(|_| async { Err("hunter4".into()) })
        .build(transport)
        .unwrap();

    provider.fetch_token(FetchContext::default()).await.unwrap();
    assert_eq!(
        log.text(),
        "message=new refresh token not saved, it is in memory only\n"
    );
}

#[tokio::test]
async fn a_file_that_cannot_be_read_while_its_last_token_is_used_is_told_without_its_path() {
    let log = Log::default();
    let _logging = tracing::subscriber::set_default(log.clone());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hunter2");
    std::fs::write(&path, "hunter2").unwrap();
    let file = FileToken::new(&path);

    file.fetch_token(FetchContext::default()).await.unwrap();
    assert_eq!(log.text(), "");
    std::fs::remove_file(&path).unwrap();
    file.fetch_token(FetchContext::default()).await.unwrap();
    assert_eq!(
        log.text(),
        "message=token file not read again, its last token is used\n"
    );
}

#[tokio::test]
async fn a_provider_is_called_within_a_span_that_says_why() {
    let provider = token_fn(|cx| async move {
        tracing::info!("asking");
        let text = if cx.rejected_token().is_some() {
            "hunter2-b"
        } else {
            "hunter2-a"
        };
        Ok(AccessToken::new(text)?)
    });
    let log = log_of_a_rejected_request(provider, "https://api.example.com/hunter2").await;

    let fetch =
        |reason| format!("span=fetch_token\nreason=\"{reason}\"\nentered\nmessage=asking\nleft\n");
    for reason in ["missing", "rejected"] {
        assert!(log.contains(&fetch(reason)), "{log}");
        let fetched = format!("message=access token fetched\nreason=\"{reason}\"\noutcome=\"ok\"");
        assert!(log.contains(&fetched), "{log}");
    }
    assert!(log.contains("message=access token used\nage="), "{log}");
    assert!(log.contains("and so was its replacement"), "{log}");
    assert_hidden(&log);
}

/// Panics at the first event.
#[cfg(feature = "test-util")]
struct FullDisk(std::sync::atomic::AtomicBool);

#[cfg(feature = "test-util")]
impl tracing::Subscriber for FullDisk {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        let is_first = !self.0.swap(true, std::sync::atomic::Ordering::Relaxed);
        assert!(!is_first, "disk full");
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[cfg(feature = "test-util")]
#[tokio::test]
async fn a_subscriber_that_panics_does_not_end_the_cache() {
    use tower_bearer::testing::ManualClock;
    use tower_bearer::{FetchErrorKind, TokenCache};

    let _logging = tracing::subscriber::set_default(FullDisk(false.into()));
    let clock = ManualClock::new();
    let provider = token_fn(|_| async { Err(FetchError::unavailable("down").into()) });
    let cache = TokenCache::builder(provider)
        .with_clock(clock.clone())
        .build();

    let kind = cache.token().await.unwrap_err().kind();
    assert_eq!(kind, FetchErrorKind::Panicked);
    // The failure itself was noted before.
    let kind = cache.token().await.unwrap_err().kind();
    assert_eq!(kind, FetchErrorKind::Unavailable);
    clock.advance(std::time::Duration::from_secs(1));
    let kind = cache.token().await.unwrap_err().kind();
    assert_eq!(kind, FetchErrorKind::Unavailable);
}
