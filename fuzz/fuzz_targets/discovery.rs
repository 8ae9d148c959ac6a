//! Whatever metadata says, a token endpoint is one that the `url` crate too sees on the issuer's origin, and
//! an error quotes a URL at most. The input is a metadata document.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tower_bearer::fuzzing::{Discovered, discovered};
use tower_bearer::oauth2::TokenEndpointErrorKind;
use url::Url;

const ISSUER: &str = "https://id.example.com/tenant";

fuzz_target!(|document: &[u8]| {
    let without = discovered(ISSUER, document, false);
    let with = discovered(ISSUER, document, true);
    for found in [without, with] {
        match found {
            Ok(found) => may_be_asked(&found, document),
            Err(error) => {
                let text = format!("{error} {error:?}");
                assert!(text.len() < 2048, "{text}");
                assert!(!text.contains(char::is_control), "{text:?}");
                assert!(error.error_description().is_none() && error.text().is_none());
                assert_ne!(error.kind(), TokenEndpointErrorKind::Rejected);
            }
        }
    }
});

fn may_be_asked(found: &Discovered, document: &[u8]) {
    let issuer = Url::parse(ISSUER).unwrap();
    let url = Url::parse(&found.uri).expect("a URL");
    assert_eq!(url.origin(), issuer.origin(), "{found:?}");
    assert_eq!((url.username(), url.password()), ("", None));
    assert_eq!(url.fragment(), None);
    assert_eq!(found.audience, ISSUER);
    assert!(found.name.len() <= 512 && !found.name.contains(char::is_control));
    assert!(found.uri.starts_with(&found.name), "{found:?}");

    let document = std::str::from_utf8(document).unwrap();
    let document = document.trim_ascii_start();
    let document = document.strip_prefix('\u{FEFF}').unwrap_or(document);
    let document: Value = serde_json::from_str(document).expect("JSON");
    assert_eq!(document["issuer"], ISSUER);
}
