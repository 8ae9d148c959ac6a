//! Ways to ask a metadata server.

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tower_bearer::error::{FetchError, FetchErrorKind};
use tower_bearer::oauth2::TokenEndpointErrorKind;
use tower_bearer::testing::Secrets;
use tower_bearer::{FetchContext, TokenProvider, TokenRequest};

pub(crate) use crate::error_support::{cause, everything};
use crate::server::Server;

pub(crate) fn http() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

/// Host and port.
pub(crate) fn host(server: &Server) -> String {
    let url = server.url();
    let host = url.strip_prefix("http://").unwrap();
    host.strip_suffix("/token").unwrap().to_owned()
}

pub(crate) async fn fetch(
    provider: &impl TokenProvider,
    request: TokenRequest,
) -> Result<String, FetchError> {
    match provider.fetch_token(FetchContext::new(request)).await {
        Ok(token) => Ok(token.expose_secret().to_owned()),
        Err(error) => Err(*error.downcast().unwrap()),
    }
}

/// The default token.
pub(crate) async fn token(provider: &impl TokenProvider) -> String {
    fetch(provider, TokenRequest::default()).await.unwrap()
}

/// The failure of the default fetch, of which nothing shows what must not be shown.
pub(crate) async fn failure(provider: &impl TokenProvider) -> FetchError {
    failure_for(provider, TokenRequest::default()).await
}

pub(crate) async fn failure_for(
    provider: &impl TokenProvider,
    request: TokenRequest,
) -> FetchError {
    let error = fetch(provider, request).await.unwrap_err();
    Secrets::new(["hunter2"]).assert_absent_from_error(&error);
    error
}

/// What each of these requests is: refused, and not sent.
pub(crate) async fn assert_refused(provider: &impl TokenProvider, requests: &[TokenRequest]) {
    for (number, request) in requests.iter().enumerate() {
        let error = failure_for(provider, request.clone()).await;
        assert_eq!(error.kind(), FetchErrorKind::InvalidRequest, "{number}");
        assert_eq!(cause(&error).kind(), TokenEndpointErrorKind::NotSent);
    }
}
