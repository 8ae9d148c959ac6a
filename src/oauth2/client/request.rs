use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, Uri};
use http_body_util::Full;
use zeroize::Zeroizing;

use super::auth::basic_header;
use super::wire::Wire;
use crate::oauth2::answer::redact::Redactor;
use crate::provider::PassThrough;

/// What is shorter is no secret, and would blank out other text.
const SHORTEST_SECRET: usize = 4;

/// One token request: the parameters of the grant and how the client authenticates.
pub(crate) struct GrantRequest {
    parameters: Vec<(String, Zeroizing<String>)>,
    authorization: Option<HeaderValue>,
    secrets: Vec<Zeroizing<String>>,
}

impl GrantRequest {
    pub(crate) fn new(grant_type: &str) -> Self {
        let mut request = Self {
            parameters: Vec::new(),
            authorization: None,
            secrets: Vec::new(),
        };
        request.add("grant_type", grant_type);
        request
    }

    /// Adds a parameter of the grant itself.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.add(name, value);
        self
    }

    pub(crate) fn add(&mut self, name: &str, value: &str) {
        let value = Zeroizing::new(value.to_owned());
        if is_secret(name) {
            self.secrets.push(value.clone());
        }
        self.parameters.push((name.to_owned(), value));
    }

    /// Adds what the user configured and what may be a secret, for all that is known.
    pub(crate) fn add_configured(&mut self, name: &str, value: &str) {
        self.add(name, value);
        if value.len() >= SHORTEST_SECRET {
            self.secrets.push(Zeroizing::new(value.to_owned()));
        }
    }

    /// Sends `credential` by HTTP Basic. It is made of `secret`.
    pub(crate) fn authorize(&mut self, credential: &str, secret: &Zeroizing<String>) {
        self.authorization = Some(basic_header(credential));
        // It may come back without its padding, or in the alphabet for URLs.
        let unpadded = credential.trim_end_matches('=');
        let for_urls = unpadded.replace('+', "-").replace('/', "_");
        let spellings = [credential.to_owned(), unpadded.to_owned(), for_urls];
        self.secrets.extend(spellings.map(Zeroizing::new));
        self.secrets.push(secret.clone());
    }

    /// What to send, and what cuts its secrets out of the answer.
    pub(crate) fn into_http(self, uri: Uri, wire: &Wire) -> (Request<Full<Bytes>>, Redactor) {
        let body = wire.encoding.encode(&self.parameters);
        let mut secrets = self.secrets;
        secrets.push(body.clone());
        secrets.extend(secrets_of(uri.query().unwrap_or_default()));

        let mut request = Request::new(Full::new(Bytes::from_owner(body)));
        *request.method_mut() = wire.method.clone();
        *request.uri_mut() = uri;
        request.extensions_mut().insert(PassThrough);
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, wire.encoding.content_type());
        if let Some(authorization) = self.authorization {
            headers.insert(AUTHORIZATION, authorization);
        }
        (request, Redactor::new(secrets))
    }
}

/// What a query may hold: keys, as they are and decoded.
fn secrets_of(query: &str) -> Vec<Zeroizing<String>> {
    let as_they_are = query.split('&').filter_map(|pair| pair.split_once('='));
    let as_they_are = as_they_are.map(|(_, value)| value.to_owned());
    let decoded = form_urlencoded::parse(query.as_bytes()).map(|(_, value)| value.into_owned());
    as_they_are
        .chain(decoded)
        .filter(|value| value.len() >= SHORTEST_SECRET)
        .map(Zeroizing::new)
        .collect()
}

fn is_secret(name: &str) -> bool {
    matches!(
        name,
        "client_secret"
            | "client_assertion"
            | "assertion"
            | "password"
            | "refresh_token"
            | "subject_token"
            | "actor_token"
    )
}
