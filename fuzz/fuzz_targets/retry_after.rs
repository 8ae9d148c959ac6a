//! `Retry-After` is seconds or a date. The input is the field, and in the next line the `Date`.

#![no_main]

use std::time::{Duration, UNIX_EPOCH};

use http::header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use libfuzzer_sys::arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;
use tower_bearer::fuzzing::retry_after;

/// The last second of the year 9999, which is the last of `httpdate`.
const LAST: u64 = 253_402_300_799;

fuzz_target!(|input: &[u8]| {
    let mut lines = input.splitn(2, |byte| *byte == b'\n');
    let (after, date) = (lines.next().unwrap_or_default(), lines.next());
    if let Some(after) = read(after, date) {
        assert!(!after.is_zero());
    }

    let mut numbers = Unstructured::new(input);
    let Ok((seconds, after, now)) = numbers.arbitrary::<(u64, u64, u64)>() else {
        return;
    };
    let text = seconds.to_string();
    assert_eq!(read(text.as_bytes(), None), nonzero(seconds));
    // More digits mean longer.
    assert!(read(format!("1{text}").as_bytes(), None) >= nonzero(seconds));

    let (after, now) = (after % LAST, now % LAST);
    let read = read(date_text(after).as_bytes(), Some(date_text(now).as_bytes()));
    assert_eq!(read, nonzero(after.saturating_sub(now)));
});

fn read(after: &[u8], date: Option<&[u8]>) -> Option<Duration> {
    let mut headers = HeaderMap::new();
    for (name, value) in [(RETRY_AFTER, Some(after)), (DATE, date)] {
        if let Some(Ok(value)) = value.map(HeaderValue::from_bytes) {
            headers.insert(name, value);
        }
    }
    retry_after(&headers)
}

fn nonzero(seconds: u64) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

fn date_text(seconds: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}
