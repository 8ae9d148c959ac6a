//! A token endpoint and an API behind mutual TLS, and the certificates for it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

pub(crate) type Tls = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A certificate and its key.
pub(crate) struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

pub(crate) struct Server {
    address: SocketAddr,
    authority: CertificateDer<'static>,
    pub(crate) signed: Identity,
    pub(crate) self_signed: Identity,
    state: Arc<State>,
    task: JoinHandle<()>,
}

struct State {
    /// The certificate of each client.
    clients: Vec<(&'static str, CertificateDer<'static>)>,
    /// `Authorization` and form of each token request.
    token_requests: Mutex<Vec<(Option<String>, String)>>,
    /// Tokens and the certificates that they are bound to.
    tokens: Mutex<Vec<(String, CertificateDer<'static>)>>,
}

type Peer = Option<CertificateDer<'static>>;

impl Identity {
    pub(crate) fn self_signed(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params(name).self_signed(&key).unwrap();
        Self::new(certificate.der(), &key)
    }

    fn new(certificate: &CertificateDer<'static>, key: &KeyPair) -> Self {
        Self {
            certificate: certificate.clone(),
            key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        }
    }
}

fn params(name: &str) -> CertificateParams {
    CertificateParams::new([name.to_owned()]).unwrap()
}

impl Server {
    pub(crate) async fn start() -> Self {
        let mut authority = params("authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap());
        let authority = authority.unwrap();
        let sign = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let certificate = params(name).signed_by(&key, &authority).unwrap();
            Identity::new(certificate.der(), &key)
        };
        let (own, signed) = (sign("localhost"), sign("signed"));
        let self_signed = Identity::self_signed("self-signed");

        let trusted = roots([authority.der().clone(), self_signed.certificate.clone()]);
        let verifier = WebPkiClientVerifier::builder_with_provider(trusted.into(), provider())
            .allow_unauthenticated()
            .build()
            .unwrap();
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![own.certificate], own.key)
            .unwrap();

        let state = Arc::new(State {
            clients: vec![
                ("signed", signed.certificate.clone()),
                ("self-signed", self_signed.certificate.clone()),
            ],
            token_requests: Mutex::default(),
            tokens: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            address: listener.local_addr().unwrap(),
            authority: authority.der().clone(),
            signed,
            self_signed,
            state: Arc::clone(&state),
            task: tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), state)),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    /// A client of HTTP that trusts the server and presents this certificate.
    pub(crate) fn connector(&self, identity: Option<&Identity>) -> Tls {
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots([self.authority.clone()]));
        let config = match identity {
            Some(identity) => {
                let certificates = vec![identity.certificate.clone()];
                let key = identity.key.clone_key();
                config.with_client_auth_cert(certificates, key).unwrap()
            }
            None => config.with_no_client_auth(),
        };
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_only()
            .enable_http1()
            .build();
        Client::builder(TokioExecutor::new()).build(connector)
    }

    pub(crate) fn take_token_requests(&self) -> Vec<(Option<String>, String)> {
        std::mem::take(&mut self.state.token_requests.lock().unwrap())
    }

    pub(crate) fn revoke_all(&self) {
        self.state.tokens.lock().unwrap().clear();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn roots<const N: usize>(certificates: [CertificateDer<'static>; N]) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate).unwrap();
    }
    roots
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, state: Arc<State>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (acceptor, state) = (acceptor.clone(), Arc::clone(&state));
        tokio::spawn(async move {
            // One that ends in the handshake is the client's to tell.
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let peer = stream.get_ref().1.peer_certificates();
            let peer = peer.map(|certificates| certificates[0].clone().into_owned());
            let service = service_fn(move |request| {
                let (state, peer) = (Arc::clone(&state), peer.clone());
                async move { Ok::<_, Infallible>(state.answer(request, peer).await) }
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // As may one whose client is gone.
            connection.await.ok();
        });
    }
}

impl State {
    async fn answer(&self, request: Request<Incoming>, peer: Peer) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let authorization = parts.headers.get("authorization");
        let authorization = authorization.map(|value| value.to_str().unwrap().to_owned());
        if parts.uri.path() == "/api" {
            return self.api(authorization, peer);
        }
        let form = body.collect().await.unwrap().to_bytes();
        let form = String::from_utf8(form.into()).unwrap();
        let id = form.rsplit_once("client_id=").map(|(_, id)| id.to_owned());
        let request = (authorization, form);
        self.token_requests.lock().unwrap().push(request);

        let is_client = |(name, certificate): &(&str, CertificateDer<'static>)| {
            id.as_deref() == Some(*name) && peer.as_ref() == Some(certificate)
        };
        if !self.clients.iter().any(is_client) {
            return response(401, r#"{"error":"invalid_client"}"#.to_owned());
        }
        let mut tokens = self.tokens.lock().unwrap();
        let token = format!("{}-{}", id.unwrap(), fastrand::u64(..));
        let body =
            format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":3600}}"#);
        tokens.push((token, peer.unwrap()));
        response(200, body)
    }

    fn api(&self, authorization: Option<String>, peer: Peer) -> Response<Full<Bytes>> {
        let tokens = self.tokens.lock().unwrap();
        let is_bound = |(token, certificate): &(String, CertificateDer<'static>)| {
            authorization == Some(format!("Bearer {token}")) && peer.as_ref() == Some(certificate)
        };
        let status = if tokens.iter().any(is_bound) {
            200
        } else {
            401
        };
        response(status, String::new())
    }
}

fn response(status: u16, body: String) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .body(Full::from(body))
        .unwrap()
}
