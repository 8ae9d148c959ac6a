use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::uri::Scheme;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use reqwest::{Body, Client, ClientBuilder, redirect};
use tower_service::Service;

/// A reqwest client that sends token requests and does not follow redirects.
///
/// Cloning is cheap, and clones share their connections.
///
#[cfg_attr(feature = "oauth2", doc = "```")]
#[cfg_attr(not(feature = "oauth2"), doc = "```ignore")]
/// use tower_bearer::oauth2::ClientCredentials;
/// use tower_bearer::reqwest::ReqwestTransport;
///
/// let provider = ClientCredentials::builder("https://id.example.com/token", "my-service", "s3cret")
///     .build(ReqwestTransport::new()?)?;
/// # let _ = provider;
/// # Ok::<(), tower_bearer::error::BoxError>(())
/// ```
///
/// # Security
///
/// Errors come without the URL, whose query may hold a key.
///
/// reqwest takes proxies from the environment (`HTTP_PROXY`, `HTTPS_PROXY`). What is sent by `https` passes
/// through one unread. By plain `http` it would be read there, and a metadata server would be that of the
/// proxy's machine. So a transport made by [`new`](Self::new) sends plain `http` through no proxy. One made
/// of a [builder](Self::from_builder) or a client does as that says: where it sends plain `http`, set
/// [`no_proxy`](ClientBuilder::no_proxy).
#[derive(Clone)]
pub struct ReqwestTransport {
    client: Client,
    /// For plain `http`.
    direct: Client,
}

impl ReqwestTransport {
    /// Makes a client with reqwest's defaults, redirects excepted.
    ///
    /// # Errors
    ///
    /// If TLS cannot be set up.
    pub fn new() -> Result<Self, reqwest::Error> {
        let direct = ClientBuilder::new().no_proxy();
        Ok(Self {
            client: without_redirects(ClientBuilder::new())?,
            direct: without_redirects(direct)?,
        })
    }

    /// Makes a client as configured. A redirect policy is replaced by one that follows none.
    ///
    /// # Errors
    ///
    /// If the configuration is invalid or TLS cannot be set up.
    pub fn from_builder(builder: ClientBuilder) -> Result<Self, reqwest::Error> {
        let client = without_redirects(builder)?;
        Ok(Self {
            direct: client.clone(),
            client,
        })
    }

    /// Takes a finished client, of which it cannot be known whether it follows redirects.
    ///
    /// # Security
    ///
    /// Unless it was built with [`redirect::Policy::none`], as [`from_builder`](Self::from_builder) does,
    /// a token endpoint that answers with a redirect can make it post the client secret to any other
    /// server.
    ///
    /// Unless it was built with [`no_proxy`](ClientBuilder::no_proxy), a token request by plain `http`, even
    /// to loopback, is handed to a proxy of the environment with the client secret in cleartext.
    pub fn from_client_that_may_follow_redirects(client: Client) -> Self {
        Self {
            direct: client.clone(),
            client,
        }
    }

    fn client_for(&mut self, uri: &Uri) -> &mut Client {
        match uri.scheme() == Some(&Scheme::HTTP) {
            true => &mut self.direct,
            false => &mut self.client,
        }
    }
}

fn without_redirects(builder: ClientBuilder) -> Result<Client, reqwest::Error> {
    builder.redirect(redirect::Policy::none()).build()
}

impl Service<Request<Full<Bytes>>> for ReqwestTransport {
    type Response = Response<Body>;
    type Error = reqwest::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, reqwest::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // Which of the two it will be is not known yet.
        ready!(Service::<reqwest::Request>::poll_ready(
            &mut self.direct,
            cx
        ))?;
        Service::<reqwest::Request>::poll_ready(&mut self.client, cx)
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        // As bytes again, which reqwest can send once more if a connection turns out to be closed.
        let request = request.map(|body| match body.collect().now_or_never() {
            Some(Ok(body)) => body.to_bytes(),
            None => unreachable!("a `Full` body is there at once"),
        });
        let client = self.client_for(request.uri());
        let answer = reqwest::Request::try_from(request).map(|request| client.call(request));
        Box::pin(async move {
            let response = answer?.await.map_err(reqwest::Error::without_url)?;
            Ok(response.into())
        })
    }
}

impl fmt::Debug for ReqwestTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestTransport").finish_non_exhaustive()
    }
}
