//! Faults of an API, over HTTP/2.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use h2::Reason;
use h2::server::{Connection, SendResponse};
use http::{Request, Response};
use http_body_util::Full;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::TokioExecutor;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::{Layer, ServiceExt};
use tower_bearer::BearerAuthLayer;
use tower_bearer::error::BoxError;

use crate::layer_support::socket::HttpClient;
use crate::layer_support::{Gate, bearer, without_hanging};
use crate::scene::Scene;
use crate::socket_support::Conn;

/// More than the windows of a stream and its connection.
const LARGE: usize = 1024 * 1024;

type Api = Connection<TcpStream, Bytes>;

/// What happens to the first request.
type Fault = Arc<dyn Fn(&mut Api, SendResponse<Bytes>) + Send + Sync>;

/// The tokens that an API was sent, and over which connection.
type Sent = Arc<watch::Sender<Vec<(usize, String)>>>;

struct Http2 {
    scene: Scene,
    origin: String,
    sent: Sent,
    client: HttpClient,
}

impl Http2 {
    /// An API that does this to the first request and accepts all others.
    async fn new(fault: impl Fn(&mut Api, SendResponse<Bytes>) + Send + Sync + 'static) -> Self {
        let fault: Fault = Arc::new(fault);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let sent = Sent::default();
        let log = Arc::clone(&sent);
        tokio::spawn(async move {
            for connection in 1.. {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(
                    stream,
                    connection,
                    Arc::clone(&log),
                    Arc::clone(&fault),
                ));
            }
        });
        Self {
            scene: Scene::new(),
            origin,
            sent,
            client: Client::builder(TokioExecutor::new())
                .http2_only(true)
                .build_http(),
        }
    }

    fn post(
        &self,
        body: impl Into<Bytes>,
    ) -> impl Future<Output = Result<Response<hyper::body::Incoming>, BoxError>> {
        let cache = self.scene.cache.clone();
        let layer = BearerAuthLayer::for_origin(cache, &*self.origin).unwrap();
        let request = Request::post(&self.origin).body(Full::new(body.into()));
        without_hanging(layer.layer(self.client.clone()).oneshot(request.unwrap()))
    }

    fn tokens(&self) -> Vec<String> {
        let sent = self.sent.borrow();
        sent.iter().map(|(_, token)| token.clone()).collect()
    }

    fn connections(&self) -> Vec<usize> {
        let sent = self.sent.borrow();
        sent.iter().map(|(connection, _)| *connection).collect()
    }
}

async fn serve(stream: TcpStream, connection: usize, sent: Sent, fault: Fault) {
    let mut api: Api = h2::server::handshake(stream).await.unwrap();
    // An error is how a connection ends that was shut down.
    while let Some(Ok((request, mut respond))) = api.accept().await {
        let (parts, mut body) = request.into_parts();
        let token = bearer(&Request::from_parts(parts, ())).unwrap().to_owned();
        sent.send_modify(|sent| sent.push((connection, token)));
        if sent.borrow().len() == 1 {
            fault(&mut api, respond);
            continue;
        }
        tokio::spawn(async move {
            let mut read = 0;
            while let Some(Ok(data)) = body.data().await {
                read += data.len();
                body.flow_control().release_capacity(data.len()).unwrap();
            }
            let response = Response::builder().header("x-read", read);
            let response = response.body(()).unwrap();
            respond.send_response(response, true).unwrap();
        });
    }
}

/// Sends the head of a 401, and no body if that is the end.
fn unauthorized(respond: &mut SendResponse<Bytes>, end: bool) -> h2::SendStream<Bytes> {
    let response = Response::builder().status(401).body(()).unwrap();
    respond.send_response(response, end).unwrap()
}

#[tokio::test]
async fn a_401_whose_stream_is_reset_while_the_token_is_fetched_is_healed_on_the_same_connection() {
    for reason in [Reason::NO_ERROR, Reason::CANCEL, Reason::INTERNAL_ERROR] {
        let (asked, reset) = (Gate::new(), Gate::new());
        let (is_asked, is_reset) = (asked.clone(), reset.clone());
        let api = Http2::new(move |_, mut respond| {
            let mut body = unauthorized(&mut respond, false);
            body.send_data(Bytes::from_static(b"half"), false).unwrap();
            let (asked, reset) = (is_asked.clone(), is_reset.clone());
            tokio::spawn(async move {
                asked.pass().await;
                body.send_reset(reason);
                reset.open();
            });
        })
        .await;
        api.scene.tokens.next(Conn::usual);
        api.scene.tokens.next(async move |conn: Conn| {
            asked.open();
            reset.pass().await;
            conn.usual().await
        });
        assert_eq!(api.post("payload").await.unwrap().status(), 200);
        assert_eq!(api.tokens(), ["issued-1", "issued-2"]);
        assert_eq!(api.connections(), [1, 1]);
        assert_eq!(api.scene.tokens.requests(), 2);
    }
}

/// RFC 9113 §8.1: a server that needs no more of a request answers and resets the stream.
#[tokio::test]
async fn a_401_before_the_request_was_read_to_its_end_is_healed_with_all_of_it() {
    let api = Http2::new(|_, mut respond| {
        // The reset follows when `respond` is dropped, with a request of which something is unread.
        unauthorized(&mut respond, true);
    })
    .await;
    let response = api.post(vec![b'x'; LARGE]).await.unwrap();

    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-read"], LARGE.to_string());
    assert_eq!(api.tokens(), ["issued-1", "issued-2"]);
}

#[tokio::test]
async fn a_401_with_a_goaway_is_healed_over_another_connection() {
    for answer_first in [false, true] {
        let api = Http2::new(move |api, mut respond| {
            if answer_first {
                unauthorized(&mut respond, true);
            }
            api.graceful_shutdown();
            if !answer_first {
                unauthorized(&mut respond, true);
            }
        })
        .await;
        assert_eq!(api.post("payload").await.unwrap().status(), 200);
        assert_eq!(api.tokens(), ["issued-1", "issued-2"]);
        assert_eq!(api.connections(), [1, 2]);
        assert_eq!(api.scene.tokens.requests(), 2);
    }
}

#[tokio::test]
async fn a_stream_or_connection_that_ends_without_an_answer_is_the_clients_error_and_no_rejection()
{
    let faults: [fn(&mut Api, SendResponse<Bytes>); 3] = [
        |_, mut respond| respond.send_reset(Reason::INTERNAL_ERROR),
        |_, mut respond| respond.send_reset(Reason::ENHANCE_YOUR_CALM),
        |api, _| api.abrupt_shutdown(Reason::PROTOCOL_ERROR),
    ];
    for fault in faults {
        let api = Http2::new(fault).await;
        let error = api.post("payload").await.unwrap_err();

        error.downcast::<legacy::Error>().unwrap();
        assert_eq!(api.post("payload").await.unwrap().status(), 200);
        assert_eq!(api.tokens(), ["issued-1", "issued-1"]);
        assert_eq!(api.scene.tokens.requests(), 1);
    }
}

/// As a stream that hangs: the body of the 401 stays open for ever.
#[tokio::test]
async fn a_401_that_never_ends_is_not_waited_for() {
    let api = Http2::new(|_, mut respond| {
        let body = unauthorized(&mut respond, false);
        // Dropping it would end the stream.
        tokio::spawn(async move {
            let mut body = body;
            std::future::poll_fn(|cx| body.poll_reset(cx)).await
        });
    })
    .await;
    assert_eq!(api.post("payload").await.unwrap().status(), 200);
    assert_eq!(api.tokens(), ["issued-1", "issued-2"]);
    assert_eq!(api.connections(), [1, 1]);
}
