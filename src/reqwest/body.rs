use reqwest::Body;

use crate::replay::ReplayBody;

/// So that [`Streaming`](crate::replay::Streaming) works over reqwest as it is. What is in memory stays so.
impl From<ReplayBody<Body>> for Body {
    fn from(body: ReplayBody<Body>) -> Self {
        body.into_passing().unwrap_or_else(Self::wrap)
    }
}
