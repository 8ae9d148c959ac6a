//! Nothing that we print holds a secret.

use std::error::Error;
use std::fmt::Debug;

use http::{HeaderName, HeaderValue};
use tower_bearer::provider::StaticToken;
use tower_bearer::testing::Secrets;
use tower_bearer::{
    AccessToken, BoxTokenProvider, FetchContext, FetchError, TokenCache, TokenRequest, token_fn,
};

use crate::support::{at_once, now};

const SECRET: &str = "hunter2";

#[track_caller]
fn assert_hidden(value: &dyn Debug) {
    Secrets::new([SECRET]).assert_absent_from_debug(value);
}

fn request() -> TokenRequest {
    TokenRequest::default()
        .with_scope(SECRET)
        .with_resource(SECRET)
        .with_audience(SECRET)
        .with_tenant(SECRET)
        .with_parameter(SECRET, SECRET)
}

fn secret() -> AccessToken {
    let mut header = HeaderValue::from_static(SECRET);
    header.set_sensitive(true);
    AccessToken::new(SECRET)
        .expect("visible ASCII")
        .with_header(HeaderName::from_static("x-client-secret"), header)
}

#[test]
fn what_is_printed_of_tokens_requests_providers_and_caches_holds_no_secret() {
    let captured = String::from(SECRET);
    let provider = token_fn(move |_| {
        let token = AccessToken::new(&captured);
        async move { Ok(token?) }
    });
    let builder = TokenCache::builder(token_fn(|_| async { Ok(secret()) }));
    assert_hidden(&builder);
    let cache = builder.build().for_request(&request());
    now(cache.token()).unwrap();

    assert_hidden(&cache);
    assert_hidden(&cache.cached());
    assert_hidden(&secret().headers());
    assert_hidden(&request());
    assert_hidden(&FetchContext::new(request()).with_rejected_token(secret()));
    assert_hidden(&StaticToken::new(secret()));
    assert_hidden(&provider);
    assert_hidden(&BoxTokenProvider::new(provider));
    assert_hidden(&AccessToken::new("hunter2\n").unwrap_err());
}

#[test]
fn a_failed_fetch_is_described_without_the_words_of_who_failed() {
    type Make = fn() -> tower_bearer::error::BoxError;
    let errors: [Make; 5] = [
        || SECRET.into(),
        || FetchError::unavailable(SECRET).into(),
        || FetchError::denied(SECRET).into(),
        || FetchError::invalid_request(SECRET).into(),
        || FetchError::unavailable(FetchError::denied(SECRET)).into(),
    ];
    for make in errors {
        let (provider, _) = at_once(move |_, _| Err(make()));
        let cache = TokenCache::new(provider);
        let error = now(cache.token()).unwrap_err();

        assert_hidden(&error);
        Secrets::new([SECRET]).assert_absent_from_display(&error);
        // Who wants those words asks for them.
        let mut last: &dyn Error = &error;
        while let Some(source) = last.source() {
            last = source;
        }
        assert_eq!(last.to_string(), SECRET);
    }
}
