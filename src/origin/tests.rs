use super::*;

fn kind(origin: &str) -> InvalidOriginKind {
    Origin::new(origin).unwrap_err().kind()
}

fn allows(origin: &str, uri: &'static str) -> bool {
    let mut origins = Origins::none();
    origins.push(Origin::new(origin).unwrap());
    origins.allow(&Uri::from_static(uri))
}

#[test]
fn an_origin_that_does_not_parse_says_what_is_wrong() {
    assert_eq!(kind("not a uri"), InvalidOriginKind::NotAUri);
    assert_eq!(kind(""), InvalidOriginKind::NotAUri);
    assert_eq!(kind("https://a.example:99999"), InvalidOriginKind::NotAUri);
    assert_eq!(kind("api.example.com"), InvalidOriginKind::NotAbsolute);
    assert_eq!(kind("/path"), InvalidOriginKind::NotAbsolute);
    assert_eq!(kind("ftp://api.example.com"), InvalidOriginKind::Scheme);
    for origin in [
        "https://a.example/path",
        "https://a.example/?q",
        "https://a.example/#f",
        "https://user:hunter2@a.example",
    ] {
        assert_eq!(
            kind(origin),
            InvalidOriginKind::MoreThanAnOrigin,
            "{origin}"
        );
        let error = Origin::new(origin).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}

#[test]
fn plain_http_is_for_loopback_or_by_a_call_that_says_insecure() {
    for origin in [
        "http://localhost",
        "http://LOCALHOST:1",
        "http://127.8.8.8:1",
        "http://[::1]:1",
    ] {
        assert!(Origin::new(origin).is_ok(), "{origin}");
    }
    for origin in [
        "http://api.example.com",
        "http://localhost.example.com",
        "http://10.0.0.1",
        "http://[::2]",
        "http://0.0.0.0",
        "http://127.0.0.1.example.com",
    ] {
        assert_eq!(kind(origin), InvalidOriginKind::Insecure, "{origin}");
        assert!(Origin::new_insecure_http(origin).is_ok(), "{origin}");
    }
}

#[test]
fn scheme_host_and_port_must_all_be_the_same() {
    let origin = "https://api.example.com";
    assert!(allows(origin, "https://api.example.com/path?query"));
    assert!(allows(origin, "https://API.Example.COM"));
    assert!(allows(origin, "https://api.example.com:443/"));
    assert!(allows(origin, "https://user@api.example.com/"));

    assert!(!allows(origin, "http://api.example.com/"));
    assert!(!allows(origin, "https://api.example.com:8443/"));
    assert!(!allows(origin, "https://api.example.com:99999/"));
    assert!(!allows(origin, "https://example.com/"));
    assert!(!allows(origin, "https://api.example.com.evil.example/"));
    assert!(!allows(origin, "https://api.example.com@evil.example/"));
    assert!(!allows(origin, "https://evil.example/api.example.com"));
    assert!(!allows(origin, "wss://api.example.com/"));
    assert!(allows("http://[::1]:80", "http://[::1]/"));
}

#[test]
fn origins_are_equal_if_scheme_host_and_port_are_and_are_shown_with_all_three() {
    let origin = |text| Origin::new(text).unwrap();
    let api = origin("https://API.example.com");

    assert_eq!(api, origin("https://api.example.com:443/"));
    for other in [
        "https://api.example.com:8443",
        "https://example.com",
        "http://localhost:443",
    ] {
        assert_ne!(api, origin(other), "{other}");
    }
    assert_eq!(api.to_string(), "https://api.example.com:443");
    assert_eq!(origin("http://[::1]").to_string(), "http://[::1]:80");
}

#[test]
fn what_is_wrong_is_said_and_not_quoted() {
    for (text, says) in [
        ("hunter2 ", "not a URI"),
        ("hunter2", "scheme or host is missing"),
        ("https://me:hunter2@example.com", "remove user info"),
        ("ftp://hunter2", "the scheme must be"),
        ("http://hunter2", "use https"),
    ] {
        let error = Origin::new(text).unwrap_err().to_string();
        assert!(error.starts_with("invalid origin: "), "{error}");
        assert!(error.contains(says), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_host_or_a_port_that_is_none_is_no_origin_and_matches_none() {
    for origin in [
        "https://1:99991",
        "https://a:+443",
        "https://a:b:443",
        "https://:443",
        "https://+[::1]",
        "https://[::1]+",
        "https://[::1",
        "https://[a]",
        "https://a[b]",
        "https://[]",
        "https://::1",
    ] {
        assert!(Origin::new(origin).is_err(), "{origin}");
    }
    assert!(!allows("https://1", "https://1:99991/"));
    assert!(!allows("https://a", "https://a:+443/"));
    assert!(allows("https://a", "https://a:/"));
}

#[test]
fn relative_uris_and_connect_targets_are_not_of_a_named_origin() {
    let origin = "https://api.example.com";
    assert!(!allows(origin, "/path"));
    assert!(!allows(origin, "*"));
    assert!(!allows(origin, "api.example.com:443"));
}

#[test]
fn of_many_origins_each_is_known_and_no_other() {
    let text = |number| format!("https://a{number}.example.com:8443");
    let mut origins = Origins::none();
    for number in 0..300 {
        assert!(!origins.allow(&text(number).parse().unwrap()));
        origins.push(Origin::new(&text(number)).unwrap());
        assert!((0..=number).all(|known| origins.allow(&text(known).parse().unwrap())));
    }
}

#[test]
fn every_https_origin_is_no_http_origin() {
    let origins = Origins::every_https();
    assert!(origins.allow(&Uri::from_static("https://any.example/")));
    assert!(!origins.allow(&Uri::from_static("http://any.example/")));
    assert!(!origins.allow(&Uri::from_static("http://localhost/")));
    assert!(!origins.allow(&Uri::from_static("/path")));
}
