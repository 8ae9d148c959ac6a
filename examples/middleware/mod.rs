//! The layer as a middleware of `reqwest_middleware`.

use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Error, Middleware, Next, Result};
use tokio::sync::Mutex;
use tower::{Layer, ServiceExt, service_fn};
use tower_bearer::{BearerAuthLayer, TokenProvider};

/// Puts tokens on requests, and heals a 401. What was added before this sees one request and one response;
/// what is added after it sees each send.
pub struct BearerAuth<P>(pub BearerAuthLayer<P>);

#[async_trait::async_trait]
impl<P: TokenProvider> Middleware for BearerAuth<P> {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
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
