use http::{HeaderMap, StatusCode};

use super::Challenge;

/// Whether a response rejects the token of its request, by its status and headers.
pub(crate) type IsRejection = dyn Fn(StatusCode, &HeaderMap) -> bool + Send + Sync;

/// Whether a response has the status 401, and no challenge that says that a new token would not help.
///
/// A `Bearer` challenge says so by the error `insufficient_scope` or `invalid_request` (RFC 6750 §3.1),
/// provided that no other `Bearer` challenge of the response says something else.
pub fn unauthorized(status: StatusCode, headers: &HeaderMap) -> bool {
    status == StatusCode::UNAUTHORIZED && a_new_token_may_help(headers)
}

/// Whether a response says `UNAUTHENTICATED` as gRPC does: `grpc-status: 16` in its headers, under the
/// status 200; or else is [`unauthorized`].
///
/// A server that sends this status in the trailers, after a body, has begun to answer: that is no
/// rejection.
pub fn grpc_unauthenticated(status: StatusCode, headers: &HeaderMap) -> bool {
    let is_unauthenticated = || {
        let status = headers.get("grpc-status");
        status.is_some_and(|status| status == "16")
    };
    unauthorized(status, headers) || (status == StatusCode::OK && is_unauthenticated())
}

#[cold]
fn a_new_token_may_help(headers: &HeaderMap) -> bool {
    let challenges = Challenge::parse_all(headers);
    let mut errors = challenges
        .iter()
        .filter(|challenge| challenge.is_bearer())
        .map(|challenge| challenge.error())
        .peekable();
    errors.peek().is_none()
        || errors.any(|error| !matches!(error, Some("insufficient_scope" | "invalid_request")))
}

#[cfg(test)]
mod tests {
    use http::header::WWW_AUTHENTICATE;
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(name: HeaderName, values: &[&'static str]) -> HeaderMap {
        let values = values.iter().copied().map(HeaderValue::from_static);
        values.map(|value| (name.clone(), value)).collect()
    }

    fn is_rejection(status: u16, challenges: &[&'static str]) -> bool {
        let status = StatusCode::from_u16(status).unwrap();
        unauthorized(status, &headers(WWW_AUTHENTICATE, challenges))
    }

    #[test]
    fn a_401_is_a_rejection_whatever_it_comes_with() {
        for challenges in [
            &[][..],
            &["Bearer"],
            &["Basic realm=\"x\", error=\"insufficient_scope\""],
            &["Bearer error=\"invalid_token\""],
            &["Bearer error=\"something\""],
            &["error=\"insufficient_scope\""],
            &["\"", ",,,", "=", "?"],
        ] {
            assert!(is_rejection(401, challenges), "{challenges:?}");
            for status in [200, 400, 403, 407, 500] {
                assert!(!is_rejection(status, challenges), "{challenges:?}");
            }
        }
    }

    #[test]
    fn unless_a_new_token_would_not_help() {
        for challenges in [
            &["Bearer error=\"insufficient_scope\", scope=\"admin\""][..],
            &["bearer realm=\"x\",error=invalid_request"],
            &["Basic realm=\"x\", Bearer error=\"insufficient_scope\""],
            &["Basic realm=\"x\"", "Bearer error=\"insufficient_scope\""],
        ] {
            assert!(!is_rejection(401, challenges), "{challenges:?}");
        }
    }

    #[test]
    fn or_another_challenge_says_that_it_would() {
        for challenges in [
            &["Bearer error=\"insufficient_scope\", Bearer error=\"invalid_token\""][..],
            &["Bearer error=\"insufficient_scope\"", "Bearer realm=\"x\""],
        ] {
            assert!(is_rejection(401, challenges), "{challenges:?}");
        }
    }

    #[test]
    fn grpc_says_it_in_a_header_of_its_own() {
        let grpc = |status: u16, value| {
            let status = StatusCode::from_u16(status).unwrap();
            grpc_unauthenticated(status, &headers("grpc-status".parse().unwrap(), value))
        };
        assert!(grpc(200, &["16"]));
        assert!(grpc(401, &[]) && grpc(401, &["2"]));
        for (status, value) in [
            (200, &[][..]),
            (200, &["0"]),
            (200, &["7"]),
            (200, &["160"]),
            (503, &["16"]),
        ] {
            assert!(!grpc(status, value), "{status} {value:?}");
        }
    }
}
