//! What makes of a service for requests of reqwest one for those of `http`, for one request.
//!
//! Nothing may get lost on the way: neither the URL, of which an `http::Uri` knows no fragment, nor what a
//! `reqwest::Response` knows beside head and body. So the URL takes another way, and the response stays
//! in one piece: its head is taken out to be looked at, and put back.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};

use http::Uri;
use pin_project_lite::pin_project;
use reqwest::{Body, Request, Response, Url};
use tower_service::Service;

use crate::config::AnsweredElsewhere;

/// What an `http::Request` does not say of a [`Request`].
pub(super) struct Target {
    url: Url,
    /// Whether there is one, if only an empty one.
    has_body: bool,
}

impl Target {
    /// Takes a request apart. Its URI is the same that reqwest makes of the URL, so that origins are compared
    /// by what will be connected to.
    ///
    /// # Errors
    ///
    /// The same that reqwest has for a URL that is no URI.
    pub(super) fn of(request: Request) -> reqwest::Result<(Self, http::Request<Body>)> {
        let target = Self {
            url: request.url().clone(),
            has_body: request.body().is_some(),
        };
        match http::Request::try_from(request) {
            Ok(request) => Ok((target, request)),
            Err(error) => Err(error.with_url(target.url)),
        }
    }

    fn request<B: Into<Body>>(&self, request: http::Request<B>) -> Request {
        let (mut parts, body) = request.into_parts();
        // It would be parsed, and come out different.
        parts.uri = Uri::from_static("http://localhost");
        let request = http::Request::from_parts(parts, body);
        let mut request = Request::try_from(request).expect("this URI is a URL");
        *request.url_mut() = self.url.clone();
        if !self.has_body {
            *request.body_mut() = None;
        }
        request
    }

    /// Whether the origin of this URL is that of the request.
    ///
    /// It is if reqwest has taken `Authorization` along.
    fn is_at(&self, url: &Url) -> bool {
        origin(url) == origin(&self.url)
    }
}

fn origin(url: &Url) -> (&str, Option<&str>, Option<u16>) {
    let port = url.port_or_known_default();
    (url.scheme(), url.host_str(), port)
}

/// A service for one request and its retry.
pub(super) struct Adapter<S> {
    service: S,
    target: Arc<Target>,
}

impl<S> Adapter<S> {
    pub(super) fn new(service: S, target: Arc<Target>) -> Self {
        Self { service, target }
    }

    /// Calls a service that is ready.
    pub(super) fn call_through<B>(
        service: &mut S,
        target: &Arc<Target>,
        request: http::Request<B>,
    ) -> Exchange<S::Future>
    where
        S: Service<Request>,
        B: Into<Body>,
    {
        Exchange {
            response: service.call(target.request(request)),
            target: Arc::clone(target),
        }
    }
}

impl<S, B> Service<http::Request<B>> for Adapter<S>
where
    S: Service<Request, Response = Response>,
    B: Into<Body>,
{
    type Response = http::Response<Response>;
    type Error = S::Error;
    type Future = Exchange<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        Self::call_through(&mut self.service, &self.target, request)
    }
}

impl<S: Clone> Clone for Adapter<S> {
    fn clone(&self) -> Self {
        Self::new(self.service.clone(), Arc::clone(&self.target))
    }
}

pin_project! {
    /// Waits for a response, and takes its head out.
    pub(super) struct Exchange<F> {
        #[pin]
        response: F,
        target: Arc<Target>,
    }
}

impl<F, E> Future for Exchange<F>
where
    F: Future<Output = Result<Response, E>>,
{
    type Output = Result<http::Response<Response>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.response.poll(cx))?;
        Poll::Ready(Ok(without_head(response, this.target)))
    }
}

/// A response beside its own head. What is added to the head's extensions [goes back](with_head) with it.
fn without_head(mut response: Response, target: &Target) -> http::Response<Response> {
    let status = response.status();
    let headers = mem::take(response.headers_mut());
    let is_elsewhere = !target.is_at(response.url()) && has_a_url(&response);

    let mut answer = http::Response::new(response);
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    if is_elsewhere {
        answer.extensions_mut().insert(AnsweredElsewhere);
    }
    answer
}

/// The response with its head again.
pub(super) fn with_head(answer: http::Response<Response>) -> Response {
    let (mut parts, mut response) = answer.into_parts();
    parts.extensions.remove::<AnsweredElsewhere>();
    *response.headers_mut() = parts.headers;
    response.extensions_mut().extend(parts.extensions);
    response
}

/// A response that somebody made of an `http::Response` need not have one, and comes from where the request
/// went then.
fn has_a_url(response: &Response) -> bool {
    /// What reqwest says if there is none.
    static NONE: LazyLock<Url> =
        LazyLock::new(|| Response::from(http::Response::new("")).url().clone());

    *response.url() != *NONE
}
