//! Azupay: connection details against an API key, the secret once, and scopes that map to routes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::wire::jwt;
use super::{Issued, Reply, Site, Vendor, Wire};

/// Azupay's own client id: for the bootstrap, and not for token requests.
pub const AZUPAY_CLIENT_ID: &str = "MYBUSINESSID";
pub const API_KEY: &str = "SECR_MYBUSINESSID_myapikey";
pub const BOOTSTRAP_PATH: &str = "/v1/client/MYBUSINESSID/oauth2";

pub const CLIENT_ID: &str = "3n8q9p1k2l4m5o6p7q8r9s0t1u";
pub const CLIENT_SECRET: &str = "abcdef1234567890abcdef1234567890abcdef1234567890abcdef12";

/// The document leaves the signature to another page; only that it is required is of interest here.
pub const SIGNATURE_HEADER: &str = "x-signature";

/// What signs a request: method, path and body go in, the value of the header comes out.
pub type Sign = Arc<dyn Fn(&Method, &str, &[u8]) -> String + Send + Sync>;

pub const ALLOWED_SCOPES: [&str; 13] = [
    "RestAPI/POST:paymentRequest",
    "RestAPI/POST:paymentRequest:refund",
    "RestAPI/POST:accountEnquiry",
    "RestAPI/POST:payIDEnquiry",
    "RestAPI/POST:payment",
    "RestAPI/GET:payment",
    "RestAPI/POST:payment:search",
    "RestAPI/GET:paymentRequest",
    "RestAPI/DELETE:paymentRequest",
    "RestAPI/POST:paymentRequest:search",
    "RestAPI/GET:report",
    "RestAPI/GET:report:download",
    "RestAPI/GET:balance",
];

#[derive(Default)]
pub struct Azupay {
    signature: Option<Sign>,
    is_enabled: AtomicBool,
    lifetime_from: Mutex<LifetimeFrom>,
}

/// Which of the places that the document names tells how long a token lives, beside
/// `oauth2TtlInSecs`.
#[derive(Clone, Copy, Default)]
pub enum LifetimeFrom {
    #[default]
    ExpiresIn,
    /// The JWT's `exp`.
    Jwt,
    Nowhere,
}

impl Azupay {
    /// The API key is HMAC-enabled: a bootstrap without its signature is refused.
    pub fn with_signature_required(sign: Sign) -> Self {
        Self {
            signature: Some(sign),
            ..Self::default()
        }
    }

    pub fn set_lifetime_from(&self, lifetime_from: LifetimeFrom) {
        *self.lifetime_from.lock().expect("no panic") = lifetime_from;
    }

    fn bootstrap(&self, request: &Wire, site: &Site) -> Result<Reply, Reply> {
        if request.header("authorization") != Some(API_KEY) {
            return Err(Reply::text(StatusCode::UNAUTHORIZED, "unknown API key"));
        }
        let mut details = json!({
            "oauth2ClientId": CLIENT_ID,
            "oauth2TokenUrl": format!("{}{}", site.origin(), Self::TOKEN_PATH),
            "oauth2GrantType": "client_credentials",
            "oauth2TtlInSecs": site.lifetime().as_secs(),
            "oauth2AllowedScopes": ALLOWED_SCOPES,
        });
        match request.method {
            Method::GET if !self.is_enabled.load(Ordering::Relaxed) => Err(Reply::text(
                StatusCode::NOT_FOUND,
                "OAuth 2.0 is not enabled",
            )),
            Method::GET => Ok(Reply::json(StatusCode::OK, &details)),
            Method::POST => {
                self.check_signature(request)?;
                if !request.has_json_content_type() || request.text() != "{}" {
                    return Err(Reply::text(StatusCode::BAD_REQUEST, "the body is {}"));
                }
                if !self.is_enabled.swap(true, Ordering::Relaxed) {
                    details["oauth2ClientSecret"] = json!(CLIENT_SECRET);
                }
                Ok(Reply::json(StatusCode::OK, &details))
            }
            _ => Err(Reply::text(StatusCode::METHOD_NOT_ALLOWED, "")),
        }
    }

    fn check_signature(&self, request: &Wire) -> Result<(), Reply> {
        let Some(sign) = &self.signature else {
            return Ok(());
        };
        let signature = sign(&request.method, &request.path, &request.body);
        if request.header(SIGNATURE_HEADER) == Some(&signature) {
            return Ok(());
        }
        let text = "the API key is HMAC-enabled and the signature missing or wrong";
        Err(Reply::text(StatusCode::UNAUTHORIZED, text))
    }

    fn answer(&self, scopes: Vec<&str>, site: &Site) -> Value {
        let lifetime_from = *self.lifetime_from.lock().expect("no panic");
        let token = site.issue(scopes, |token| {
            let scopes: Vec<_> = token.scopes.iter().map(String::as_str).collect();
            let mut claims = json!({ "jti": token.number, "scope": scopes.join(" ") });
            if !matches!(lifetime_from, LifetimeFrom::Nowhere) {
                let issued_at = token.issued_at.as_secs();
                claims["iat"] = json!(issued_at);
                claims["exp"] = json!(issued_at + token.lifetime.as_secs());
            }
            jwt(&claims, 342)
        });
        let mut answer = json!({ "access_token": token, "token_type": "Bearer" });
        if matches!(lifetime_from, LifetimeFrom::ExpiresIn) {
            answer["expires_in"] = json!(site.lifetime().as_secs());
        }
        answer
    }
}

impl Vendor for Azupay {
    const TOKEN_PATH: &'static str = "/oauth2/token";
    const LIFETIME: Duration = Duration::from_secs(3600);

    fn token(&self, request: &Wire, site: &Site) -> Result<Reply, Reply> {
        let refuse = |code, text| Reply::oauth_error(StatusCode::BAD_REQUEST, code, text);
        if request.method != Method::POST {
            return Err(Reply::text(StatusCode::METHOD_NOT_ALLOWED, "POST only"));
        }
        let form = request.form();
        let form = form.ok_or_else(|| refuse("invalid_request", "not a form"))?;
        let value = |name| form.get(name).map(String::as_str);
        if value("grant_type") != Some("client_credentials") {
            return Err(refuse("unsupported_grant_type", "not client_credentials"));
        }
        if request.headers.contains_key("authorization") {
            return Err(refuse("invalid_request", "id and secret go in the form"));
        }
        let is_enabled = self.is_enabled.load(Ordering::Relaxed);
        let credentials = (value("client_id"), value("client_secret"));
        if !is_enabled || credentials != (Some(CLIENT_ID), Some(CLIENT_SECRET)) {
            return Err(refuse("invalid_client", "unknown client or wrong secret"));
        }
        let has_scope = form.contains_key("scope");
        if form.len() != 3 + usize::from(has_scope) {
            return Err(refuse("invalid_request", "an unknown parameter"));
        }
        let mut scopes = ALLOWED_SCOPES.to_vec();
        if let Some(wanted) = value("scope") {
            // What is not allowed is left out and not refused.
            scopes.retain(|scope| wanted.split(' ').any(|wanted| wanted == *scope));
        }
        if scopes.is_empty() {
            return Err(refuse("invalid_scope", "none of the scopes is allowed"));
        }
        Ok(Reply::json(StatusCode::OK, &self.answer(scopes, site)))
    }

    fn unauthorized(&self) -> Reply {
        Reply::text(StatusCode::UNAUTHORIZED, "expired or unknown token")
    }

    fn call(&self, request: &Wire, token: &Issued) -> Result<Reply, Reply> {
        let route = request.path.strip_prefix("/v1/").unwrap_or_default();
        let scope = format!("RestAPI/{}:{}", request.method, route.replace('/', ":"));
        if !ALLOWED_SCOPES.contains(&scope.as_str()) {
            return Err(Reply::text(StatusCode::NOT_FOUND, ""));
        }
        if !request.accepts_json() {
            return Err(Reply::text(StatusCode::NOT_ACCEPTABLE, "Accept is JSON"));
        }
        if !token.scopes.contains(&scope) {
            return Err(Reply::text(
                StatusCode::FORBIDDEN,
                "not in the token's scopes",
            ));
        }
        Ok(Reply::json(StatusCode::OK, &json!({ "used": scope })))
    }

    fn without_token(&self, request: &Wire, site: &Site) -> Option<Reply> {
        (request.path == BOOTSTRAP_PATH).then(|| {
            self.bootstrap(request, site)
                .unwrap_or_else(|refusal| refusal)
        })
    }
}
