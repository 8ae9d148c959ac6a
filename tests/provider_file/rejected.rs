//! What a 401 does to a token from a file.

use std::convert::Infallible;
use std::io;

use http::{Request, Response, StatusCode, header};
use tower::{Layer, ServiceExt, service_fn};
use tower_bearer::provider::FileToken;
use tower_bearer::rejection::{NotRetried, NotRetriedReason};
use tower_bearer::{BearerAuthLayer, TokenCache};

use super::volume::Volume;
use super::{mounted, reason, text};

const URL: &str = "https://api.example.com/";

/// A request through the layer to a server that knows one token. Returns its answer and what it saw.
async fn send(cache: &TokenCache<FileToken>, good: &str) -> (Response<()>, Vec<String>) {
    let seen = std::sync::Mutex::new(Vec::new());
    let api = service_fn(|request: Request<String>| {
        let value = request.headers()[header::AUTHORIZATION].to_str().unwrap();
        let is_good = value == format!("Bearer {good}");
        seen.lock().unwrap().push(value.to_owned());
        let mut response = Response::new(());
        if !is_good {
            *response.status_mut() = StatusCode::UNAUTHORIZED;
        }
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let layer = BearerAuthLayer::for_origin(cache.clone(), URL).unwrap();
    let request = Request::get(URL).body(String::new()).unwrap();
    let response = layer.layer(api).oneshot(request).await.unwrap();
    (response, seen.into_inner().unwrap())
}

fn not_retried(response: &Response<()>) -> &NotRetriedReason {
    let extension: &NotRetried = response.extensions().get().unwrap();
    extension.reason()
}

#[tokio::test]
async fn after_a_401_the_file_is_read_at_once() {
    let mut volume = Volume::with("one");
    let (cache, _) = mounted(&volume);
    assert_eq!(text(&cache).await, "one");

    volume.replace("two");
    let (response, seen) = send(&cache, "two").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(seen, ["Bearer one", "Bearer two"]);
}

#[tokio::test]
async fn after_a_401_with_an_unchanged_file_the_caller_gets_the_401() {
    let volume = Volume::with("one");
    let (cache, _) = mounted(&volume);

    let (response, seen) = send(&cache, "two").await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(seen, ["Bearer one"]);
    assert!(matches!(
        not_retried(&response),
        NotRetriedReason::SameToken
    ));
}

#[tokio::test]
async fn a_token_that_was_rejected_does_not_stand_in_for_a_file_that_is_gone() {
    let volume = Volume::with("one");
    let (cache, _) = mounted(&volume);
    assert_eq!(text(&cache).await, "one");

    volume.remove();
    let (response, seen) = send(&cache, "two").await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(seen, ["Bearer one"]);
    let NotRetriedReason::FetchFailed(error) = not_retried(&response) else {
        panic!("{:?}", not_retried(&response));
    };
    assert_eq!(reason(error).io_error_kind(), Some(io::ErrorKind::NotFound));
}
