//! The SDK whose hooks put tokens on, by the handle of the cache.
//!
//! What the layer does otherwise, the hooks have to do: see to it that the token goes to one origin only,
//! that nothing is sent a third time, and that what cannot be copied is not sent again.

use reqwest::header::AUTHORIZATION;
use tower_bearer::error::BoxError;
use tower_bearer::{AccessToken, FetchError, TokenCache, rejection};

use super::into_reqwest;

progenitor::generate_api!(
    spec = "openapi/notes.json",
    inner_type = tower_bearer::TokenCache,
    pre_hook_async = crate::notes::by_handle::sign_in,
    // Without an `impl ClientHooks for Client` it does not compile, instead of healing nothing.
    hooks = Expected,
);

/// A client of the service at `base`, such as `https://notes.example.com/v1`.
pub fn client(base: &str, tokens: TokenCache) -> Result<Client, BoxError> {
    // A handle knows nothing of where its tokens go. A generated client sends to its base URL and nowhere
    // else, so it is enough to look at that: a token goes over TLS, or does not leave the host.
    let (_origin, http) = super::service(base)?;
    Ok(Client::new_with_client(base, http, tokens))
}

/// Sees to it that there is a token, so that the text of an error reaches the caller as `Error::Custom`.
///
/// It is not put on here: `exec` could tell neither which it was, nor which headers came with it, and
/// would send those of the rejected token again.
pub async fn sign_in(
    tokens: &TokenCache,
    request: &mut reqwest::Request,
) -> Result<(), FetchError> {
    if request.headers().contains_key(AUTHORIZATION) {
        // The caller's own, for which there need be no token.
        return Ok(());
    }
    tokens.token().await.map(drop)
}

impl ClientHooks<TokenCache> for Client {
    async fn exec(
        &self,
        request: reqwest::Request,
        _: &OperationInfo,
    ) -> reqwest::Result<reqwest::Response> {
        let (http, tokens) = (self.client(), self.inner());
        if request.headers().contains_key(AUTHORIZATION) {
            // The caller's own.
            return http.execute(request).await;
        }
        // Nearly always the one that `sign_in` has seen, which may have expired since.
        let token = match tokens.token().await {
            Ok(token) => token,
            Err(error) => return Err(into_reqwest(error.into()).await),
        };
        // Shares the body. There is none if that is a stream.
        let again = request.try_clone();
        let response = http.execute(with(&token, request)).await?;
        if !rejection::unauthorized(response.status(), response.headers()) {
            return Ok(response);
        }
        let Some(again) = again else {
            // The next request gets another token.
            tokens.invalidate(&token);
            return Ok(response);
        };
        match tokens.replacement_for(&token).await {
            Ok(other) => {
                // What is unread of it must not be in the way.
                drop(response);
                http.execute(with(&other, again)).await
            }
            // Once more would not help. Whoever wants to log why finds it in the error.
            Err(_not_retried) => Ok(response),
        }
    }
}

fn with(token: &AccessToken, mut request: reqwest::Request) -> reqwest::Request {
    let headers = request.headers_mut();
    headers.insert(AUTHORIZATION, token.header_value().clone());
    for (name, value) in token.headers() {
        headers.entry(name).or_insert_with(|| value.clone());
    }
    request
}
