use std::time::{Duration, SystemTime};

use http::header::{CONTENT_ENCODING, HeaderMap};
use http::response::Parts;
use zeroize::Zeroizing;

use super::lifetime;
use super::members::Answer;
use super::redact::Redactor;
use super::refusal;
use super::retry_after::{date, retry_after};
use crate::oauth2::error::{TokenEndpointError, TokenEndpointErrorKind};
use crate::token::AccessToken;

/// What a token endpoint gives (RFC 6749 §5.1).
pub(crate) struct TokenAnswer {
    pub(crate) token: AccessToken,
    /// What was granted, if the answer says so.
    scope: Option<Vec<String>>,
}

impl TokenAnswer {
    /// Whether all of `wanted` was granted. If the answer does not say, it was (RFC 6749 §5.1).
    pub(crate) fn has_scopes<'a>(
        &self,
        wanted: impl Iterator<Item = &'a str>,
    ) -> Result<(), TokenEndpointError> {
        let Some(granted) = &self.scope else {
            return Ok(());
        };
        let missing: Vec<_> = wanted
            .filter(|wanted| !granted.iter().any(|granted| granted == wanted))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(TokenEndpointError::scopes_not_granted(&missing.join(" ")))
    }
}

/// Reads what a token endpoint answered (RFC 6749 §5).
pub(crate) fn parse(
    parts: &Parts,
    body: &[u8],
    redactor: &Redactor,
) -> Result<TokenAnswer, TokenEndpointError> {
    parse_as(None, parts, body, redactor)
}

/// The same, where a token of the type `requested` (RFC 8693 §3) was asked for, which is none that is sent in any
/// particular way (§2.2.1).
pub(crate) fn parse_as(
    requested: Option<&str>,
    parts: &Parts,
    body: &[u8],
    redactor: &Redactor,
) -> Result<TokenAnswer, TokenEndpointError> {
    let date = date(&parts.headers);
    let token = match members(parts, body, redactor) {
        Ok(answer) if answer.get("error").is_some() => {
            Err(refusal::under_success(&answer, redactor))
        }
        Ok(answer) => token(&answer, requested, date),
        Err(error) if error.kind() == TokenEndpointErrorKind::NotJson => {
            let token = bare_jwt(body, date).map(|token| TokenAnswer { token, scope: None });
            token.ok_or(error)
        }
        Err(error) => Err(error),
    };
    token.map_err(|error| error.with_status(parts.status))
}

/// The members of a successful answer, which must be a JSON object.
pub(crate) fn members<'a>(
    parts: &Parts,
    body: &'a [u8],
    redactor: &Redactor,
) -> Result<Answer<'a>, TokenEndpointError> {
    if parts.status.is_redirection() {
        return Err(redirected(parts));
    }
    let answer = Answer::parse(body);
    let answer = if parts.status.is_success() {
        answer.ok_or_else(|| {
            TokenEndpointError::new(TokenEndpointErrorKind::NotJson)
                .with_content_encoding(content_encoding(&parts.headers))
        })
    } else {
        let error = refusal::by_status(parts.status, answer.as_ref(), body, redactor);
        Err(error.with_retry_after(retry_after(&parts.headers)))
    };
    answer.map_err(|error| error.with_status(parts.status))
}

/// The refresh token of an answer, even if the rest of it is of no use.
pub(crate) fn refresh_token(parts: &Parts, body: &[u8]) -> Option<Zeroizing<String>> {
    let answer = Answer::parse(body).filter(|_| parts.status.is_success())?;
    // Who refuses replaces nothing.
    let is_refusal = answer.get("error").is_some();
    (!is_refusal).then(|| answer.text("refresh_token"))?
}

/// A redirect is an error, whatever its body.
fn redirected(parts: &Parts) -> TokenEndpointError {
    TokenEndpointError::new(TokenEndpointErrorKind::Redirected)
        .with_status(parts.status)
        .with_retry_after(retry_after(&parts.headers))
}

fn token(
    answer: &Answer<'_>,
    requested: Option<&str>,
    date: Option<SystemTime>,
) -> Result<TokenAnswer, TokenEndpointError> {
    let Some(token) = answer.text("access_token") else {
        return Err(TokenEndpointError::new(
            TokenEndpointErrorKind::MissingToken,
        ));
    };
    if !is_of_use(answer, requested) {
        return Err(TokenEndpointError::new(
            TokenEndpointErrorKind::UnsupportedTokenType,
        ));
    }
    let token = AccessToken::new(&token).map_err(|error| {
        TokenEndpointError::new(TokenEndpointErrorKind::InvalidToken).with_source(error.into())
    })?;
    let lifetime = answer
        .get("expires_in")
        .and_then(seconds)
        .or_else(|| lifetime::of_jwt(token.expose_secret(), date));
    Ok(TokenAnswer {
        token: match lifetime {
            Some(lifetime) => token.with_expires_in(lifetime),
            None => token,
        },
        scope: answer.texts("scope"),
    })
}

/// Whether the token is a bearer token, or what was requested instead.
fn is_of_use(answer: &Answer<'_>, requested: Option<&str>) -> bool {
    // Required by RFC 6749 §5.1 and yet left out by some.
    if !answer.has("token_type") {
        return true;
    }
    let Some(token_type) = answer.text("token_type") else {
        return false;
    };
    let is = |name| token_type.eq_ignore_ascii_case(name);
    if is("N_A") {
        let issued = answer.text("issued_token_type");
        return requested.is_some_and(|it| issued.is_some_and(|issued| *issued == it));
    }
    // `access_token` is what some say, by mistake, and mean a bearer token.
    is("bearer") || is("access_token")
}

/// Some servers answer with a JWT and nothing around it, but for the quotes of JSON.
fn bare_jwt(body: &[u8], date: Option<SystemTime>) -> Option<AccessToken> {
    let text = std::str::from_utf8(body).ok()?.trim();
    let text = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text);
    if !lifetime::is_signed(text) {
        return None;
    }
    let token = AccessToken::new(text).ok()?;
    Some(match lifetime::of_jwt(text, date) {
        Some(lifetime) => token.with_expires_in(lifetime),
        None => token,
    })
}

/// A lifetime in JSON: a number, or a text with one in it. None if it is neither.
///
/// What is negative is nothing, and what is too large for a `Duration` the largest one.
pub(crate) fn seconds(json: &str) -> Option<Duration> {
    let seconds = match serde_json::from_str::<f64>(json) {
        Ok(number) => number,
        Err(_) => serde_json::from_str::<String>(json)
            .ok()?
            .trim()
            .parse()
            .ok()?,
    };
    // `inf` and `NaN` are numbers to `str::parse`.
    seconds
        .is_finite()
        .then(|| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX))
}

/// The encoding of a body that the transport did not decode.
fn content_encoding(headers: &HeaderMap) -> Option<&'static str> {
    let encoding = headers.get(CONTENT_ENCODING)?.to_str().ok()?.trim();
    let known = ["gzip", "br", "zstd", "deflate"];
    match known
        .into_iter()
        .find(|known| encoding.eq_ignore_ascii_case(known))
    {
        None if encoding.eq_ignore_ascii_case("identity") => None,
        known => Some(known.unwrap_or("an unknown one")),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::error::{FetchError, FetchErrorKind};
    use crate::token::Lifetime;

    fn answer(status: u16, body: &str) -> Result<AccessToken, TokenEndpointError> {
        let (parts, ()) = http::Response::builder()
            .status(status)
            .body(())
            .unwrap()
            .into_parts();
        let answer = parse(&parts, body.as_bytes(), &Redactor::new(Vec::new()))?;
        Ok(answer.token)
    }

    fn lifetime(expires_in: &str) -> Lifetime {
        let body = format!(r#"{{"access_token":"t","expires_in":{expires_in}}}"#);
        answer(200, &body).unwrap().lifetime()
    }

    #[test]
    fn every_shape_of_expires_in_has_a_meaning() {
        for (expires_in, seconds) in [
            ("3600", 3600.0),
            ("3600.0", 3600.0),
            ("3600.5", 3600.5),
            ("3.6e3", 3600.0),
            ("\"3600\"", 3600.0),
            ("\" 3600.0 \"", 3600.0),
            ("1710223631577", 1_710_223_631_577.0),
            ("0", 0.0),
            ("\"0\"", 0.0),
            ("-0.0", 0.0),
            ("-1", 0.0),
            ("\"-1e300\"", 0.0),
        ] {
            let expected = Lifetime::For(Duration::from_secs_f64(seconds));
            assert_eq!(lifetime(expires_in), expected, "{expires_in}");
        }
        for expires_in in ["18446744073709551615", "1e300", "\"1e300\""] {
            let expected = Lifetime::For(Duration::MAX);
            assert_eq!(lifetime(expires_in), expected, "{expires_in}");
        }
        for expires_in in [
            "null",
            "true",
            "false",
            "{}",
            "[3600]",
            "\"\"",
            "\"soon\"",
            "\"NaN\"",
            "\"inf\"",
            "\"-inf\"",
            "\"1e400\"",
            "1e400",
            "\"3600s\"",
        ] {
            assert_eq!(lifetime(expires_in), Lifetime::Unknown, "{expires_in}");
        }
        let missing = answer(200, r#"{"access_token":"t"}"#).unwrap();
        assert_eq!(missing.lifetime(), Lifetime::Unknown);
    }

    #[test]
    fn a_jwt_says_how_long_it_lives_only_if_the_server_does_not() {
        // {"iat":10,"exp":20}
        let token = "e30.eyJpYXQiOjEwLCJleHAiOjIwfQ.c2ln";
        let lifetime = |more: &str| {
            let body = format!(r#"{{"access_token":"{token}"{more}}}"#);
            answer(200, &body).unwrap().lifetime()
        };

        let ten = Lifetime::For(Duration::from_secs(10));
        assert_eq!(lifetime(""), ten);
        assert_eq!(lifetime(r#","expires_in":"soon""#), ten);
        let seven = Lifetime::For(Duration::from_secs(7));
        assert_eq!(lifetime(r#","expires_in":7"#), seven);
    }

    #[test]
    fn a_jwt_without_iat_lives_from_the_date_of_the_answer() {
        // {"alg":"none"}, {"exp":784111787}
        let token = "eyJhbGciOiJub25lIn0.eyJleHAiOjc4NDExMTc4N30.c2ln";
        for body in [format!(r#"{{"access_token":"{token}"}}"#), token.to_owned()] {
            let (parts, ()) = http::Response::builder()
                .header("date", "Sun, 06 Nov 1994 08:49:37 GMT")
                .body(())
                .unwrap()
                .into_parts();
            let answer = parse(&parts, body.as_bytes(), &Redactor::new(Vec::new())).unwrap();

            let ten = Lifetime::For(Duration::from_secs(10));
            assert_eq!(answer.token.lifetime(), ten);
        }
        let undated = answer(200, token).unwrap();
        assert_eq!(undated.lifetime(), Lifetime::Unknown);
    }

    #[test]
    fn a_jwt_with_nothing_around_it_is_a_token() {
        // {"alg":"none"}, {"iat":10,"exp":20}
        let token = "eyJhbGciOiJub25lIn0.eyJpYXQiOjEwLCJleHAiOjIwfQ.c2ln";
        for body in [
            token.to_owned(),
            format!("\"{token}\""),
            format!(" {token}\n"),
        ] {
            let answer = answer(200, &body).unwrap();
            assert_eq!(answer.expose_secret(), token);
            let ten = Lifetime::For(Duration::from_secs(10));
            assert_eq!(answer.lifetime(), ten);
        }
        for body in [
            "a.b.c",
            "www.example.com",
            "eyJhbGciOiJub25lIn0.e30",
            "1.2.3",
        ] {
            let error = answer(200, body).unwrap_err();
            assert_eq!(error.kind(), TokenEndpointErrorKind::NotJson, "{body}");
        }
    }

    #[test]
    fn what_servers_do_differently_is_put_up_with() {
        for body in [
            "\u{feff}{\"access_token\":\"t\"}",
            " \r\n{\"access_token\":\"t\"}\n",
            r#"{"access_token":"t","token_type":"bearer"}"#,
            r#"{"access_token":"t","token_type":"BEARER","scope":["a"],"x":{"y":[1e999]}}"#,
            r#"{"access_token":"t","token_type":null,"error":null}"#,
            r#"{"access_token":"t","error":"","refresh_token":false}"#,
            r#"{"\u0061ccess_token":"\u0074"}"#,
        ] {
            assert_eq!(answer(200, body).unwrap().expose_secret(), "t", "{body}");
        }
    }

    #[test]
    fn a_success_without_a_usable_token_is_an_error_that_quotes_nothing() {
        use TokenEndpointErrorKind::*;

        for (kind, body) in [
            (NotJson, ""),
            (NotJson, "<html>hunter2"),
            (NotJson, "access_token=hunter2"),
            (NotJson, "\"hunter2\""),
            (NotJson, r#"["hunter2"]"#),
            (NotJson, r#"{"access_token":"hunter2""#),
            (NotJson, r#"{"access_token":"hunter2"}x"#),
            (MissingToken, "{}"),
            (MissingToken, r#"{"accessToken":"hunter2"}"#),
            (MissingToken, r#"{"access_token":""}"#),
            (MissingToken, r#"{"access_token":null}"#),
            (MissingToken, r#"{"access_token":["hunter2"]}"#),
            (MissingToken, r#"{"access_token":"hunter2\ud800"}"#),
            (InvalidToken, r#"{"access_token":"hunter2\n"}"#),
            (InvalidToken, r#"{"access_token":"hunter2 é"}"#),
            (
                UnsupportedTokenType,
                r#"{"access_token":"hunter2","token_type":"DPoP"}"#,
            ),
            (
                UnsupportedTokenType,
                r#"{"access_token":"hunter2","token_type":""}"#,
            ),
            (
                UnsupportedTokenType,
                r#"{"access_token":"hunter2","token_type":1}"#,
            ),
            (
                Rejected,
                r#"{"error":"hunter2","error_description":"hunter2"}"#,
            ),
            (
                Rejected,
                r#"{"error":{"message":"hunter2"},"access_token":"hunter2"}"#,
            ),
        ] {
            let error = answer(200, body).unwrap_err();

            assert_eq!(error.kind(), kind, "{body}");
            let source = std::error::Error::source(&error).map(ToString::to_string);
            let text = format!("{error} {error:?} {source:?}");
            assert!(!text.contains("hunter2"), "{text}");
        }
        let error = answer(200, r#"{"error":"invalid_client"}"#).unwrap_err();
        assert_eq!(error.error_code(), Some("invalid_client"));
    }

    #[test]
    fn the_kind_of_failure_follows_from_status_and_code() {
        use FetchErrorKind::*;

        for (expected, status, code) in [
            (Unavailable, 500, "invalid_client"),
            (Unavailable, 503, "invalid_scope"),
            (Unavailable, 408, ""),
            (Unavailable, 429, "invalid_client"),
            (Unavailable, 400, "temporarily_unavailable"),
            (Unavailable, 400, "server_error"),
            (Unavailable, 200, "slow_down"),
            (Unavailable, 600, ""),
            (InvalidRequest, 400, "invalid_scope"),
            (InvalidRequest, 403, "invalid_target"),
            (InvalidRequest, 200, "invalid_scope"),
            (Denied, 400, ""),
            (Denied, 400, "invalid_grant"),
            (Denied, 401, "invalid_client"),
            (Denied, 200, "invalid_client"),
            (Denied, 403, "Account temporarily blocked"),
            (Denied, 404, ""),
        ] {
            let body = format!(r#"{{"error":"{code}"}}"#);
            let error = answer(status, &body).unwrap_err();

            assert_eq!(error.kind(), TokenEndpointErrorKind::Rejected);
            assert_eq!(FetchError::from(error).kind(), expected, "{status} {code}");
        }
    }

    #[test]
    fn an_encoding_that_was_not_undone_is_named_from_a_closed_set() {
        let encoding = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(text));
            content_encoding(&headers)
        };

        assert_eq!(encoding("GZIP"), Some("gzip"));
        assert_eq!(encoding("hunter2"), Some("an unknown one"));
        assert_eq!(encoding("identity"), None);
    }
}
