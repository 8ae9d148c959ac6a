//! Clients, and what they send.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Builder;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tower_bearer::testing::AuthorizationServer;

pub(crate) type HttpClient = Client<HttpConnector, Full<Bytes>>;

/// One for HTTP/1.1 and one for HTTP/2.
pub(crate) fn clients() -> [HttpClient; 2] {
    [false, true].map(|http2| {
        Client::builder(TokioExecutor::new())
            .http2_only(http2)
            .build_http()
    })
}

pub(crate) fn token_request() -> Builder {
    Request::post("/").header(CONTENT_TYPE, "application/x-www-form-urlencoded")
}

pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) head: Response<()>,
    pub(crate) body: Bytes,
}

impl Answered {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.head.headers()[name].to_str().unwrap()
    }

    pub(crate) fn json(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }
}

pub(crate) async fn send(client: &HttpClient, request: Request<Full<Bytes>>) -> Answered {
    try_send(client, request).await.unwrap()
}

/// An error too if the body breaks off.
pub(crate) async fn try_send(
    client: &HttpClient,
    request: Request<Full<Bytes>>,
) -> Result<Answered, Box<dyn std::error::Error + Send + Sync>> {
    let (parts, body) = client.request(request).await?.into_parts();
    Ok(Answered {
        status: parts.status,
        head: Response::from_parts(parts, ()),
        body: body.collect().await?.to_bytes(),
    })
}

/// Asks for a token with this form.
pub(crate) async fn ask(
    client: &HttpClient,
    endpoint: &AuthorizationServer,
    form: &str,
) -> Answered {
    let form = Full::from(form.to_owned());
    let request = token_request().uri(endpoint.url()).body(form).unwrap();
    send(client, request).await
}

pub(crate) fn with_token(uri: &str, token: &str) -> Request<Full<Bytes>> {
    Request::post(uri)
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .body(Full::from("payload"))
        .unwrap()
}
