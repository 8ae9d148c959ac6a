//! Assertions that are signed here: JWTs that authenticate a client, or are the grant (RFC 7523).
//!
//! [`SigningKey`] is a key in memory; [`JwtSigner`] is for keys that are elsewhere. [`Assertion::signed_by`]
//! makes the client authentication `private_key_jwt` of one, [`Assertion::client_secret_jwt`] that of its
//! name, and [`JwtAssertion`] an assertion that says something else, such as for a
//! [`JwtBearer`](super::JwtBearer) grant. [`GoogleServiceAccount`] is such a grant by Google's key file.
//!
//! ```
//! use bytes::Bytes;
//! use http_body_util::Full;
//! use hyper_util::{client::legacy::Client, rt::TokioExecutor};
//! use tower_bearer::oauth2::jwt::{JwsAlgorithm, SigningKey};
//! use tower_bearer::oauth2::{Assertion, ClientCredentials};
//!
//! # use aws_lc_rs::{rand::SystemRandom, signature::{EcdsaKeyPair, ECDSA_P256_SHA256_FIXED_SIGNING}};
//! # let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
//! # use base64::Engine as _;
//! # let base64 = base64::engine::general_purpose::STANDARD.encode(der);
//! # let pem = format!("-----BEGIN PRIVATE KEY-----\n{base64}\n-----END PRIVATE KEY-----\n");
//! // In earnest, over a connector that does TLS, and with a PEM from a file.
//! let transport = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
//! let key = SigningKey::from_pem(pem, JwsAlgorithm::Es256)?.with_key_id("2026-05");
//!
//! let provider = ClientCredentials::builder(
//!     "https://id.example.com/token",
//!     "my-service",
//!     Assertion::signed_by(key),
//! )
//! .build(transport)?;
//! # let _ = provider;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What servers want
//!
//! | it says | write |
//! |---|---|
//! | a `kid` in the header | [`SigningKey::with_key_id`] |
//! | `x5t#S256` in the header, `PS256` (Microsoft Entra) | [`SigningKey::with_certificate`] |
//! | `x5t` in the header (AD FS) | [`SigningKey::with_certificate_sha1`] |
//! | the issuer, or anything else, as `aud` | [`Assertion::with_audience`] |
//! | the URL of the token endpoint as `aud` | [`Assertion::with_token_endpoint_as_audience`] |
//! | `aud` as an array, further claims | [`JwtAssertion::with_claim`] |
//! | `nbf` | [`JwtAssertion::with_not_before`] |
//! | another lifetime | [`JwtAssertion::with_lifetime`] |
//! | `typ: client-authentication+jwt` | [`JwtAssertion::with_type`] |
//! | the scopes as a claim | [`JwtAssertion::with_scope_claim`] |
//! | keys rotate | [`Assertion::signed_by_fn`] |
//!
//! # Used once
//!
//! Servers may refuse an assertion whose `jti` they have seen (RFC 7523 §3, item 7). Each fetch makes a new
//! one. A retry *in the transport* would send the same one again, so that is the wrong place for it: see
//! [`Assertion`].
//!
//! [`Assertion`]: super::Assertion
//! [`Assertion::client_secret_jwt`]: super::Assertion::client_secret_jwt
//! [`Assertion::signed_by`]: super::Assertion::signed_by
//! [`Assertion::signed_by_fn`]: super::Assertion::signed_by_fn
//! [`Assertion::with_audience`]: super::Assertion::with_audience
//! [`Assertion::with_token_endpoint_as_audience`]: super::Assertion::with_token_endpoint_as_audience

mod algorithm;
mod assertion;
mod claims;
mod der;
mod error;
mod google;
mod key;
mod signer;

pub use self::algorithm::JwsAlgorithm;
pub use self::assertion::JwtAssertion;
pub use self::error::{InvalidSigningKey, InvalidSigningKeyKind};
pub use self::google::{GoogleServiceAccount, InvalidServiceAccount, InvalidServiceAccountKind};
pub use self::key::SigningKey;
pub use self::signer::{JwsHeader, JwtSigner};
