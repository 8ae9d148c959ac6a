use std::error::Error;
use std::fmt;

/// A key cannot sign as wanted.
///
/// ```
/// use tower_bearer::oauth2::jwt::{InvalidSigningKeyKind, JwsAlgorithm, SigningKey};
///
/// let error = SigningKey::from_secret("too short", JwsAlgorithm::Hs256).unwrap_err();
/// assert_eq!(error.kind(), InvalidSigningKeyKind::TooShort);
/// ```
///
/// # Security
///
/// Says nothing of the key's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSigningKey {
    kind: InvalidSigningKeyKind,
}

/// What is wrong with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvalidSigningKeyKind {
    /// The text has no private key in it.
    NotPem,
    /// The key is encrypted.
    Encrypted,
    /// The key is damaged, or of a kind that no algorithm here takes.
    Malformed,
    /// The key is a good one, for another algorithm.
    WrongAlgorithm,
    /// The key has too few bits for the algorithm (RFC 7518 §3).
    TooShort,
    /// What was given as the key's certificate is none.
    NotCertificate,
}

impl InvalidSigningKey {
    /// What is wrong.
    pub fn kind(&self) -> InvalidSigningKeyKind {
        self.kind
    }

    pub(super) fn new(kind: InvalidSigningKeyKind) -> Self {
        Self { kind }
    }
}

impl fmt::Display for InvalidSigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            InvalidSigningKeyKind::NotPem => {
                "invalid signing key: there is no `-----BEGIN PRIVATE KEY-----` (or `RSA PRIVATE KEY`, \
                 `EC PRIVATE KEY`) with its end and base64 in between, each on lines of their own (is a \
                 line break written as `\\n`?); a certificate or a public key cannot sign"
            }
            InvalidSigningKeyKind::Encrypted => {
                "invalid signing key: it is encrypted; decrypt it first, such as by `openssl pkcs8 -in \
                 KEY`"
            }
            InvalidSigningKeyKind::Malformed => {
                "invalid signing key: it is neither PKCS#8 nor PKCS#1 nor SEC1 (RFC 5915), or not of \
                 RSA with 2048 to 8192 bits, P-256, P-384, P-521 or Ed25519"
            }
            InvalidSigningKeyKind::WrongAlgorithm => {
                "invalid signing key: it is for another algorithm; RS* and PS* take RSA keys, ES256 \
                 takes P-256, ES384 P-384, ES512 P-521, EdDSA Ed25519, and HS* a secret"
            }
            InvalidSigningKeyKind::TooShort => {
                "invalid signing key: it is too short; RSA needs 2048 bits, HS256 a secret of 32 bytes, \
                 HS384 of 48, HS512 of 64 (RFC 7518 §3)"
            }
            InvalidSigningKeyKind::NotCertificate => {
                "invalid signing key: what was given as its certificate is neither a PEM with \
                 `-----BEGIN CERTIFICATE-----` nor the DER of one; the content of the file is wanted, not \
                 its name"
            }
        })
    }
}

impl Error for InvalidSigningKey {}
