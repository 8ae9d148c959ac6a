//! A server on a loopback socket that does to each request what its script says, byte by byte.

// Each test binary uses a part of it, and a panic here is a failed test.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

use crate::layer_support::without_hanging;

/// What the kernel holds of what a client does not read. Small, so that what was written tells what was read.
pub(crate) const SOCKET_BUFFER: u32 = 64 * 1024;

/// What happens to one request. Returns the connection, if it is kept.
pub(crate) type Act = Box<dyn FnOnce(Conn) -> Acting + Send>;
type Acting = Pin<Box<dyn Future<Output = Option<Conn>> + Send>>;

enum Usual {
    /// The answer to the request of that number, from one. What was received is kept.
    Answer(Box<dyn Fn(usize) -> Vec<u8> + Send + Sync>),
    /// Anything. Nothing is kept of it.
    Act(Box<dyn Fn(Conn) -> Acting + Send + Sync>),
}

pub(crate) struct RawServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    script: Mutex<VecDeque<Act>>,
    /// What happens to a request when the script is at its end.
    usual: Usual,
    log: watch::Sender<Log>,
}

#[derive(Default)]
struct Log {
    connections: usize,
    /// Requests of which at least a byte has arrived.
    requests: usize,
    received: Vec<Received>,
}

#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Received {
    /// The only header of that name.
    pub(crate) fn header(&self, wanted: &str) -> Option<&str> {
        let mut values = self.head.lines().filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case(wanted).then_some(value)
        });
        let value = values.next();
        assert!(values.next().is_none(), "more than one {wanted}");
        value
    }

    /// The token of a request, which carries one.
    pub(crate) fn bearer(&self) -> &str {
        let value = self.header("authorization").unwrap();
        value.strip_prefix("Bearer ").unwrap()
    }
}

impl RawServer {
    pub(crate) fn start(usual: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let socket = unheard();
        Self::on(socket, usual)
    }

    /// Listens on a socket that was bound before.
    pub(crate) fn on(
        socket: TcpSocket,
        usual: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self::listen(socket, Usual::Answer(Box::new(usual)))
    }

    /// Does this to every request.
    pub(crate) fn acting<F>(act: impl Fn(Conn) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Option<Conn>> + Send + 'static,
    {
        let act = Box::new(move |conn| Box::pin(act(conn)) as Acting);
        Self::listen(unheard(), Usual::Act(act))
    }

    fn listen(socket: TcpSocket, usual: Usual) -> Self {
        let listener = socket.listen(1024).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Mutex::default(),
            usual,
            log: watch::Sender::default(),
        });
        tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared }
    }

    /// Does this to the next request that the script says nothing of yet.
    pub(crate) fn next<F>(&self, act: impl FnOnce(Conn) -> F + Send + 'static)
    where
        F: Future<Output = Option<Conn>> + Send + 'static,
    {
        let act: Act = Box::new(|conn| Box::pin(act(conn)));
        self.shared.script.lock().unwrap().push_back(act);
    }

    /// Reads the next request and answers it with these bytes.
    pub(crate) fn answers(&self, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        self.next(async move |mut conn: Conn| {
            conn.request().await?;
            conn.send(&bytes).await.ok()?;
            Some(conn)
        });
    }

    /// Reads the next request, answers it with these bytes and closes the connection.
    pub(crate) fn answers_and_closes(&self, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        self.next(async move |mut conn: Conn| {
            conn.request().await?;
            conn.send(&bytes).await.ok()?;
            None
        });
    }

    /// Reads the next request, answers it with these bytes and resets the connection once they were read.
    pub(crate) fn answers_and_resets(&self, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        self.next(async move |mut conn: Conn| {
            conn.request().await?;
            conn.send(&bytes).await.ok()?;
            conn.reset();
            None
        });
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.log.borrow().connections
    }

    pub(crate) fn requests(&self) -> usize {
        self.shared.log.borrow().requests
    }

    /// What was read to its end.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.log.borrow().received.clone()
    }

    /// Waits until so many requests have begun to arrive.
    pub(crate) async fn asked(&self, requests: usize) {
        let mut log = self.shared.log.subscribe();
        let asked = log.wait_for(|log| log.requests >= requests);
        without_hanging(asked).await.unwrap();
    }
}

/// A port on which nobody listens yet, and which nobody else can take.
pub(crate) fn unheard() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(SOCKET_BUFFER).unwrap();
    socket.set_recv_buffer_size(SOCKET_BUFFER).unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    socket
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        shared.log.send_modify(|log| log.connections += 1);
        let conn = Conn {
            stream,
            unread: Vec::new(),
            shared: Arc::clone(&shared),
        };
        tokio::spawn(serve(conn, Arc::clone(&shared)));
    }
}

async fn serve(mut conn: Conn, shared: Arc<Shared>) {
    while conn.is_asked().await {
        shared.log.send_modify(|log| log.requests += 1);
        let act = shared.script.lock().unwrap().pop_front();
        let kept = match act {
            Some(act) => act(conn).await,
            None => conn.usual().await,
        };
        match kept {
            Some(kept) => conn = kept,
            None => return,
        }
    }
}

pub(crate) struct Conn {
    stream: TcpStream,
    unread: Vec<u8>,
    shared: Arc<Shared>,
}

impl Conn {
    /// Reads the next request to its end.
    pub(crate) async fn request(&mut self) -> Option<Received> {
        let head = self.head().await?;
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse().unwrap())
        });
        let length: usize = length.unwrap_or(0);
        while self.unread.len() < length {
            self.read().await?;
        }
        let body = self.unread.drain(..length).collect();
        let received = Received { head, body };
        let logged = received.clone();
        self.shared.log.send_modify(|log| log.received.push(logged));
        Some(received)
    }

    /// Reads the next request's head and leaves its body.
    pub(crate) async fn head(&mut self) -> Option<String> {
        let end = loop {
            let end = self.unread.windows(4).position(|four| four == b"\r\n\r\n");
            match end {
                Some(end) => break end + 4,
                None => self.read().await?,
            }
        };
        let head = self.unread.drain(..end).collect();
        Some(String::from_utf8(head).unwrap())
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Writes what the client takes of these bytes, and returns how many that are.
    pub(crate) async fn pour(&mut self, bytes: &[u8]) -> usize {
        let mut written = 0;
        while written < bytes.len() {
            match self.stream.write(&bytes[written..]).await {
                Ok(more) => written += more,
                Err(_) => break,
            }
        }
        written
    }

    /// Closes the connection with an RST, whatever is unread.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }

    /// Ends what the client reads, and waits until it has closed its side.
    pub(crate) async fn close(mut self) {
        // It may have closed already.
        let _ = self.stream.shutdown().await;
        self.closed().await;
    }

    /// Waits until the client has closed the connection.
    pub(crate) async fn closed(&mut self) {
        while self.read().await.is_some() {
            self.unread.clear();
        }
    }

    /// What the server usually does.
    pub(crate) async fn usual(mut self) -> Option<Self> {
        let shared = Arc::clone(&self.shared);
        match &shared.usual {
            Usual::Act(act) => act(self).await,
            Usual::Answer(answer) => {
                self.request().await?;
                let number = shared.log.borrow().requests;
                self.send(&answer(number)).await.ok()?;
                Some(self)
            }
        }
    }

    /// Waits for the first byte of a request, which is not read.
    async fn is_asked(&mut self) -> bool {
        !self.unread.is_empty() || matches!(self.stream.peek(&mut [0]).await, Ok(1))
    }

    async fn read(&mut self) -> Option<()> {
        let read = self.stream.read_buf(&mut self.unread).await;
        read.is_ok_and(|read| read > 0).then_some(())
    }
}

/// An answer whose length is stated.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}").into_bytes()
}
