//! An API on a loopback socket that revokes a token, and the two versions of HTTP by which it is asked.

// Each test binary uses a part of it, and a panic here is a failed test.
#![allow(dead_code, clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Body;
use tower::{Service, ServiceExt};
use tower_bearer::BearerAuthLayer;
use tower_bearer::error::BoxError;

use crate::layer_support::socket::{HttpClient, Server, answer, http_client, http2_client};
use crate::layer_support::{Issuer, bearer, without_hanging};

/// So many requests at once find their token revoked.
pub(crate) const AT_ONCE: usize = 20;

/// A client of each version.
pub(crate) fn clients() -> [(Version, HttpClient); 2] {
    [
        (Version::HTTP_11, http_client()),
        (Version::HTTP_2, http2_client()),
    ]
}

/// Sends back what it receives, and rejects `token-1` once that is revoked.
pub(crate) struct Api {
    pub(crate) server: Server,
    revoked: Arc<AtomicBool>,
}

impl Api {
    pub(crate) async fn start() -> Self {
        let revoked = Arc::new(AtomicBool::new(false));
        let is_revoked = Arc::clone(&revoked);
        let server = Server::start(move |request| match bearer(request) {
            None => answer(401, "no token"),
            Some("token-1") if is_revoked.load(Relaxed) => answer(401, "revoked"),
            _ => Response::new(Full::new(request.body().clone())),
        })
        .await;
        Self { server, revoked }
    }

    pub(crate) fn revoke(&self) {
        self.revoked.store(true, Relaxed);
    }

    pub(crate) fn post(&self, text: &str) -> Request<Full<Bytes>> {
        let body = Full::from(text.to_owned());
        Request::post(self.server.url("/")).body(body).unwrap()
    }

    pub(crate) fn layer(&self, issuer: &Issuer) -> BearerAuthLayer<Issuer> {
        BearerAuthLayer::for_origin(issuer.clone(), self.server.origin()).unwrap()
    }

    /// Each request was accepted once, by the version asked for, and rejected at most once before.
    pub(crate) fn has_accepted_each_once(&self, version: Version, requests: usize) {
        let received = self.server.received();
        let mut accepted = Vec::new();
        let mut rejected = Vec::new();
        for request in &received {
            assert_eq!(request.version(), version);
            match bearer(request) {
                Some("token-1") => rejected.push(request.body()),
                Some("token-2") => accepted.push(request.body()),
                other => panic!("sent with {other:?}"),
            }
        }
        assert!(!rejected.is_empty(), "the revoked token was not used");
        for bodies in [&mut accepted, &mut rejected] {
            let sent = bodies.len();
            bodies.sort_unstable();
            bodies.dedup();
            assert_eq!(bodies.len(), sent, "a request came twice");
        }
        assert_eq!(accepted.len(), requests);
    }
}

pub(crate) async fn text<B: Body>(response: Response<B>) -> String {
    let Ok(body) = response.into_body().collect().await else {
        panic!("the body ends in an error");
    };
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}

/// Makes a stack for each version of HTTP, uses it, revokes the token, and has many requests heal it at once.
pub(crate) async fn heals<S, B>(stack: impl Fn(BearerAuthLayer<Issuer>, HttpClient) -> S)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: Into<BoxError>> + Clone,
    B: Body,
{
    for (version, http) in clients() {
        let (api, issuer) = (Api::start().await, Issuer::new());
        let client = stack(api.layer(&issuer), http);
        let send = |text: String| {
            let sent = client.clone().oneshot(api.post(&text));
            async move {
                let response = without_hanging(sent).await.map_err(Into::into).unwrap();
                assert_eq!(response.status(), 200, "{version:?}");
                assert_eq!(without_hanging(self::text(response)).await, text);
            }
        };

        send("warm".to_owned()).await;
        assert_eq!(bearer(&api.server.received()[0]), Some("token-1"));
        api.revoke();
        join_all((0..AT_ONCE).map(|i| send(format!("number {i}")))).await;

        assert_eq!(issuer.fetches(), 2, "{version:?}: one token request more");
        api.has_accepted_each_once(version, AT_ONCE);
    }
}
