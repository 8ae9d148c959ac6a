//! How long a token lives that is a JWT (RFC 7519) and whose issuer did not say.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

/// `exp - iat`: by the issuer's clock alone, so that a wrong local one does not matter.
///
/// The signature is not verified: the token comes from the issuer, over TLS, and nothing but its lifetime
/// is read. `None` if it is no JWT, lacks a claim, or says that it ended before it began.
pub(crate) fn lifetime(token: &str) -> Option<Duration> {
    let mut parts = token.split('.');
    let (_header, claims) = (parts.next()?, parts.next()?);
    // A signed JWT has three parts; an encrypted one has five, and nothing to be read.
    if parts.count() != 1 {
        return None;
    }
    // Padding is against RFC 7515 §2, and harmless.
    let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    let claims = Zeroizing::new(claims);
    let claims: BTreeMap<String, &RawValue> = serde_json::from_slice(&claims).ok()?;
    // NumericDate (RFC 7519 §2): seconds, with a fraction or without.
    let claim = |name| serde_json::from_str::<f64>(claims.get(name)?.get()).ok();
    let lifetime = claim("exp")? - claim("iat")?;
    if lifetime > 0.0 {
        Duration::try_from_secs_f64(lifetime).ok()
    } else {
        None
    }
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
