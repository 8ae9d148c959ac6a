//! Tokens from environment variables.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use tower_bearer::provider::{EnvToken, EnvTokenError};
use tower_bearer::{FetchContext, FetchError, FetchErrorKind, TokenCache, TokenProvider};

use self::support::now;

#[allow(dead_code)] // It is made for the cache.
#[path = "cache/support.rs"]
mod support;

#[test]
fn a_variable_that_is_not_set_is_an_error_that_names_it() {
    let cache = TokenCache::new(EnvToken::new("TOKEN_THAT_IS_NOT_SET"));
    let error = now(cache.token()).unwrap_err();

    assert_eq!(error.kind(), FetchErrorKind::Denied);
    assert_eq!(
        error.to_string(),
        "no access token: there is none where it is kept on this machine"
    );
    let source = std::error::Error::source(&error).unwrap();
    assert!(source.is::<EnvTokenError>());
    assert_eq!(
        source.to_string(),
        r#"environment variable "TOKEN_THAT_IS_NOT_SET" is not set"#
    );
}

#[test]
fn a_name_that_no_variable_can_have_is_an_error_and_no_panic() {
    for name in ["", "a=b", "a\0b"] {
        let provider = EnvToken::new(name);
        let error = now(provider.fetch_token(FetchContext::default())).unwrap_err();
        let error = error.downcast_ref::<FetchError>().unwrap();
        assert_eq!(error.kind(), FetchErrorKind::Denied);
    }
}

const VARIABLE: &str = "TOKEN_OF_THE_INNER_TEST";

/// To set a variable of this process is unsafe, so another process of this test reads it.
#[test]
fn the_token_is_the_value_of_the_variable_without_white_space() {
    if let Some(expected) = std::env::var_os("EXPECTED_BY_THE_INNER_TEST") {
        let cache = TokenCache::new(EnvToken::new(VARIABLE));
        let token = now(cache.token()).unwrap();
        assert_eq!(token.expose_secret(), expected.to_str().unwrap());
        // It is read again, and is the same.
        cache.invalidate(&token);
        assert_eq!(now(cache.token()).unwrap(), token);
        return;
    }
    let run = |value: &str| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "the_token_is_the_value_of_the_variable_without_white_space",
            ])
            .env(VARIABLE, value)
            .env("EXPECTED_BY_THE_INNER_TEST", "abc")
            .output();
        let output = output.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("running 1 test"), "{text}");
        output.status.success()
    };
    assert!(run("abc"));
    assert!(run(" abc\n"));
    assert!(!run("other"));
    assert!(!run(""));
}
