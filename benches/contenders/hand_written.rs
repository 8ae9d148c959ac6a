//! A layer as one writes it by hand.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response};
use tokio::sync::Mutex;
use tower::{BoxError, Service};

/// The token and its end in a mutex that is held while a new one is fetched, a header value that is made for
/// each request, and a boxed future. A request is sent once, and a token goes to every origin.
#[derive(Clone)]
pub struct HandWritten<S> {
    inner: S,
    kept: Arc<Mutex<Kept>>,
}

struct Kept {
    token: String,
    expires_at: Instant,
}

impl<S> HandWritten<S> {
    pub fn new(inner: S, token: &str) -> Self {
        let kept = Kept {
            token: token.to_owned(),
            expires_at: Instant::now() + Duration::from_secs(3600),
        };
        Self {
            inner,
            kept: Arc::new(Mutex::new(kept)),
        }
    }
}

impl Kept {
    async fn token(&mut self) -> Result<String, BoxError> {
        if Instant::now() >= self.expires_at {
            *self = fetch().await?;
        }
        Ok(self.token.clone())
    }
}

/// Would ask an issuer, which in these benches nobody has to.
async fn fetch() -> Result<Kept, BoxError> {
    Err("no issuer".into())
}

impl<S, B, Answer> Service<Request<B>> for HandWritten<S>
where
    S: Service<Request<B>, Response = Response<Answer>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response<Answer>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let clone = self.inner.clone();
        let mut ready = mem::replace(&mut self.inner, clone);
        let kept = Arc::clone(&self.kept);
        Box::pin(async move {
            let token = kept.lock().await.token().await?;
            let bearer = HeaderValue::try_from(format!("Bearer {token}"))?;
            request.headers_mut().insert(AUTHORIZATION, bearer);
            ready.call(request).await.map_err(Into::into)
        })
    }
}
