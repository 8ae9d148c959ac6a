use std::future::pending;

use http::header::{ACCEPT, COOKIE};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::error::BoxError;
use crate::provider::{TokenProvider, token_fn};
use crate::token::AccessToken;

/// Of a property. Miri takes its time.
pub(crate) const CASES: u32 = if cfg!(miri) { 1 } else { 512 };

/// Each header of a map with its name, as one goes through it.
pub(crate) fn listed(headers: &HeaderMap) -> Vec<(&str, &[u8], bool)> {
    let listed = headers.iter();
    let listed =
        listed.map(|(name, value)| (name.as_str(), value.as_bytes(), value.is_sensitive()));
    listed.collect()
}

#[derive(Clone, Debug)]
enum Op {
    Append(HeaderName, HeaderValue),
    Insert(HeaderName, HeaderValue),
    // Which moves another to its place.
    Remove(HeaderName),
}

fn name() -> impl Strategy<Value = HeaderName> {
    prop_oneof![
        3 => Just(AUTHORIZATION),
        1 => Just(ACCEPT),
        1 => Just(COOKIE),
        8 => "x-[a-z]{1,2}".prop_map(|name| name.parse().unwrap()),
    ]
}

fn value() -> impl Strategy<Value = HeaderValue> {
    ("[ -~]{0,8}", any::<bool>()).prop_map(|(text, is_sensitive)| {
        let mut value = HeaderValue::from_str(&text).unwrap();
        value.set_sensitive(is_sensitive);
        value
    })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (name(), value()).prop_map(|(name, value)| Op::Append(name, value)),
        2 => (name(), value()).prop_map(|(name, value)| Op::Insert(name, value)),
        1 => name().prop_map(Op::Remove),
    ]
}

/// A map with a history.
pub(crate) fn headers() -> impl Strategy<Value = HeaderMap> {
    vec(op(), 0..40).prop_map(|ops| {
        let mut headers = HeaderMap::new();
        for op in ops {
            match op {
                Op::Append(name, value) => drop(headers.append(name, value)),
                Op::Insert(name, value) => drop(headers.insert(name, value)),
                Op::Remove(name) => drop(headers.remove(name)),
            }
        }
        headers
    })
}

fn config() -> Config<impl TokenProvider> {
    Config {
        cache: TokenCache::new(token_fn(|_| pending::<Result<AccessToken, BoxError>>())),
        origins: Origins::every_https(),
        headers: Vec::new(),
        refuse_other_origins: false,
        require_token_request: false,
        choose_token: None,
        is_rejection: None,
        replace_authorization: false,
    }
}

fn ours() -> HeaderValue {
    AccessToken::new("ours").unwrap().header_value().clone()
}

fn all_of(headers: &HeaderMap) -> Vec<&HeaderValue> {
    headers.get_all(AUTHORIZATION).iter().collect()
}

/// Puts our token on a request with these headers, and looks at what becomes of them.
fn assert_put(before: &HeaderMap) {
    let mut config = config();
    let mut after = before.clone();
    let has_its_own = before.contains_key(AUTHORIZATION);
    assert_eq!(config.leaves_alone(before), has_its_own);

    assert_eq!(config.put_token(&mut after, ours()), !has_its_own);

    if has_its_own {
        assert_eq!(after, *before);
        assert_eq!(listed(&after), listed(before));
        assert_eq!(after.keys_len(), before.keys_len());
    } else {
        assert_eq!(all_of(&after), [ours()]);
        assert!(after[AUTHORIZATION].is_sensitive());
        after.remove(AUTHORIZATION);
        assert_eq!(after, *before);
    }

    config.replace_authorization = true;
    let mut after = before.clone();
    assert!(config.put_token(&mut after, ours()));
    assert_eq!(all_of(&after), [ours()]);
    assert!(after[AUTHORIZATION].is_sensitive());
    let others = |headers: &HeaderMap| {
        let mut headers = headers.clone();
        headers.remove(AUTHORIZATION);
        headers
    };
    assert_eq!(others(&after), others(before));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn a_token_is_put_where_there_is_none_and_else_all_is_as_it_was(headers in headers()) {
        assert_put(&headers);
    }
}

#[test]
fn a_callers_own_authorization_may_stand_anywhere_and_have_several_values() {
    for (at, values) in [(0, 1), (0, 2), (1, 1), (1, 3), (2, 1), (2, 2)] {
        let mut headers = HeaderMap::new();
        for place in 0..3 {
            if place == at {
                for value in 0..values {
                    headers.append(AUTHORIZATION, HeaderValue::from(value));
                }
            }
            headers.append(HeaderName::from_static("x-many"), place.into());
            headers.append(["x-a", "x-b", "x-c"][place as usize], place.into());
        }
        assert_put(&headers);
    }
}

/// Of no name there are two values, so that ours takes the place of the caller's for a moment.
#[test]
fn also_among_headers_of_which_none_is_repeated() {
    for at in 0..4 {
        let mut headers = HeaderMap::new();
        for (place, name) in ["x-a", "x-b", "x-c", "x-d"].into_iter().enumerate() {
            if place == at {
                headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer own"));
            }
            headers.insert(name, HeaderValue::from(place));
        }
        assert_put(&headers);
    }
}

/// For which a map has to grow several times.
#[test]
fn also_among_hundreds_of_headers() {
    let mut headers = HeaderMap::new();
    let count: u32 = if cfg!(miri) { 30 } else { 3000 };
    for number in 0..count {
        if number % 1000 == 10 {
            headers.append(AUTHORIZATION, HeaderValue::from(number));
        }
        let name = HeaderName::from_bytes(format!("x-{}", number / 2).as_bytes());
        headers.append(name.unwrap(), HeaderValue::from(number));
    }
    assert_put(&headers);
}

#[test]
fn a_map_that_can_hold_no_more_is_left_alone_too_if_it_brings_its_own() {
    const MOST: usize = if cfg!(miri) { 96 } else { 24_576 };

    let mut headers = HeaderMap::with_capacity(MOST);
    headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer own"));
    for number in 1..MOST {
        let name = HeaderName::from_bytes(format!("x-{number}").as_bytes());
        headers.insert(name.unwrap(), HeaderValue::from_static("1"));
    }
    let before = headers.clone();

    assert!(!config().put_token(&mut headers, ours()));
    assert_eq!(headers, before);
}
