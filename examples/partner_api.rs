//! The Partner API: token requests in JSON.
//!
//! ```console
//! $ cargo run --example partner_api
//! ```

mod emulators;

use std::process::ExitCode;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use tower::ServiceBuilder;
use tower_bearer::BearerAuthLayer;
use tower_bearer::error::BoxError;
use tower_bearer::oauth2::{ClientAuth, ClientCredentials};

use self::emulators::partner_api::{CLIENT_ID, CLIENT_SECRET, PartnerApi};
use self::emulators::story::{conclude, expect_seen, expect_status};
use self::emulators::{Emulator, http1_client};

#[tokio::main]
async fn main() -> ExitCode {
    conclude(story().await)
}

async fn story() -> Result<(), BoxError> {
    let partner_api = Emulator::start(PartnerApi::default()).await;

    // All that it takes:
    let provider = ClientCredentials::builder(partner_api.token_url(), CLIENT_ID, CLIENT_SECRET)
        .with_client_auth(ClientAuth::Post)
        .with_json_body()
        .build(http1_client())?;
    let layer = BearerAuthLayer::for_origin(provider, partner_api.origin())?;
    let client = ServiceBuilder::new().layer(layer).service(http1_client());

    let book = || {
        let request = Request::post(partner_api.url("/api/bookings"));
        request.body(Full::new(Bytes::from_static(b"{}")))
    };

    println!("1. The first call fetches a token.");
    expect_status(&client, book()?, StatusCode::OK).await?;
    expect_seen(&partner_api, (1, 1, 0))?;

    println!("2. Others reuse it.");
    for _ in 0..10 {
        expect_status(&client, book()?, StatusCode::OK).await?;
    }
    expect_seen(&partner_api, (1, 11, 0))?;

    println!("3. It is revoked. The caller does not notice, and the booking is made once.");
    partner_api.revoke_all();
    expect_status(&client, book()?, StatusCode::OK).await?;
    expect_seen(&partner_api, (2, 12, 1))
}
