use std::fmt;

use http::Request;
use http::request::Parts;

use super::Replay;

/// Replays bodies of a type that knows how to copy itself, or may fail to.
///
/// `copy` is called for each request that gets a token. It must be cheap, and return `None` rather than
/// wait or read ahead.
///
/// ```
/// use tower_bearer::{BearerAuthLayer, replay, token_fn};
/// # struct Upload;
/// # impl Upload {
/// #     fn try_clone(&self) -> Option<Self> { None }
/// # }
/// # let provider = token_fn(|_| async { Err("none".into()) });
///
/// let layer = BearerAuthLayer::for_origin(provider, "https://api.example.com")?
///     .with_replay(replay::try_clone(Upload::try_clone));
/// # Ok::<(), tower_bearer::origin::InvalidOrigin>(())
/// ```
pub fn try_clone<B, F>(copy: F) -> TryClone<F>
where
    F: Fn(&B) -> Option<B> + Clone,
{
    TryClone { copy }
}

/// See [`try_clone`].
#[derive(Clone, Copy)]
pub struct TryClone<F> {
    copy: F,
}

impl<B, F> Replay<B> for TryClone<F>
where
    F: Fn(&B) -> Option<B> + Clone,
{
    type Body = B;
    type Kept = Request<B>;

    fn pass(&self, body: B) -> B {
        body
    }

    fn keep(&self, head: &Parts, body: B) -> (B, Option<Request<B>>) {
        let kept = (self.copy)(&body).map(|body| Request::from_parts(head.clone(), body));
        (body, kept)
    }

    fn replay(kept: Request<B>) -> Request<B> {
        kept
    }
}

impl<F> fmt::Debug for TryClone<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryClone").finish_non_exhaustive()
    }
}
