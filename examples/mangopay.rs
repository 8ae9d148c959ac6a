//! Mangopay: HTTP Basic, a new token 30 s before the old one ends, and never too many token requests.
//!
//! ```console
//! $ cargo run --example mangopay
//! ```

mod emulators;

use std::process::ExitCode;
use std::time::Duration;

use http::{Request, StatusCode};
use http_body_util::Full;
use tower::ServiceBuilder;
use tower_bearer::error::BoxError;
use tower_bearer::oauth2::{ClientAuth, ClientCredentials};
use tower_bearer::{BearerAuthLayer, TokenCache};

use self::emulators::mangopay::{API_KEY, CLIENT_ID, Mangopay};
use self::emulators::story::{conclude, expect_seen, expect_status};
use self::emulators::{Emulator, http1_client};

#[tokio::main]
async fn main() -> ExitCode {
    conclude(story().await)
}

async fn story() -> Result<(), BoxError> {
    // Stands for https://api.sandbox.mangopay.com.
    let mangopay = Emulator::start(Mangopay::default()).await;

    // All that it takes. Mangopay's Basic has id and key as they are, and not form-encoded.
    let provider = ClientCredentials::builder(mangopay.token_url(), CLIENT_ID, API_KEY)
        .with_client_auth(ClientAuth::BasicRaw)
        .build(http1_client())?;
    let cache = TokenCache::builder(provider)
        .with_refresh_window(Duration::from_secs(30)) // As Mangopay recommends, and the default.
        .build();
    let layer = BearerAuthLayer::for_origin(cache, mangopay.origin())?;
    let client = ServiceBuilder::new().layer(layer).service(http1_client());

    let get = |resource: &str| {
        let uri = mangopay.url(&format!("/v2.01/{CLIENT_ID}/{resource}"));
        Request::get(uri).body(Full::default())
    };

    println!("1. The first call fetches a token.");
    expect_status(&client, get("users")?, StatusCode::OK).await?;
    expect_seen(&mangopay, (1, 1, 0))?;

    println!("2. Others use it for its full lifetime.");
    for _ in 0..100 {
        expect_status(&client, get("wallets")?, StatusCode::OK).await?;
    }
    expect_seen(&mangopay, (1, 101, 0))?;

    println!("3. It is revoked. The caller does not notice.");
    mangopay.revoke_all();
    expect_status(&client, get("users")?, StatusCode::OK).await?;
    expect_seen(&mangopay, (2, 102, 1))?;

    println!("4. One resource rejects every token. That does not block the account.");
    mangopay.close_path(&format!("/v2.01/{CLIENT_ID}/payouts"));
    for _ in 0..100 {
        expect_status(&client, get("payouts")?, StatusCode::UNAUTHORIZED).await?;
        expect_status(&client, get("users")?, StatusCode::OK).await?;
    }
    // Rejections may cause three token requests at once, of which step 3 used one.
    expect_seen(&mangopay, (4, 202, 102))
}
