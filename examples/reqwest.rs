//! A client of reqwest below the layer: one token for everyone, and a revoked one healed.
//!
//! ```console
//! $ cargo run --features reqwest --example reqwest
//! ```
//!
//! Starts a token endpoint and an API on loopback, and sends requests to both by the same `reqwest::Client`. Ends
//! with `ok`, or fails.

mod loopback;

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_bearer::BearerAuthLayer;
use tower_bearer::error::BoxError;
use tower_bearer::oauth2::ClientCredentials;
use tower_bearer::reqwest::ReqwestTransport;

use self::loopback::{Api, CLIENT_ID, CLIENT_SECRET, Issuer};

/// How many requests are sent at once.
const AT_ONCE: usize = 100;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let issuer = Issuer::start().await;
    let api = Api::start(&issuer).await;

    // No redirects below the layer: see `tower_bearer::reqwest`. Without them the same client may carry the
    // token requests, which must follow none. And no proxy, which could read what goes by plain http.
    let http = Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .build()?;
    let transport = ReqwestTransport::from_client_that_may_follow_redirects(http.clone());
    let provider =
        ClientCredentials::builder(issuer.url(), CLIENT_ID, CLIENT_SECRET).build(transport)?;
    let auth = BearerAuthLayer::for_origin(provider, api.origin())?;
    let mut client = ServiceBuilder::new().layer(auth).service(http.clone());

    println!("1. A request fetches a token.");
    let request = http
        .post(format!("{}/orders", api.origin()))
        .body("three, please")
        // For each of the two sends, should it have to be sent again.
        .timeout(Duration::from_secs(30))
        .build()?;
    let response: Response = client.ready().await?.call(request).await?;
    println!("   {} from {}", response.status(), response.url().path());
    assert_eq!(response.text().await?, "three, please");
    assert_eq!((issuer.requests(), api.accepted()), (1, 1));

    println!("2. It is revoked, and {AT_ONCE} requests share the next.");
    issuer.revoke_all();
    let requests: Vec<_> = (0..AT_ONCE)
        .map(|number| {
            let (http, client) = (http.clone(), client.clone());
            let url = format!("{}/orders/{number}", api.origin());
            tokio::spawn(async move {
                let request = http.put(url).body(number.to_string()).build()?;
                let response: Response = client.oneshot(request).await?;
                Ok::<_, BoxError>(response.error_for_status()?.text().await?)
            })
        })
        .collect();
    for (number, answer) in requests.into_iter().enumerate() {
        assert_eq!(answer.await??, number.to_string());
    }
    println!("   {} were rejected at first", api.rejected());
    assert_eq!((issuer.requests(), api.accepted()), (2, 1 + AT_ONCE));

    println!("ok");
    Ok(())
}
