use std::fmt;

/// A signature algorithm: an `alg` of RFC 7518 §3.1, RFC 8037 §3.1 or RFC 9864 §2.2.
///
/// ```
/// use tower_bearer::oauth2::jwt::JwsAlgorithm;
///
/// assert_eq!(JwsAlgorithm::Es256.to_string(), "ES256");
/// ```
///
/// There is no `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JwsAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// Ed25519 by the name of RFC 8037, which most servers know it by.
    EdDsa,
    /// Ed25519 by the name of RFC 9864.
    Ed25519,
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
}

impl JwsAlgorithm {
    /// Its name, as in the `alg` of a header.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
            Self::Ed25519 => "Ed25519",
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        }
    }

    /// Whether a signature of so many bytes can be one.
    ///
    /// One that is made elsewhere is often DER, which no server takes: that of an elliptic curve is the
    /// two numbers one after the other (RFC 7518 §3.4).
    pub(super) fn has_signatures_of(self, bytes: usize) -> bool {
        match self {
            // As long as the key, which has 2048 bits or more (RFC 7518 §3.3, §3.5).
            Self::Rs256 | Self::Rs384 | Self::Rs512 => bytes >= 256,
            Self::Ps256 | Self::Ps384 | Self::Ps512 => bytes >= 256,
            Self::Es256 | Self::EdDsa | Self::Ed25519 => bytes == 64,
            Self::Es384 => bytes == 96,
            Self::Es512 => bytes == 132,
            Self::Hs256 => bytes == 32,
            Self::Hs384 => bytes == 48,
            Self::Hs512 => bytes == 64,
        }
    }
}

impl fmt::Display for JwsAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
