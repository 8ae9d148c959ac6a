use std::future::Future;
use std::sync::Arc;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Map, Value};

use super::algorithm::JwsAlgorithm;
use super::der::is_certificate;
use super::error::{InvalidSigningKey, InvalidSigningKeyKind};
use crate::error::BoxError;

/// What signs: a [`SigningKey`](super::SigningKey), or a key elsewhere, such as in an HSM or in a key
/// management service.
///
/// ```
/// use tower_bearer::error::BoxError;
/// use tower_bearer::oauth2::jwt::{JwsAlgorithm, JwsHeader, JwtSigner};
///
/// struct KmsKey {
///     header: JwsHeader,
/// }
///
/// impl JwtSigner for KmsKey {
///     fn header(&self) -> &JwsHeader {
///         &self.header
///     }
///
///     async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, BoxError> {
///         ask_the_service_to_sign(message).await
///     }
/// }
/// # async fn ask_the_service_to_sign(_: &[u8]) -> Result<Vec<u8>, BoxError> { Ok(vec![0; 64]) }
///
/// let key = KmsKey { header: JwsHeader::new(JwsAlgorithm::Es256).with_key_id("2026-05") };
/// # let _ = key;
/// ```
///
/// The same value has the header and signs, so that a key and its id cannot come apart while keys rotate:
/// a new key is a new value, by [`signed_by_fn`](super::JwtAssertion::signed_by_fn).
pub trait JwtSigner: Send + Sync + 'static {
    /// What the header says of the key, the algorithm before all.
    fn header(&self) -> &JwsHeader;

    /// Signs `message` as the algorithm of the [`header`](Self::header) says.
    ///
    /// Of an elliptic curve the signature is the two numbers, each at full length, one after the other
    /// (RFC 7518 §3.4), not DER, which many services answer with.
    ///
    /// # Errors
    ///
    /// If it fails, so does the fetch, as one that may get better by itself.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when the fetch reaches its time limit.
    fn sign(&self, message: &[u8]) -> impl Future<Output = Result<Vec<u8>, BoxError>> + Send;
}

impl<S: JwtSigner> JwtSigner for Arc<S> {
    fn header(&self) -> &JwsHeader {
        (**self).header()
    }

    fn sign(&self, message: &[u8]) -> impl Future<Output = Result<Vec<u8>, BoxError>> + Send {
        (**self).sign(message)
    }
}

/// What a signature's header says of the key (RFC 7515 §4.1).
///
/// ```
/// use tower_bearer::oauth2::jwt::{JwsAlgorithm, JwsHeader};
///
/// let header = JwsHeader::new(JwsAlgorithm::Rs256).with_key_id("2026-05");
/// assert_eq!(header.algorithm(), JwsAlgorithm::Rs256);
/// ```
#[derive(Clone, Debug)]
pub struct JwsHeader {
    algorithm: JwsAlgorithm,
    key_id: Option<String>,
    x5t: Option<String>,
    x5t_s256: Option<String>,
}

impl JwsHeader {
    /// Starts with the algorithm: `alg`.
    pub fn new(algorithm: JwsAlgorithm) -> Self {
        Self {
            algorithm,
            key_id: None,
            x5t: None,
            x5t_s256: None,
        }
    }

    /// Sets the key's id: `kid`, by which a server that knows several keys of a client finds the right one.
    #[must_use]
    pub fn with_key_id(mut self, key_id: impl Into<String>) -> Self {
        self.key_id = Some(key_id.into());
        self
    }

    /// Names the key's certificate by its SHA-256 thumbprint: `x5t#S256` (RFC 7515 §4.1.8).
    ///
    /// Microsoft Entra finds the key by it. The certificate is given as PEM (RFC 7468), of which the first one
    /// counts, or as DER. Whether it is the key's is not checked.
    ///
    /// # Errors
    ///
    /// If it is neither, such as a key or the name of a file.
    pub fn with_certificate(
        mut self,
        certificate: impl AsRef<[u8]>,
    ) -> Result<Self, InvalidSigningKey> {
        self.x5t_s256 = Some(thumbprint(&digest::SHA256, certificate.as_ref())?);
        Ok(self)
    }

    /// Names the key's certificate by its SHA-1 thumbprint: `x5t` (RFC 7515 §4.1.7).
    ///
    /// For servers that do not know [`x5t#S256`](Self::with_certificate), such as AD FS.
    ///
    /// # Errors
    ///
    /// As [`with_certificate`](Self::with_certificate).
    pub fn with_certificate_sha1(
        mut self,
        certificate: impl AsRef<[u8]>,
    ) -> Result<Self, InvalidSigningKey> {
        let thumbprint = thumbprint(&digest::SHA1_FOR_LEGACY_USE_ONLY, certificate.as_ref())?;
        self.x5t = Some(thumbprint);
        Ok(self)
    }

    /// The algorithm.
    pub fn algorithm(&self) -> JwsAlgorithm {
        self.algorithm
    }

    /// The key's id.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }
}

/// Signs claims: a JWT in the compact serialisation (RFC 7515 §7.1).
pub(super) async fn sign<S: JwtSigner>(
    signer: &S,
    typ: &str,
    claims: Map<String, Value>,
) -> Result<String, BoxError> {
    let header = signer.header();
    let mut text = part(header.members(typ));
    text.push('.');
    text.push_str(&part(claims));

    let signature = signer.sign(text.as_bytes()).await?;
    let algorithm = header.algorithm;
    if !algorithm.has_signatures_of(signature.len()) {
        return Err(format!(
            "a signature of {} bytes is none of {algorithm}; is it DER, where RFC 7518 §3.4 wants the two \
             numbers alone?",
            signature.len()
        )
        .into());
    }

    // At its full size, so that no growing leaves a copy of it behind.
    let mut jwt = String::with_capacity(text.len() + 1 + 4 * signature.len().div_ceil(3));
    jwt.push_str(&text);
    jwt.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut jwt);
    Ok(jwt)
}

impl JwsHeader {
    fn members(&self, typ: &str) -> Map<String, Value> {
        let members = [
            ("alg", Some(self.algorithm.as_str())),
            ("typ", Some(typ)),
            ("kid", self.key_id.as_deref()),
            ("x5t", self.x5t.as_deref()),
            ("x5t#S256", self.x5t_s256.as_deref()),
        ];
        let members = members.into_iter();
        members
            .filter_map(|(name, value)| Some((name.to_owned(), value?.into())))
            .collect()
    }
}

fn part(members: Map<String, Value>) -> String {
    URL_SAFE_NO_PAD.encode(Value::Object(members).to_string())
}

/// The digest of a certificate's DER.
fn thumbprint(
    algorithm: &'static digest::Algorithm,
    certificate: &[u8],
) -> Result<String, InvalidSigningKey> {
    let pem;
    let der = if is_certificate(certificate) {
        certificate
    } else {
        pem = CertificateDer::from_pem_slice(certificate).ok();
        let der = pem.as_deref().filter(|der| is_certificate(der));
        der.ok_or_else(|| InvalidSigningKey::new(InvalidSigningKeyKind::NotCertificate))?
    };
    Ok(URL_SAFE_NO_PAD.encode(digest::digest(algorithm, der)))
}
