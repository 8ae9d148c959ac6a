//! An SDK whose callers see methods and errors of its own. Tokens and tower are seen only where a client is
//! made, by whoever chooses where tokens come from, and may bring a transport.
//!
//! ```console
//! $ cargo run --example sdk
//! ```

pub(crate) mod loopback;

use std::time::Duration;

use http::Uri;
use tower::ServiceBuilder;
use tower_bearer::BoxTokenProvider;
use tower_bearer::error::BoxError;
use tower_bearer::oauth2::ClientCredentials;

use self::loopback::{Api, CLIENT_ID, CLIENT_SECRET, Issuer, http1_client};

/// What the SDK's author writes.
pub(crate) mod sdk {
    use std::fmt;

    use bytes::Bytes;
    use http::header::HeaderName;
    use http::{HeaderValue, Request, Response, StatusCode, Uri};
    use http_body_util::combinators::UnsyncBoxBody;
    use http_body_util::{BodyExt, Full};
    use hyper::body::Body;
    use tower::util::BoxCloneSyncService;
    use tower::{Layer, Service, ServiceExt};
    use tower_bearer::error::BoxError;
    use tower_bearer::rejection::{NotRetried, NotRetriedReason};
    use tower_bearer::{BearerAuthLayer, BoxTokenProvider, FetchError, FetchErrorKind};

    type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;

    /// A client of the echo service. Cloning is cheap.
    #[derive(Clone)]
    pub struct EchoClient {
        /// Without a slash at its end.
        base: String,
        transport: BoxCloneSyncService<Request<Full<Bytes>>, Answer, BoxError>,
    }

    impl EchoClient {
        /// Signs in lazily, at the first call. Goes through any transport that does not follow redirects.
        pub fn new<S, B>(
            base: Uri,
            provider: BoxTokenProvider,
            transport: S,
        ) -> Result<Self, BoxError>
        where
            S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: Into<BoxError>>
                + Clone
                + Send
                + Sync
                + 'static,
            S::Future: Send,
            B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
        {
            let origin = format!(
                "{}://{}",
                base.scheme_str().ok_or("the base URL has no scheme")?,
                base.authority().ok_or("the base URL has no host")?,
            );
            if base.query().is_some() {
                return Err("the base URL has a query".into());
            }
            let path = base.path().trim_end_matches('/');
            let (name, value) = (
                HeaderName::from_static("x-sdk"),
                HeaderValue::from_static("echo/1"),
            );
            let layer = BearerAuthLayer::for_origin(provider, &*origin)?.with_header(name, value);
            let transport = layer
                .layer(transport)
                .map_response(|response: Response<B>| {
                    response.map(|body| body.map_err(Into::into).boxed_unsync())
                });
            Ok(Self {
                base: format!("{origin}{path}"),
                transport: BoxCloneSyncService::new(transport),
            })
        }

        /// Has the service repeat `text`.
        pub async fn echo(&self, text: &str) -> Result<String, Error> {
            let body = Full::new(Bytes::copy_from_slice(text.as_bytes()));
            let request = Request::post(format!("{}/echo", self.base)).body(body);
            let request = request.map_err(Error::transport)?;
            let response = self.transport.clone().oneshot(request).await;
            let response = response.map_err(Error::unsent)?;
            match response.status() {
                StatusCode::OK => {}
                StatusCode::UNAUTHORIZED => return Err(Error::rejected(&response)),
                status => return Err(Error::answered(ErrorKind::Refused(status))),
            }
            let body = response.into_body().collect().await;
            let body = body.map_err(Error::transport)?.to_bytes();
            String::from_utf8(body.into()).map_err(Error::transport)
        }
    }

    /// Why a call failed, in the words of this SDK. What is below it, its sources say to whoever reads logs: their
    /// types are no part of this API.
    #[derive(Debug)]
    pub struct Error {
        kind: ErrorKind,
        source: Option<BoxError>,
    }

    /// See [`Error`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[non_exhaustive]
    pub enum ErrorKind {
        /// Signing in failed, and will until somebody mends the credentials or the account.
        Credentials,
        /// Signing in failed, and may work later.
        SignIn,
        /// The service wants none of the tokens that there are.
        Rejected,
        /// The service said no.
        Refused(StatusCode),
        /// There was no answer, or none that can be read.
        Transport,
    }

    impl Error {
        /// What to do about it.
        pub fn kind(&self) -> ErrorKind {
            self.kind
        }

        fn answered(kind: ErrorKind) -> Self {
            Self { kind, source: None }
        }

        fn transport(error: impl Into<BoxError>) -> Self {
            Self {
                kind: ErrorKind::Transport,
                source: Some(error.into()),
            }
        }

        /// There is no response: for want of a token, or for a reason that the transport has.
        fn unsent(error: BoxError) -> Self {
            match error.downcast() {
                Ok(error) => Self::without_token(*error),
                Err(error) => Self::transport(error),
            }
        }

        /// There is one that rejects the token, and says why it was not replaced.
        fn rejected(response: &Answer) -> Self {
            let why = response.extensions().get().map(NotRetried::reason);
            match why {
                Some(NotRetriedReason::FetchFailed(error)) => Self::without_token(error.clone()),
                _ => Self::answered(ErrorKind::Rejected),
            }
        }

        fn without_token(error: FetchError) -> Self {
            let kind = match error.kind() {
                FetchErrorKind::Denied | FetchErrorKind::InvalidRequest => ErrorKind::Credentials,
                _ => ErrorKind::SignIn,
            };
            Self {
                kind,
                source: Some(error.into()),
            }
        }
    }

    impl fmt::Display for Error {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match self.kind {
                ErrorKind::Credentials | ErrorKind::SignIn => f.write_str("cannot sign in"),
                ErrorKind::Rejected => f.write_str("the service rejects our tokens"),
                ErrorKind::Refused(status) => write!(f, "the service said {status}"),
                ErrorKind::Transport => f.write_str("cannot talk to the service"),
            }
        }
    }

    impl std::error::Error for Error {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&**self.source.as_ref()?)
        }
    }
}

/// What its user writes.
#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let issuer = Issuer::start().await;
    let api = Api::start(&issuer).await;
    let base: Uri = api.origin().parse()?;

    // Whatever there is to be had below: time limits, a proxy, another HTTP client.
    let transport = ServiceBuilder::new()
        .concurrency_limit(64)
        .timeout(Duration::from_secs(10))
        .service(http1_client());
    let sign_in = |secret| {
        let provider = ClientCredentials::builder(issuer.url(), CLIENT_ID, secret);
        Ok::<_, BoxError>(BoxTokenProvider::new(provider.build(http1_client())?))
    };
    let client = sdk::EchoClient::new(base.clone(), sign_in(CLIENT_SECRET)?, transport.clone())?;

    println!("{}", client.echo("hello").await?);
    issuer.revoke_all(); // The caller does not notice.
    println!("{}", client.echo("hello again").await?);

    let client = sdk::EchoClient::new(base, sign_in("of last year")?, transport)?;
    match client.echo("hello?").await {
        Err(error) if error.kind() == sdk::ErrorKind::Credentials => println!("{error}"),
        other => return Err(format!("not as it should be: {other:?}").into()),
    }

    if (issuer.requests(), api.accepted(), api.rejected()) != (3, 2, 1) {
        return Err("not as it should be".into());
    }
    println!("ok");
    Ok(())
}
