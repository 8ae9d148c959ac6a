//! The main job, on real sockets: one token for everyone, replaced before it ends, healed when revoked.
//!
//! ```console
//! $ cargo run --example quickstart
//! ```
//!
//! Starts a token endpoint and an API on loopback, sends requests through a client that is wrapped in the
//! layer, and tells what the two servers saw. Ends with `ok`, or says what differed and exits with 1.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tower::{ServiceBuilder, ServiceExt};
use tower_bearer::error::BoxError;
use tower_bearer::oauth2::ClientCredentials;
use tower_bearer::testing::{Api, AuthorizationServer};
use tower_bearer::{BearerAuth, BearerAuthLayer};

type HttpClient = Client<HttpConnector, Full<Bytes>>;
type AuthClient = BearerAuth<HttpClient, ClientCredentials<HttpClient>>;

const CLIENT_ID: &str = "quick-start";
const CLIENT_SECRET: &str = "a secret: with spaces & signs";

/// How many requests are in flight when the token is revoked.
const STORM: usize = 10_000;

/// How many requests must pass while a token request is under way.
const MEANWHILE: usize = 100;

#[tokio::main]
async fn main() -> ExitCode {
    match story().await {
        Ok(()) => {
            println!("ok");
            ExitCode::SUCCESS
        }
        Err(difference) => {
            println!("not as it should be: {difference}");
            let mut source = difference.source();
            while let Some(error) = source {
                println!("    because: {error}");
                source = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

async fn story() -> Result<(), BoxError> {
    // Real servers on real sockets, from the test kit.
    let endpoint = AuthorizationServer::start().await;
    endpoint.require_client(CLIENT_ID, CLIENT_SECRET);
    let api = Api::start(&endpoint).await;
    println!("token endpoint  {}", endpoint.url());
    println!("API             {}\n", api.origin());

    // All that it takes:
    let provider = ClientCredentials::builder(endpoint.url(), CLIENT_ID, CLIENT_SECRET)
        .build(Client::builder(TokioExecutor::new()).build_http())?;
    let layer = BearerAuthLayer::for_origin(provider, api.origin())?;
    let client = ServiceBuilder::new().layer(layer).service(http2_client());

    println!("1. The first request fetches a token.");
    endpoint.set_lifetime(Duration::from_secs(4));
    send(&client, &api, 0).await?;
    tell(&endpoint, &api);
    expect("token requests", endpoint.requests(), 1)?;

    println!("2. The next hundred reuse it.");
    for number in 1..=100 {
        send(&client, &api, number).await?;
    }
    tell(&endpoint, &api);
    expect("token requests", endpoint.requests(), 1)?;
    expect("accepted requests", api.accepted(), 101)?;

    println!("3. It lives for four seconds. Near its end it is replaced, and no request waits.");
    endpoint.set_lifetime(Duration::from_secs(3600));
    endpoint.hold();
    let waited_for_end = Instant::now();
    while endpoint.requests() < 2 {
        send(&client, &api, 0).await?;
        if waited_for_end.elapsed() > Duration::from_secs(10) {
            return Err("the token was not replaced".into());
        }
    }
    // The token endpoint has the request and does not answer. Everyone goes on with the old token.
    let before = api.accepted();
    for number in 0..MEANWHILE {
        send(&client, &api, number).await?;
    }
    let meanwhile = api.accepted() - before;
    let old = client.cache().cached();
    endpoint.release();
    while client.cache().cached() == old {
        send(&client, &api, 0).await?;
    }
    println!("   {meanwhile} requests were served while the token endpoint took its time.");
    tell(&endpoint, &api);
    expect("requests served meanwhile", meanwhile, MEANWHILE)?;
    expect("token requests", endpoint.requests(), 2)?;
    expect("rejected requests", api.rejected(), 0)?;

    println!("4. It is revoked while {STORM} requests are in flight.");
    let (received, accepted) = (api.requests(), api.accepted());
    api.hold();
    let storm: Vec<_> = (0..STORM)
        .map(|number| {
            let request = request(&api, number);
            let client = client.clone();
            tokio::spawn(async move { check(client.oneshot(request?).await?, number).await })
        })
        .collect();
    api.wait_for_requests(received + STORM).await;
    endpoint.revoke_all();
    api.release();
    for request in storm {
        request.await??;
    }
    tell(&endpoint, &api);
    expect("token requests", endpoint.requests(), 3)?;
    expect("rejected requests", api.rejected(), STORM)?;
    expect("healed requests", api.accepted() - accepted, STORM)?;

    println!("Every request succeeded.");
    Ok(())
}

/// A client that sends everything over one connection.
fn http2_client() -> HttpClient {
    let mut connector = HttpConnector::new();
    // Head and body are written one after the other.
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new())
        .http2_only(true)
        // As many as may be rejected at once: see `tower_bearer::rejection`.
        .http2_max_concurrent_reset_streams(2 * STORM)
        .build(connector)
}

fn request(api: &Api, number: usize) -> Result<Request<Full<Bytes>>, BoxError> {
    let body = Full::new(Bytes::from(format!("request {number}")));
    let uri = format!("{}/echo", api.origin());
    Ok(Request::post(uri).body(body)?)
}

async fn send(client: &AuthClient, api: &Api, number: usize) -> Result<(), BoxError> {
    let response = client.clone().oneshot(request(api, number)?).await?;
    check(response, number).await
}

/// The API sends back what it was sent.
async fn check(
    response: http::Response<hyper::body::Incoming>,
    number: usize,
) -> Result<(), BoxError> {
    if response.status() != StatusCode::OK {
        return Err(format!("request {number} got {}", response.status()).into());
    }
    let body = response.into_body().collect().await?.to_bytes();
    if body != format!("request {number}") {
        return Err(format!("request {number} arrived with another body").into());
    }
    Ok(())
}

fn tell(endpoint: &AuthorizationServer, api: &Api) {
    println!(
        "   token requests: {}; API calls: {} accepted, {} rejected\n",
        endpoint.requests(),
        api.accepted(),
        api.rejected()
    );
}

fn expect(what: &str, seen: usize, expected: usize) -> Result<(), BoxError> {
    if seen == expected {
        Ok(())
    } else {
        Err(format!("{seen} {what}, expected {expected}").into())
    }
}
