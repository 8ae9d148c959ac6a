//! How long a token lives that is a JWT (RFC 7519) and whose issuer did not say.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// An `exp` from here on, which is the year 5138, was counted in milliseconds, against RFC 7519 §2.
const MILLISECONDS: f64 = 1e11;

/// What lives longer has an `iat` that is none.
pub(crate) const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Whether a text is a signed JWT in its compact form: a header that names an algorithm (RFC 7515
/// §4.1.1), claims and a signature.
pub(crate) fn is_signed(text: &str) -> bool {
    parts(text).is_some_and(|[header, claims]| {
        object(header).is_some_and(|header| header.contains_key("alg")) && object(claims).is_some()
    })
}

/// `exp - iat`: by the issuer's clock alone, so that a wrong local one does not matter.
///
/// Without an `iat` that lies before `exp`, `exp` less the `date` of the answer, which is the issuer's clock
/// too, or that of what stands before it. `None` if it is no JWT, lacks a claim, or says that it ended
/// before it began.
///
/// The signature is not verified: the token comes from the issuer, over TLS, and nothing but its lifetime
/// is read.
pub(crate) fn of_jwt(token: &str, date: Option<SystemTime>) -> Option<Duration> {
    let claims = object(parts(token)?[1])?;
    let claim = |name| claims.get(name).and_then(Value::as_f64);
    let end = claim("exp").filter(|end| *end < MILLISECONDS)?;
    let date = date.and_then(|date| date.duration_since(UNIX_EPOCH).ok());
    let begins = [claim("iat"), date.map(|date| date.as_secs_f64())];
    begins
        .into_iter()
        .flatten()
        .filter_map(|begin| Duration::try_from_secs_f64(end - begin).ok())
        .find(|lifetime| !lifetime.is_zero() && *lifetime <= LONGEST)
}

/// `exp`, by the issuer's clock.
pub(crate) fn end_of_jwt(token: &str) -> Option<SystemTime> {
    let claims = object(parts(token)?[1])?;
    let end = claims.get("exp").and_then(Value::as_f64);
    let end = end.filter(|end| *end < MILLISECONDS)?;
    UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(end).ok()?)
}

/// Header and claims. A signed JWT has three parts; an encrypted one has five, and nothing to be read.
fn parts(token: &str) -> Option<[&str; 2]> {
    let mut parts = token.split('.');
    let both = [parts.next()?, parts.next()?];
    (parts.count() == 1).then_some(both)
}

fn object(part: &str) -> Option<Map<String, Value>> {
    // Padding is against RFC 7515 §2, and harmless.
    let json = URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&Zeroizing::new(json)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    fn of(claims: &str) -> Option<Duration> {
        of_jwt(&jwt(claims), None)
    }

    #[test]
    fn whole_seconds() {
        let lifetime = of(r#"{"exp":1710223631,"iat":1710220031}"#);
        assert_eq!(lifetime, Some(Duration::from_secs(3600)));
    }

    #[test]
    fn fractional_seconds() {
        let lifetime = of(r#"{"iat":1710220031.583112,"exp":1710223631.577478}"#).unwrap();
        let expected = Duration::from_secs_f64(3599.994366);
        assert!(
            lifetime.abs_diff(expected) < Duration::from_micros(1),
            "{lifetime:?}"
        );
    }

    #[test]
    fn with_padding() {
        let token = jwt(r#"{"exp":20,"iat":10}"#).replace(".c2ln", "==.c2ln");
        assert_eq!(of_jwt(&token, None), Some(Duration::from_secs(10)));
    }

    #[test]
    fn the_date_of_the_answer_stands_in_for_an_iat_that_says_nothing() {
        let at = |seconds, claims: &str| {
            let date = UNIX_EPOCH + Duration::from_secs(seconds);
            of_jwt(&jwt(claims), Some(date))
        };

        let ten = Some(Duration::from_secs(10));
        for claims in [
            r#"{"exp":110}"#,
            r#"{"exp":110,"iat":null}"#,
            r#"{"exp":110,"iat":"100"}"#,
            // Counted in milliseconds.
            r#"{"exp":110,"iat":100000}"#,
            r#"{"exp":110,"iat":110}"#,
        ] {
            assert_eq!(at(100, claims), ten, "{claims}");
        }
        // The issuer's word on when it began counts more.
        assert_eq!(at(105, r#"{"exp":110,"iat":100}"#), ten);
        assert_eq!(at(999, r#"{"exp":110,"iat":100}"#), ten);
        // It has ended by the date, or was counted in milliseconds.
        assert_eq!(at(110, r#"{"exp":110}"#), None);
        assert_eq!(at(999, r#"{"exp":110}"#), None);
        assert_eq!(at(1_710_220_031, r#"{"exp":1710223631577}"#), None);
        assert_eq!(at(100, r#"{"iat":10}"#), None);

        let before_1970 = Some(UNIX_EPOCH - Duration::from_secs(1));
        assert_eq!(of_jwt(&jwt(r#"{"exp":110}"#), before_1970), None);
    }

    #[test]
    fn the_end_is_the_claim_exp_unless_it_is_absurd() {
        let end = |claims: &str| end_of_jwt(&jwt(claims));
        let expected = UNIX_EPOCH + Duration::from_millis(20_500);
        assert_eq!(end(r#"{"exp":20.5,"iat":10}"#), Some(expected));
        for claims in [
            "{}",
            r#"{"exp":"20"}"#,
            r#"{"exp":-1}"#,
            r#"{"exp":1710223631577}"#,
            r#"{"exp":1e300}"#,
        ] {
            assert_eq!(end(claims), None, "{claims}");
        }
        assert_eq!(end_of_jwt("opaque"), None);
    }

    #[test]
    fn absurd_claims_say_nothing() {
        for claims in [
            "{}",
            r#"{"exp":10}"#,
            r#"{"iat":10}"#,
            r#"{"exp":10,"iat":10}"#,
            r#"{"exp":10,"iat":20}"#,
            r#"{"exp":"10","iat":1}"#,
            r#"{"exp":null,"iat":1}"#,
            r#"{"exp":1e308,"iat":-1e308}"#,
            r#"{"exp":1e300,"iat":1}"#,
            r#"{"exp":1710223631,"iat":0}"#,
            r#"{"exp":1710223631577,"iat":1710220031577}"#,
            "[]",
            "\u{0}",
        ] {
            assert_eq!(of(claims), None, "{claims}");
        }
    }

    #[test]
    fn what_is_no_signed_jwt_says_nothing() {
        for token in [
            "",
            ".",
            "..",
            "a.b",
            "a.b.c",
            "a.e30.c.d.e",
            "0ab1",
            "é.é.é",
        ] {
            assert_eq!(of_jwt(token, None), None, "{token}");
        }
    }
}
