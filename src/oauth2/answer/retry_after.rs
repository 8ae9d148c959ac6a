use std::time::{Duration, SystemTime};

use http::HeaderValue;
use http::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

/// How long to stay away (RFC 9110 §10.2.3), if that is any time at all.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = header(headers, RETRY_AFTER)?;
    let after = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit mean very long.
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        // By the server's own clock where it tells the time, so that ours need not be right.
        let now = date(headers).unwrap_or_else(SystemTime::now);
        httpdate::parse_http_date(text)
            .ok()?
            .duration_since(now)
            .ok()?
    };
    (!after.is_zero()).then_some(after)
}

/// What the server's clock said (RFC 9110 §6.6.1).
pub(crate) fn date(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(header(headers, DATE)?).ok()
}

fn header(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let value = headers.get(name).map(HeaderValue::to_str)?;
    value.ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_by_the_servers_own_clock() {
        let after = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(
                DATE,
                HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"),
            );
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers)
        };

        let minute = Some(Duration::from_secs(60));
        assert_eq!(after("60"), minute);
        assert_eq!(after(" 60 "), minute);
        assert_eq!(after("Sun, 06 Nov 1994 08:50:37 GMT"), minute);
        assert_eq!(after(&"9".repeat(30)), Some(Duration::from_secs(u64::MAX)));
        for none in [
            "",
            "0",
            "-1",
            "1.5",
            "soon",
            "Sun, 06 Nov 1994 08:48:37 GMT",
        ] {
            assert_eq!(after(none), None, "{none}");
        }
    }
}
