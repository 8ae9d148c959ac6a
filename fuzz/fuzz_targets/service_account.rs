//! Whatever a key file of Google's says, no error quotes it, and whatever is given as a key or a certificate
//! is one or refused. The input is the file, in which `KEY` stands for a private key.

#![no_main]

use std::error::Error;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tower_bearer::oauth2::jwt::{GoogleServiceAccount, JwsAlgorithm, JwsHeader, SigningKey};

const PEM: &str = include_str!("../../tests/assertion_keys/TEST_ONLY_rsa_pkcs8.pem");

fuzz_target!(|input: &[u8]| {
    // None is as short as what a fuzzer finds.
    if let Err(error) = SigningKey::from_der(input, JwsAlgorithm::Rs256) {
        quotes_nothing(&error);
    }
    for certificate in [
        JwsHeader::new(JwsAlgorithm::Rs256).with_certificate(input),
        JwsHeader::new(JwsAlgorithm::Rs256).with_certificate_sha1(input),
    ] {
        if let Err(error) = certificate {
            quotes_nothing(&error);
        }
    }

    let Ok(text) = std::str::from_utf8(input) else {
        assert!(GoogleServiceAccount::from_json(input).is_err());
        return;
    };
    let file = text.replace("KEY", &PEM.replace('\n', "\\n"));
    match GoogleServiceAccount::from_json(&file) {
        Ok(account) => {
            let email = account.email();
            let shown = format!("GoogleServiceAccount {{ email: {email:?}, .. }}");
            assert_eq!(format!("{account:?}"), shown);
            // A byte order mark is passed over, and white space on either side of it.
            let file = file.trim_ascii_start();
            let file = file.strip_prefix('\u{FEFF}').unwrap_or(file);
            let file: Value = serde_json::from_str(file).unwrap();
            assert_eq!(file["client_email"], account.email());
            if let Some(uri) = file["token_uri"].as_str().filter(|uri| !uri.is_empty()) {
                assert_eq!(uri, account.token_uri());
            }
            let _builder = account.builder();
        }
        Err(error) => quotes_nothing(&error),
    }
});

/// There is no text in it that is not ours, so it has few lengths.
fn quotes_nothing(error: &(dyn Error + 'static)) {
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        assert!(text.starts_with("invalid "), "{text}");
        assert!(text.is_ascii() || text.contains('§'), "{text}");
        assert!(
            text.len() < 400 && format!("{error:?}").len() < 200,
            "{error:?}"
        );
        next = error.source();
    }
}
