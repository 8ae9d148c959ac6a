//! The service, and its server.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::HeaderMap;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status, Streaming};

use super::echo::echo_server::{Echo, EchoServer};
use super::echo::{Heard, RepeatRequest, Words};
use super::guard::{Guard, Pending, Seen};

/// Whoever says it is told `PERMISSION_DENIED`, whatever the token.
pub const FORBIDDEN: &str = "a forbidden word";

/// A server that wants tokens, and counts what it sees.
///
/// A call without a token that it accepts ends with `UNAUTHENTICATED` at once, and the service does not hear
/// of it.
pub struct Server {
    address: SocketAddr,
    seen: Arc<Seen>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Server {
    /// Serves on a free port, until it is dropped or stopped, calls with such headers as it accepts.
    pub async fn start(accepts: impl Fn(&HeaderMap) -> bool + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Seen::new(accepts));
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let address = listener.local_addr().expect("bound");
        let (stop, stopped) = oneshot::channel();
        let server = tonic::transport::Server::builder()
            .layer(Guard(Arc::clone(&seen)))
            .add_service(EchoServer::new(Service(Arc::clone(&seen))))
            .serve_with_incoming_shutdown(
                TcpIncoming::from(listener).with_nodelay(Some(true)),
                async {
                    // Or the server was dropped.
                    let _stopped = stopped.await;
                },
            );
        let served = tokio::spawn(async { server.await.expect("serves until it is stopped") });
        Self {
            address,
            seen,
            stop,
            served,
        }
    }

    /// Lets calls end, and closes the connections.
    pub async fn stop(self) {
        let _may_have_failed = self.stop.send(());
        self.served.await.expect("the server has not failed");
    }

    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many calls came, each time that one was sent.
    pub fn received(&self) -> usize {
        self.seen.received.get()
    }

    pub fn accepted(&self) -> usize {
        self.seen.accepted.get()
    }

    pub fn rejected(&self) -> usize {
        self.seen.rejected.get()
    }

    pub async fn has_received(&self, calls: usize) {
        self.seen.received.reaches(calls).await;
    }

    pub async fn has_accepted(&self, calls: usize) {
        self.seen.accepted.reaches(calls).await;
    }

    /// Calls that were accepted and left by their clients before the end.
    pub async fn was_left(&self, calls: usize) {
        self.seen.given_up.reaches(calls).await;
    }

    /// The metadata of every call that came.
    pub fn heads(&self) -> Vec<HeaderMap> {
        self.seen.heads.lock().expect("no panic").clone()
    }

    /// Holds calls before their token is looked at.
    pub fn hold_arrivals(&self) {
        self.seen.arrivals.set(false);
    }

    pub fn release_arrivals(&self) {
        self.seen.arrivals.set(true);
    }

    /// Holds calls of `Say` whose token was accepted.
    pub fn hold_answers(&self) {
        self.seen.answers.set(false);
    }

    pub fn release_answers(&self) {
        self.seen.answers.set(true);
    }

    /// Rejects with HTTP's 401 from now on, as a proxy does that knows no gRPC.
    pub fn put_behind_proxy(&self) {
        self.seen.is_behind_proxy.store(true, Ordering::Relaxed);
    }
}

struct Service(Arc<Seen>);

type Answers = Pin<Box<dyn Stream<Item = Result<Words, Status>> + Send>>;

#[tonic::async_trait]
impl Echo for Service {
    type RepeatStream = Answers;
    type TalkStream = Answers;

    async fn say(&self, request: Request<Words>) -> Result<Response<Words>, Status> {
        let mut pending = Pending::new(&self.0);
        self.0.answers.pass().await;
        pending.done();
        let words = request.into_inner();
        match words.text == FORBIDDEN {
            false => Ok(Response::new(words)),
            true => Err(Status::permission_denied("not here")),
        }
    }

    async fn listen(&self, request: Request<Streaming<Words>>) -> Result<Response<Heard>, Status> {
        let mut pending = Pending::new(&self.0);
        let mut said = request.into_inner();
        let mut heard = Heard::default();
        while let Some(words) = said.message().await? {
            heard.text += &words.text;
            heard.messages += 1;
        }
        pending.done();
        Ok(Response::new(heard))
    }

    async fn repeat(&self, request: Request<RepeatRequest>) -> Result<Response<Answers>, Status> {
        let RepeatRequest {
            text,
            times,
            ends_with,
        } = request.into_inner();
        let words = (0..times).map(move |_| Ok(Words { text: text.clone() }));
        let end = match Code::from(ends_with) {
            Code::Ok => None,
            code => Some(Err(Status::new(code, "that was all"))),
        };
        Ok(self.answers(tokio_stream::iter(words.chain(end))))
    }

    async fn talk(&self, request: Request<Streaming<Words>>) -> Result<Response<Answers>, Status> {
        Ok(self.answers(request.into_inner()))
    }
}

impl Service {
    /// Notices when nobody listens to the end.
    fn answers(
        &self,
        stream: impl Stream<Item = Result<Words, Status>> + Send + 'static,
    ) -> Response<Answers> {
        let mut pending = Pending::new(&self.0);
        let end = tokio_stream::once(()).filter_map(move |()| {
            pending.done();
            None
        });
        Response::new(Box::pin(stream.chain(end)))
    }
}
