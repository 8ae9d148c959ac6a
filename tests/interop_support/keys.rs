//! Signing keys, made anew by each test, and their public halves as servers read them (RFC 7517).

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tower_bearer::oauth2::jwt::{JwsAlgorithm, SigningKey};

pub(crate) const KEY_ID: &str = "a key/1";

pub(crate) const PRIVATE_KEY_ALGORITHMS: [JwsAlgorithm; 11] = [
    JwsAlgorithm::Rs256,
    JwsAlgorithm::Rs384,
    JwsAlgorithm::Rs512,
    JwsAlgorithm::Ps256,
    JwsAlgorithm::Ps384,
    JwsAlgorithm::Ps512,
    JwsAlgorithm::Es256,
    JwsAlgorithm::Es384,
    JwsAlgorithm::Es512,
    JwsAlgorithm::EdDsa,
    JwsAlgorithm::Ed25519,
];

pub(crate) const SECRET_ALGORITHMS: [JwsAlgorithm; 3] = [
    JwsAlgorithm::Hs256,
    JwsAlgorithm::Hs384,
    JwsAlgorithm::Hs512,
];

/// A private key for one algorithm.
pub(crate) struct Key {
    algorithm: JwsAlgorithm,
    pub(crate) pkcs8: Vec<u8>,
    public: Value,
}

impl Key {
    pub(crate) fn new(algorithm: JwsAlgorithm) -> Self {
        let (pkcs8, public) = match algorithm.as_str() {
            "ES256" => ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
            "ES384" => ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
            "ES512" => ec(&signature::ECDSA_P521_SHA512_FIXED_SIGNING, "P-521"),
            "EdDSA" | "Ed25519" => ed25519(),
            _ => rsa(),
        };
        Self {
            algorithm,
            pkcs8,
            public,
        }
    }

    pub(crate) fn signing(&self) -> SigningKey {
        let key = SigningKey::from_der(&self.pkcs8, self.algorithm).unwrap();
        key.with_key_id(KEY_ID)
    }

    /// What a server is told of it, among others.
    pub(crate) fn jwks(&self) -> Value {
        let mut own = self.public.clone();
        own["kid"] = json!(KEY_ID);
        let mut other = Self::new(self.algorithm).public;
        other["kid"] = json!("another");
        json!({ "keys": [other, own] })
    }
}

fn ec(algorithm: &'static EcdsaSigningAlgorithm, curve: &str) -> (Vec<u8>, Value) {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref()).unwrap();
    // An uncompressed point.
    let (mark, point) = pair.public_key().as_ref().split_first().unwrap();
    assert_eq!(*mark, 4);
    let (x, y) = point.split_at(point.len() / 2);
    let public = json!({ "kty": "EC", "crv": curve, "x": text(x), "y": text(y) });
    (pkcs8.as_ref().to_vec(), public)
}

fn ed25519() -> (Vec<u8>, Value) {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
    let x = text(pair.public_key().as_ref());
    let public = json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
    (pkcs8.as_ref().to_vec(), public)
}

fn rsa() -> (Vec<u8>, Value) {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let pkcs8 = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
    // An RSAPublicKey (RFC 8017 A.1.1): a sequence of two integers, of 257 bytes, the first of which is
    // zero, and of three.
    let public = pair.public_key().as_ref();
    let (start, rest) = public.split_at(9);
    let (modulus, exponent) = rest.split_at(256);
    assert_eq!(start, [0x30, 0x82, 1, 10, 2, 0x82, 1, 1, 0]);
    assert_eq!(exponent, [2, 3, 1, 0, 1]);
    let public = json!({ "kty": "RSA", "n": text(modulus), "e": text(&exponent[2..]) });
    (pkcs8.as_ref().to_vec(), public)
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
