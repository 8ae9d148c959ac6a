//! A body that is fed by hand, and the requests that it is the body of.

use std::cell::Cell;
use std::marker::{PhantomData, PhantomPinned};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use static_assertions::assert_not_impl_any;
use tokio::sync::mpsc;
use tokio_test::task::{self, Spawn};
use tower_bearer::error::BoxError;
use tower_bearer::replay::{Kept, Replay, ReplayBody, Streaming, TakenOver};

pub(crate) type Read = Option<Result<Frame<Bytes>, BoxError>>;

pin_project! {
    /// A body that passes on what it is fed. Neither `Clone` nor `Sync` nor `Default` nor `Unpin`.
    #[project = FedProj]
    pub(crate) struct Fed {
        feed: mpsc::UnboundedReceiver<Feed>,
        hint: SizeHint,
        ended: bool,
        ending: bool,
        hint_panics: bool,
        there: Arc<()>,
        not_sync: PhantomData<Cell<()>>,
        #[pin]
        pinned: PhantomPinned,
    }
}

assert_not_impl_any!(Fed: Clone, Sync, Default, Unpin);

pub(crate) enum Feed {
    Frame(Frame<Bytes>),
    /// After which it says that it has ended.
    Last(Frame<Bytes>),
    /// Says that it has ended from now on, but is waited for.
    Ending,
    Fail(&'static str),
    Panic,
    /// Passes an empty chunk on, and panics when it is asked how much is left.
    PanicInHint,
    /// Blocks its reader, once it has said that it does, until there is a frame or the sender is dropped.
    Block(
        std::sync::mpsc::Sender<()>,
        std::sync::mpsc::Receiver<Frame<Bytes>>,
    ),
}

/// Feeds a body, and knows whether it is still there.
pub(crate) struct Feeder {
    feed: mpsc::UnboundedSender<Feed>,
    dropped: std::sync::Weak<()>,
}

impl Feeder {
    pub(crate) fn data(&self, data: impl Into<Bytes>) {
        self.feed(Feed::Frame(Frame::data(data.into())));
    }

    pub(crate) fn trailers(&self) {
        self.feed(Feed::Frame(Frame::trailers(trailers())));
    }

    pub(crate) fn feed(&self, feed: Feed) {
        assert!(self.feed.send(feed).is_ok(), "nobody will read it");
    }

    pub(crate) fn is_dropped(&self) -> bool {
        self.dropped.strong_count() == 0
    }
}

pub(crate) fn trailers() -> HeaderMap {
    [("x-sum".parse().unwrap(), "42".parse().unwrap())]
        .into_iter()
        .collect()
}

pub(crate) fn fed() -> (Feeder, Fed) {
    fed_with(SizeHint::default())
}

pub(crate) fn fed_with(hint: SizeHint) -> (Feeder, Fed) {
    let (sender, feed) = mpsc::unbounded_channel();
    let there = Arc::new(());
    let feeder = Feeder {
        feed: sender,
        dropped: Arc::downgrade(&there),
    };
    let body = Fed {
        feed,
        hint,
        ended: false,
        ending: false,
        hint_panics: false,
        there,
        not_sync: PhantomData,
        pinned: PhantomPinned,
    };
    (feeder, body)
}

impl Body for Fed {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        let this = self.project();
        assert!(!*this.ended, "read again after its end");
        let mut fed = ready!(this.feed.poll_recv(cx));
        if let Some(Feed::Ending) = fed {
            *this.ending = true;
            fed = ready!(this.feed.poll_recv(cx));
        }
        Poll::Ready(match fed {
            Some(Feed::Frame(frame)) => {
                if let Some(data) = frame.data_ref() {
                    *this.hint = minus(this.hint, data.len() as u64);
                }
                Some(Ok(frame))
            }
            Some(Feed::Last(frame)) => {
                *this.ended = true;
                Some(Ok(frame))
            }
            Some(Feed::Fail(why)) => {
                *this.ended = true;
                Some(Err(why))
            }
            Some(Feed::Ending) => unreachable!("once"),
            Some(Feed::PanicInHint) => {
                *this.hint_panics = true;
                Some(Ok(Frame::data(Bytes::new())))
            }
            Some(Feed::Panic) => panic!("on purpose"),
            Some(Feed::Block(begun, until)) => {
                begun.send(()).unwrap();
                match until.recv() {
                    Ok(frame) => Some(Ok(frame)),
                    Err(_) => {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
            }
            None => {
                *this.ended = true;
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.ending || self.hint.exact() == Some(0)
    }

    #[allow(clippy::clone_on_copy)] // Since http-body 1.1.
    fn size_hint(&self) -> SizeHint {
        assert!(!self.hint_panics, "on purpose");
        self.hint.clone()
    }
}

fn minus(hint: &SizeHint, read: u64) -> SizeHint {
    match hint.exact() {
        Some(exact) => SizeHint::with_exact(exact - read),
        None => SizeHint::default(),
    }
}

/// What most bodies here may be kept up to.
pub(crate) const LIMIT: usize = 10;

/// A body as the inner service sees it.
pub(crate) struct Reader {
    task: Spawn<Pin<Box<ReplayBody<Fed>>>>,
}

impl Reader {
    pub(crate) fn new(body: ReplayBody<Fed>) -> Self {
        let task = task::spawn(Box::pin(body));
        Self { task }
    }

    pub(crate) fn poll(&mut self) -> Poll<Read> {
        self.task
            .enter(|cx, body| body.get_mut().as_mut().poll_frame(cx))
    }

    /// What it must have now.
    pub(crate) fn read(&mut self) -> Read {
        match self.poll() {
            Poll::Ready(read) => read,
            Poll::Pending => panic!("waits"),
        }
    }

    pub(crate) fn data(&mut self) -> Bytes {
        let frame = self.read().expect("ended").unwrap();
        frame.into_data().expect("no data")
    }

    /// All that it has now.
    pub(crate) fn all(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while let Poll::Ready(Some(read)) = self.poll() {
            all.extend(read.unwrap().into_data().expect("no data"));
        }
        all
    }

    pub(crate) fn ends(&mut self) {
        assert!(self.read().is_none(), "goes on");
    }

    pub(crate) fn ends_taken_over(&mut self) {
        let error = self.read().expect("ended").expect_err("goes on");
        assert!(error.is::<TakenOver>(), "{error}");
    }

    pub(crate) fn waits(&mut self) {
        assert!(self.poll().is_pending(), "does not wait");
    }

    pub(crate) fn is_woken(&self) -> bool {
        self.task.is_woken()
    }

    pub(crate) fn size(&self) -> SizeHint {
        self.task.size_hint()
    }

    pub(crate) fn is_at_its_end(&self) -> bool {
        self.task.is_end_stream()
    }
}

/// A request's body on its way, and what is kept of it.
pub(crate) fn send(body: Fed, limit: usize) -> (Reader, Kept<Fed>) {
    let policy = Streaming::up_to(limit);
    let mut request = Request::new(body);
    let mut kept = policy.keep(&mut request).expect("not kept");
    let request = policy.prepare(request, Some(&mut kept));
    (Reader::new(request.into_body()), kept)
}

/// Whether the request can be made again, now that it was rejected.
pub(crate) fn rejected(kept: &mut Kept<Fed>) -> bool {
    <Streaming as Replay<Fed>>::is_replayable(kept)
}

pub(crate) fn again(kept: Kept<Fed>) -> Reader {
    Reader::new(<Streaming as Replay<Fed>>::replay(kept).into_body())
}

/// A chunk that says when it is gone.
pub(crate) fn chunk(len: usize) -> (Bytes, Arc<()>) {
    struct Owner(Vec<u8>, #[allow(dead_code)] Arc<()>);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    let held = Arc::new(());
    let owner = Owner(vec![b'x'; len], Arc::clone(&held));
    (Bytes::from_owner(owner), held)
}

pub(crate) fn is_gone(chunk: &Arc<()>) -> bool {
    Arc::strong_count(chunk) == 1
}

pub(crate) fn trailers_len() -> usize {
    "x-sum42".len()
}
