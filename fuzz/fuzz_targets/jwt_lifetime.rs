//! What a JWT says of its lifetime is the difference of its claims, or nothing.

#![no_main]

use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use tower_bearer::fuzzing::jwt_lifetime;

#[derive(Arbitrary, Debug)]
enum Token<'a> {
    Text(&'a str),
    /// Three parts, of which this is the second.
    Claims(&'a str),
    /// Claims that make sense.
    Numbers {
        exp: i64,
        iat: Claim,
    },
}

#[derive(Arbitrary, Debug)]
enum Claim {
    Missing,
    Text(String),
    Seconds(i64),
    Fraction(i32),
}

fuzz_target!(|input: (Token<'_>, Option<u32>)| {
    let (token, date) = input;
    let date = date.map(u64::from);
    let lifetime = |token: &str| {
        let date = date.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
        let lifetime = jwt_lifetime(token, date);
        assert_ne!(lifetime, Some(Duration::ZERO));
        lifetime
    };
    match token {
        Token::Text(text) => drop(lifetime(text)),
        Token::Claims(claims) => drop(lifetime(&jwt(claims))),
        Token::Numbers { exp, iat } => {
            let (value, iat) = match iat {
                Claim::Missing => (Value::Null, None),
                Claim::Text(text) => (text.into(), None),
                Claim::Seconds(iat) => (iat.into(), Some(iat as f64)),
                Claim::Fraction(iat) => (json!(f64::from(iat) / 4.0), Some(f64::from(iat) / 4.0)),
            };
            let exp_seconds = exp as f64;
            let begins = [iat, date.map(|date| date as f64)];
            // Neither in milliseconds nor for more than a year.
            let expected = begins
                .into_iter()
                .flatten()
                .map(|begin| exp_seconds - begin)
                .find(|lifetime| *lifetime > 0.0 && *lifetime <= 366.0 * 86_400.0)
                .filter(|_| exp_seconds < 1e11);

            let claims = json!({ "exp": exp, "iat": value }).to_string();
            let lifetime = lifetime(&jwt(&claims)).map(|lifetime| lifetime.as_secs_f64());
            assert_eq!(lifetime, expected, "{claims} {date:?}");
        }
    }
});

fn jwt(claims: &str) -> String {
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
}
