//! An origin is what `http::Uri` and the `url` crate say it is, and no other gets a token. The input is an
//! origin, and in the next line the URI of a request.

#![no_main]

use std::net::IpAddr;

use http::Uri;
use libfuzzer_sys::fuzz_target;
use tower_bearer::Origin;
use tower_bearer::fuzzing::allows;
use url::{Host, Url};

fuzz_target!(|input: &str| {
    let (origin_text, uri_text) = input.split_once('\n').unwrap_or((input, input));
    let Ok(origin) = Origin::new_insecure_http(origin_text) else {
        assert!(Origin::new(origin_text).is_err());
        return;
    };
    assert!(!origin_text.contains(['@', '?', '#', '\\', '%', ' ', '\t']));
    let rest = origin_text.split_once("://").unwrap().1;
    assert!(!rest.strip_suffix('/').unwrap_or(rest).contains('/'));
    let uri: Uri = origin_text.parse().unwrap();
    let (scheme, host, port) = parts(&uri).expect("an origin has a scheme and a port");
    assert_eq!(origin.to_string(), format!("{scheme}://{host}:{port}"));
    assert_eq!(
        Origin::new_insecure_http(&origin.to_string()),
        Ok(origin.clone())
    );
    assert!(allows(&origin, &uri));
    assert_eq!(
        Origin::new(origin_text).is_ok(),
        scheme == "https" || is_local(&host)
    );
    agree(&uri, origin_text);

    let Ok(uri) = uri_text.parse::<Uri>() else {
        return;
    };
    let is_same = parts(&uri) == Some((scheme, host, port));
    assert_eq!(allows(&origin, &uri), is_same, "{origin} {uri}");
    if is_same {
        agree(&uri, uri_text);
    }
    if let (true, Ok(one), Ok(other)) = (is_same, Url::parse(origin_text), Url::parse(uri_text)) {
        assert_eq!(one.origin(), other.origin());
    }
});

/// Taken apart by hand.
fn parts(uri: &Uri) -> Option<(String, String, u16)> {
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let default = match &*scheme {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let authority = uri.authority()?.as_str();
    let place = authority.rsplit('@').next()?;
    let end_of_host = place.rfind(']').unwrap_or(0);
    let (host, port) = match place[end_of_host..].find(':') {
        Some(colon) => {
            let (host, port) = place.split_at(end_of_host + colon);
            (host, &port[1..])
        }
        None => (place, ""),
    };
    let port = match port {
        "" => default,
        port if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().ok()?,
        _ => return None,
    };
    Some((scheme, host.to_ascii_lowercase(), port))
}

fn is_local(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let address = address.parse::<IpAddr>().ok();
    host == "localhost" || address.is_some_and(|address| address.is_loopback())
}

/// `url` refuses some hosts and spells others in another way. Where it keeps the spelling, it agrees.
fn agree(uri: &Uri, text: &str) {
    let (Some((scheme, host, port)), Ok(url)) = (parts(uri), Url::parse(text)) else {
        return;
    };
    assert_eq!(url.scheme(), scheme);
    assert_eq!(url.port_or_known_default(), Some(port), "{text}");
    match url.host() {
        Some(Host::Domain(domain)) => assert_eq!(domain, host, "{text}"),
        Some(Host::Ipv4(address)) => {
            // `127.1` and `0x7f000001` are addresses to `url` alone. They are no loopback to us.
            let ours = host.parse().ok();
            assert!(ours == Some(address) || !is_local(&host), "{text}");
        }
        Some(Host::Ipv6(address)) => {
            let ours = host.trim_matches(['[', ']']).parse().ok();
            assert_eq!(ours, Some(address), "{text}");
        }
        None => panic!("{text}: no host"),
    }
}
