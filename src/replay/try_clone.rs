use std::fmt;

use http::Request;

use super::{Copied, Replay};

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
    type Kept = Copied<B>;

    fn keep(&self, request: &mut Request<B>) -> Option<Copied<B>> {
        let body = (self.copy)(request.body())?;
        Some(Copied::new(request, body))
    }

    fn prepare(&self, request: Request<B>, _: Option<&mut Copied<B>>) -> Request<B> {
        request
    }

    fn is_replayable(_: &mut Copied<B>) -> bool {
        true
    }

    fn replay(kept: Copied<B>) -> Request<B> {
        kept.into_request()
    }
}

impl<F> fmt::Debug for TryClone<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryClone").finish_non_exhaustive()
    }
}
