use std::fmt;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Method, Uri, Version};

/// A request as it arrived at a server of the kit, with its body.
///
/// # Security
///
/// `Debug` shows the method, the path, the names of the headers and how long the body is.
#[derive(Clone)]
pub struct ReceivedRequest {
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    body: Bytes,
    connection: usize,
    /// From one, in the order in which they arrived; zero until that is known.
    pub(super) number: usize,
}

impl ReceivedRequest {
    pub(super) fn new(parts: Parts, body: Bytes, connection: usize) -> Self {
        Self {
            method: parts.method,
            uri: parts.uri,
            version: parts.version,
            headers: parts.headers,
            body,
            connection,
            number: 0,
        }
    }

    /// Its method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Its target: path and query over HTTP/1.1, and scheme and authority too over HTTP/2.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// HTTP/1.1 or HTTP/2.
    pub fn version(&self) -> Version {
        self.version
    }

    /// All headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The value of a header, if it came.
    ///
    /// # Panics
    ///
    /// If it came more than once. What is not visible ASCII counts as not there.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        match self.only_header(name) {
            Ok(value) => value,
            Err(Several) => panic!("more than one {name} header"),
        }
    }

    /// The token that it carried: what follows `Bearer` in the `Authorization` header.
    ///
    /// # Panics
    ///
    /// If there is more than one `Authorization` header.
    #[track_caller]
    pub fn bearer_token(&self) -> Option<&str> {
        self.header("authorization").and_then(bearer)
    }

    /// The bytes of the body; none if the server did not read it.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The body as text.
    ///
    /// # Panics
    ///
    /// If it is not UTF-8.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body of UTF-8")
    }

    /// The value of a parameter of a form (`application/x-www-form-urlencoded`), as of a token request.
    ///
    /// # Panics
    ///
    /// If it came more than once, which RFC 6749 §3.2 forbids.
    #[track_caller]
    pub fn parameter(&self, name: &str) -> Option<String> {
        match self.only_parameter(name) {
            Ok(value) => value,
            Err(Several) => panic!("more than one parameter {name}"),
        }
    }

    /// On which connection it came: the number of it, from zero, in the order in which they were opened.
    pub fn connection(&self) -> usize {
        self.connection
    }

    pub(super) fn only_header(&self, name: &str) -> Result<Option<&str>, Several> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().and_then(|value| value.to_str().ok());
        match values.next() {
            None => Ok(value),
            Some(_) => Err(Several),
        }
    }

    pub(super) fn only_parameter(&self, name: &str) -> Result<Option<String>, Several> {
        let mut values = form_urlencoded::parse(&self.body).filter(|(other, _)| other == name);
        let value = values.next().map(|(_, value)| value.into_owned());
        match values.next() {
            None => Ok(value),
            Some(_) => Err(Several),
        }
    }
}

/// What must come once came several times.
#[derive(Debug)]
pub(super) struct Several;

impl fmt::Debug for ReceivedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedRequest")
            .field("method", &self.method)
            .field("path", &self.path())
            .field("version", &self.version)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("body_len", &self.body.len())
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

/// The token of an `Authorization` header (RFC 6750 §2.1; the scheme in any case, RFC 9110 §11.1).
pub(super) fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}
