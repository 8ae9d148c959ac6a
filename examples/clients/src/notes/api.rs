//! The service.

use std::sync::atomic::{AtomicI64, Ordering};

use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use serde_json::Value;

use crate::site::{Answer, Received, Site, json};

/// Serves notes to those whom it `accepts`.
pub async fn start(accepts: impl Fn(&HeaderMap) -> bool + Send + Sync + 'static) -> Site {
    start_rejecting_with(accepts, |_| {
        json(StatusCode::UNAUTHORIZED, r#"{"title":"token revoked"}"#)
    })
    .await
}

/// Serves notes to those whom it `accepts`, and `reject` to others.
pub async fn start_rejecting_with(
    accepts: impl Fn(&HeaderMap) -> bool + Send + Sync + 'static,
    reject: impl Fn(&Received) -> Answer + Send + Sync + 'static,
) -> Site {
    let last = AtomicI64::new(0);
    Site::start(accepts, move |request| answer(request, &last), reject).await
}

fn answer(request: &Received, last: &AtomicI64) -> Answer {
    match (&request.method, request.uri.path()) {
        (&Method::GET, "/v1/notes") => json(StatusCode::OK, r#"[{"id":1,"text":"hello"}]"#),
        (&Method::POST, "/v1/notes") => create(request, last),
        (&Method::PUT, "/v1/notes/1/attachment") => Response::builder()
            .status(StatusCode::NO_CONTENT)
            .body(Empty::new().boxed_unsync())
            .expect("valid response"),
        _ => json(StatusCode::NOT_FOUND, r#"{"title":"no such thing"}"#),
    }
}

fn create(request: &Received, last: &AtomicI64) -> Answer {
    let Ok(Value::Object(mut note)) = serde_json::from_slice(&request.body) else {
        return json(StatusCode::BAD_REQUEST, r#"{"title":"no note"}"#);
    };
    let id = last.fetch_add(1, Ordering::Relaxed) + 1;
    note.insert("id".into(), id.into());
    json(StatusCode::CREATED, Value::from(note).to_string())
}
