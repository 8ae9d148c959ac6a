//! An SDK whose callers see methods, and neither tokens nor tower.
//!
//! ```console
//! $ cargo run --example sdk
//! ```

mod loopback;

use http::Uri;
use tower_bearer::error::BoxError;

use self::loopback::{Api, CLIENT_ID, CLIENT_SECRET, Issuer};

/// What the SDK's author writes.
mod sdk {
    use bytes::Bytes;
    use http::{HeaderValue, Request, StatusCode, Uri, header::HeaderName};
    use http_body_util::{BodyExt, Full};
    use hyper::body::Incoming;
    use hyper_util::client::legacy::Client;
    use hyper_util::rt::TokioExecutor;
    use tower::util::BoxCloneSyncService;
    use tower::{ServiceBuilder, ServiceExt};
    use tower_bearer::BearerAuthLayer;
    use tower_bearer::error::BoxError;
    use tower_bearer::oauth2::ClientCredentials;

    type Transport = BoxCloneSyncService<Request<Full<Bytes>>, http::Response<Incoming>, BoxError>;

    /// A client of the echo service. Cloning is cheap.
    #[derive(Clone)]
    pub struct EchoClient {
        base: Uri,
        transport: Transport,
    }

    impl EchoClient {
        /// Signs in lazily, at the first call.
        pub fn new(
            base: Uri,
            token_endpoint: &str,
            client_id: &str,
            client_secret: &str,
        ) -> Result<Self, BoxError> {
            let http = Client::builder(TokioExecutor::new()).build_http();
            let provider = ClientCredentials::builder(token_endpoint, client_id, client_secret)
                .build(http.clone())?;
            let origin = format!(
                "{}://{}",
                base.scheme_str().ok_or("the base URL has no scheme")?,
                base.authority().ok_or("the base URL has no host")?,
            );
            let layer = BearerAuthLayer::for_origin(provider, origin)?.with_header(
                HeaderName::from_static("x-sdk"),
                HeaderValue::from_static("echo/1"),
            );
            let transport = ServiceBuilder::new().layer(layer).service(http);
            Ok(Self {
                base,
                transport: BoxCloneSyncService::new(transport),
            })
        }

        /// Has the service repeat `text`.
        pub async fn echo(&self, text: &str) -> Result<String, BoxError> {
            let body = Full::new(Bytes::copy_from_slice(text.as_bytes()));
            let request = Request::post(format!("{}echo", self.base)).body(body)?;
            let response = self.transport.clone().oneshot(request).await?;
            if response.status() != StatusCode::OK {
                return Err(format!("echo failed: {}", response.status()).into());
            }
            let body = response.into_body().collect().await?.to_bytes();
            Ok(String::from_utf8(body.into())?)
        }
    }
}

/// What its user writes.
#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let issuer = Issuer::start().await;
    let api = Api::start(&issuer).await;

    let base: Uri = api.origin().parse()?;
    let client = sdk::EchoClient::new(base, issuer.url(), CLIENT_ID, CLIENT_SECRET)?;

    println!("{}", client.echo("hello").await?);
    issuer.revoke_all(); // The caller does not notice.
    println!("{}", client.echo("hello again").await?);

    if (issuer.requests(), api.accepted(), api.rejected()) != (2, 2, 1) {
        return Err("not as it should be".into());
    }
    println!("ok");
    Ok(())
}
