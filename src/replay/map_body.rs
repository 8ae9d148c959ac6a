use std::fmt;

use http::Request;

use super::Replay;

/// Replays as another policy does, and turns its bodies into those that the inner service takes.
///
/// Made by [`Streaming::map_body`](super::Streaming::map_body).
#[derive(Clone, Copy)]
pub struct MapBody<R, F> {
    policy: R,
    map: F,
}

impl<R, F> MapBody<R, F> {
    pub(super) fn new(policy: R, map: F) -> Self {
        Self { policy, map }
    }
}

/// What the other policy keeps, and how its body is turned into another.
pub struct MapKept<K, F> {
    kept: K,
    map: F,
}

impl<B, B2, R, F> Replay<B> for MapBody<R, F>
where
    R: Replay<B>,
    F: Fn(R::Body) -> B2 + Clone,
{
    type Body = B2;
    type Kept = MapKept<R::Kept, F>;

    fn keep(&self, request: &mut Request<B>) -> Option<Self::Kept> {
        let kept = self.policy.keep(request)?;
        let map = self.map.clone();
        Some(MapKept { kept, map })
    }

    fn prepare(&self, request: Request<B>, kept: Option<&mut Self::Kept>) -> Request<B2> {
        let kept = kept.map(|kept| &mut kept.kept);
        self.policy.prepare(request, kept).map(&self.map)
    }

    fn is_replayable(kept: &mut Self::Kept) -> bool {
        R::is_replayable(&mut kept.kept)
    }

    fn replay(kept: Self::Kept) -> Request<B2> {
        R::replay(kept.kept).map(kept.map)
    }
}

impl<R: fmt::Debug, F> fmt::Debug for MapBody<R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapBody")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

impl<K, F> fmt::Debug for MapKept<K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapKept").finish_non_exhaustive()
    }
}
