//! Permits that can be counted, and a service that has only so many.

use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http::{Request, Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::{Service, ServiceExt};

use super::{bearer, without_hanging};

/// A response body that holds the slot of its service until it is dropped, as one does that is read
/// from a pooled connection.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) text: String,
    _permit: OwnedSemaphorePermit,
}

/// A service whose slots are taken by readiness and given back with the response's body.
pub(crate) struct Pooled {
    slots: Arc<Semaphore>,
    rejected: &'static [&'static str],
    sent: Arc<Mutex<Vec<String>>>,
    acquiring: Option<Acquiring>,
    permit: Option<OwnedSemaphorePermit>,
}

type Acquiring = Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>;

#[derive(Debug, PartialEq)]
pub(crate) struct PoolClosed;

impl std::fmt::Display for PoolClosed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the pool is closed")
    }
}

impl std::error::Error for PoolClosed {}

impl Pooled {
    pub(crate) fn new(slots: usize, rejected: &'static [&'static str]) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(slots)),
            rejected,
            sent: Arc::default(),
            acquiring: None,
            permit: None,
        }
    }

    /// Takes a slot, until the response is dropped.
    pub(crate) async fn occupy(&self) -> Response<Held> {
        let request = Request::new(String::new());
        without_hanging(self.clone().oneshot(request))
            .await
            .unwrap()
    }

    pub(crate) fn free(&self) -> usize {
        self.slots.available_permits()
    }

    /// Makes `poll_ready` of all clones fail from now on.
    pub(crate) fn close(&self) {
        self.slots.close();
    }

    /// The tokens of all that was sent.
    pub(crate) fn tokens(&self) -> Vec<String> {
        self.sent.lock().unwrap().clone()
    }
}

impl Clone for Pooled {
    fn clone(&self) -> Self {
        Self {
            slots: Arc::clone(&self.slots),
            rejected: self.rejected,
            sent: Arc::clone(&self.sent),
            acquiring: None,
            permit: None,
        }
    }
}

impl Service<Request<String>> for Pooled {
    type Response = Response<Held>;
    type Error = PoolClosed;
    type Future = Ready<Result<Response<Held>, PoolClosed>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), PoolClosed>> {
        if self.permit.is_none() {
            let slots = &self.slots;
            let acquiring = self.acquiring.get_or_insert_with(|| {
                let slots = Arc::clone(slots);
                Box::pin(async move { slots.acquire_owned().await.ok() })
            });
            let permit = std::task::ready!(acquiring.as_mut().poll(cx));
            self.acquiring = None;
            self.permit = Some(permit.ok_or(PoolClosed)?);
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<String>) -> Self::Future {
        let permit = self.permit.take().expect("called without being ready");
        let token = bearer(&request).unwrap_or("none").to_owned();
        let is_rejected = self.rejected.contains(&token.as_str());
        self.sent.lock().unwrap().push(token.clone());
        let mut response = Response::new(Held {
            text: format!("answer to {token}"),
            _permit: permit,
        });
        if is_rejected {
            *response.status_mut() = StatusCode::UNAUTHORIZED;
        }
        ready(Ok(response))
    }
}
