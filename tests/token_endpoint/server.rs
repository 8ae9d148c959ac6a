//! A token endpoint on a loopback socket, the test kit's, that answers as told whatever it is sent.

// Each test binary uses a part of it.
#![allow(dead_code)]

use bytes::Bytes;
use http::{HeaderMap, Method, Response, Uri};
use tower_bearer::testing::{AuthorizationServer, ReceivedRequest, Reply};

pub(crate) type Body = Bytes;

#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) form: String,
}

pub(crate) struct Server {
    endpoint: AuthorizationServer,
}

impl Server {
    pub(crate) async fn start<F>(answer: F) -> Self
    where
        F: Fn(&Received) -> Response<Body> + Send + Sync + 'static,
    {
        let endpoint = AuthorizationServer::start().await;
        endpoint.answer_with(move |request| Some(answer(&Received::from(request)).into()));
        Self { endpoint }
    }

    /// Answers every request with the same status and body.
    pub(crate) async fn answering(status: u16, body: impl Into<Bytes>) -> Self {
        Self::replying(response(status, body).into()).await
    }

    pub(crate) async fn replying(reply: Reply) -> Self {
        let endpoint = AuthorizationServer::start().await;
        endpoint.answer_always(reply);
        Self { endpoint }
    }

    pub(crate) fn url(&self) -> String {
        self.endpoint.url()
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        let received = self.endpoint.received();
        received.iter().map(Received::from).collect()
    }

    pub(crate) fn only_request(&self) -> Received {
        let mut received = self.received();
        assert_eq!(received.len(), 1);
        received.remove(0)
    }
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        assert!(self.headers.get_all(name).iter().count() <= 1);
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl From<&ReceivedRequest> for Received {
    fn from(request: &ReceivedRequest) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
            form: request.text().to_owned(),
        }
    }
}

pub(crate) fn response(status: u16, body: impl Into<Bytes>) -> Response<Body> {
    let response = Response::builder().status(status);
    response.body(body.into()).unwrap()
}
