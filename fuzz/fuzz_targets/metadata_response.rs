//! What a metadata server says of the end of a token is the time that is left by its own clock, or nothing.

#![no_main]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::Response;
use http::header::DATE;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use serde_json::json;
use tower_bearer::AccessToken;
use tower_bearer::fuzzing::{lifetime, metadata_response};

const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

#[derive(Arbitrary, Debug)]
struct Answer<'a> {
    status: Option<u16>,
    date: Option<u32>,
    body: Body<'a>,
}

#[derive(Arbitrary, Debug)]
enum Body<'a> {
    Any(&'a [u8]),
    Token {
        expires_on: i64,
        as_text: bool,
    },
    /// Neither is given much.
    Members {
        expires_in: &'a str,
        expires_on: &'a str,
    },
}

fuzz_target!(|answer: Answer<'_>| {
    let body = match &answer.body {
        Body::Any(bytes) => bytes.to_vec(),
        Body::Token {
            expires_on,
            as_text,
        } => {
            let expires_on = match as_text {
                true => json!(expires_on.to_string()),
                false => json!(expires_on),
            };
            let body = json!({ "access_token": "opaque", "expires_on": expires_on });
            body.to_string().into()
        }
        Body::Members {
            expires_in,
            expires_on,
        } => {
            let body = json!({
                "access_token": "opaque", "expires_in": expires_in, "expires_on": expires_on,
            });
            body.to_string().into()
        }
    };
    let mut response = Response::new(&*body);
    *response.status_mut() = (100 + answer.status.unwrap_or(100) % 900)
        .try_into()
        .unwrap();
    let status = response.status();
    if let Some(seconds) = answer.date {
        let date = UNIX_EPOCH + Duration::from_secs(seconds.into());
        let date = httpdate::fmt_http_date(date).parse().unwrap();
        response.headers_mut().insert(DATE, date);
    }

    let token = match metadata_response(response) {
        Ok(token) => token,
        Err(error) => {
            let is_token = !matches!(answer.body, Body::Any(_));
            assert!(!(status.is_success() && is_token), "{error}");
            let text = format!("{error} {error:?}");
            assert!(!text.contains(char::is_control), "{text:?}");
            return;
        }
    };
    assert!(status.is_success());
    if let (Body::Token { expires_on, .. }, Some(date)) = (&answer.body, answer.date) {
        assert_eq!(
            lifetime(&token),
            left(*expires_on, date),
            "{expires_on} {date}"
        );
        is_opaque(&token);
    }
});

fn left(end: i64, date: u32) -> Option<Duration> {
    // As a number of JSON is read.
    let end = Duration::try_from_secs_f64((end as f64).max(0.0)).unwrap();
    let end = SystemTime::UNIX_EPOCH.checked_add(end)?;
    let left = end.duration_since(UNIX_EPOCH + Duration::from_secs(date.into()));
    let left = left.unwrap_or_default();
    (left <= LONGEST).then_some(left)
}

fn is_opaque(token: &AccessToken) {
    assert_eq!(token.expose_secret(), "opaque");
}
