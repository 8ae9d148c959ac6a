use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

use super::request::GrantRequest;

/// How a client sends its secret to the token endpoint (RFC 6749 §2.3.1).
///
/// Of no meaning for a client that has none: see [`Credential`](super::Credential).
///
/// ```
/// use tower_bearer::oauth2::{ClientAuth, ClientCredentials};
///
/// let builder = ClientCredentials::builder("https://id.example.com/token", "my-service", "s3cret")
///     .with_client_auth(ClientAuth::Post);
/// # let _ = builder;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientAuth {
    /// `client_secret_basic`: HTTP Basic, with id and secret each form-encoded first, as RFC 6749
    /// §2.3.1 has it. A space becomes `%20`, which decodes alike by the rules of forms and of URLs.
    #[default]
    Basic,
    /// HTTP Basic with id and secret as they are, for servers that do not decode them.
    ///
    /// The id must not contain a colon (RFC 7617 §2). Differs from [`Basic`](Self::Basic) only if id or
    /// secret has characters other than letters, digits and `-._~`.
    BasicRaw,
    /// `client_secret_post`: id and secret in the form.
    Post,
}

impl ClientAuth {
    /// Its name in the metadata of an issuer (RFC 8414 §2).
    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Basic | Self::BasicRaw => "client_secret_basic",
            Self::Post => "client_secret_post",
        }
    }

    pub(crate) fn apply(self, id: &str, secret: &Zeroizing<String>, request: &mut GrantRequest) {
        match self {
            Self::Basic => request.authorize(&basic(&encode(id), &encode(secret)), secret),
            Self::BasicRaw => request.authorize(&basic(id, secret), secret),
            Self::Post => {
                request.add("client_id", id);
                request.add("client_secret", secret);
            }
        }
    }
}

/// The credential of HTTP Basic, without the name of the scheme.
fn basic(id: &str, secret: &str) -> Zeroizing<String> {
    // Made at their full sizes, so that no growing leaves a copy behind.
    let mut pair = Zeroizing::new(String::with_capacity(id.len() + 1 + secret.len()));
    pair.push_str(id);
    pair.push(':');
    pair.push_str(secret);

    let mut credential = Zeroizing::new(String::with_capacity(4 * pair.len().div_ceil(3)));
    STANDARD.encode_string(pair.as_bytes(), &mut credential);
    credential
}

/// Form-encodes so that a decoder of URLs that knows nothing of forms gets the same.
pub(crate) fn encode(text: &str) -> Zeroizing<String> {
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');

    let mut encoded = Zeroizing::new(String::with_capacity(3 * text.len()));
    encoded.extend(utf8_percent_encode(text, RESERVED));
    encoded
}

/// `Authorization: Basic …`, marked sensitive.
pub(crate) fn basic_header(credential: &str) -> HeaderValue {
    const SCHEME: &str = "Basic ";

    let mut text = Zeroizing::new(String::with_capacity(SCHEME.len() + credential.len()));
    text.push_str(SCHEME);
    text.push_str(credential);
    let mut value =
        HeaderValue::from_maybe_shared(Bytes::from_owner(text)).expect("base64 is a header value");
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unreserved_characters_are_left_alone() {
        assert_eq!(*encode("aZ09-._~"), "aZ09-._~");
        assert_eq!(*encode(":+%/ *é"), "%3A%2B%25%2F%20%2A%C3%A9");
    }

    #[test]
    fn the_credential_is_that_of_rfc_7617() {
        assert_eq!(
            *basic("Aladdin", "open sesame"),
            "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        );
        assert!(basic_header("QQ==").is_sensitive());
        assert_eq!(basic_header("QQ=="), "Basic QQ==");
    }
}
