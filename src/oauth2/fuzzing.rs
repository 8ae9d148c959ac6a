//! See `crate::fuzzing`.

use std::time::{Duration, SystemTime};

use http::Response;
use http::header::HeaderMap;
use zeroize::Zeroizing;

use super::answer::redact::Redactor;
use super::answer::{lifetime, response, retry_after};
use super::error::TokenEndpointError;
use crate::token::AccessToken;

/// Reads the answer of a token endpoint that was sent `secrets`.
pub fn token_response(
    response: Response<&[u8]>,
    secrets: &[&str],
) -> Result<AccessToken, TokenEndpointError> {
    let secrets = secrets.iter().map(|it| Zeroizing::new((*it).to_owned()));
    let (parts, body) = response.into_parts();
    let answer = response::parse(&parts, body, &Redactor::new(secrets.collect()))?;
    Ok(answer.token)
}

/// What a JWT says of its lifetime in an answer of that `date`.
pub fn jwt_lifetime(token: &str, date: Option<SystemTime>) -> Option<Duration> {
    lifetime::of_jwt(token, date)
}

/// How long to stay away.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    retry_after::retry_after(headers)
}
