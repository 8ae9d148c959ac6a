//! Mazooma: id and secret in the form, and two headers of its own on every call.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;

use super::{Issued, Reply, Site, Vendor, Wire};

pub const CLIENT_ID: &str = "34ff3d8e-4911-11ea-b77f-2e728ce88125";
pub const CLIENT_SECRET: &str = "s3cret of Mazooma: 100% + & =";
pub const APP_ID: &str = "57758fee-4911-11ea-b77f-2e728ce88125";

/// The document's example of an answer has every value in quotes.
#[derive(Default)]
pub struct Mazooma {
    number_as_text: AtomicBool,
}

impl Mazooma {
    /// Writes `expires_in` as a text from now on.
    pub fn quote_expires_in(&self) {
        self.number_as_text.store(true, Ordering::Relaxed);
    }
}

impl Vendor for Mazooma {
    const TOKEN_PATH: &'static str = "/register/oauth/token";
    const LIFETIME: Duration = Duration::from_secs(1800);

    fn token(&self, request: &Wire, site: &Site) -> Result<Reply, Reply> {
        let refuse =
            |code, description| Reply::oauth_error(StatusCode::BAD_REQUEST, code, description);
        if request.method != Method::POST {
            return Err(Reply::text(StatusCode::METHOD_NOT_ALLOWED, "POST only"));
        }
        let form = request
            .form()
            .ok_or_else(|| refuse("invalid_request", "not a form"))?;
        let value = |name| form.get(name).map(String::as_str);
        if value("grant_type") != Some("client_credentials") {
            return Err(refuse("unsupported_grant_type", "not client_credentials"));
        }
        // One way to authenticate, and nothing that the document does not name.
        if form.len() != 3 || request.headers.contains_key("authorization") {
            return Err(refuse("invalid_request", "grant, id and secret, no more"));
        }
        if (value("client_id"), value("client_secret")) != (Some(CLIENT_ID), Some(CLIENT_SECRET)) {
            return Err(Reply::oauth_error(
                StatusCode::UNAUTHORIZED,
                "invalid_client",
                "unknown client or wrong secret",
            ));
        }
        let token = site.issue(["report", "transaction"], |token| {
            format!("a7ffc6f8bf1ed766{:048x}", token.number)
        });
        let seconds = site.lifetime().as_secs();
        let expires_in = if self.number_as_text.load(Ordering::Relaxed) {
            json!(seconds.to_string())
        } else {
            json!(seconds)
        };
        Ok(Reply::json(
            StatusCode::OK,
            &json!({
                "access_token": token,
                "expires_in": expires_in,
                "token_type": "Bearer",
                "scope": "report transaction",
            }),
        ))
    }

    fn unauthorized(&self) -> Reply {
        Reply::oauth_error(StatusCode::UNAUTHORIZED, "invalid_token", "no valid token")
    }

    fn call(&self, request: &Wire, _: &Issued) -> Result<Reply, Reply> {
        for (name, value) in [
            ("x-pgw-client-id", CLIENT_ID),
            ("x-pgw-app-id", APP_ID),
            ("content-type", "application/json"),
        ] {
            if request.header(name) != Some(value) {
                let text = format!("missing or wrong header: {name}");
                return Err(Reply::text(StatusCode::BAD_REQUEST, &text));
            }
        }
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/report") => Ok(Reply::json(StatusCode::OK, &json!({ "report": [] }))),
            ("POST", "/transaction") => Ok(Reply::json(StatusCode::OK, &json!({ "state": "new" }))),
            (_, "/report" | "/transaction") => Err(Reply::text(StatusCode::METHOD_NOT_ALLOWED, "")),
            _ => Err(Reply::text(StatusCode::NOT_FOUND, "")),
        }
    }
}
