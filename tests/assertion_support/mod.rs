//! Test keys, and other implementations than the one under test to check signatures: ring, and p521 for the
//! curve that ring has not.

// Each test binary uses a part of it, and a panic here is a failed test.
#![allow(dead_code, clippy::unwrap_used)]

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use p521::ecdsa::signature::Verifier as _;
use ring::{hmac, signature};
use serde_json::Value;
use tower_bearer::oauth2::jwt::{JwsAlgorithm, SigningKey};

/// A secret that every `HS*` takes.
pub(crate) const SECRET: &str = "hunter2-hunter2-hunter2-hunter2-hunter2-hunter2-hunter2-hunter2-";

macro_rules! test_key {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/assertion_keys/TEST_ONLY_",
            $name,
            ".pem"
        ))
    };
}
#[allow(unused_imports)]
pub(crate) use test_key;

pub(crate) const RSA: &str = test_key!("rsa_pkcs8");
pub(crate) const P256: &str = test_key!("p256_pkcs8");
pub(crate) const P384: &str = test_key!("p384_pkcs8");
pub(crate) const P521: &str = test_key!("p521_pkcs8");
pub(crate) const ED25519: &str = test_key!("ed25519_pkcs8");

/// Every algorithm with a private key, and a key for it.
pub(crate) const PRIVATE: [(JwsAlgorithm, &str); 11] = [
    (JwsAlgorithm::Rs256, RSA),
    (JwsAlgorithm::Rs384, RSA),
    (JwsAlgorithm::Rs512, RSA),
    (JwsAlgorithm::Ps256, RSA),
    (JwsAlgorithm::Ps384, RSA),
    (JwsAlgorithm::Ps512, RSA),
    (JwsAlgorithm::Es256, P256),
    (JwsAlgorithm::Es384, P384),
    (JwsAlgorithm::Es512, P521),
    (JwsAlgorithm::EdDsa, ED25519),
    (JwsAlgorithm::Ed25519, ED25519),
];

pub(crate) const SECRETS: [JwsAlgorithm; 3] = [
    JwsAlgorithm::Hs256,
    JwsAlgorithm::Hs384,
    JwsAlgorithm::Hs512,
];

pub(crate) fn key(pem: &str, algorithm: JwsAlgorithm) -> SigningKey {
    SigningKey::from_pem(pem, algorithm).unwrap()
}

pub(crate) fn hyper() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

/// The only parameter of that name in a form.
pub(crate) fn parameter(form: &str, name: &str) -> Option<String> {
    let pairs = form_urlencoded::parse(form.as_bytes());
    let mut values = pairs.filter(|(key, _)| key == name);
    let value = values.next().map(|(_, value)| value.into_owned());
    assert!(values.next().is_none(), "{name} twice");
    value
}

/// A JWT whose signature is right.
#[derive(Clone, Debug)]
pub(crate) struct Jwt {
    pub(crate) header: Value,
    pub(crate) claims: Value,
}

impl Jwt {
    /// Checks by the public half of a test key that the algorithm of the header signed this text.
    pub(crate) fn verified(text: &str) -> Self {
        Self::verify(text).unwrap_or_else(|| panic!("the signature of {text} is wrong"))
    }

    pub(crate) fn verify(text: &str) -> Option<Self> {
        let (message, signature) = text.rsplit_once('.').unwrap();
        let (header, claims) = message.split_once('.').unwrap();
        let decode = |part| URL_SAFE_NO_PAD.decode(part).unwrap();
        let jwt = Self {
            header: serde_json::from_slice(&decode(header)).unwrap(),
            claims: serde_json::from_slice(&decode(claims)).unwrap(),
        };
        let algorithm = jwt.header["alg"].as_str().unwrap();
        is_signed(algorithm, message.as_bytes(), &decode(signature)).then_some(jwt)
    }

    pub(crate) fn text(&self, claim: &str) -> &str {
        self.claims[claim].as_str().unwrap()
    }

    pub(crate) fn number(&self, claim: &str) -> u64 {
        self.claims[claim].as_u64().unwrap()
    }

    /// The names of its claims, sorted.
    pub(crate) fn names(&self) -> Vec<&str> {
        let claims = self.claims.as_object().unwrap();
        let mut names: Vec<_> = claims.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }
}

fn is_signed(algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
    let by = |verifier: &'static dyn signature::VerificationAlgorithm, key: &[u8]| {
        let key = signature::UnparsedPublicKey::new(verifier, key);
        key.verify(message, signature).is_ok()
    };
    let mac = |algorithm| {
        let key = hmac::Key::new(algorithm, SECRET.as_bytes());
        hmac::verify(&key, message, signature).is_ok()
    };
    let rsa = public(test_key!("rsa_public"));
    // What is before the `RSAPublicKey` in a `SubjectPublicKeyInfo`.
    let rsa = &rsa[24..];
    let last = |pem, length| {
        let der = public(pem);
        der[der.len() - length..].to_vec()
    };
    match algorithm {
        "RS256" => by(&signature::RSA_PKCS1_2048_8192_SHA256, rsa),
        "RS384" => by(&signature::RSA_PKCS1_2048_8192_SHA384, rsa),
        "RS512" => by(&signature::RSA_PKCS1_2048_8192_SHA512, rsa),
        "PS256" => by(&signature::RSA_PSS_2048_8192_SHA256, rsa),
        "PS384" => by(&signature::RSA_PSS_2048_8192_SHA384, rsa),
        "PS512" => by(&signature::RSA_PSS_2048_8192_SHA512, rsa),
        "ES256" => by(
            &signature::ECDSA_P256_SHA256_FIXED,
            &last(test_key!("p256_public"), 65),
        ),
        "ES384" => by(
            &signature::ECDSA_P384_SHA384_FIXED,
            &last(test_key!("p384_public"), 97),
        ),
        "ES512" => is_signed_by_p521(&last(test_key!("p521_public"), 133), message, signature),
        "EdDSA" | "Ed25519" => by(&signature::ED25519, &last(test_key!("ed25519_public"), 32)),
        "HS256" => mac(hmac::HMAC_SHA256),
        "HS384" => mac(hmac::HMAC_SHA384),
        "HS512" => mac(hmac::HMAC_SHA512),
        _ => panic!("unknown algorithm {algorithm}"),
    }
}

fn is_signed_by_p521(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(key).unwrap();
    p521::ecdsa::Signature::from_slice(signature)
        .is_ok_and(|signature| key.verify(message, &signature).is_ok())
}

/// The bytes of the only part of a PEM.
pub(crate) fn public(pem: &str) -> Vec<u8> {
    let lines = pem.lines().skip_while(|line| !line.starts_with("-----"));
    let base64: String = lines.filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(base64).unwrap()
}
