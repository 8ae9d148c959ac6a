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

/// A refusal in an answer that should hold a token: quoted no further than by what looks like a code.
pub(crate) fn under_success(answer: &Answer<'_>, redactor: &Redactor) -> TokenEndpointError {
    let is_shown = |code: &Zeroizing<String>| is_code(code) && redactor.clean(code) == **code;
    let code = answer.text("error").filter(is_shown);
    let concerns = concerns(StatusCode::OK, code.as_ref().map(|code| code.as_str()));
    let refusal = Refusal {
        error: code.map(|code| code.to_string()),
        ..Refusal::default()
    };
    TokenEndpointError::rejected(refusal, concerns)
}

/// Whether a text is of the shape of the codes of RFC 6749 §5.2, and of those that servers have beside them.
fn is_code(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    (1..=40).contains(&text.len()) && text.bytes().all(is_letter)
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
