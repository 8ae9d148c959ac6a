//! The search for secrets: found in every disguise, told without being shown.

use std::error::Error;
use std::fmt;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tower_bearer::testing::{Api, AuthorizationServer, Logs, Secrets};

/// It comes out differently by every encoding.
const SECRET: &str = "s3cr\"t:+%/ \\é~ß";

#[track_caller]
fn assert_found(text: &str) {
    let found = Secrets::new([SECRET]).find_in(text);
    assert!(found.is_some(), "not found in {text}");
}

#[test]
fn a_secret_is_found_however_it_was_encoded() {
    for text in [
        SECRET,
        "s3cr%22t%3A%2B%25%2F+%5C%C3%A9%7E%C3%9F",
        "s3cr%22t%3a%2b%25%2f+%5c%c3%a9%7e%c3%9f",
        "s3cr%22t%3A%2B%25%2F%20%5C%C3%A9~%C3%9F",
        "s3cr%22t%3a%2b%25%2f%20%5c%c3%a9~%c3%9f",
        r#"s3cr\"t:+%/ \\é~ß"#,
        r#"s3cr\"t:+%\/ \\é~ß"#,
        r#"s3cr\"t:+%/ \\\u00e9~\u00df"#,
        r#"s3cr\"t:+%/ \\\u{e9}~\u{df}"#,
        r#"s3cr\\\"t:+%/ \\\\é~ß"#,
        r#"s3cr\"t:+%/ \\\xc3\xa9~\xc3\x9f"#,
        "7333637222743a2b252f205cc3a97ec39f",
        "733363722274 3A2B252F205CC3A97EC39F"
            .replace(' ', "")
            .as_str(),
    ] {
        assert_found(&format!("before {text} after"));
    }
    assert_found(&format!("{SECRET:?}"));
    assert_found(&format!("{:?}", SECRET.as_bytes()));
    assert_found(&format!("{:?}", bytes::Bytes::from(SECRET)));
    assert_found(&format!("{:?}", format!("{:?}", Some(SECRET))));
    assert_found(&serde_json::json!({ "a": [SECRET] }).to_string());
    assert_found(&serde_json::json!(format!("{:?}", Some(SECRET))).to_string());
}

/// What `Debug` of them is made by the types themselves, each of which escapes in its own way.
#[test]
fn a_secret_is_found_in_debug_of_texts_headers_and_bytes() {
    for secret in [
        SECRET,
        "pass\\wo\"rd1",
        "it's a \"secret\"",
        "it's\tone",
        "back\\slash",
        "'\\\"\n\0\r'é",
    ] {
        let secrets = Secrets::new([secret]);
        let assert_found = |shown: &dyn fmt::Debug| {
            let shown = [format!("{shown:?}"), format!("{shown:#?}")];
            for text in &shown {
                assert!(secrets.find_in(text).is_some(), "not found in {text}");
                // In a log whose lines are JSON.
                let text = serde_json::json!({ "message": text }).to_string();
                assert!(secrets.find_in(&text).is_some(), "not found in {text}");
            }
        };
        assert_found(&Some(secret));
        assert_found(&Some(bytes::Bytes::from(secret)));
        assert_found(&Some(secret.as_bytes()));
        if let Ok(value) = http::HeaderValue::from_str(secret) {
            assert_found(&Some(value));
        }
        let list = serde_json::json!(secret.as_bytes()).to_string();
        assert!(secrets.find_in(&list).is_some(), "not found in {list}");
    }
}

#[test]
fn of_a_list_of_bytes_it_is_told_where_it_begins() {
    let text = "[97, 98, 97, 98, 99, 100, 101, 102]";
    let found = Secrets::new(["abcdef"]).find_in(text).unwrap();
    assert_eq!(found.offset(), 9);
    assert!(Secrets::new(["abcdeg"]).find_in(text).is_none());
}

#[test]
fn a_secret_is_found_in_base64_wherever_it_begins_and_whatever_surrounds_it() {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

    let form: String = form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
    for secret in [SECRET, &form] {
        for before in ["", "i", "id", "id:", "my-service:"] {
            for after in ["", "x", "xy", "xyz"] {
                let text = format!("{before}{secret}{after}");
                for engine in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
                    assert_found(&format!("Basic {}.", engine.encode(&text)));
                }
            }
        }
    }
}

#[test]
fn nothing_is_found_where_there_is_none() {
    let secrets = Secrets::new([SECRET, "hunter2", "abc", "5"]);
    for text in ["", "hunter 2", "s3cr", "aHVudGVy", "d2Zq 35 YWJj"] {
        let found = secrets.find_in(text);
        let expected = text.contains('5').then_some(3);
        assert_eq!(found.map(|found| found.position()), expected, "{text}");
    }
}

#[test]
fn it_is_told_which_secret_and_where_and_nothing_is_quoted() {
    let secrets = Secrets::new(["first-secret", "second-secret"]).with("the key", "third-secret");
    let text = "line one\nkey=third-secret next=private";

    let found = secrets.find_in(text).unwrap();
    assert_eq!((found.position(), found.label()), (2, Some("the key")));
    assert_eq!(&text[found.offset()..][..12], "third-secret");
    let payload = catch_unwind(AssertUnwindSafe(|| secrets.assert_absent_from(text))).unwrap_err();
    let message = payload.downcast::<String>().unwrap();
    let expected = "secret 2 (the key) is there, as it is, at byte 13";
    assert_eq!(*message, expected);
    assert_eq!(format!("{secrets:?}"), "Secrets { secrets: 3 }");
}

#[derive(Debug)]
struct Outer(Inner);

#[derive(Debug)]
struct Inner;

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("outer")
    }
}

impl fmt::Display for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("inner, with hunter2")
    }
}

impl Error for Outer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

impl Error for Inner {}

#[test]
fn whatever_can_be_printed_is_searched() {
    let secrets = Secrets::new(["hunter2"]);
    let message = |f: &dyn Fn()| {
        let payload = catch_unwind(AssertUnwindSafe(f)).unwrap_err();
        *payload.downcast::<String>().unwrap()
    };

    secrets.assert_absent_from_debug(&Outer(Inner));
    secrets.assert_absent_from_display(&Outer(Inner));
    let shown = message(&|| secrets.assert_absent_from_error(&Outer(Inner)));
    assert_eq!(
        shown,
        "secret 0 is there, as it is, at byte 12 of what is printed of the error at depth 1 of the chain"
    );
    message(&|| secrets.assert_absent_from_display(&Inner));
    message(&|| secrets.assert_absent_from_debug(&vec![Some("hunter2")]));
}

#[test]
#[should_panic = "secret 1 is empty"]
fn an_empty_secret_is_refused() {
    let _ = Secrets::new(["a"]).with("nothing", "");
}

#[test]
fn that_no_secrets_are_absent_is_not_asserted() {
    let secrets = Secrets::new(Vec::<String>::new());
    assert_eq!(secrets.find_in("anything"), None);

    let assertions: [&dyn Fn(); 4] = [
        &|| secrets.assert_absent_from("text"),
        &|| secrets.assert_absent_from_debug("text"),
        &|| secrets.assert_absent_from_display("text"),
        &|| secrets.assert_absent_from_error(&Inner),
    ];
    for assertion in assertions {
        let payload = catch_unwind(AssertUnwindSafe(assertion)).unwrap_err();
        let message = payload.downcast::<&str>().unwrap();
        assert!(message.starts_with("there are no secrets to look for"));
    }
}

#[test]
fn logs_keep_what_every_clone_writes() {
    let logs = Logs::new();
    let make_writer = {
        let logs = logs.clone();
        move || logs.clone()
    };
    std::thread::scope(|scope| {
        scope.spawn(|| writeln!(make_writer(), "one").unwrap());
    });
    (&logs).write_all(b"\xff two").unwrap();

    assert_eq!(logs.text(), "one\n\u{fffd} two");
    assert_eq!(format!("{logs:?}"), "Logs { bytes: 9 }");
    logs.clear();
    assert_eq!(logs.text(), "");
}

#[test]
fn what_the_kit_offers_can_be_sent_between_threads() {
    use static_assertions::assert_impl_all;
    use tower_bearer::testing::{
        Answer, FoundSecret, Gate, ManualClock, ReceivedRequest, Reply, ScriptedProvider,
    };

    assert_impl_all!(Api: Send, Sync, fmt::Debug);
    assert_impl_all!(AuthorizationServer: Send, Sync, fmt::Debug);
    assert_impl_all!(ScriptedProvider: Send, Sync, Clone, Default, fmt::Debug);
    assert_impl_all!(ManualClock: Send, Sync, Clone, Default, fmt::Debug);
    assert_impl_all!(Gate: Send, Sync, Clone, Default, fmt::Debug);
    assert_impl_all!(Answer: Send, Sync, fmt::Debug);
    assert_impl_all!(Reply: Send, Sync, Clone, fmt::Debug);
    assert_impl_all!(ReceivedRequest: Send, Sync, Clone, fmt::Debug);
    assert_impl_all!(Logs: Send, Sync, Clone, Default, Write, fmt::Debug);
    assert_impl_all!(Secrets: Send, Sync, fmt::Debug);
    assert_impl_all!(FoundSecret: Send, Sync, Clone, fmt::Debug);
}
