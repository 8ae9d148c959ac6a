use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, Uri};
use http_body_util::Full;
use zeroize::Zeroizing;

use super::auth::basic_header;
use super::wire::Wire;
use crate::oauth2::answer::redact::Redactor;
use crate::provider::PassThrough;

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
        if self.parameters.iter().any(|(name, _)| is_secret(name)) {
            secrets.push(body.clone());
        }

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
