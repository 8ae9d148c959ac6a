use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, RsaEncoding, RsaKeyPair,
};

use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use zeroize::Zeroize as _;

use super::algorithm::JwsAlgorithm;
use super::der::rsa_bits;
use super::error::{InvalidSigningKey, InvalidSigningKeyKind};
use super::signer::{JwsHeader, JwtSigner};
use crate::error::BoxError;

/// A private key, or a secret, that signs by one algorithm.
///
/// ```
/// use tower_bearer::oauth2::jwt::{JwsAlgorithm, SigningKey};
///
/// # use aws_lc_rs::{rand::SystemRandom, signature::{EcdsaKeyPair, ECDSA_P256_SHA256_FIXED_SIGNING}};
/// # let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
/// # let der = der.as_ref();
/// let key = SigningKey::from_der(der, JwsAlgorithm::Es256)?.with_key_id("2026-05");
/// assert!(SigningKey::from_der(der, JwsAlgorithm::Rs256).is_err());
/// # let _ = key;
/// # Ok::<(), tower_bearer::oauth2::jwt::InvalidSigningKey>(())
/// ```
///
/// Cloning is cheap. Signing takes up to some milliseconds, with RSA, and does not wait.
///
/// # Security
///
/// Zeroed when the last clone is dropped.
#[derive(Clone)]
pub struct SigningKey {
    header: JwsHeader,
    key: Arc<Key>,
}

enum Key {
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ec(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Mac(hmac::Key),
}

/// What an algorithm takes.
enum Takes {
    Rsa(&'static dyn RsaEncoding),
    Ec(&'static EcdsaSigningAlgorithm),
    Ed25519,
    Secret(hmac::Algorithm, usize),
}

impl SigningKey {
    /// Reads the first private key of a PEM text (RFC 7468): `PRIVATE KEY` (PKCS#8), `RSA PRIVATE KEY`
    /// (PKCS#1) or `EC PRIVATE KEY` (SEC1).
    ///
    /// # Errors
    ///
    /// If there is none, if it is encrypted, or as [`from_der`](Self::from_der) says.
    ///
    /// # Security
    ///
    /// The text is the caller's to zero. What the parser copies of its base64 is zeroed by nobody.
    pub fn from_pem(
        pem: impl AsRef<[u8]>,
        algorithm: JwsAlgorithm,
    ) -> Result<Self, InvalidSigningKey> {
        let pem = pem.as_ref();
        // An error of this parser quotes what it could not read.
        let Ok(mut der) = PrivateKeyDer::from_pem_slice(pem) else {
            // Either the label or the header `Proc-Type` says so.
            let is_encrypted = pem.windows(9).any(|text| text == b"ENCRYPTED");
            return Err(InvalidSigningKey::new(if is_encrypted {
                InvalidSigningKeyKind::Encrypted
            } else {
                InvalidSigningKeyKind::NotPem
            }));
        };
        let key = Self::from_der(der.secret_der(), algorithm);
        der.zeroize();
        key
    }

    /// Reads a private key as DER: PKCS#8 (RFC 5958), or PKCS#1 (RFC 8017) for RSA, or SEC1 (RFC 5915) for
    /// elliptic curves.
    ///
    /// # Errors
    ///
    /// If it is none of these; if it does not belong to the algorithm, such as a key of P-256 to `ES384`;
    /// or if it is an RSA key of less than 2048 bits (RFC 7518 §3.3). The algorithms `HS*` take
    /// [a secret](Self::from_secret).
    pub fn from_der(
        der: impl AsRef<[u8]>,
        algorithm: JwsAlgorithm,
    ) -> Result<Self, InvalidSigningKey> {
        let der = der.as_ref();
        let key = match algorithm.takes() {
            Takes::Rsa(encoding) => rsa(der).map(|key| Key::Rsa(key, encoding)),
            Takes::Ec(curve) => ec(der, curve).map(Key::Ec),
            Takes::Ed25519 => ed25519(der).map(Key::Ed25519),
            Takes::Secret(..) => Err(InvalidSigningKeyKind::Malformed),
        };
        let key = key.map_err(|kind| match kind {
            InvalidSigningKeyKind::Malformed if is_key(der) => {
                InvalidSigningKeyKind::WrongAlgorithm
            }
            kind => kind,
        });
        Self::new(key, algorithm)
    }

    /// Takes a secret that the server knows too, for `HS256`, `HS384` and `HS512`: its UTF-8 bytes (OpenID
    /// Connect Core §10.1).
    ///
    /// # Errors
    ///
    /// If the algorithm takes private keys, or if the secret has fewer than 32, 48 and 64 bytes
    /// respectively, which RFC 7518 §3.2 forbids and servers refuse.
    pub fn from_secret(
        secret: impl AsRef<[u8]>,
        algorithm: JwsAlgorithm,
    ) -> Result<Self, InvalidSigningKey> {
        let secret = secret.as_ref();
        let key = match algorithm.takes() {
            Takes::Secret(_, at_least) if secret.len() < at_least => {
                Err(InvalidSigningKeyKind::TooShort)
            }
            Takes::Secret(mac, _) => Ok(Key::Mac(hmac::Key::new(mac, secret))),
            _ => Err(InvalidSigningKeyKind::WrongAlgorithm),
        };
        Self::new(key, algorithm)
    }

    /// Sets the key's id: see [`JwsHeader::with_key_id`].
    #[must_use]
    pub fn with_key_id(mut self, key_id: impl Into<String>) -> Self {
        self.header = self.header.with_key_id(key_id);
        self
    }

    /// Names the key's certificate, given as PEM or DER: see [`JwsHeader::with_certificate`].
    ///
    /// # Errors
    ///
    /// If it is neither.
    pub fn with_certificate(
        mut self,
        certificate: impl AsRef<[u8]>,
    ) -> Result<Self, InvalidSigningKey> {
        self.header = self.header.with_certificate(certificate)?;
        Ok(self)
    }

    /// Names the key's certificate, given as PEM or DER, by SHA-1: see
    /// [`JwsHeader::with_certificate_sha1`].
    ///
    /// # Errors
    ///
    /// If it is neither.
    pub fn with_certificate_sha1(
        mut self,
        certificate: impl AsRef<[u8]>,
    ) -> Result<Self, InvalidSigningKey> {
        self.header = self.header.with_certificate_sha1(certificate)?;
        Ok(self)
    }

    /// Refuses an algorithm that takes no secret.
    pub(super) fn check_takes_secret(algorithm: JwsAlgorithm) -> Result<(), InvalidSigningKey> {
        match algorithm.takes() {
            Takes::Secret(..) => Ok(()),
            _ => Err(InvalidSigningKey::new(
                InvalidSigningKeyKind::WrongAlgorithm,
            )),
        }
    }

    fn new(
        key: Result<Key, InvalidSigningKeyKind>,
        algorithm: JwsAlgorithm,
    ) -> Result<Self, InvalidSigningKey> {
        Ok(Self {
            header: JwsHeader::new(algorithm),
            key: Arc::new(key.map_err(InvalidSigningKey::new)?),
        })
    }
}

impl JwtSigner for SigningKey {
    fn header(&self) -> &JwsHeader {
        &self.header
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, BoxError> {
        let random = SystemRandom::new();
        Ok(match &*self.key {
            Key::Rsa(key, encoding) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(*encoding, &random, message, &mut signature)?;
                signature
            }
            Key::Ec(key) => key.sign(&random, message)?.as_ref().to_vec(),
            Key::Ed25519(key) => key.try_sign(message)?.as_ref().to_vec(),
            Key::Mac(key) => hmac::sign(key, message).as_ref().to_vec(),
        })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

impl JwsAlgorithm {
    fn takes(self) -> Takes {
        match self {
            Self::Rs256 => Takes::Rsa(&signature::RSA_PKCS1_SHA256),
            Self::Rs384 => Takes::Rsa(&signature::RSA_PKCS1_SHA384),
            Self::Rs512 => Takes::Rsa(&signature::RSA_PKCS1_SHA512),
            Self::Ps256 => Takes::Rsa(&signature::RSA_PSS_SHA256),
            Self::Ps384 => Takes::Rsa(&signature::RSA_PSS_SHA384),
            Self::Ps512 => Takes::Rsa(&signature::RSA_PSS_SHA512),
            Self::Es256 => Takes::Ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            Self::Es384 => Takes::Ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            Self::Es512 => Takes::Ec(&signature::ECDSA_P521_SHA512_FIXED_SIGNING),
            Self::EdDsa | Self::Ed25519 => Takes::Ed25519,
            Self::Hs256 => Takes::Secret(hmac::HMAC_SHA256, 32),
            Self::Hs384 => Takes::Secret(hmac::HMAC_SHA384, 48),
            Self::Hs512 => Takes::Secret(hmac::HMAC_SHA512, 64),
        }
    }
}

fn rsa(der: &[u8]) -> Result<RsaKeyPair, InvalidSigningKeyKind> {
    let key = RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der));
    key.map_err(|_| match rsa_bits(der) {
        // RFC 7518 §3.3.
        Some(..2048) => InvalidSigningKeyKind::TooShort,
        _ => InvalidSigningKeyKind::Malformed,
    })
}

/// PKCS#8 and SEC1 both.
fn ec(
    der: &[u8],
    curve: &'static EcdsaSigningAlgorithm,
) -> Result<EcdsaKeyPair, InvalidSigningKeyKind> {
    EcdsaKeyPair::from_private_key_der(curve, der).map_err(|_| InvalidSigningKeyKind::Malformed)
}

fn ed25519(der: &[u8]) -> Result<Ed25519KeyPair, InvalidSigningKeyKind> {
    Ed25519KeyPair::from_pkcs8(der).map_err(|_| InvalidSigningKeyKind::Malformed)
}

/// Whether some algorithm takes this key.
fn is_key(der: &[u8]) -> bool {
    let curves = [
        &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
        &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
    ];
    rsa(der).is_ok()
        || ed25519(der).is_ok()
        || curves.into_iter().any(|curve| ec(der, curve).is_ok())
}
