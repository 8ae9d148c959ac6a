//! The Partner API: token requests in JSON, and a long JWT whose times have fractions.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::wire::jwt;
use super::{Issued, Reply, Site, Vendor, Wire};

pub const CLIENT_ID: &str = "9b1e82a7-0a59-4e7e-add5-b9ffa37aade1";
pub const CLIENT_SECRET: &str = r#"partner "secret" \ with signs é"#;

/// As long as the document's example.
pub const TOKEN_LENGTH: usize = 1228;

/// By how much `exp` falls short of a whole lifetime in the document's example, in seconds.
pub const SHORT_BY: f64 = 0.005634;

#[derive(Default)]
pub struct PartnerApi {
    without_expires_in: AtomicBool,
}

impl PartnerApi {
    /// Leaves out `expires_in` from now on, so that only the JWT tells.
    pub fn leave_out_expires_in(&self) {
        self.without_expires_in.store(true, Ordering::Relaxed);
    }
}

impl Vendor for PartnerApi {
    const TOKEN_PATH: &'static str = "/api/oauth/token";
    const LIFETIME: Duration = Duration::from_secs(3600);

    fn token(&self, request: &Wire, site: &Site) -> Result<Reply, Reply> {
        if request.method != Method::POST {
            return Err(error(
                StatusCode::METHOD_NOT_ALLOWED,
                "invalid_request",
                "POST only",
            ));
        }
        if !request.accepts_json() {
            return Err(error(
                StatusCode::NOT_ACCEPTABLE,
                "invalid_request",
                "Accept is JSON",
            ));
        }
        let refuse = |code, message| error(StatusCode::BAD_REQUEST, code, message);
        let body = request
            .json_texts()
            .filter(|_| request.has_json_content_type());
        let body = body.ok_or_else(|| refuse("invalid_request", "The body is JSON"))?;
        let value = |name| body.get(name).map(String::as_str);
        if value("grant_type") != Some("client_credentials") {
            return Err(refuse(
                "unsupported_grant_type",
                "The grant type is not supported",
            ));
        }
        if body.len() != 3 || request.headers.contains_key("authorization") {
            return Err(refuse("invalid_request", "Grant, id and secret, no more"));
        }
        if (value("client_id"), value("client_secret")) != (Some(CLIENT_ID), Some(CLIENT_SECRET)) {
            let text = "Client authentication failed";
            return Err(error(StatusCode::UNAUTHORIZED, "invalid_client", text));
        }
        let token = site.issue(["bookings:create", "bookings:delete"], write);
        let mut answer = json!({ "token_type": "Bearer", "access_token": token });
        if !self.without_expires_in.load(Ordering::Relaxed) {
            answer["expires_in"] = json!(site.lifetime().as_secs());
        }
        Ok(Reply::json(StatusCode::OK, &answer))
    }

    fn unauthorized(&self) -> Reply {
        Reply::json(
            StatusCode::UNAUTHORIZED,
            &json!({ "message": "Unauthenticated." }),
        )
    }

    fn call(&self, request: &Wire, token: &Issued) -> Result<Reply, Reply> {
        let scope = match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/api/bookings") => "bookings:create",
            ("DELETE", "/api/bookings/1") => "bookings:delete",
            _ => return Err(Reply::text(StatusCode::NOT_FOUND, "")),
        };
        if !token.scopes.contains(scope) {
            return Err(Reply::text(StatusCode::FORBIDDEN, ""));
        }
        Ok(Reply::json(StatusCode::OK, &json!({ "used": scope })))
    }
}

/// The text of a token: the document's claims, and a signature that brings it to the same length.
fn write(token: &Issued) -> String {
    let issued_at = token.issued_at.as_secs_f64();
    let claims: Value = json!({
        "aud": CLIENT_ID,
        "jti": format!("{:080x}", token.number),
        "iat": issued_at,
        "nbf": issued_at + 0.000_002,
        "exp": issued_at + token.lifetime.as_secs_f64() - SHORT_BY,
        "sub": "",
        "scopes": token.scopes,
        "is_test": false,
    });
    let unsigned = jwt(&claims, 0).len();
    jwt(&claims, TOKEN_LENGTH.saturating_sub(unsigned))
}

fn error(status: StatusCode, code: &str, message: &str) -> Reply {
    Reply::oauth_error(status, code, message)
}
