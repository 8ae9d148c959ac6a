//! What it means when a token endpoint refuses (RFC 6749 §5.2).

use http::StatusCode;
use zeroize::Zeroizing;

use super::members::Answer;
use super::redact::Redactor;
use crate::error::FetchErrorKind;
use crate::oauth2::error::{Refusal, TokenEndpointError};

/// A refusal by status.
pub(crate) fn by_status(
    status: StatusCode,
    answer: Option<&Answer<'_>>,
    body: &[u8],
    redactor: &Redactor,
) -> TokenEndpointError {
    let member = |name| answer.and_then(|answer| answer.text(name));
    let clean = |text: Zeroizing<String>| redactor.clean(&text);

    let code = member("error");
    let concerns = concerns(status, code.as_ref().map(|code| code.as_str()));
    let refusal = match code {
        Some(code) => Refusal {
            error: Some(clean(code)),
            error_description: member("error_description").map(clean),
            error_uri: member("error_uri").map(clean),
            text: None,
        },
        None => Refusal {
            text: Some(redactor.clean(String::from_utf8_lossy(body).trim()))
                .filter(|text| !text.is_empty()),
            ..Refusal::default()
        },
    };
    TokenEndpointError::rejected(refusal, concerns)
}

/// A refusal in an answer that should hold a token: quoted no further than by a code that we know.
pub(crate) fn under_success(answer: &Answer<'_>) -> TokenEndpointError {
    let code = answer.text("error");
    let code = code.as_ref().and_then(|code| known_code(code));
    let refusal = Refusal {
        error: code.map(str::to_owned),
        ..Refusal::default()
    };
    TokenEndpointError::rejected(refusal, concerns(StatusCode::OK, code))
}

fn known_code(code: &str) -> Option<&'static str> {
    // RFC 6749 §5.2, §4.1.2.1 and RFC 8628 §3.5, which servers send here too, and RFC 8707 §2.
    const CODES: [&str; 11] = [
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
        "access_denied",
        "server_error",
        "temporarily_unavailable",
        "slow_down",
        "invalid_target",
    ];
    CODES.into_iter().find(|known| *known == code)
}

fn concerns(status: StatusCode, code: Option<&str>) -> FetchErrorKind {
    let is_refusal = status.is_client_error() || status.is_success();
    match (status, code) {
        (StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS, _) => {
            FetchErrorKind::Unavailable
        }
        _ if !is_refusal => FetchErrorKind::Unavailable,
        (_, Some("temporarily_unavailable" | "server_error" | "slow_down")) => {
            FetchErrorKind::Unavailable
        }
        (_, Some("invalid_scope" | "invalid_target")) => FetchErrorKind::InvalidRequest,
        _ => FetchErrorKind::Denied,
    }
}
