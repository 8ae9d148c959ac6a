//! Keys and signatures, checked by other implementations and by the examples of the RFCs.

// Helpers of tests are not tests to clippy.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use proptest::prelude::*;
use serde_json::json;
use tower::service_fn;
use tower_bearer::error::BoxError;
use tower_bearer::oauth2::jwt::{
    InvalidSigningKeyKind as Kind, JwsAlgorithm, JwsHeader, JwtSigner, SigningKey,
};
use tower_bearer::oauth2::{Assertion, ClientCredentials};
use tower_bearer::{FetchContext, TokenProvider};

use self::assertion_support::*;

mod assertion_support;

/// What is sent as the client's assertion.
async fn sent(assertion: Assertion) -> Result<String, BoxError> {
    let form = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&form);
    let transport = service_fn(move |request: Request<Full<Bytes>>| {
        let kept = Arc::clone(&kept);
        async move {
            let body = request.into_body().collect().await?.to_bytes();
            *kept.lock().unwrap() = String::from_utf8(body.into())?;
            let token = r#"{"access_token":"issued","token_type":"Bearer"}"#;
            Ok::<_, BoxError>(Response::new(Full::new(Bytes::from(token))))
        }
    });
    let builder = ClientCredentials::builder("https://id.example.com/token", "me", assertion);
    let provider = builder.build(transport)?;
    provider.fetch_token(FetchContext::default()).await?;
    let form = form.lock().unwrap();
    Ok(parameter(&form, "client_assertion").unwrap())
}

fn refused(pem: &str, algorithm: JwsAlgorithm) -> Kind {
    SigningKey::from_pem(pem, algorithm).unwrap_err().kind()
}

#[tokio::test]
async fn every_algorithm_signs_what_another_implementation_verifies() {
    for (algorithm, pem) in PRIVATE {
        let text = sent(Assertion::signed_by(key(pem, algorithm))).await;
        let jwt = Jwt::verified(&text.unwrap());
        let header = json!({ "alg": algorithm.as_str(), "typ": "JWT" });
        assert_eq!(jwt.header, header);
        assert_eq!(jwt.text("iss"), "me");
    }
    for algorithm in SECRETS {
        let text = sent(Assertion::client_secret_jwt(SECRET, algorithm).unwrap()).await;
        let jwt = Jwt::verified(&text.unwrap());
        let header = json!({ "alg": algorithm.as_str(), "typ": "JWT" });
        assert_eq!(jwt.header, header);
    }
}

#[tokio::test]
async fn a_signature_is_of_what_is_signed_and_of_nothing_else() {
    for (algorithm, pem) in PRIVATE {
        let text = sent(Assertion::signed_by(key(pem, algorithm)))
            .await
            .unwrap();
        let (message, signature) = text.rsplit_once('.').unwrap();
        let (header, _) = message.split_once('.').unwrap();
        let claims = URL_SAFE_NO_PAD.encode(r#"{"iss":"somebody else"}"#);

        let forged = format!("{header}.{claims}.{signature}");
        assert!(Jwt::verify(&forged).is_none(), "{algorithm}");
    }
}

#[tokio::test]
async fn the_examples_of_the_rfcs_come_out_byte_for_byte() {
    const CLAIMS: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb\
                          290Ijp0cnVlfQ";
    let sign = async |key: SigningKey, message: String| {
        URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()).await.unwrap())
    };

    // RFC 7515, appendix A.1.
    let secret =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let secret = URL_SAFE_NO_PAD.decode(secret).unwrap();
    let hs256 = SigningKey::from_secret(secret, JwsAlgorithm::Hs256).unwrap();
    let message = format!("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{CLAIMS}");
    assert_eq!(
        sign(hs256, message).await,
        "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    );

    // RFC 7515, appendix A.2.
    let rs256 = key(test_key!("rfc7515_a2"), JwsAlgorithm::Rs256);
    let message = format!("eyJhbGciOiJSUzI1NiJ9.{CLAIMS}");
    assert_eq!(
        sign(rs256, message).await,
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds\
         9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRm\
         B_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98r\
         qVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
    );

    // RFC 8037, appendix A.4.
    let ed_dsa = key(test_key!("rfc8037_a1"), JwsAlgorithm::EdDsa);
    let message = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    assert_eq!(
        sign(ed_dsa, message.to_owned()).await,
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    );
}

#[tokio::test]
async fn the_older_formats_of_keys_are_read_too() {
    for (pem, algorithm) in [
        (test_key!("rsa_pkcs1"), JwsAlgorithm::Rs256),
        (test_key!("p256_sec1"), JwsAlgorithm::Es256),
        (test_key!("p384_sec1"), JwsAlgorithm::Es384),
        (test_key!("p521_sec1"), JwsAlgorithm::Es512),
    ] {
        for key in [
            key(pem, algorithm),
            SigningKey::from_der(public(pem), algorithm).unwrap(),
        ] {
            // The other half of the same key as in PKCS#8.
            Jwt::verified(&sent(Assertion::signed_by(key)).await.unwrap());
        }
    }
}

#[test]
fn a_key_goes_with_its_own_algorithms_only() {
    for (_, pem) in PRIVATE {
        for (algorithm, right) in PRIVATE {
            if right == pem {
                key(pem, algorithm);
            } else {
                assert_eq!(refused(pem, algorithm), Kind::WrongAlgorithm, "{algorithm}");
            }
        }
        for algorithm in SECRETS {
            assert_eq!(refused(pem, algorithm), Kind::WrongAlgorithm, "{algorithm}");
        }
    }
    let (sec1, pkcs1) = (test_key!("p256_sec1"), test_key!("rsa_pkcs1"));
    assert_eq!(refused(sec1, JwsAlgorithm::Es384), Kind::WrongAlgorithm);
    assert_eq!(refused(sec1, JwsAlgorithm::Rs256), Kind::WrongAlgorithm);
    assert_eq!(refused(pkcs1, JwsAlgorithm::Es256), Kind::WrongAlgorithm);
}

#[test]
fn what_is_no_usable_private_key_is_refused_for_what_it_is() {
    let cut = &RSA[..RSA.len() / 2];
    let changed = RSA.replacen("MII", "AII", 1);
    for (pem, kind) in [
        ("", Kind::NotPem),
        ("hunter2", Kind::NotPem),
        (cut, Kind::NotPem),
        (test_key!("rsa_public"), Kind::NotPem),
        (test_key!("certificate"), Kind::NotPem),
        (test_key!("rsa_pkcs8_encrypted"), Kind::Encrypted),
        (test_key!("rsa_pkcs1_encrypted"), Kind::Encrypted),
        (test_key!("rsa_1024_bits"), Kind::TooShort),
        (&changed, Kind::Malformed),
    ] {
        let error = SigningKey::from_pem(pem, JwsAlgorithm::Rs256).unwrap_err();
        assert_eq!(error.kind(), kind, "{pem}");
        let text = format!("{error} {error:?}");
        let lines = pem.lines().filter(|line| line.len() == 64);
        assert!(lines.into_iter().all(|line| !text.contains(line)), "{text}");
    }
    let der = SigningKey::from_der([0x30, 0], JwsAlgorithm::Es256);
    assert_eq!(der.unwrap_err().kind(), Kind::Malformed);
}

#[test]
fn a_secret_is_as_long_as_the_hash_at_least() {
    for (algorithm, at_least) in SECRETS.into_iter().zip([32, 48, 64]) {
        let refused = |length| {
            let secret = &SECRET[..length];
            let key = SigningKey::from_secret(secret, algorithm).map_err(|error| error.kind());
            let assertion = Assertion::client_secret_jwt(secret, algorithm);
            assert_eq!(
                key.as_ref().err().copied(),
                assertion.err().map(|error| error.kind())
            );
            key.err()
        };
        assert_eq!(refused(at_least), None, "{algorithm}");
        assert_eq!(refused(at_least - 1), Some(Kind::TooShort), "{algorithm}");
    }
    for (algorithm, _) in PRIVATE {
        let fixed = Assertion::client_secret_jwt(SECRET, algorithm).unwrap_err();
        assert_eq!(fixed.kind(), Kind::WrongAlgorithm, "{algorithm}");
        let read = tower_bearer::oauth2::ClientSecret::from_fn(|| async { Ok(SECRET.to_owned()) });
        let read = Assertion::client_secret_jwt(read, algorithm).unwrap_err();
        assert_eq!(read.kind(), Kind::WrongAlgorithm, "{algorithm}");
    }
}

#[tokio::test]
async fn the_header_names_the_key_and_its_certificate() {
    let certificate = public(test_key!("certificate"));
    let key = key(RSA, JwsAlgorithm::Ps256)
        .with_key_id("2026-05")
        .with_certificate(&certificate)
        .unwrap()
        .with_certificate_sha1(test_key!("certificate"))
        .unwrap();
    let jwt = Jwt::verified(&sent(Assertion::signed_by(key)).await.unwrap());

    let header = json!({
        "alg": "PS256", "typ": "JWT", "kid": "2026-05",
        // By `openssl dgst -sha256 -binary | base64`, and `-sha1`.
        "x5t#S256": "mN2bCuDM6klYyrI4xPb2DwJw2p6im7aWgIY3rJOht6Y", "x5t": "eFzkwGowmKijzNAuJzXd16phtU0",
    });
    assert_eq!(jwt.header, header);
}

#[test]
fn a_certificate_is_pem_or_der_and_else_refused() {
    let certificate = test_key!("certificate");
    let der = public(certificate);
    let taken = |it: &[u8]| {
        let header = || JwsHeader::new(JwsAlgorithm::Rs256);
        let refused = [
            header().with_certificate(it).err(),
            header().with_certificate_sha1(it).err(),
        ];
        assert_eq!(refused[0], refused[1]);
        refused[0].as_ref().map(|error| error.kind())
    };
    let chain = format!("Bag Attributes: 0\n{certificate}{certificate}");
    for good in [certificate.as_bytes(), chain.as_bytes(), &der] {
        assert_eq!(taken(good), None);
    }
    let relabelled = test_key!("rsa_public").replace("PUBLIC KEY", "CERTIFICATE");
    for bad in [
        b"".as_slice(),
        b"/etc/ssl/certs/client.pem",
        RSA.as_bytes(),
        &public(test_key!("rsa_public")),
        relabelled.as_bytes(),
        &der[..der.len() - 1],
        &[&*der, b"0"].concat(),
        &certificate.as_bytes()[..certificate.len() / 2],
        b"00000000000000000000",
    ] {
        assert_eq!(taken(bad), Some(Kind::NotCertificate));
    }
}

/// A key that is elsewhere and answers with a signature of so many bytes.
struct Elsewhere {
    header: JwsHeader,
    length: usize,
}

impl JwtSigner for Elsewhere {
    fn header(&self) -> &JwsHeader {
        &self.header
    }

    async fn sign(&self, _message: &[u8]) -> Result<Vec<u8>, BoxError> {
        tokio::task::yield_now().await;
        Ok(vec![0x30; self.length])
    }
}

#[tokio::test]
async fn a_signature_in_der_is_not_sent() {
    let algorithms = PRIVATE.into_iter().map(|(algorithm, _)| algorithm);
    let lengths = [256, 256, 256, 256, 256, 256, 64, 96, 132, 64, 64];
    for (algorithm, right) in algorithms.zip(lengths) {
        let length_is_taken = async |length| {
            let header = JwsHeader::new(algorithm);
            let elsewhere = Elsewhere { header, length };
            sent(Assertion::signed_by(elsewhere)).await.is_ok()
        };
        assert!(length_is_taken(right).await, "{algorithm}");
        assert!(!length_is_taken(right - 1).await, "{algorithm}");
        if right < 256 {
            // DER takes six to nine bytes more, or less where the numbers begin with zeros.
            assert!(!length_is_taken(right + 6).await, "{algorithm}");
        }
    }
}

#[test]
fn debug_shows_neither_key_nor_secret() {
    let key = key(P256, JwsAlgorithm::Es256);
    let secret = SigningKey::from_secret(SECRET, JwsAlgorithm::Hs256).unwrap();
    let assertion = Assertion::client_secret_jwt(SECRET, JwsAlgorithm::Hs256).unwrap();
    assert_eq!(
        format!("{key:?}"),
        "SigningKey { header: JwsHeader { algorithm: Es256, key_id: None, x5t: None, x5t_s256: None }, .. }"
    );
    assert!(!format!("{secret:?} {assertion:?}").contains("hunter2"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_makes_reading_a_key_panic(der in any::<Vec<u8>>(), at in 0..1000_usize, byte: u8) {
        for (algorithm, pem) in PRIVATE {
            let _ = SigningKey::from_der(&der, algorithm);
            let _ = SigningKey::from_pem(&der, algorithm);
            let mut pem = pem.as_bytes().to_vec();
            let at = at % pem.len();
            pem[at] = byte;
            let _ = SigningKey::from_pem(pem, algorithm);
        }
    }
}
