//! What the servers of the kit have in common: a socket, what arrived there, and what is done about it.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::gate::{Gate, wait_for};
use super::received::ReceivedRequest;
use super::reply::{Closed, Reply, ReplyBody, SEND_BUFFER};

/// How many requests may be in flight on one HTTP/2 connection.
const MAX_STREAMS: u32 = 20_000;

/// Answers what no script says.
pub(super) trait Usual: Send + Sync + 'static {
    /// What the server does by itself.
    fn reply(&self, request: &ReceivedRequest) -> Reply;

    /// The reply to a request that is answered before its body is read.
    fn early_reply(&self, _: &ReceivedRequest) -> Option<Reply> {
        None
    }

    /// Is told what the client gets.
    fn sent(&self, request: &ReceivedRequest, reply: &Reply);
}

/// A server on loopback. Stops when dropped, with all of its connections.
pub(super) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: Tasks,
}

struct Shared {
    usual: Arc<dyn Usual>,
    log: watch::Sender<Log>,
    script: Mutex<Script>,
    gate: Gate,
}

#[derive(Default)]
struct Log {
    connections: usize,
    requests: usize,
    received: Vec<ReceivedRequest>,
}

#[derive(Default)]
struct Script {
    next: VecDeque<Reply>,
    answer: Option<Arc<Answer>>,
}

type Answer = dyn Fn(&ReceivedRequest) -> Option<Reply> + Send + Sync;

impl Server {
    pub(super) async fn start(usual: Arc<dyn Usual>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("loopback has a free port");
        let address = listener.local_addr().expect("it was bound");
        let gate = Gate::new();
        gate.open();
        let shared = Arc::new(Shared {
            usual,
            log: watch::Sender::default(),
            script: Mutex::default(),
            gate,
        });
        let tasks = Tasks::default();
        let accepting = accept(listener, Arc::clone(&shared), tasks.spawner());
        tasks.spawner().spawn(accepting);
        Self {
            address,
            shared,
            _tasks: tasks,
        }
    }

    pub(super) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn requests(&self) -> usize {
        self.shared.log.borrow().requests
    }

    pub(super) fn connections(&self) -> usize {
        self.shared.log.borrow().connections
    }

    pub(super) fn received(&self) -> Vec<ReceivedRequest> {
        self.shared.log.borrow().received.clone()
    }

    pub(super) fn take_received(&self) -> Vec<ReceivedRequest> {
        let mut taken = Vec::new();
        let log = &self.shared.log;
        log.send_modify(|log| taken = std::mem::take(&mut log.received));
        taken
    }

    pub(super) async fn wait_for_requests(&self, at_least: usize) {
        wait_for(&self.shared.log, "requests", at_least, |log| log.requests).await;
    }

    pub(super) fn answer_next(&self, replies: impl IntoIterator<Item = Reply>) {
        self.shared.script().next.extend(replies);
    }

    pub(super) fn answer_with(&self, answer: Arc<Answer>) {
        self.shared.script().answer = Some(answer);
    }

    pub(super) fn answer_as_usual(&self) {
        *self.shared.script() = Script::default();
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.shared.gate
    }
}

impl Shared {
    async fn exchange(
        &self,
        request: Request<Incoming>,
        connection: usize,
    ) -> Result<Response<ReplyBody>, Closed> {
        let (head, body) = request.into_parts();
        let mut received = ReceivedRequest::new(head.clone(), Bytes::new(), connection);
        let early = self.usual.early_reply(&received);
        if early.is_none() {
            // The client gave up.
            let body = body.collect().await.map_err(|_| Closed)?.to_bytes();
            received = ReceivedRequest::new(head, body, connection);
        }

        let next = {
            // Held meanwhile, so that the replies go in the order of what was received.
            let mut script = self.script();
            self.log.send_modify(|log| {
                log.requests += 1;
                received.number = log.requests;
                log.received.push(received.clone());
            });
            script.next.pop_front()
        };
        self.gate.pass().await;
        // What was said meanwhile counts.
        let answer = self.script().answer.clone();
        let reply = next
            .or_else(|| answer?(&received))
            .or(early)
            .unwrap_or_else(|| self.usual.reply(&received));
        reply.wait_for_gate().await;
        self.usual.sent(&received, &reply);
        reply.into_response().await
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, spawner: Spawner) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) if is_of_one_connection(&error) => continue,
            // There are no more files, for example, and will be none while the test waits.
            Err(error) => panic!("a server of the test kit cannot accept connections: {error}"),
        };
        let mut connection = 0;
        shared.log.send_modify(|log| {
            connection = log.connections;
            log.connections += 1;
        });
        let serving = serve(stream, connection, Arc::clone(&shared), spawner.clone());
        spawner.spawn(serving);
    }
}

/// Whether it was reset before it was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

async fn serve(stream: TcpStream, connection: usize, shared: Arc<Shared>, spawner: Spawner) {
    // Head and body are written one after the other. The client may have gone already.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { shared.exchange(request, connection).await }
    });
    let mut server = auto::Builder::new(spawner);
    server
        .http2()
        .max_concurrent_streams(MAX_STREAMS)
        .max_send_buf_size(SEND_BUFFER);
    // Ends when the client or a reply closes it.
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

/// Tasks that are aborted when this is dropped, those included that hyper spawns for HTTP/2.
#[derive(Default)]
struct Tasks {
    // Owned by nothing else, other than for a moment.
    set: Arc<Mutex<JoinSet<()>>>,
}

/// Spawns for as long as the server lives. Weak, since it is held by the tasks themselves.
#[derive(Clone)]
struct Spawner {
    set: Weak<Mutex<JoinSet<()>>>,
}

impl Tasks {
    fn spawner(&self) -> Spawner {
        Spawner {
            set: Arc::downgrade(&self.set),
        }
    }
}

impl Spawner {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let Some(set) = self.set.upgrade() else {
            return;
        };
        let mut set = set.lock().unwrap_or_else(PoisonError::into_inner);
        while set.try_join_next().is_some() {}
        set.spawn(task);
    }
}

impl<F> hyper::rt::Executor<F> for Spawner
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, task: F) {
        self.spawn(async move {
            task.await;
        });
    }
}
