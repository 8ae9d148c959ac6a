//! Azupay: from an API key to connection details, and from there to calls of any scope.
//!
//! ```console
//! $ cargo run --example azupay
//! ```

pub(crate) mod emulators;

use std::fmt;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower::{ServiceBuilder, ServiceExt};
use tower_bearer::error::BoxError;
use tower_bearer::oauth2::{ClientAuth, ClientCredentials, ClientSecret};
use tower_bearer::{BearerAuthLayer, TokenCache, TokenRequest};
use zeroize::Zeroizing;

use self::emulators::azupay::{API_KEY, AZUPAY_CLIENT_ID, Azupay, SIGNATURE_HEADER};
use self::emulators::story::{conclude, expect_seen, expect_status};
use self::emulators::{Emulator, HttpClient, http1_client};

#[tokio::main]
async fn main() -> ExitCode {
    conclude(story().await)
}

async fn story() -> Result<(), BoxError> {
    // Stands for https://api-uat.azupay.com.au. Its API key is HMAC-enabled.
    let azupay = Azupay::with_signature_required(Arc::new(hmac));
    let azupay = Emulator::start(azupay).await;
    let vault = Vault::default();

    println!(
        "1. OAuth 2.0 is enabled with the API key, and the secret goes straight to the vault."
    );
    let http = http1_client();
    let mut connection =
        Connection::request(&http, Method::POST, azupay.origin(), API_KEY, sign).await?;
    let secret = connection.client_secret.take();
    vault.store(secret.ok_or("no secret at the first time")?);
    println!("   {connection:?}\n");

    println!("2. From now on the connection details come without it.");
    let connection =
        Connection::request(&http, Method::GET, azupay.origin(), API_KEY, sign).await?;
    if connection.client_secret.is_some() {
        return Err("the secret came twice".into());
    }
    println!(
        "   {} scopes are allowed\n",
        connection.allowed_scopes.len()
    );

    // All that it takes:
    let secret = ClientSecret::from_fn(move || {
        let vault = vault.clone();
        async move { vault.read() }
    });
    let provider = ClientCredentials::builder(&connection.token_url, connection.client_id, secret)
        .with_client_auth(ClientAuth::Post)
        .build(http.clone())?;
    let cache = TokenCache::builder(provider)
        .with_default_lifetime(connection.ttl)
        .build();
    let layer = BearerAuthLayer::for_origin(cache, azupay.origin())?
        .with_header(ACCEPT, HeaderValue::from_static("application/json"));
    let client = ServiceBuilder::new().layer(layer).service(http);

    let get = |path| Request::get(azupay.url(path));
    let balance_only = TokenRequest::default().with_scope("RestAPI/GET:balance");

    println!("3. Calls get a token of the default scopes.");
    for path in ["/v1/balance", "/v1/payment", "/v1/balance"] {
        let request = get(path).body(Full::default())?;
        expect_status(&client, request, StatusCode::OK).await?;
    }
    expect_seen(&azupay, (1, 3, 0))?;

    println!("4. One call gets a token that can do nothing but that.");
    let request = get("/v1/balance").extension(balance_only.clone());
    expect_status(&client, request.body(Full::default())?, StatusCode::OK).await?;
    let request = get("/v1/payment").extension(balance_only.clone());
    let request = request.body(Full::default())?;
    expect_status(&client, request, StatusCode::FORBIDDEN).await?;
    expect_seen(&azupay, (2, 4, 0))?;

    println!("5. All are revoked. The callers do not notice, and each gets a token of its scope.");
    azupay.revoke_all();
    let request = get("/v1/payment").body(Full::default())?;
    expect_status(&client, request, StatusCode::OK).await?;
    let request = get("/v1/balance").extension(balance_only);
    expect_status(&client, request.body(Full::default())?, StatusCode::OK).await?;
    expect_seen(&azupay, (4, 6, 2))
}

/// The connection details of a client for which OAuth 2.0 is enabled.
pub(crate) struct Connection {
    pub(crate) client_id: String,
    /// Only in the answer that enables it.
    pub(crate) client_secret: Option<Zeroizing<String>>,
    pub(crate) token_url: String,
    pub(crate) ttl: Duration,
    pub(crate) allowed_scopes: Vec<String>,
}

impl Connection {
    /// Enables OAuth 2.0 with `POST`, or retrieves the details with `GET`.
    ///
    /// `sign` adds what an HMAC-enabled API key needs; it may do nothing.
    pub(crate) async fn request(
        http: &HttpClient,
        method: Method,
        endpoint: &str,
        api_key: &str,
        sign: impl FnOnce(&mut Parts, &[u8]) -> Result<(), BoxError>,
    ) -> Result<Self, BoxError> {
        let body: &[u8] = if method == Method::POST { b"{}" } else { b"" };
        let mut api_key = HeaderValue::from_str(api_key)?;
        api_key.set_sensitive(true);
        let (mut parts, ()) = Request::builder()
            .method(method)
            .uri(format!("{endpoint}/v1/client/{AZUPAY_CLIENT_ID}/oauth2"))
            .header(AUTHORIZATION, api_key)
            .header(CONTENT_TYPE, "application/json")
            .body(())?
            .into_parts();
        sign(&mut parts, body)?;

        let request = Request::from_parts(parts, Full::new(Bytes::copy_from_slice(body)));
        let response = http.clone().oneshot(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        // The text of an answer, and of an error about it, may hold the secret.
        let mut details: Value = match serde_json::from_slice(&body) {
            Ok(details) if status.is_success() => details,
            _ => return Err(format!("no connection details: {status}").into()),
        };
        let client_secret = match details["oauth2ClientSecret"].take() {
            Value::String(secret) => Some(Zeroizing::new(secret)),
            _ => None,
        };
        Self::parse(&details, client_secret).ok_or_else(|| "connection details lack a field".into())
    }

    fn parse(details: &Value, client_secret: Option<Zeroizing<String>>) -> Option<Self> {
        if details["oauth2GrantType"] != "client_credentials" {
            return None;
        }
        let scopes = details["oauth2AllowedScopes"].as_array()?.iter();
        Some(Self {
            client_id: details["oauth2ClientId"].as_str()?.to_owned(),
            client_secret,
            token_url: details["oauth2TokenUrl"].as_str()?.to_owned(),
            ttl: Duration::from_secs(details["oauth2TtlInSecs"].as_u64()?),
            allowed_scopes: scopes
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
        })
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("token_url", &self.token_url)
            .field("ttl", &self.ttl)
            .field("allowed_scopes", &self.allowed_scopes.len())
            .finish_non_exhaustive()
    }
}

/// Signs a request as Azupay's page on HMAC says; here, as the emulator checks it.
pub(crate) fn sign(request: &mut Parts, body: &[u8]) -> Result<(), BoxError> {
    let signature = hmac(&request.method, request.uri.path(), body);
    let signature = HeaderValue::from_str(&signature)?;
    request.headers.insert(SIGNATURE_HEADER, signature);
    Ok(())
}

/// Stands for an HMAC. It is none.
pub(crate) fn hmac(method: &Method, path: &str, body: &[u8]) -> String {
    format!("{method} {path} {}", body.len())
}

/// Stands for a secrets manager.
#[derive(Clone, Default)]
struct Vault(Arc<Mutex<Option<Zeroizing<String>>>>);

impl Vault {
    fn store(&self, secret: Zeroizing<String>) {
        *self.0.lock().expect("no panic") = Some(secret);
    }

    fn read(&self) -> Result<String, BoxError> {
        let secret = self.0.lock().expect("no panic");
        let secret = secret.as_ref().ok_or("no secret in the vault")?;
        Ok(secret.to_string())
    }
}
