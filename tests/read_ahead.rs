//! What is read ahead, and that nothing of it is lost.

// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, ServiceExt, service_fn};
use tower_bearer::read_ahead::{ReadAheadBody, ReadAheadLayer};

type Item = Result<Frame<Bytes>, &'static str>;

/// A body that is written by the test.
struct Written {
    frames: UnboundedReceiver<Item>,
    says: SizeHint,
}

impl Body for Written {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        self.frames.poll_recv(cx)
    }

    #[allow(clippy::clone_on_copy)] // Since http-body 1.1.
    fn size_hint(&self) -> SizeHint {
        self.says.clone()
    }
}

fn written() -> (UnboundedSender<Item>, Written) {
    let (writer, frames) = unbounded_channel();
    let says = SizeHint::default();
    (writer, Written { frames, says })
}

fn data(text: &'static str) -> Item {
    Ok(Frame::data(Bytes::from(text)))
}

/// A response with this body, by way of a layer that reads ten bytes ahead.
async fn ahead<B: Body + Unpin>(status: u16, body: B) -> Response<ReadAheadBody<B>> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    let mut response = Some(response);
    let inner = service_fn(move |()| {
        let response = response.take().unwrap();
        async move { Ok::<_, Infallible>(response) }
    });
    ReadAheadLayer::up_to(10)
        .layer(inner)
        .oneshot(())
        .await
        .unwrap()
}

/// What of a body is there without waiting.
fn at_hand<B>(body: &mut B) -> Vec<Option<Result<String, &'static str>>>
where
    B: Body<Data = Bytes, Error = &'static str> + Unpin,
{
    let mut found = Vec::new();
    loop {
        match task::spawn(body.frame()).poll() {
            Poll::Pending => return found,
            Poll::Ready(None) => {
                found.push(None);
                return found;
            }
            Poll::Ready(Some(frame)) => found.push(Some(frame.map(|frame| {
                let data = frame.into_data().unwrap();
                String::from_utf8(data.to_vec()).unwrap()
            }))),
        }
    }
}

/// Writes a byte each time, a little later than it is asked, and never ends.
struct Trickle {
    pause: Pin<Box<tokio::time::Sleep>>,
}

impl Body for Trickle {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        ready!(self.pause.as_mut().poll(cx));
        self.pause = Box::pin(tokio::time::sleep(Duration::from_millis(20)));
        Poll::Ready(Some(data("")))
    }
}

fn text(text: &str) -> Option<Result<String, &'static str>> {
    Some(Ok(text.to_owned()))
}

#[test]
fn an_error_is_passed_on_once_it_has_been_read_to_its_end() {
    for status in [400, 401, 403, 419, 499] {
        let (writer, body) = written();
        let mut response = task::spawn(ahead(status, body));

        assert_pending!(response.poll());
        writer.send(data("one ")).unwrap();
        assert_pending!(response.poll());
        writer.send(data("two")).unwrap();
        drop(writer);
        assert!(response.is_woken());

        let mut response = assert_ready!(response.poll());
        let body = response.body_mut();
        assert!(!body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(7));
        assert_eq!(at_hand(body), [text("one "), text("two"), None]);
        assert!(body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(0));
    }
}

#[test]
fn other_responses_pass_as_they_come() {
    for status in [200, 204, 302, 399, 500, 503] {
        let (_writer, body) = written();
        let mut response = task::spawn(ahead(status, body));

        let mut response = assert_ready!(response.poll());
        assert_eq!(at_hand(response.body_mut()), []);
    }
}

#[test]
fn of_a_long_body_the_rest_follows_and_no_more_than_a_chunk_over_the_limit_is_kept() {
    let (writer, body) = written();
    for chunk in ["0123456789", "over", "rest"] {
        writer.send(data(chunk)).unwrap();
    }
    let mut response = task::spawn(ahead(401, body));

    let mut response = assert_ready!(response.poll());
    let body = response.body_mut();
    // Of the rest nothing is said.
    assert_eq!(
        (body.size_hint().lower(), body.size_hint().upper()),
        (14, None)
    );
    assert_eq!(
        at_hand(body),
        [text("0123456789"), text("over"), text("rest")]
    );
    writer.send(data("later")).unwrap();
    drop(writer);
    assert_eq!(at_hand(body), [text("later"), None]);
}

#[test]
fn a_body_of_nothing_but_empty_chunks_is_given_up() {
    let (writer, body) = written();
    // As many as are read.
    for _ in 0..256 {
        writer.send(data("")).unwrap();
    }
    let mut response = task::spawn(ahead(401, body));

    let mut response = assert_ready!(response.poll());
    assert_eq!(response.body().size_hint().lower(), 0);
    assert_eq!(at_hand(response.body_mut()).len(), 256);
}

#[test]
fn a_body_that_says_it_is_longer_is_not_read() {
    let (_writer, mut body) = written();
    body.says = SizeHint::with_exact(11);
    let mut response = task::spawn(ahead(401, body));
    let response = assert_ready!(response.poll());
    assert_eq!(response.body().size_hint().exact(), Some(11));

    let (_writer, mut body) = written();
    body.says = SizeHint::with_exact(10);
    let mut response = task::spawn(ahead(401, body));
    assert_pending!(response.poll());
}

#[tokio::test]
async fn what_comes_late_is_not_waited_for_and_follows() {
    let (writer, body) = written();
    writer.send(data("soon, ")).unwrap();

    // The body is at its end only after this. Patience is longer than the limit, and shorter than what
    // would be waiting.
    let response = timeout(Duration::from_secs(10), ahead(401, body)).await;

    let mut response = response.expect("hangs");
    writer.send(data("late")).unwrap();
    drop(writer);
    assert_eq!(
        at_hand(response.body_mut()),
        [text("soon, "), text("late"), None]
    );
}

#[tokio::test]
async fn what_comes_little_by_little_is_not_waited_for_all_the_longer() {
    let pause = Box::pin(tokio::time::sleep(Duration::ZERO));
    // 256 of these, which is as many as are read, take five seconds.
    let response = timeout(Duration::from_secs(4), ahead(401, Trickle { pause })).await;
    response.expect("waits on");
}

#[test]
fn an_error_in_the_body_comes_after_what_was_read_and_ends_it() {
    let (writer, body) = written();
    writer.send(data("one")).unwrap();
    writer.send(Err("reset")).unwrap();
    let mut response = task::spawn(ahead(401, body));

    let mut response = assert_ready!(response.poll());
    assert_eq!(
        at_hand(response.body_mut()),
        [text("one"), Some(Err("reset")), None]
    );
}

#[tokio::test]
async fn trailers_are_kept() {
    let (writer, body) = written();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-trailer", HeaderValue::from_static("last"));
    writer.send(data("one")).unwrap();
    writer.send(Ok(Frame::trailers(trailers.clone()))).unwrap();
    drop(writer);

    let response = ahead(401, body).await;
    assert_eq!(response.body().size_hint().exact(), Some(3));
    let body = response.into_body().collect().await.unwrap();

    assert_eq!(body.trailers(), Some(&trailers));
    assert_eq!(body.to_bytes(), "one");
}

#[test]
fn debug_shows_nothing_of_the_body() {
    let (writer, body) = written();
    writer.send(data("hunter2")).unwrap();
    drop(writer);
    let mut response = task::spawn(ahead(401, body));
    let response = assert_ready!(response.poll());

    assert!(!format!("{response:?}").contains("hunter2"));
}
