//! The layer as a middleware of `reqwest_middleware`.

use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Error, Middleware, Next, Result};
use tokio::sync::Mutex;
use tower::{Layer, ServiceExt, service_fn};
use tower_bearer::{BearerAuthLayer, TokenProvider, TokenRequest};

/// Puts tokens on requests, and heals a 401. What was added before this sees one request and one response;
/// what is added after it sees each send. Which token it is, if there are several, is said by
/// `with_extension(TokenRequest::default().with_scope("orders"))`.
pub struct BearerAuth<P>(pub BearerAuthLayer<P>);

#[async_trait::async_trait]
impl<P: TokenProvider> Middleware for BearerAuth<P> {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        // Where the layer looks for it. It stays here too, for a middleware that sends all this again.
        let request = match extensions.get() {
            Some(token) => with_token_request(request, TokenRequest::clone(token))?,
            None => request,
        };
        // The two sends come one after the other.
        let extensions = &Mutex::new(extensions);
        let rest = service_fn(|request| {
            let next = next.clone();
            async move { next.run(request, *extensions.lock().await).await }
        });
        match self.0.layer(rest).oneshot(request).await {
            Ok(response) => Ok(response),
            // What is below fails with `Error`, and what the layer adds is of its own.
            Err(error) => Err(match error.downcast() {
                Ok(error) => *error,
                Err(error) => Error::Middleware(anyhow::Error::from_boxed(error)),
            }),
        }
    }
}

/// Puts what says which token it needs into the extensions of a request, to which reqwest has no other way.
fn with_token_request(request: Request, token: TokenRequest) -> reqwest::Result<Request> {
    // Which an `http::Request` cannot tell: the fragment, and whether an empty body is one.
    let (url, has_body) = (request.url().clone(), request.body().is_some());
    let mut request = http::Request::try_from(request)?;
    request.extensions_mut().insert(token);
    let mut request = Request::try_from(request)?;
    *request.url_mut() = url;
    if !has_body {
        *request.body_mut() = None;
    }
    Ok(request)
}
