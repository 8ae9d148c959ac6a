//! Buckaroo: a `GET` with a body for the token, scopes under a name of their own, and a JWT that alone
//! tells how long it lives.
//!
//! ```console
//! $ cargo run --example buckaroo
//! ```

mod emulators;

use std::process::ExitCode;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use tower::ServiceBuilder;
use tower_bearer::error::BoxError;
use tower_bearer::oauth2::{ClientAuth, ClientCredentials};
use tower_bearer::{BearerAuthLayer, TokenRequest};

use self::emulators::buckaroo::{Buckaroo, CLIENT_ID, CLIENT_SECRET};
use self::emulators::story::{conclude, expect_seen, expect_status};
use self::emulators::{Emulator, http1_client};

#[tokio::main]
async fn main() -> ExitCode {
    conclude(story().await)
}

async fn story() -> Result<(), BoxError> {
    let buckaroo = Emulator::start(Buckaroo::with_scope_parameter("Scopes")).await;

    // All that it takes. Leave out `with_scope_parameter` where it is called `scope`.
    let provider = ClientCredentials::builder(buckaroo.token_url(), CLIENT_ID, CLIENT_SECRET)
        .with_client_auth(ClientAuth::BasicRaw)
        .with_method(Method::GET)
        .with_scope_parameter("Scopes")
        .with_scope("payments:read payments:refund")
        .build(http1_client())?;
    let layer = BearerAuthLayer::for_origin(provider, buckaroo.origin())?
        .with_header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let client = ServiceBuilder::new().layer(layer).service(http1_client());

    let read = || Request::get(buckaroo.url("/payments")).body(Full::default());
    let refund = || {
        let request = Request::post(buckaroo.url("/payments/refund"));
        request.body(Full::new(Bytes::from_static(b"{}")))
    };

    println!("1. The first call fetches a token, which is a JWT for 24 hours.");
    expect_status(&client, read()?, StatusCode::OK).await?;
    expect_seen(&buckaroo, (1, 1, 0))?;

    println!("2. Others reuse it, for each of its scopes.");
    for _ in 0..10 {
        expect_status(&client, refund()?, StatusCode::OK).await?;
    }
    expect_seen(&buckaroo, (1, 11, 0))?;

    println!("3. A call that asks for less gets a token of its own, which does no more.");
    let mut narrow = refund()?;
    let only_read = TokenRequest::default().with_scope("payments:read");
    narrow.extensions_mut().insert(only_read);
    expect_status(&client, narrow, StatusCode::FORBIDDEN).await?;
    expect_seen(&buckaroo, (2, 11, 0))?;

    println!("4. All are revoked. The caller does not notice.");
    buckaroo.revoke_all();
    expect_status(&client, refund()?, StatusCode::OK).await?;
    expect_seen(&buckaroo, (3, 12, 1))
}
