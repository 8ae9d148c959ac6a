//! A client of a server's API, behind the layer.

use std::error::Error;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use serde_json::Value;
use tokio::task::JoinSet;
use tower::{ServiceBuilder, ServiceExt};
use tower_bearer::error::BoxError;
use tower_bearer::oauth2::{RefreshToken, TokenEndpointError};
use tower_bearer::{
    BearerAuth, BearerAuthLayer, FetchError, FetchErrorKind, TokenProvider, TokenRequest,
};

use super::{Counters, Server, http_client, in_time};

/// How many calls are made at once.
pub(crate) const CROWD: usize = 100;

pub(crate) struct Caller<P, C = HttpConnector> {
    client: BearerAuth<Client<C, Full<Bytes>>, P>,
    api: String,
    wanted: TokenRequest,
}

impl<P: TokenProvider> Caller<P> {
    pub(crate) fn new(server: &Server, provider: P) -> Self {
        Self::over(http_client(), server.issuer(), provider)
    }
}

impl<P: TokenProvider, C: Connect + Clone + Send + Sync + 'static> Caller<P, C> {
    pub(crate) fn over(http: Client<C, Full<Bytes>>, origin: &str, provider: P) -> Self {
        let layer = BearerAuthLayer::for_origin(provider, origin).unwrap();
        Self {
            client: ServiceBuilder::new().layer(layer).service(http),
            api: format!("{origin}/api"),
            wanted: TokenRequest::default(),
        }
    }

    pub(crate) async fn send(&self, query: &str) -> Result<Response<Incoming>, BoxError> {
        in_time(self.client.clone().oneshot(self.request(query))).await
    }

    /// What the API knows of the token that it got.
    pub(crate) async fn succeeds(&self) -> Value {
        seen(self.send("").await.unwrap()).await
    }

    /// Those who find no token at the same time ask for one together.
    pub(crate) async fn crowd_makes_one_token_request(&self, server: &Server) {
        self.crowd_succeeds().await;

        let counters = server.counters().await;
        assert_eq!((counters.token_requests, counters.accepted), (1, CROWD));
    }

    fn request(&self, query: &str) -> Request<Full<Bytes>> {
        let request = Request::get(format!("{}{query}", self.api));
        let request = request.extension(self.wanted.clone());
        request.body(Full::default()).unwrap()
    }

    /// Many calls at once, all of which succeed.
    pub(crate) async fn crowd_succeeds(&self) {
        let mut calls = JoinSet::new();
        for _ in 0..CROWD {
            let call = self.client.clone().oneshot(self.request(""));
            calls.spawn(async { seen(call.await.unwrap()).await });
        }
        let answers = in_time(calls.join_all()).await;
        assert_eq!(answers.len(), CROWD);
    }

    /// The same client, which asks for tokens for these scopes.
    pub(crate) fn for_scope(&self, scope: &str) -> Self {
        Self {
            client: self.client.clone(),
            api: self.api.clone(),
            wanted: TokenRequest::default().with_scope(scope),
        }
    }

    pub(crate) fn token(&self) -> String {
        let cache = self.client.cache().for_request(&self.wanted);
        let token = cache.cached().expect("there is a token");
        token.expose_secret().to_owned()
    }

    /// One call fetches a token, a crowd shares it, and when it has been revoked, one more token is
    /// fetched for everyone. Returns what the API knew of the first.
    pub(crate) async fn shares_and_heals(&self, server: &Server) -> Value {
        let seen = self.succeeds().await;
        let mut expected = Counters {
            token_requests: 1,
            issued: 1,
            accepted: 1,
            rejected: 0,
            forbidden: 0,
        };
        assert_eq!(server.counters().await, expected);
        let first = self.token();

        self.crowd_succeeds().await;
        expected.accepted += CROWD;
        assert_eq!(server.counters().await, expected);

        server.revoke(&first).await;
        self.crowd_succeeds().await;
        let counters = server.counters().await;
        expected.token_requests += 1;
        expected.issued += 1;
        expected.accepted += CROWD;
        // As many as had set out with the old token.
        expected.rejected = counters.rejected;
        assert_eq!(counters, expected);
        assert!((1..=CROWD).contains(&counters.rejected), "{counters:?}");
        assert_ne!(self.token(), first);
        seen
    }

    /// A call that is not sent, since there is no token.
    pub(crate) async fn fails(&self) -> FetchError {
        let error = self.send("").await.expect_err("fails");
        *error.downcast().expect("a FetchError")
    }

    /// A call that is not sent, since the server refuses the token with this status and `error`. No secret
    /// is in what can be printed of it.
    pub(crate) async fn is_refused(
        &self,
        kind: FetchErrorKind,
        status: u16,
        code: &str,
        secrets: &[&str],
    ) {
        let error = self.fails().await;
        let source = error.source().and_then(|source| source.downcast_ref());
        let source: &TokenEndpointError = source.expect("a TokenEndpointError");
        assert_eq!(source.status().map(|status| status.as_u16()), Some(status));
        assert_eq!(source.error_code(), Some(code), "{source}");
        assert_eq!(error.kind(), kind, "{source}");

        let mut next: Option<&dyn Error> = Some(&error);
        while let Some(error) = next {
            let text = format!("{error}\n{error:?}\n{error:#?}");
            for secret in secrets {
                assert!(!text.contains(secret), "a secret is in: {text}");
            }
            next = error.source();
        }
    }
}

async fn seen(response: Response<Incoming>) -> Value {
    assert_eq!(response.status(), StatusCode::OK);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}

/// Of two that know nothing of each other and have the same refresh token, the second is denied.
pub(crate) async fn a_second_use_is_denied(server: &Server, id: &str, secret: &str, scope: &str) {
    let minted = server.mint(id, "alice", scope).await.refresh_token;
    let caller = || {
        let builder = RefreshToken::builder(server.token_endpoint(), id, secret, &*minted);
        Caller::new(server, builder.build(http_client()).unwrap())
    };

    caller().succeeds().await;
    caller()
        .is_refused(
            FetchErrorKind::Denied,
            400,
            "invalid_grant",
            &[&minted, secret],
        )
        .await;
}
