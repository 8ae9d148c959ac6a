//! What is counted, and by which names.
#![cfg(all(feature = "metrics", feature = "test-util"))]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tokio_test::assert_pending;
use tokio_test::task::spawn;
use tower::{Layer, ServiceExt};
use tower_bearer::testing::{Answer, ManualClock};
use tower_bearer::{BearerAuthLayer, FetchError, TokenCache, token_fn};

use self::layer_support::{Api, Issuer, ORIGIN, URL, get, token};

mod layer_support;

/// Runs a future and returns what was counted meanwhile: a counter's or gauge's value, a histogram's sum,
/// by name and labels.
fn counted<F: Future<Output = ()>>(f: impl FnOnce() -> F) -> BTreeMap<String, f64> {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_time().build().unwrap();
        runtime.block_on(f());
    });
    read(&snapshotter)
}

fn read(snapshotter: &Snapshotter) -> BTreeMap<String, f64> {
    let all = snapshotter.snapshot().into_vec().into_iter();
    all.map(|(key, _, _, value)| {
        let key = key.key();
        let mut name = key.name().strip_prefix("tower_bearer_").unwrap().to_owned();
        let labels: Vec<_> = key
            .labels()
            .map(|l| format!("{}={}", l.key(), l.value()))
            .collect();
        if !labels.is_empty() {
            name = format!("{name} {}", labels.join(" "));
        }
        let value = match value {
            DebugValue::Counter(count) => count as f64,
            DebugValue::Gauge(value) => value.into_inner(),
            DebugValue::Histogram(values) => values.into_iter().map(|v| v.into_inner()).sum(),
        };
        (name, value)
    })
    .collect()
}

fn layer(issuer: &Issuer, clock: &ManualClock) -> BearerAuthLayer<Issuer> {
    let cache = TokenCache::builder(issuer.clone()).with_clock(clock.clone());
    BearerAuthLayer::for_origin(cache.build(), ORIGIN).unwrap()
}

async fn tasks_run() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn fetches_are_counted_by_why_and_how_they_ended() {
    let counted = counted(|| async {
        let clock = ManualClock::new();
        let failure = FetchError::unavailable("down");
        let tokens = ["a", "b", "c", "d", "e"].map(token).map(Answer::from);
        let mut answers: Vec<_> = tokens.into();
        answers.push(failure.into());
        let issuer = Issuer::answering(answers);
        let layer = layer(&issuer, &clock);
        let cache = layer.cache();
        cache.token().await.unwrap(); // missing
        clock.advance(Duration::from_secs(3590));
        cache.token().await.unwrap(); // stale
        tasks_run().await;
        clock.advance(Duration::from_secs(4000));
        cache.token().await.unwrap(); // expired
        cache.invalidate(&token("c"));
        cache.token().await.unwrap(); // rejected
        cache.refresh().await.unwrap(); // requested
        clock.advance(Duration::from_secs(4000));
        for _ in 0..3 {
            cache.token().await.unwrap_err(); // expired, once
        }
    });

    for name in [
        "fetches_total reason=missing outcome=ok",
        "fetches_total reason=stale outcome=ok",
        "fetches_total reason=expired outcome=ok",
        "fetches_total reason=rejected outcome=ok",
        "fetches_total reason=requested outcome=ok",
        "fetches_total reason=expired outcome=unavailable",
        "stale_serves_total",
    ] {
        assert_eq!(counted.get(name), Some(&1.0), "{name} {counted:?}");
    }
    assert_eq!(counted["fetches_suppressed_total cause=pause"], 2.0);
    // The stale one was used for the last ten seconds; what `refresh` brings is not used yet.
    assert_eq!(counted["token_age_seconds"], 3590.0);
    assert_eq!(counted["token_remaining_seconds"], 3600.0 * 3.0 + 10.0);
    assert_eq!(counted["waiters"], 0.0);
}

#[test]
fn a_fetch_is_timed_and_those_who_wait_for_it_are_counted() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let clock = ManualClock::new();
        let issuer = Issuer::new();
        issuer.hold();
        let layer = layer(&issuer, &clock);
        let client = layer.layer(Api::accepting());
        let mut requests: Vec<_> = (0..5)
            .map(|_| spawn(client.clone().oneshot(get(URL))))
            .collect();
        requests
            .iter_mut()
            .for_each(|it| assert_pending!(it.poll()));
        assert_eq!(read(&snapshotter)["waiters"], 5.0);
        // Each time, what has changed since.
        drop(requests.pop());
        assert_eq!(read(&snapshotter)["waiters"], -1.0);

        clock.advance(Duration::from_secs(7));
        issuer.release();
        requests
            .iter_mut()
            .for_each(|it| assert!(it.poll().is_ready()));
        let counted = read(&snapshotter);
        assert_eq!(counted["waiters"], -4.0);
        assert_eq!(counted["fetch_duration_seconds outcome=ok"], 7.0);
    });
}

/// Panics when there is one waiter less.
struct Breaks;

impl metrics::GaugeFn for Breaks {
    fn increment(&self, _: f64) {}

    fn decrement(&self, _: f64) {
        panic!("a recorder of somebody's");
    }

    fn set(&self, _: f64) {}
}

impl metrics::Recorder for Breaks {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::new(Breaks))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn a_recorder_that_panics_does_not_end_the_process_of_a_caller_that_panics() {
    let panicking = std::thread::spawn(|| {
        metrics::with_local_recorder(&Breaks, || {
            let cache = TokenCache::new(token_fn(|_| std::future::pending()));
            let mut waiting = spawn(cache.token());
            assert_pending!(waiting.poll());
            panic!("a caller's");
        });
    });

    let payload = panicking.join().unwrap_err();
    assert_eq!(*payload.downcast::<&str>().unwrap(), "a caller's");
}

#[test]
fn rejections_are_counted_by_what_became_of_them() {
    let counted = counted(|| async {
        let clock = ManualClock::new();
        let rejecting = |tokens: &'static [&'static str], answers: Vec<_>, requests: usize| {
            let issuer = Issuer::answering(answers);
            let client = layer(&issuer, &clock).layer(Api::rejecting(tokens));
            async move {
                for _ in 0..requests {
                    client.clone().oneshot(get(URL)).await.unwrap();
                }
            }
        };
        rejecting(&["token-1"], vec![], 2).await;
        rejecting(&["a"], vec![Answer::token("a"), Answer::token("a")], 1).await;
        rejecting(&["a"], vec![Answer::token("a"), Answer::error("down")], 1).await;
        // Each of two requests is rejected twice, and then there is no more to be spent.
        let all = &["token-1", "token-2", "token-3", "token-4", "token-5"];
        rejecting(all, vec![], 3).await;
    });

    for (outcome, count) in [
        ("healed", 1.0),
        ("same_token", 1.0),
        ("fetch_failed", 1.0),
        ("rejected_again", 2.0),
        ("budget_spent", 1.0),
    ] {
        let name = format!("rejections_total outcome={outcome}");
        assert_eq!(counted.get(&name), Some(&count), "{name} {counted:?}");
    }
    assert!(counted["fetches_suppressed_total cause=budget"] >= 1.0);
}

#[test]
fn a_retry_without_a_response_is_counted_too() {
    let counted = counted(|| async {
        let clock = ManualClock::new();
        let api = tower::service_fn(|request: http::Request<String>| async move {
            let token = request.headers()["authorization"].to_str().unwrap();
            match token {
                "Bearer token-1" => Ok(layer_support::unauthorized("no")),
                _ => Err("reset"),
            }
        });
        let client = layer(&Issuer::new(), &clock).layer(api);
        client.oneshot(get(URL)).await.unwrap_err();
    });
    assert_eq!(counted["rejections_total outcome=failed"], 1.0);
}

/// It concerns no token, and the request was not healed.
#[cfg(feature = "reqwest")]
#[test]
fn a_retry_that_is_rejected_elsewhere_is_not_counted_as_healed() {
    use reqwest::{Request, Response, ResponseBuilderExt as _};

    let outcome = |url: &'static str, second: u16| {
        let counted = counted(|| async move {
            let api = tower::service_fn(move |request: Request| async move {
                let response = match &request.headers()["authorization"] {
                    token if token == "Bearer token-1" => http::Response::builder().status(401),
                    _ => http::Response::builder()
                        .status(second)
                        .url(url.parse().unwrap()),
                };
                Ok::<_, std::io::Error>(Response::from(response.body("").unwrap()))
            });
            let client = layer(&Issuer::new(), &ManualClock::new()).layer(api);
            let request = Request::new(http::Method::GET, URL.parse().unwrap());
            let response = client.oneshot(request).await.unwrap();
            assert_eq!(response.status(), second);
        });
        let mut names = counted.into_keys();
        let outcome =
            names.find_map(|it| Some(it.strip_prefix("rejections_total outcome=")?.to_owned()));
        outcome.unwrap()
    };

    let elsewhere = "https://elsewhere.example.com/";
    assert_eq!(outcome(elsewhere, 401), "failed");
    assert_eq!(outcome(elsewhere, 200), "healed");
    assert_eq!(outcome(URL, 401), "rejected_again");
    assert_eq!(outcome(URL, 200), "healed");
}

#[test]
fn a_request_to_another_origin_is_counted() {
    let counted = counted(|| async {
        let client = layer(&Issuer::new(), &ManualClock::new()).layer(Api::accepting());
        let other = get("https://other.example.com/");
        let response = client.oneshot(other).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    });
    assert_eq!(counted["other_origin_total"], 1.0);
    assert_eq!(counted.len(), 1, "{counted:?}");
}

#[cfg(feature = "oauth2")]
#[test]
fn metadata_that_cannot_be_read_again_is_counted() {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;
    use http::{Method, Request, Response};
    use http_body_util::Full;
    use tower_bearer::oauth2::{ClientCredentials, Issuer};
    use tower_bearer::{FetchContext, TokenProvider as _};

    let counted = counted(|| async {
        let reads = Arc::new(AtomicUsize::new(0));
        let transport = tower::service_fn(move |request: Request<Full<Bytes>>| {
            let is_token_request = request.method() == Method::POST;
            let is_first = !is_token_request && reads.fetch_add(1, Ordering::Relaxed) == 0;
            let mut response = Response::new(Full::<Bytes>::from(match is_token_request {
                true => r#"{"access_token":"token"}"#,
                false => {
                    r#"{"issuer":"https://id.example.com","token_endpoint":"https://id.example.com/t"}"#
                }
            }));
            if !is_token_request && !is_first {
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            }
            std::future::ready(Ok::<_, std::io::Error>(response))
        });
        let issuer = Issuer::new("https://id.example.com").with_max_age(Duration::ZERO);
        let provider = ClientCredentials::builder(issuer, "me", "hunter2").build(transport);
        let provider = provider.unwrap();
        provider.fetch_token(FetchContext::default()).await.unwrap();
        provider.fetch_token(FetchContext::default()).await.unwrap();
        // It is read again by a task.
        tokio::task::yield_now().await;
    });
    let expected = [(
        "metadata_failures_total outcome=unavailable".to_owned(),
        1.0,
    )];
    assert_eq!(counted, BTreeMap::from(expected));
}

#[test]
fn every_metric_is_described() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        tower_bearer::telemetry::describe_metrics();
        // Only what was counted is in a snapshot.
        let client = layer(&Issuer::new(), &ManualClock::new()).layer(Api::rejecting(&["token-1"]));
        let mut request = spawn(client.oneshot(get(URL)));
        assert!(request.poll().is_ready());
    });
    let all = snapshotter.snapshot().into_vec();
    assert!(all.len() >= 6, "{}", all.len());
    for (key, unit, description, _) in all {
        assert!(unit.is_some() && description.is_some(), "{key:?}");
    }
}
