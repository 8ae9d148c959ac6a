//! How long a token lives that is a JWT (RFC 7519) and whose issuer did not say.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// Whether a text is a signed JWT in its compact form: a header that names an algorithm (RFC 7515
/// §4.1.1), claims and a signature.
pub(crate) fn is_signed(text: &str) -> bool {
    parts(text).is_some_and(|[header, claims]| {
        object(header).is_some_and(|header| header.contains_key("alg")) && object(claims).is_some()
    })
}

/// `exp - iat`: by the issuer's clock alone, so that a wrong local one does not matter.
///
/// The signature is not verified: the token comes from the issuer, over TLS, and nothing but its lifetime
/// is read. `None` if it is no JWT, lacks a claim, or says that it ended before it began.
pub(crate) fn lifetime(token: &str) -> Option<Duration> {
    let claims = object(parts(token)?[1])?;
    let lifetime = claims.get("exp")?.as_f64()? - claims.get("iat")?.as_f64()?;
    if lifetime > 0.0 {
        Duration::try_from_secs_f64(lifetime).ok()
    } else {
        None
    }
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
        lifetime(&jwt(claims))
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
        assert_eq!(lifetime(&token), Some(Duration::from_secs(10)));
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
            assert_eq!(lifetime(token), None, "{token}");
        }
    }
}
