//! A token is visible ASCII, goes on the wire as it is, and is shown nowhere else.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tower_bearer::AccessToken;

fuzz_target!(|text: &str| {
    let wrong = text.bytes().position(|byte| !matches!(byte, 0x21..=0x7e));
    match AccessToken::new(text) {
        Ok(token) => {
            assert!(wrong.is_none() && !text.is_empty());
            let value = token.header_value();
            assert_eq!(value.as_bytes(), format!("Bearer {text}").as_bytes());
            assert!(value.is_sensitive());
            assert_eq!(token.expose_secret(), text);
            assert_eq!(AccessToken::new(text).unwrap(), token);
            // The same for every token.
            let other = AccessToken::new("other").unwrap();
            assert_eq!(format!("{token:?}"), format!("{other:?}"));
        }
        Err(error) => {
            assert!(wrong.is_some() || text.is_empty());
            // The same for every text that is wrong at this place.
            let other = wrong.map_or(String::new(), |at| "x".repeat(at) + "\n");
            let other = AccessToken::new(&other).unwrap_err();
            assert_eq!(format!("{error} {error:?}"), format!("{other} {other:?}"));
        }
    }
});
