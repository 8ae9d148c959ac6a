//! Requests as they came over the wire, and what is answered.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// A request, whole.
#[derive(Clone)]
pub struct Wire {
    pub method: Method,
    /// With the query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Wire {
    pub fn new(parts: Parts, body: Bytes) -> Self {
        let path = parts.uri.path_and_query();
        Self {
            method: parts.method,
            path: path.map_or("", |path| path.as_str()).to_owned(),
            headers: parts.headers,
            body,
        }
    }

    /// The value of a header that is there exactly once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or("not UTF-8")
    }

    /// The token that the request carries.
    pub fn bearer(&self) -> Option<&str> {
        self.header(AUTHORIZATION.as_str())?.strip_prefix("Bearer ")
    }

    /// User and password of HTTP Basic (RFC 7617), as they are.
    pub fn basic(&self) -> Option<(String, String)> {
        let credential = self
            .header(AUTHORIZATION.as_str())?
            .strip_prefix("Basic ")?;
        let pair = String::from_utf8(STANDARD.decode(credential).ok()?).ok()?;
        let (user, password) = pair.split_once(':')?;
        Some((user.to_owned(), password.to_owned()))
    }

    /// The parameters of a form, none of them twice (RFC 6749 §3.2).
    pub fn form(&self) -> Option<BTreeMap<String, String>> {
        if self.header(CONTENT_TYPE.as_str()) != Some(FORM) {
            return None;
        }
        let mut form = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(&self.body) {
            let earlier = form.insert(name.into_owned(), value.into_owned());
            if earlier.is_some() {
                return None;
            }
        }
        Some(form)
    }

    /// The texts of a JSON object that holds nothing else.
    pub fn json_texts(&self) -> Option<BTreeMap<String, String>> {
        let Ok(Value::Object(members)) = serde_json::from_slice(&self.body) else {
            return None;
        };
        let texts = members.into_iter().map(|(name, value)| match value {
            Value::String(text) => Some((name, text)),
            _ => None,
        });
        texts.collect()
    }

    pub fn has_json_content_type(&self) -> bool {
        self.header(CONTENT_TYPE.as_str()) == Some(JSON)
    }

    pub fn accepts_json(&self) -> bool {
        self.header(ACCEPT.as_str()) == Some(JSON)
    }
}

/// What is answered.
pub struct Reply {
    pub status: StatusCode,
    content_type: &'static str,
    body: String,
}

impl Reply {
    pub fn json(status: StatusCode, body: &Value) -> Self {
        Self {
            status,
            content_type: JSON,
            body: body.to_string(),
        }
    }

    pub fn text(status: StatusCode, body: &str) -> Self {
        Self {
            status,
            content_type: "text/plain",
            body: body.to_owned(),
        }
    }

    /// A refusal as in RFC 6749 §5.2.
    pub fn oauth_error(status: StatusCode, code: &str, description: &str) -> Self {
        Self::json(
            status,
            &json!({ "error": code, "error_description": description }),
        )
    }

    pub fn into_response(self) -> Response<Full<Bytes>> {
        Response::builder()
            .status(self.status)
            .header(CONTENT_TYPE, self.content_type)
            .body(Full::new(Bytes::from(self.body)))
            .expect("valid response")
    }
}

/// A JWT (RFC 7519) of these claims. Its signature is not one.
pub fn jwt(claims: &Value, signature_length: usize) -> String {
    let header = json!({ "typ": "JWT", "alg": "RS256" }).to_string();
    let header = URL_SAFE_NO_PAD.encode(header);
    let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
    let signature = "x".repeat(signature_length);
    format!("{header}.{claims}.{signature}")
}
