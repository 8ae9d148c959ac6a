//! What an assertion that authenticates a client says.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tower_bearer::oauth2::Assertion;
use tower_bearer::oauth2::jwt::JwsAlgorithm;

use super::interop_support::keys::{KEY_ID, Key};
use super::sent::{ISSUER, Sent, ours, theirs};
use super::{client, texts, wish};

/// How WebCrypto calls it.
fn webcrypto(algorithm: JwsAlgorithm) -> Value {
    match algorithm.as_str() {
        "RS256" => json!({ "name": "RSASSA-PKCS1-v1_5", "hash": "SHA-256" }),
        "PS512" => json!({ "name": "RSA-PSS", "hash": "SHA-512" }),
        "ES384" => json!({ "name": "ECDSA", "namedCurve": "P-384" }),
        "Ed25519" => json!({ "name": "Ed25519" }),
        other => panic!("{other} is not among those"),
    }
}

/// Header and claims.
fn read(sent: &Sent) -> (Value, Value) {
    let assertion = sent.parameter("client_assertion");
    let parts: Vec<_> = assertion.split('.').collect();
    let [header, claims, signature] = parts[..] else {
        panic!("not three parts: {assertion}");
    };
    assert!(URL_SAFE_NO_PAD.decode(signature).unwrap().len() >= 32);
    let json = |part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    (json(header), json(claims))
}

fn assert_same_assertion(ours: &Sent, theirs: &Sent) {
    ours.assert_same_but_for(&["client_assertion"], theirs);
    let ((mut our_header, mut ours), (their_header, mut theirs)) = (read(ours), read(theirs));

    // They leave out the type, which RFC 7515 §4.1.9 leaves to the application; RFC 7523 names none.
    assert_eq!(take(&mut our_header, "typ"), "JWT");
    assert_eq!(our_header, their_header);

    // Fresh each time, and nobody can guess it: theirs has 256 bits, ours 128.
    let (our_id, their_id) = (take(&mut ours, "jti"), take(&mut theirs, "jti"));
    assert_ne!(our_id, their_id);
    let our_id = URL_SAFE_NO_PAD.decode(our_id.as_str().unwrap()).unwrap();
    assert_eq!(our_id.len(), 16);

    // Both end a minute after `iat`. Theirs is now, ours ten seconds before, for servers whose clock is
    // behind; between the two are the seconds that this test took.
    let mut times = |name| {
        let (ours, theirs) = (take(&mut ours, name), take(&mut theirs, name));
        (ours.as_u64(), theirs.as_u64().unwrap())
    };
    let ((our_start, their_start), (our_end, their_end)) = (times("iat"), times("exp"));
    let our_start = our_start.unwrap();
    assert_eq!(
        (our_end.unwrap() - our_start, their_end - their_start),
        (60, 60)
    );
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(
        (their_start - 10..=now - 10).contains(&our_start),
        "{our_start} {their_start} {now}"
    );
    // Optional (RFC 7523 §3, item 5), and theirs says nothing that `iat` does not.
    assert_eq!(times("nbf"), (None, their_start));

    // The client twice, and whom it is for: one text.
    assert_eq!(ours, theirs);
}

fn take(object: &mut Value, name: &str) -> Value {
    let value = object.as_object_mut().unwrap().remove(name);
    value.unwrap_or_default()
}

#[tokio::test]
async fn private_key_jwt_says_the_same() {
    for algorithm in [
        JwsAlgorithm::Rs256,
        JwsAlgorithm::Ps512,
        JwsAlgorithm::Es384,
        JwsAlgorithm::Ed25519,
    ] {
        let key = Key::new(algorithm);
        let texts = &texts()[..30];
        let wishes = texts.iter().map(|id| {
            let mut wish = wish("private_key_jwt", id, "unused");
            wish["private_key"] = json!({
                "pkcs8": STANDARD.encode(&key.pkcs8),
                "algorithm": webcrypto(algorithm),
                "kid": KEY_ID,
            });
            wish
        });
        let theirs = or_skip!(theirs(wishes.collect()));

        let mut ids = HashSet::new();
        for (id, theirs) in texts.iter().zip(theirs) {
            // Theirs is for the issuer in any case, as is ours where the token endpoint was discovered.
            let assertion = Assertion::signed_by(key.signing()).with_audience(ISSUER);
            let ours = ours(client(id, assertion)).await;
            assert_same_assertion(&ours, &theirs);
            let (header, claims) = read(&ours);
            assert!(ids.insert(claims["jti"].to_string()), "used before");
            assert_eq!(header["alg"], algorithm.as_str());
            assert_eq!(
                (&claims["iss"], &claims["aud"]),
                (&json!(id), &json!(ISSUER))
            );
        }
    }
}

#[tokio::test]
async fn client_secret_jwt_says_the_same() {
    let texts = texts();
    let secret = |text: &str| format!("{text}, and with this long enough to sign");
    let wishes = texts.iter();
    let wishes = wishes.map(|text| wish("client_secret_jwt", text, &secret(text)));
    let theirs = or_skip!(theirs(wishes.collect()));

    for (text, theirs) in texts.iter().zip(theirs) {
        let assertion = Assertion::client_secret_jwt(secret(text), JwsAlgorithm::Hs256);
        let assertion = assertion.unwrap().with_audience(ISSUER);
        assert_same_assertion(&ours(client(text, assertion)).await, &theirs);
    }
}
