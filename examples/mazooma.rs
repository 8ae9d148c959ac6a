//! Mazooma: id and secret in the form, and two headers of its own on every call.
//!
//! ```console
//! $ cargo run --example mazooma
//! ```

mod emulators;

use std::process::ExitCode;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Request, StatusCode};
use http_body_util::Full;
use tower::ServiceBuilder;
use tower_bearer::BearerAuthLayer;
use tower_bearer::error::BoxError;
use tower_bearer::oauth2::{ClientAuth, ClientCredentials};

use self::emulators::mazooma::{APP_ID, CLIENT_ID, CLIENT_SECRET, Mazooma};
use self::emulators::story::{conclude, expect_seen, expect_status};
use self::emulators::{Emulator, http1_client};

#[tokio::main]
async fn main() -> ExitCode {
    conclude(story().await)
}

async fn story() -> Result<(), BoxError> {
    // Stands for https://staging.mazoomagateway.com.
    let mazooma = Emulator::start(Mazooma::default()).await;

    // All that it takes:
    let provider = ClientCredentials::builder(mazooma.token_url(), CLIENT_ID, CLIENT_SECRET)
        .with_client_auth(ClientAuth::Post)
        .build(http1_client())?;
    let client_id = HeaderName::from_static("x-pgw-client-id");
    let app_id = HeaderName::from_static("x-pgw-app-id");
    let layer = BearerAuthLayer::for_origin(provider, mazooma.origin())?
        .with_header(client_id, HeaderValue::from_static(CLIENT_ID))
        .with_header(app_id, HeaderValue::from_static(APP_ID))
        .with_header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let client = ServiceBuilder::new().layer(layer).service(http1_client());

    let transaction = || {
        let request = Request::post(mazooma.url("/transaction"));
        request.body(Full::new(Bytes::from_static(b"{}")))
    };
    let report = || Request::get(mazooma.url("/report")).body(Full::default());

    println!("1. The first call fetches a token.");
    expect_status(&client, transaction()?, StatusCode::OK).await?;
    expect_seen(&mazooma, (1, 1, 0))?;

    println!("2. Others reuse it, each with the headers that Mazooma wants.");
    for _ in 0..10 {
        expect_status(&client, report()?, StatusCode::OK).await?;
    }
    expect_seen(&mazooma, (1, 11, 0))?;

    println!("3. It is revoked. The caller does not notice, and the body arrives again.");
    mazooma.revoke_all();
    expect_status(&client, transaction()?, StatusCode::OK).await?;
    expect_seen(&mazooma, (2, 12, 1))
}
