//! A token request that was not sent: ours, and oauth4webapi's for the same.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use tower::service_fn;
use tower_bearer::oauth2::{Grant, GrantBuilder};
use tower_bearer::{FetchContext, TokenProvider, TokenRequest};

use crate::interop_support::run_node;

pub(crate) const ISSUER: &str = "https://id.example.com";
pub(crate) const TOKEN_ENDPOINT: &str = "https://id.example.com/oauth/token?api-version=1";

/// As it would be on the wire.
#[derive(Debug)]
pub(crate) struct Sent {
    method: String,
    url: String,
    headers: BTreeMap<String, String>,
    body: String,
}

/// What we send.
pub(crate) async fn ours<G: Grant>(builder: GrantBuilder<G>) -> Sent {
    let sent = Arc::<Mutex<Option<Request<Full<Bytes>>>>>::default();
    let record = Arc::clone(&sent);
    let transport = service_fn(move |request: Request<Full<Bytes>>| {
        let before = record.lock().unwrap().replace(request);
        assert!(before.is_none(), "more than one token request");
        let answer = r#"{"access_token":"issued","token_type":"Bearer"}"#;
        async move { Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(answer))) }
    });
    let provider = builder.build(transport).unwrap();
    let token = provider.fetch_token(FetchContext::new(TokenRequest::default()));
    token.await.unwrap();

    let sent = sent.lock().unwrap().take().unwrap();
    let (parts, body) = sent.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let mut headers = BTreeMap::new();
    for (name, value) in &parts.headers {
        let value = value.to_str().unwrap().to_owned();
        let twice = headers.insert(name.as_str().to_owned(), value);
        assert_eq!(twice, None, "{name} is there twice");
    }
    Sent {
        method: parts.method.to_string(),
        url: parts.uri.to_string(),
        headers,
        body: String::from_utf8(body.into()).unwrap(),
    }
}

/// What oauth4webapi would send for each of these. `None` if it is not installed.
pub(crate) async fn theirs(wishes: Vec<Value>) -> Option<Vec<Sent>> {
    let number = wishes.len();
    let sent = run_node("oauth4webapi", "request.mjs", &wishes.into()).await?;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let sent: Vec<_> = sent.as_array().unwrap().iter().collect();
    assert_eq!(sent.len(), number);
    let sent = sent.into_iter().map(|sent| Sent {
        method: text(&sent["method"]),
        url: text(&sent["url"]),
        headers: sent["headers"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect(),
        body: text(&sent["body"]),
    });
    Some(sent.collect())
}

impl Sent {
    /// Is the same request as `theirs`, to every server that reads it as the RFCs say. Where bytes may
    /// differ, a comment says why.
    pub(crate) fn assert_same_as(&self, theirs: &Self) {
        self.assert_same_but_for(&[], theirs);
    }

    /// The same, apart from what these parameters say.
    pub(crate) fn assert_same_but_for(&self, names: &[&str], theirs: &Self) {
        assert_eq!((&self.method, &self.url), (&theirs.method, &theirs.url));

        let mut their_headers = theirs.headers.clone();
        // Ours is the transport's to set.
        their_headers.remove("user-agent").unwrap();
        // That media type has no parameters, and is UTF-8 (RFC 6749 appendix B); some servers refuse one
        // that has.
        let content_type = their_headers.get_mut("content-type").unwrap();
        let without = content_type.strip_suffix(";charset=UTF-8").unwrap();
        *content_type = without.to_owned();
        // Compared below.
        let their_basic = their_headers.remove("authorization");
        let mut our_headers = self.headers.clone();
        let our_basic = our_headers.remove("authorization");
        assert_eq!(our_headers, their_headers);
        assert_eq!(
            our_basic.as_deref().map(credential).map(|ours| ours.form()),
            their_basic.as_deref().map(credential).map(|it| it.form()),
        );

        // The order of parameters means nothing (RFC 6749 §3.2), except among those of one name. They put
        // `grant_type` and the client behind the others, we in front. Encoded, all are the same.
        assert_eq!(self.pairs_without(names), theirs.pairs_without(names));
        assert_eq!(self.names(), theirs.names());
    }

    /// The credential of HTTP Basic.
    pub(crate) fn basic(&self) -> Credential {
        credential(&self.headers["authorization"])
    }

    /// The only parameter of that name, decoded.
    pub(crate) fn parameter(&self, name: &str) -> String {
        let pairs = form_urlencoded::parse(self.body.as_bytes());
        let mut values = pairs.filter(|(other, _)| other == name);
        let (_, value) = values.next().expect(name);
        assert_eq!(values.next(), None, "{name} is there twice");
        value.into_owned()
    }

    /// Encoded.
    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.body.split('&');
        pairs.map(|pair| pair.split_once('=').expect("a name and a value"))
    }

    fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.pairs().map(|(name, _)| name).collect();
        names.sort_unstable();
        names
    }

    fn pairs_without(&self, names: &[&str]) -> Vec<(&str, &str)> {
        let mut pairs: Vec<_> = self.pairs().collect();
        pairs.retain(|(name, _)| !names.contains(name));
        // Stable.
        pairs.sort_by_key(|(name, _)| *name);
        pairs
    }
}

/// Id and secret, as they were put together.
#[derive(Debug, PartialEq)]
pub(crate) struct Credential {
    id: String,
    secret: String,
}

fn credential(authorization: &str) -> Credential {
    let credential = authorization.strip_prefix("Basic ").unwrap();
    let pair = String::from_utf8(STANDARD.decode(credential).unwrap()).unwrap();
    let (id, secret) = pair.split_once(':').unwrap();
    Credential {
        id: id.to_owned(),
        secret: secret.to_owned(),
    }
}

impl Credential {
    /// Decoded as RFC 6749 §2.3.1 has it.
    pub(crate) fn form(&self) -> (String, String) {
        let decode = |text: &str| {
            let mut pairs = form_urlencoded::parse(text.as_bytes());
            let (name, value) = pairs.next().unwrap();
            // Else `&` or `=` was left as it is.
            assert_eq!((&*value, pairs.next()), ("", None), "{text}");
            name.into_owned()
        };
        (decode(&self.id), decode(&self.secret))
    }

    /// Decoded as part of a URL.
    pub(crate) fn url(&self) -> (String, String) {
        let decode = |text| percent_decode_str(text).decode_utf8().unwrap().into_owned();
        (decode(&self.id), decode(&self.secret))
    }
}
