use std::sync::Arc;
use std::task::{Context, Poll};

use reqwest::{Body, Request, Response};
use tower_service::Service;

use super::adapter::{Adapter, Target};
use super::future::ResponseFuture;
use crate::error::BoxError;
use crate::provider::TokenProvider;
use crate::replay::Replay;
use crate::service::BearerAuth;

/// With the feature `reqwest`: see [`reqwest`](crate::reqwest).
impl<S, P, R> Service<Request> for BearerAuth<S, P, R>
where
    S: Service<Request, Response = Response, Error: Into<BoxError>> + Clone,
    P: TokenProvider,
    R: Replay<Body, Body: Into<Body>>,
{
    type Response = Response;
    type Error = BoxError;
    type Future = ResponseFuture<S, P, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.get_mut().poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (target, request) = match Target::of(request) {
            Ok((target, request)) => (Arc::new(target), request),
            Err(error) => {
                self.give_back();
                return ResponseFuture::refused(error.into());
            }
        };
        ResponseFuture::new(self.begin(
            request,
            |service, request| Adapter::call_through(service, &target, request),
            |service| Adapter::new(service, Arc::clone(&target)),
        ))
    }
}
