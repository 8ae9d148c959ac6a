//! A client, and what became of its fetch.

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tower_bearer::error::{BoxError, FetchError};
use tower_bearer::oauth2::{ClientCredentials, ClientCredentialsBuilder};
use tower_bearer::testing::Secrets;
use tower_bearer::{AccessToken, FetchContext, TokenProvider, TokenRequest};

use super::server::Server;
pub(crate) use crate::error_support::{cause, everything};

pub(crate) const TOKEN: &str =
    r#"{"access_token":"issued","token_type":"Bearer","expires_in":3600}"#;

/// An id and a secret that come out differently by every encoding.
pub(crate) const ID: &str = "i:d+%/ é";
pub(crate) const SECRET: &str = r#"hunter2:+%/ \"<&'*~é"#;

pub(crate) fn hyper() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

pub(crate) fn client(server: &Server) -> ClientCredentialsBuilder {
    ClientCredentials::builder(server.url(), "my-service", SECRET)
}

pub(crate) async fn fetch(builder: ClientCredentialsBuilder) -> Result<AccessToken, BoxError> {
    fetch_for(builder, TokenRequest::default()).await
}

pub(crate) async fn fetch_for(
    builder: ClientCredentialsBuilder,
    request: TokenRequest,
) -> Result<AccessToken, BoxError> {
    let provider = builder.build(hyper()).unwrap();
    provider.fetch_token(FetchContext::new(request)).await
}

/// The failure of a fetch, of which nothing shows the secret.
pub(crate) async fn failure(builder: ClientCredentialsBuilder) -> FetchError {
    fetch_error(fetch(builder).await)
}

pub(crate) fn fetch_error(result: Result<AccessToken, BoxError>) -> FetchError {
    let error = *result.unwrap_err().downcast::<FetchError>().unwrap();
    Secrets::new(["hunter2", SECRET]).assert_absent_from_error(&error);
    error
}
