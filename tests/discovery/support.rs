//! A site with an issuer's metadata and a token endpoint.

use bytes::Bytes;
use http::{Method, Response};
use http_body_util::Full;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tower_bearer::error::{BoxError, FetchError};
use tower_bearer::oauth2::{ClientCredentials, Credential, Issuer};
use tower_bearer::testing::Secrets;
use tower_bearer::{AccessToken, FetchContext, TokenProvider};

pub(crate) use crate::error_support::{cause, everything};
use crate::server::{Body, Received, Server, response};

pub(crate) const OAUTH: &str = "/.well-known/oauth-authorization-server/tenant";
pub(crate) const OPENID: &str = "/tenant/.well-known/openid-configuration";

pub(crate) type Http = Client<HttpConnector, Full<Bytes>>;

pub(crate) struct Site {
    server: Server,
}

impl Site {
    /// Names a token endpoint of its own, and another for mutual TLS.
    pub(crate) async fn with_alias(alias: String) -> Self {
        Self::start(move |_, origin| {
            let body = format!(
                r#"{{"issuer":"{origin}/tenant","token_endpoint":"{origin}/token",
                    "mtls_endpoint_aliases":{{"token_endpoint":"{alias}"}}}}"#
            );
            response(200, body)
        })
        .await
    }

    /// Answers `GET` with what `metadata` says, given the path and the site's own origin, and every `POST`
    /// with a token that tells the path.
    pub(crate) async fn start<F>(metadata: F) -> Self
    where
        F: Fn(&str, &str) -> Response<Body> + Send + Sync + 'static,
    {
        let server = Server::start(move |request: &Received| {
            let path = request.uri.path();
            if request.method == Method::POST {
                let token = path.trim_start_matches('/').replace('/', ".");
                let body = format!(
                    r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":3600}}"#
                );
                return response(200, body);
            }
            let origin = format!("http://{}", request.header("host").unwrap());
            metadata(path, &origin)
        });
        Self {
            server: server.await,
        }
    }

    /// Has the metadata of RFC 8414, with this member for the token endpoint.
    pub(crate) async fn with(token_endpoint: impl Into<String>) -> Self {
        let token_endpoint = token_endpoint.into();
        Self::start(move |path, origin| match path {
            OAUTH => document(origin, &token_endpoint),
            _ => response(404, ""),
        })
        .await
    }

    pub(crate) fn origin(&self) -> String {
        self.server.url().replace("/token", "")
    }

    pub(crate) fn issuer(&self) -> Issuer {
        Issuer::new(format!("{}/tenant", self.origin()))
    }

    /// What was asked for by `GET`, in this order.
    pub(crate) fn reads(&self) -> Vec<String> {
        self.paths(Method::GET)
    }

    /// Where tokens were asked for.
    pub(crate) fn token_requests(&self) -> Vec<String> {
        self.paths(Method::POST)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.server.received()
    }

    fn paths(&self, method: Method) -> Vec<String> {
        let received = self.server.received().into_iter();
        let received = received.filter(|request| request.method == method);
        received.map(|it| it.uri.path().to_owned()).collect()
    }
}

/// Metadata of the issuer `/tenant` at `origin`.
pub(crate) fn document(origin: &str, token_endpoint: &str) -> Response<Body> {
    let token_endpoint = token_endpoint.replace("{origin}", origin);
    let body = format!(
        r#"{{"issuer":"{origin}/tenant","jwks_uri":"{origin}/jwks","token_endpoint":"{token_endpoint}"}}"#
    );
    response(200, body)
}

pub(crate) fn http() -> Http {
    Client::builder(TokioExecutor::new()).build_http()
}

pub(crate) fn provider(issuer: Issuer) -> ClientCredentials<Http> {
    provider_with(issuer, "hunter2")
}

pub(crate) fn provider_with(
    issuer: Issuer,
    credential: impl Into<Credential>,
) -> ClientCredentials<Http> {
    let builder = ClientCredentials::builder(issuer, "my-service", credential);
    builder.build(http()).unwrap()
}

pub(crate) async fn fetch(provider: &impl TokenProvider) -> Result<AccessToken, BoxError> {
    provider.fetch_token(FetchContext::default()).await
}

/// The text of a token that is given.
pub(crate) async fn token(provider: &impl TokenProvider) -> String {
    fetch(provider).await.unwrap().expose_secret().to_owned()
}

/// The failure of a fetch, of which nothing shows the secret.
pub(crate) async fn failure(issuer: Issuer) -> FetchError {
    failure_of(&provider(issuer)).await
}

pub(crate) async fn failure_of(provider: &impl TokenProvider) -> FetchError {
    let error = fetch(provider).await.unwrap_err();
    let error = *error.downcast::<FetchError>().unwrap();
    Secrets::new(["hunter2"]).assert_absent_from_error(&error);
    assert!(cause(&error).is_discovery());
    error
}
