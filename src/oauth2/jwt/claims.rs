use std::time::SystemTime;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::assertion::{JwtAssertion, Subject};
use crate::error::BoxError;
use crate::oauth2::client::AssertionContext;

impl JwtAssertion {
    /// What an assertion says that is made now.
    pub(super) fn claims(
        &self,
        cx: &AssertionContext,
        now: SystemTime,
        id: &str,
    ) -> Result<Map<String, Value>, BoxError> {
        let issuer = self.issuer.as_deref().or(cx.client_id());
        let issuer = issuer.ok_or("no issuer: without a client, `with_issuer` has to name one")?;
        let subject = match &self.subject {
            Subject::Issuer => Some(issuer),
            Subject::Fixed(subject) => Some(&**subject),
            Subject::None => None,
        };
        let tenant = cx.token_request().tenant();
        let tenant = tenant.filter(|_| self.tenant_as_subject);
        let now = now.duration_since(SystemTime::UNIX_EPOCH);
        let now = now.map_err(|_| "the clock of this machine is before 1970")?;
        let lifetime = self.lifetime.as_secs().max(1);
        // Else a short one would have ended before it is sent.
        let backdating = self.backdating.as_secs().min(lifetime / 2);
        let issued_at = now.as_secs().saturating_sub(backdating);
        let expires_at = issued_at.saturating_add(lifetime);

        let mut claims = Map::new();
        claims.insert("iss".to_owned(), issuer.into());
        if let Some(subject) = subject {
            claims.insert("sub".to_owned(), subject.into());
        }
        claims.insert("aud".to_owned(), cx.audience().into());
        claims.insert("iat".to_owned(), issued_at.into());
        claims.insert("exp".to_owned(), expires_at.into());
        if self.not_before {
            claims.insert("nbf".to_owned(), issued_at.into());
        }
        claims.insert("jti".to_owned(), id.into());
        claims.extend(self.claims.clone());
        // Last, since it is by these that the token is kept: nobody gets one for another user or scope.
        if let Some(tenant) = tenant {
            claims.insert("sub".to_owned(), tenant.into());
        }
        let scopes: Vec<_> = cx.token_request().scopes().collect();
        if self.scope_claim && !scopes.is_empty() {
            claims.insert("scope".to_owned(), scopes.join(" ").into());
        }
        Ok(claims)
    }
}

/// 128 random bits.
pub(super) fn random_id() -> Result<String, BoxError> {
    let mut bits = [0; 16];
    rand::fill(&mut bits)?;
    Ok(URL_SAFE_NO_PAD.encode(bits))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::provider::TokenRequest;

    const NOW: u64 = 1_700_000_000;

    fn claims_at(assertion: &JwtAssertion, now: SystemTime) -> Result<Value, String> {
        let wanted = TokenRequest::default().with_scope("b a").with_tenant("t");
        let (audience, url) = (
            "https://id.example/".into(),
            "https://id.example/token".into(),
        );
        let cx = AssertionContext::new(Some("me".into()), audience, url, wanted);
        let claims = assertion.claims(&cx, now, "id");
        claims.map(Value::Object).map_err(|error| error.to_string())
    }

    fn claims(assertion: JwtAssertion) -> Value {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(NOW * 1000 + 999);
        claims_at(&assertion, now).unwrap()
    }

    #[test]
    fn a_client_is_issuer_and_subject_for_a_minute() {
        assert_eq!(
            claims(JwtAssertion::new()),
            json!({
                "iss": "me", "sub": "me", "aud": "https://id.example/", "jti": "id",
                "iat": NOW - 10, "exp": NOW + 50,
            })
        );
    }

    #[test]
    fn whatever_is_set_is_said() {
        let assertion = JwtAssertion::new()
            .with_issuer("i")
            .with_subject("s")
            .with_scope_claim()
            .with_not_before()
            .with_backdating(Duration::ZERO)
            .with_lifetime(Duration::from_millis(299_999))
            .with_claim("aud", json!(["a"]))
            .with_claim("n", 7);
        assert_eq!(
            claims(assertion),
            json!({
                "iss": "i", "sub": "s", "aud": ["a"], "jti": "id", "scope": "a b", "n": 7,
                "iat": NOW, "nbf": NOW, "exp": NOW + 299,
            })
        );
    }

    #[test]
    fn the_subject_is_whom_it_was_set_to() {
        let subject = |assertion| claims(assertion)["sub"].clone();

        assert_eq!(subject(JwtAssertion::new().with_tenant_as_subject()), "t");
        assert_eq!(subject(JwtAssertion::new().with_subject("s")), "s");
        assert_eq!(subject(JwtAssertion::new().with_issuer("i")), "i");
        assert_eq!(subject(JwtAssertion::new().without_subject()), Value::Null);
    }

    #[test]
    fn a_claim_does_not_replace_what_the_token_is_kept_by() {
        let assertion = JwtAssertion::new()
            .with_claim("sub", "other")
            .with_claim("scope", ["other"]);
        let both = |assertion| {
            let claims = claims(assertion);
            (claims["sub"].clone(), claims["scope"].clone())
        };
        let other = (json!("other"), json!(["other"]));
        assert_eq!(both(assertion.clone()), other);
        let inside = assertion.with_tenant_as_subject().with_scope_claim();
        assert_eq!(both(inside.clone()), (json!("t"), json!("a b")));

        // Where the request says neither, it is what was set for all of them.
        let cx = AssertionContext::new(None, "a".into(), "a".into(), TokenRequest::default());
        let inside = inside.with_issuer("i");
        let claims = inside.claims(&cx, SystemTime::now(), "id").unwrap();
        assert_eq!((claims["sub"].clone(), claims["scope"].clone()), other);
    }

    #[test]
    fn a_short_one_has_half_of_its_lifetime_left() {
        let lifetime = |seconds| {
            let lifetime = Duration::from_secs(seconds);
            let claims = claims(JwtAssertion::new().with_lifetime(lifetime));
            (claims["iat"].as_u64(), claims["exp"].as_u64())
        };
        assert_eq!(lifetime(20), (Some(NOW - 10), Some(NOW + 10)));
        assert_eq!(lifetime(5), (Some(NOW - 2), Some(NOW + 3)));
        assert_eq!(lifetime(1), (Some(NOW), Some(NOW + 1)));
    }

    #[test]
    fn no_lifetime_and_no_clock_makes_nonsense() {
        let times = |assertion: &JwtAssertion, now| {
            let claims = claims_at(assertion, now)?;
            Ok::<_, String>((claims["iat"].as_u64(), claims["exp"].as_u64()))
        };
        let epoch = SystemTime::UNIX_EPOCH;
        let nothing = JwtAssertion::new().with_lifetime(Duration::ZERO);
        let forever = JwtAssertion::new()
            .with_lifetime(Duration::MAX)
            .with_backdating(Duration::MAX);

        assert_eq!(times(&nothing, epoch), Ok((Some(0), Some(1))));
        assert_eq!(times(&forever, epoch), Ok((Some(0), Some(u64::MAX))));
        let before = epoch - Duration::from_secs(1);
        assert_eq!(
            times(&nothing, before).unwrap_err(),
            "the clock of this machine is before 1970"
        );
    }
}
