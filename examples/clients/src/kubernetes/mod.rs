//! [kube](https://docs.rs/kube) with tokens of one's own: for clusters behind a gateway, or that trust an
//! OpenID provider. Within a cluster, `FileToken` reads the service account's token.
//!
//! [`client`] builds the stack by hand, which is the better one: the layer sees where requests go.
//! [`client_of_default_stack`] takes kube's own.

pub mod cluster;

use http::Uri;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::config::AuthInfo;
use kube::{Client, Config};
use tower::buffer::BufferLayer;
use tower_bearer::error::BoxError;
use tower_bearer::replay::{self, TryClone};
use tower_bearer::{BearerAuthLayer, IntoTokenCache, Origin, TokenProvider};

/// As many as kube lets wait for its own stack.
const WAITING: usize = 1024;

/// A client whose stack is built by hand, so that it can be cloned: for the second send.
///
/// Its transport speaks plain HTTP, as suits a cluster on loopback. For others, give it the connector that
/// `config.rustls_https_connector()` makes. It heeds no `connect_timeout`, `read_timeout`, `write_timeout` and
/// `proxy_url` of `config` either: that takes an HTTP client made accordingly, or
/// [`client_of_default_stack`].
pub fn client<P: TokenProvider>(
    config: &Config,
    tokens: impl IntoTokenCache<Provider = P>,
) -> Result<Client, BoxError> {
    let http = HttpClient::builder(TokioExecutor::new()).build_http::<Body>();
    // From the inside out. The base URI is set above the tokens, which go to that origin only.
    // There is no `config.auth_layer()`.
    let client = ClientBuilder::new(http, &config.default_namespace)
        .with_layer(&config.extra_headers_layer()?)
        .with_layer(&auth(config, tokens)?)
        .with_layer(&config.base_uri_layer())
        .build();
    Ok(client)
}

/// A client with kube's own stack, with its TLS, time limits, proxies and retries.
///
/// That stack cannot be cloned, but a `Buffer` of it can. The token is put on above what sets the host, so
/// that nothing but `config` says where it goes.
pub fn client_of_default_stack<P: TokenProvider>(
    mut config: Config,
    tokens: impl IntoTokenCache<Provider = P>,
) -> Result<Client, BoxError> {
    let auth = auth(&config, tokens)?.with_relative_uris();
    without_credentials(&mut config.auth_info);
    let client = ClientBuilder::try_from(config)?
        .with_layer(&BufferLayer::new(WAITING))
        .with_layer(&auth)
        .build();
    Ok(client)
}

/// kube's bodies are no secret to it: it knows how to copy them.
type Auth<P> = BearerAuthLayer<P, TryClone<fn(&Body) -> Option<Body>>>;

fn auth<P: TokenProvider>(
    config: &Config,
    tokens: impl IntoTokenCache<Provider = P>,
) -> Result<Auth<P>, BoxError> {
    let layer = BearerAuthLayer::for_origin(tokens, origin(&config.cluster_url)?)?;
    Ok(layer.with_replay(replay::try_clone(Body::try_clone)))
}

/// A cluster may be at a path of its server.
fn origin(cluster: &Uri) -> Result<Origin, BoxError> {
    match (cluster.scheme_str(), cluster.authority()) {
        (Some(scheme), Some(authority)) => Ok(Origin::new(&format!("{scheme}://{authority}"))?),
        _ => Err("the cluster's URL has no scheme or no host".into()),
    }
}

/// kube's stack puts these on below the layer, over whatever there is.
fn without_credentials(user: &mut AuthInfo) {
    *user = AuthInfo {
        username: None,
        password: None,
        token: None,
        token_file: None,
        auth_provider: None,
        exec: None,
        // Certificates are part of TLS, and the token's user may be one who impersonates.
        ..std::mem::take(user)
    };
}
