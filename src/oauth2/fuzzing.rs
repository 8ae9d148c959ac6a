//! See `crate::fuzzing`.

use std::time::{Duration, SystemTime};

use http::Response;
use http::header::HeaderMap;
use zeroize::Zeroizing;

use super::answer::redact::Redactor;
use super::answer::{lifetime, response, retry_after};
use super::error::TokenEndpointError;
use super::{discovery, metadata};
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

/// Reads the answer of a metadata server.
pub fn metadata_response(response: Response<&[u8]>) -> Result<AccessToken, TokenEndpointError> {
    let (parts, body) = response.into_parts();
    metadata::token(&parts, body, &Redactor::new(Vec::new()))
}

/// A token endpoint that was discovered.
#[derive(Debug, PartialEq, Eq)]
pub struct Discovered {
    /// Where requests go.
    pub uri: String,
    /// What is shown of it.
    pub name: String,
    /// Whom assertions are for.
    pub audience: String,
}

/// Reads the metadata of `issuer`, for a client that presents a certificate, or does not.
pub fn discovered(
    issuer: &str,
    metadata: &[u8],
    is_certificate: bool,
) -> Result<Discovered, TokenEndpointError> {
    let endpoint = discovery::discovered(issuer, metadata, is_certificate)?;
    Ok(Discovered {
        uri: endpoint.uri().to_string(),
        name: endpoint.name().to_string(),
        audience: endpoint.audience().to_string(),
    })
}

/// What a JWT says of its lifetime in an answer of that `date`.
pub fn jwt_lifetime(token: &str, date: Option<SystemTime>) -> Option<Duration> {
    lifetime::of_jwt(token, date)
}

/// How long to stay away.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    retry_after::retry_after(headers)
}
