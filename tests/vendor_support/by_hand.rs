//! Requests made by hand: nothing of this crate has a part in them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::Value;

use crate::emulators::{Emulator, Vendor, http1_client};

pub const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
pub const JSON: (&str, &str) = ("content-type", "application/json");
pub const ACCEPT: (&str, &str) = ("accept", "application/json");
pub const GRANT: &str = "grant_type=client_credentials";

/// Sends one request. `headers` may have `Authorization`.
pub async fn send<V: Vendor>(
    emulator: &Emulator<V>,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (StatusCode, String) {
    let mut request = Request::builder().method(method).uri(emulator.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
    let response = http1_client()
        .request(request.body(body).unwrap())
        .await
        .unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.into()).unwrap())
}

/// A status, and the request that gets it: method, path, headers and body.
pub type Case<'a> = (u16, &'a str, &'a str, &'a [(&'a str, &'a str)], &'a str);

/// Sends what is wrong in one way each, and expects the status beside it.
pub async fn refuses<V: Vendor>(emulator: &Emulator<V>, requests: &[Case<'_>]) {
    for (status, method, path, headers, body) in requests {
        let (seen, answer) = send(emulator, method, path, headers, body).await;
        assert_eq!(
            seen, *status,
            "{method} {path} {headers:?} {body}: {answer}"
        );
    }
}

pub async fn token<V: Vendor>(
    emulator: &Emulator<V>,
    method: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> String {
    let (status, answer) = send(emulator, method, V::TOKEN_PATH, headers, body).await;
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    answer["access_token"].as_str().unwrap().to_owned()
}

pub fn form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

pub fn claims(token: &str) -> Value {
    let claims = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}
