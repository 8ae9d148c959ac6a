//! The layer as a middleware of `reqwest_middleware`: what is added before it sees each request once, what is
//! added after it sees each time that it is sent.
//!
//! ```console
//! $ cargo run --features reqwest --example reqwest_middleware
//! ```
//!
//! The adapter is `examples/middleware/mod.rs`: copy it. It is no part of the library, since that would tie
//! each of its versions to one of `reqwest_middleware`. Ends with `ok`, or fails.

mod loopback;
mod middleware;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Extensions;
use reqwest::redirect::Policy;
use reqwest::{Client, Request, Response};
use reqwest_middleware::{ClientBuilder, Middleware, Next, Result};
use tower_bearer::BearerAuthLayer;
use tower_bearer::error::BoxError;
use tower_bearer::oauth2::ClientCredentials;
use tower_bearer::reqwest::ReqwestTransport;

use self::loopback::{Api, CLIENT_ID, CLIENT_SECRET, Issuer};
use self::middleware::BearerAuth;

#[tokio::main]
async fn main() -> std::result::Result<(), BoxError> {
    let issuer = Issuer::start().await;
    let api = Api::start(&issuer).await;

    let provider = ClientCredentials::builder(issuer.url(), CLIENT_ID, CLIENT_SECRET)
        .build(ReqwestTransport::new()?)?;
    let auth = BearerAuthLayer::for_origin(provider, api.origin())?;

    let (above, below) = (Counted::default(), Counted::default());
    // A proxy could read what goes by plain http.
    let http = Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .build()?;
    let client = ClientBuilder::new(http)
        .with(above.clone())
        .with(BearerAuth(auth))
        .with(below.clone())
        .build();

    for _ in 0..2 {
        let request = client.post(api.origin()).body("an order");
        let text = request.send().await?.error_for_status()?.text().await?;
        assert_eq!(text, "an order");
        issuer.revoke_all();
    }

    println!("token requests        {}", issuer.requests());
    println!("requests above        {}", above.get());
    println!("requests below        {}", below.get());
    assert_eq!((issuer.requests(), above.get(), below.get()), (2, 2, 3));
    println!("ok");
    Ok(())
}

/// How many requests have passed.
#[derive(Clone, Default)]
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[async_trait::async_trait]
impl Middleware for Counted {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        self.0.fetch_add(1, Ordering::Relaxed);
        next.run(request, extensions).await
    }
}
