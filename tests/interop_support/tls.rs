//! Certificates, and connections that present one.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::{Value, json};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

pub(crate) type TlsClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub(crate) struct Identity {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = params("authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap());
        Self(issuer.unwrap())
    }

    pub(crate) fn sign(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params(name).signed_by(&key, &self.0).unwrap();
        Identity { certificate, key }
    }

    /// What a server reads of it: its own certificate, and whose certificates it trusts.
    pub(crate) fn server_config(&self) -> Value {
        let own = self.sign("127.0.0.1");
        json!({
            "cert": own.certificate.pem(),
            "key": own.key.serialize_pem(),
            "ca": self.0.pem(),
        })
    }

    /// A client that trusts the server and, where there is TLS, presents this certificate.
    pub(crate) fn client(&self, identity: Option<&Identity>) -> TlsClient {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match identity {
            Some(identity) => {
                let key = PrivateKeyDer::Pkcs8(identity.key.serialize_der().into());
                let certificates = vec![identity.certificate.der().clone()];
                config.with_client_auth_cert(certificates, key).unwrap()
            }
            None => config.with_no_client_auth(),
        };
        let connector = HttpsConnectorBuilder::new().with_tls_config(config);
        let connector = connector.https_or_http().enable_http1().build();
        Client::builder(TokioExecutor::new()).build(connector)
    }
}

impl Identity {
    pub(crate) fn self_signed(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params(name).self_signed(&key).unwrap();
        Self { certificate, key }
    }

    /// The public key with its certificate (RFC 7517 §4.7), as RFC 8705 §2.2 registers it.
    pub(crate) fn jwks(&self) -> Value {
        // An uncompressed point of P-256.
        let point = self.key.public_key_raw();
        assert_eq!((point.len(), point[0]), (65, 4));
        json!({ "keys": [{
            "kty": "EC",
            "crv": "P-256",
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]),
            "y": URL_SAFE_NO_PAD.encode(&point[33..]),
            "x5c": [STANDARD.encode(self.certificate.der())],
        }]})
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    // To OpenSSL, one that is called like its authority has signed itself.
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
