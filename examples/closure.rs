//! A provider of one's own, as a closure: here, over a vault that hands out tokens.
//!
//! ```console
//! $ cargo run --example closure
//! ```

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use tower::{ServiceBuilder, ServiceExt};
use tower_bearer::error::{BoxError, FetchError};
use tower_bearer::{AccessToken, BearerAuthLayer, token_fn};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let vault = Arc::new(Vault::holding("first"));

    let source = Arc::clone(&vault);
    let provider = token_fn(move |_cx| {
        let source = Arc::clone(&source);
        async move {
            let text = source.read().await.map_err(FetchError::unavailable)?;
            Ok(AccessToken::new(text.trim())?.with_expires_in(Duration::from_secs(600)))
        }
    });
    let client = ServiceBuilder::new()
        .layer(BearerAuthLayer::for_origin(
            provider,
            "https://api.example.com",
        )?)
        .service_fn(api);

    println!("with the first token: {}", get(&client, "first").await?);

    // The token changes. The cached one is rejected, the vault asked again and the request sent again.
    vault.store("second");
    println!("with the second token: {}", get(&client, "second").await?);
    println!("ok");
    Ok(())
}

/// Stands for whatever keeps the secrets.
struct Vault(Mutex<String>);

impl Vault {
    fn holding(token: &str) -> Self {
        Self(Mutex::new(token.to_owned()))
    }

    fn store(&self, token: &str) {
        *self.0.lock().expect("no panic") = token.to_owned();
    }

    async fn read(&self) -> Result<String, Infallible> {
        Ok(self.0.lock().expect("no panic").clone())
    }
}

async fn get<S>(client: &S, wanted: &'static str) -> Result<StatusCode, BoxError>
where
    S: tower::Service<Request<String>, Response = Response<String>, Error = BoxError> + Clone,
{
    let request = Request::get("https://api.example.com/")
        .extension(Wanted(wanted))
        .body(String::new())?;
    let response = client.clone().oneshot(request).await?;
    if response.status() != StatusCode::OK {
        return Err(format!("unexpected status {}", response.status()).into());
    }
    Ok(response.status())
}

/// What the API takes for valid.
#[derive(Clone, Copy)]
struct Wanted(&'static str);

/// Stands for a client and the API behind it.
async fn api(request: Request<String>) -> Result<Response<String>, BoxError> {
    let wanted = request.extensions().get::<Wanted>().ok_or("no marker")?.0;
    let is_valid = request
        .headers()
        .get(AUTHORIZATION)
        .is_some_and(|value| *value == *format!("Bearer {wanted}"));
    let mut response = Response::new(String::new());
    if !is_valid {
        *response.status_mut() = StatusCode::UNAUTHORIZED;
    }
    Ok(response)
}
