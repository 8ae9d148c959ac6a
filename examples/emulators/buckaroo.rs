//! Buckaroo: a `GET` with a body for the token, which is a JWT for chosen scopes.

use std::sync::Mutex;
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::wire::jwt;
use super::{Issued, Reply, Site, Vendor, Wire};

pub const CLIENT_ID: &str = "buckaroo-application";
pub const CLIENT_SECRET: &str = "Buckaroo key/with+signs%=";

/// The scopes that are linked to the application, as `audience:operation`.
pub const LINKED_SCOPES: [&str; 2] = ["payments:read", "payments:refund"];

pub struct Buckaroo {
    scope_parameter: &'static str,
    answer: Mutex<Answer>,
}

/// The document says no more than that the answer is a JWT.
#[derive(Clone, Copy)]
pub enum Answer {
    /// `access_token` and `token_type`.
    Object,
    /// `access_token` and nothing else.
    TokenOnly,
    /// With `expires_in`.
    WithExpiresIn,
}

impl Buckaroo {
    /// The document calls the parameter "Scopes", and may mean RFC 6749's `scope`.
    pub fn with_scope_parameter(scope_parameter: &'static str) -> Self {
        Self {
            scope_parameter,
            answer: Mutex::new(Answer::Object),
        }
    }

    pub fn set_answer(&self, answer: Answer) {
        *self.answer.lock().expect("no panic") = answer;
    }

    /// The scopes that are asked for, if all are linked.
    fn scopes<'a>(&self, scopes: Option<&'a String>) -> Result<Vec<&'a str>, Reply> {
        let scopes: Vec<_> = scopes.map_or(Vec::new(), |it| it.split(' ').collect());
        if scopes.iter().all(|scope| scope.is_empty()) {
            return Err(refuse("No scopes are given in the request."));
        }
        if !scopes.iter().all(|scope| LINKED_SCOPES.contains(scope)) {
            let text = "The scopes requested are not linked to the application.";
            return Err(refuse(text));
        }
        Ok(scopes)
    }

    fn body(&self, token: &str, site: &Site) -> Value {
        let seconds = site.lifetime().as_secs();
        match *self.answer.lock().expect("no panic") {
            Answer::Object => json!({ "access_token": token, "token_type": "Bearer" }),
            Answer::TokenOnly => json!({ "access_token": token }),
            Answer::WithExpiresIn => {
                json!({ "access_token": token, "token_type": "Bearer", "expires_in": seconds })
            }
        }
    }
}

impl Vendor for Buckaroo {
    const TOKEN_PATH: &'static str = "/oauth/token";
    const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

    fn token(&self, request: &Wire, site: &Site) -> Result<Reply, Reply> {
        if request.method != Method::GET {
            return Err(Reply::text(StatusCode::METHOD_NOT_ALLOWED, "GET only"));
        }
        let credentials = (CLIENT_ID.to_owned(), CLIENT_SECRET.to_owned());
        if request.basic() != Some(credentials) {
            let text = "The client ID and client secret are invalid.";
            return Err(error(StatusCode::UNAUTHORIZED, text));
        }
        let form = request.form().ok_or_else(|| refuse("Not a form."))?;
        if form.get("grant_type").map(String::as_str) != Some("client_credentials") {
            return Err(refuse("Grant type is not 'client_credentials'."));
        }
        let scopes = self.scopes(form.get(self.scope_parameter))?;
        if form.len() != 2 {
            return Err(refuse("Grant type and scopes, no more."));
        }
        let token = site.issue(scopes, |token| {
            let issued_at = token.issued_at.as_secs();
            let claims = json!({
                "jti": token.number,
                "iat": issued_at,
                "exp": issued_at + token.lifetime.as_secs(),
                "scope": token.scopes,
            });
            jwt(&claims, 342)
        });
        Ok(Reply::json(StatusCode::OK, &self.body(&token, site)))
    }

    fn unauthorized(&self) -> Reply {
        error(StatusCode::UNAUTHORIZED, "No valid token.")
    }

    fn call(&self, request: &Wire, token: &Issued) -> Result<Reply, Reply> {
        if !request.has_json_content_type() {
            return Err(refuse("Content-Type is application/json."));
        }
        let scope = match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/payments") => "payments:read",
            ("POST", "/payments/refund") => "payments:refund",
            _ => return Err(error(StatusCode::NOT_FOUND, "Not found.")),
        };
        if !token.scopes.contains(scope) {
            return Err(error(StatusCode::FORBIDDEN, "Not in the token's scopes."));
        }
        Ok(Reply::json(StatusCode::OK, &json!({ "used": scope })))
    }
}

fn refuse(detail: &str) -> Reply {
    error(StatusCode::BAD_REQUEST, detail)
}

/// The document has no error bodies, so this is not the one of RFC 6749 either.
fn error(status: StatusCode, detail: &str) -> Reply {
    Reply::json(
        status,
        &json!({ "status": status.as_u16(), "detail": detail }),
    )
}
