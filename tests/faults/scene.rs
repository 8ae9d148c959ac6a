//! A client with the layer, the token endpoint that it asks and the API that it calls.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tower::{Layer, ServiceExt};
use tower_bearer::error::BoxError;
use tower_bearer::oauth2::{ClientAuth, ClientCredentials, TokenEndpointErrorKind};
use tower_bearer::testing::ManualClock;
use tower_bearer::{BearerAuth, BearerAuthLayer, FetchError, FetchErrorKind, TokenCache};

pub(crate) use crate::error_support::{cause, everything};
use crate::layer_support::socket::HttpClient;
use crate::layer_support::without_hanging;
use crate::socket_support::{RawServer, SOCKET_BUFFER, answer};

const SECRET: &str = "hunter2";

/// The longest first pause, after a failure that somebody has to mend.
pub(crate) const PAUSE: Duration = Duration::from_secs(30);

/// The time limit of a fetch.
pub(crate) const LIMIT: Duration = Duration::from_secs(5);

pub(crate) type Provider = ClientCredentials<HttpClient>;

pub(crate) struct Scene {
    pub(crate) tokens: RawServer,
    pub(crate) api: RawServer,
    pub(crate) clock: ManualClock,
    pub(crate) cache: TokenCache<Provider>,
    pub(crate) client: BearerAuth<HttpClient, Provider>,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let tokens = RawServer::start(issue);
        let api = RawServer::start(|_| answer("200 OK", "", "welcome"));
        let (cache, clock) = cache(&tokens.origin());
        let layer = BearerAuthLayer::for_origin(cache.clone(), api.origin()).unwrap();
        Self {
            client: layer.layer(http_client()),
            tokens,
            api,
            clock,
            cache,
        }
    }

    /// Posts to the API.
    pub(crate) async fn post(
        &self,
        body: impl Into<Bytes>,
    ) -> Result<Response<Incoming>, BoxError> {
        let body = Full::new(body.into());
        let request = Request::post(self.api.origin()).body(body).unwrap();
        without_hanging(self.client.clone().oneshot(request)).await
    }

    /// A request that is answered well.
    pub(crate) async fn works(&self) {
        let response = self.post("payload").await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(text(response).await.unwrap(), "welcome");
    }

    /// A request for which there is no token.
    pub(crate) async fn fails(&self) -> FetchError {
        let sent = self.api.requests();
        let error = fetch_error(self.post("payload").await.unwrap_err());
        assert_eq!(self.api.requests(), sent, "sent without a token");
        error
    }

    /// What the script of the token endpoint says makes one request fail so; during the pause the next
    /// gets the same failure and nobody is asked, and after it another works.
    pub(crate) async fn fails_and_recovers(
        &self,
        kind: FetchErrorKind,
        cause: TokenEndpointErrorKind,
    ) -> FetchError {
        let error = self.fails().await;
        assert_eq!(error.kind(), kind, "{}", everything(&error));
        assert_eq!(self::cause(&error).kind(), cause, "{}", everything(&error));
        self.recovers(&error, 2).await;
        error
    }

    /// After a first failure: see above. In the end there were so many token requests.
    pub(crate) async fn recovers(&self, error: &FetchError, requests: usize) {
        assert_eq!(self.fails().await.kind(), error.kind());
        assert_eq!(self.tokens.requests(), requests - 1, "asked in the pause");
        self.clock.advance(PAUSE);
        self.works().await;
        assert_eq!(self.tokens.requests(), requests);
        let token = format!("issued-{requests}");
        assert_eq!(self.api.received().last().unwrap().bearer(), token);
    }

    /// What the script of the token endpoint says is an answer as good as any other.
    pub(crate) async fn takes(&self, token: &str) {
        self.works().await;
        assert_eq!(self.tokens.requests(), 1);
        assert_eq!(self.api.received()[0].bearer(), token);
        self.renews(2).await;
    }

    /// Once the token has expired, the same client gets another. In the end there were so many token
    /// requests.
    pub(crate) async fn renews(&self, requests: usize) {
        self.clock.advance(Duration::from_secs(3600));
        self.works().await;
        assert_eq!(self.tokens.requests(), requests);
        let token = format!("issued-{requests}");
        assert_eq!(self.api.received().last().unwrap().bearer(), token);
    }

    /// The tokens of the API's requests, those among them that were read to their end.
    pub(crate) fn sent(&self) -> Vec<String> {
        let received = self.api.received();
        received.iter().map(|it| it.bearer().to_owned()).collect()
    }
}

/// A cache that asks the token endpoint of that origin, and its clock.
pub(crate) fn cache(endpoint: &str) -> (TokenCache<Provider>, ManualClock) {
    let provider = ClientCredentials::builder(format!("{endpoint}/oauth"), "me", SECRET)
        .with_client_auth(ClientAuth::Post)
        .build(http_client())
        .unwrap();
    let clock = ManualClock::new();
    let cache = TokenCache::builder(provider)
        .with_clock(clock.clone())
        .with_fetch_timeout(LIMIT)
        .build();
    (cache, clock)
}

fn http_client() -> HttpClient {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_recv_buffer_size(Some(SOCKET_BUFFER as usize));
    connector.set_send_buffer_size(Some(SOCKET_BUFFER as usize));
    Client::builder(TokioExecutor::new()).build(connector)
}

/// What the token endpoint usually answers to the request of that number.
pub(crate) fn issue(number: usize) -> Vec<u8> {
    answer("200 OK", "", &good(&format!("issued-{number}")))
}

/// The body of a good answer.
pub(crate) fn good(token: &str) -> String {
    format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":3600}}"#)
}

/// Of which nothing shows a secret or a token.
pub(crate) fn fetch_error(error: BoxError) -> FetchError {
    let error = *error.downcast::<FetchError>().unwrap();
    let text = everything(&error);
    assert!(
        !text.contains(SECRET) && !text.contains("issued-"),
        "{text}"
    );
    error
}

pub(crate) async fn text(response: Response<Incoming>) -> Result<Bytes, hyper::Error> {
    let body = without_hanging(response.into_body().collect()).await?;
    Ok(body.to_bytes())
}
