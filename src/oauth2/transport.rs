use std::future::{Future, poll_fn};

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use tower_service::Service;

use super::error::{TokenEndpointError, TokenEndpointErrorKind};
use crate::error::BoxError;
use crate::provider::PassThrough;

/// An answer is read up to here. Real ones have a few KiB.
const LIMIT: usize = 1024 * 1024;

/// What token requests are sent over: any `Service<http::Request<Full<Bytes>>>`.
///
/// Implemented for every such service that is `Clone`, `Send` and `'static` and answers with an
/// `http::Response` whose body can be read: the client of hyper-util, a stack of tower's layers above it,
/// a `tower::util::BoxCloneService`. It is cloned for every request, made ready, and called once.
///
/// # Security
///
/// It must not follow redirects, since what authenticates the client would go along.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot carry token requests",
    label = "not a `Service<http::Request<Full<Bytes>>>` that is `Clone + Send + 'static`",
    note = "its response must be an `http::Response` with a `Send` body, and its future `Send`",
    note = "with the feature `reqwest`, use `tower_bearer::reqwest::ReqwestTransport`"
)]
pub trait Transport: Clone + Send + 'static {
    /// Sends a request and reads its answer, up to 1 MiB. The body of a redirect is not read.
    #[doc(hidden)]
    fn exchange(
        self,
        request: Request<Full<Bytes>>,
    ) -> impl Future<Output = Result<Response<Bytes>, TokenEndpointError>> + Send;
}

#[diagnostic::do_not_recommend]
impl<S, B> Transport for S
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body + Send,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    async fn exchange(
        self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, TokenEndpointError> {
        let response = call(self, request)
            .await
            .map_err(|error| transport_error(error.into()))?;

        let (parts, body) = response.into_parts();
        let body = if parts.status.is_redirection() {
            Bytes::new()
        } else {
            match read(body, parts.status).await {
                Ok(body) => body,
                // That we are refused, and for how long, is known without the text.
                Err(_) if !parts.status.is_success() => Bytes::new(),
                Err(error) => return Err(error),
            }
        };
        Ok(Response::from_parts(parts, body))
    }
}

/// A request that sends nothing but its URL.
pub(crate) fn get(uri: Uri) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    *request.uri_mut() = uri;
    request.extensions_mut().insert(PassThrough);
    let accept = HeaderValue::from_static("application/json");
    request.headers_mut().insert(ACCEPT, accept);
    request
}

/// Calls the instance that was polled ready, and drops it before waiting for the answer.
async fn call<S, R>(mut service: S, request: R) -> Result<S::Response, S::Error>
where
    S: Service<R>,
{
    poll_fn(|cx| service.poll_ready(cx)).await?;
    let answer = service.call(request);
    drop(service);
    answer.await
}

async fn read<B>(body: B, status: StatusCode) -> Result<Bytes, TokenEndpointError>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    match Limited::new(body, LIMIT).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(TokenEndpointError::new(TokenEndpointErrorKind::TooLarge).with_status(status))
        }
        Err(error) => Err(transport_error(error).with_status(status)),
    }
}

fn transport_error(source: BoxError) -> TokenEndpointError {
    TokenEndpointError::new(TokenEndpointErrorKind::Transport).with_source(source)
}
