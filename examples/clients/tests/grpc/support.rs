use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tower::Layer;
use tower_bearer::oauth2::ClientCredentials;
use tower_bearer::rejection::{NotRetried, NotRetriedReason};
use tower_bearer::tonic::{GrpcAuth, GrpcAuthLayer};
use tower_bearer::{BearerAuthLayer, TokenProvider};
use tower_bearer_clients::grpc::Server;
use tower_bearer_clients::grpc::echo::Words;
use tower_bearer_clients::grpc::echo::echo_client::EchoClient;
use tower_bearer_clients::loopback::{CLIENT_ID, CLIENT_SECRET, HttpClient, Issuer, http1_client};

/// So much of a request is kept.
pub(crate) const LIMIT: usize = 16 * 1024;

/// Five bytes that say how long the message is (gRPC's), and three that say which field it is and how long
/// (protobuf's, for a text of this size).
pub(crate) const AROUND_A_TEXT: usize = 8;

pub(crate) type Provider = ClientCredentials<HttpClient>;
pub(crate) type Client = EchoClient<GrpcAuth<Channel, Provider>>;

/// An issuer, and a server that wants its tokens.
pub(crate) struct Site {
    pub(crate) issuer: Issuer,
    pub(crate) server: Server,
}

impl Site {
    pub(crate) async fn start() -> Self {
        let issuer = Issuer::start().await;
        let server = server_of(&issuer).await;
        Self { issuer, server }
    }

    pub(crate) fn layer(&self) -> GrpcAuthLayer<Provider> {
        self.plain_layer().into_grpc(LIMIT)
    }

    pub(crate) fn plain_layer(&self) -> BearerAuthLayer<Provider> {
        let provider = ClientCredentials::builder(self.issuer.url(), CLIENT_ID, CLIENT_SECRET)
            .build(http1_client())
            .unwrap();
        BearerAuthLayer::for_origin(provider, &*self.server.origin()).unwrap()
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::from_shared(self.server.origin()).unwrap()
    }

    pub(crate) fn client(&self) -> Client {
        client(self.layer(), self.endpoint().connect_lazy())
    }

    /// A client that has a token, which the server then no longer accepts.
    pub(crate) async fn client_with_revoked_token(&self) -> Client {
        let mut client = self.client();
        let answer = client.say(words("first")).await.unwrap();
        assert_eq!(answer.into_inner(), words("first"));
        self.issuer.revoke_all();
        client
    }

    /// Token requests, calls that were received and calls that were rejected.
    pub(crate) fn counts(&self) -> [usize; 3] {
        [
            self.issuer.requests(),
            self.server.received(),
            self.server.rejected(),
        ]
    }
}

pub(crate) async fn server_of(issuer: &Issuer) -> Server {
    let issuer = issuer.clone();
    Server::start(move |headers| issuer.accepts(headers)).await
}

pub(crate) fn client<P: TokenProvider>(
    layer: GrpcAuthLayer<P>,
    channel: Channel,
) -> EchoClient<GrpcAuth<Channel, P>> {
    EchoClient::new(layer.layer(channel))
}

pub(crate) fn words(text: impl Into<String>) -> Words {
    Words { text: text.into() }
}

/// Words of the caller's, as many as may be sent before somebody reads them.
pub(crate) fn mouth(ahead: usize) -> (mpsc::Sender<Words>, ReceiverStream<Words>) {
    let (say, said) = mpsc::channel(ahead);
    (say, ReceiverStream::new(said))
}

pub(crate) fn not_retried(status: &Status) -> Option<&NotRetriedReason> {
    let source = std::error::Error::source(status)?;
    source.downcast_ref().map(NotRetried::reason)
}

pub(crate) fn code<T>(result: Result<T, Status>) -> Code {
    result.err().map_or(Code::Ok, |status| status.code())
}

/// Fails instead of waiting for ever.
pub(crate) async fn without_hanging<F: Future>(future: F) -> F::Output {
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, future).await.expect("hangs")
}
