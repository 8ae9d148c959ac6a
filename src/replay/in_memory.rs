use std::any::Any;
use std::borrow::Cow;

use bytes::Bytes;
use http::Request;
use http::request::Parts;
use http_body_util::{Empty, Full};

use super::Replay;

/// Replays the common bodies that are in memory anyway, whatever the type of the request's body.
///
/// These are `()`, [`Bytes`], `String`, `&'static str`, `&'static [u8]`, `Vec<u8>`, [`Cow`]s of them,
/// and [`Full`] and [`Empty`] over `Bytes`, and an [`Option`] of any. Bodies of any other type are sent
/// once. The body type need only be `'static`.
///
/// Keeping `Bytes` or a `Full<Bytes>` copies no data; keeping a `String` or a `Vec<u8>` does.
#[derive(Clone, Copy, Debug, Default)]
pub struct InMemory;

impl<B: 'static> Replay<B> for InMemory {
    type Body = B;
    type Kept = Request<B>;

    fn pass(&self, body: B) -> B {
        body
    }

    fn keep(&self, head: &Parts, body: B) -> (B, Option<Request<B>>) {
        let kept = copy(&body).map(|body| Request::from_parts(head.clone(), body));
        (body, kept)
    }

    fn replay(kept: Request<B>) -> Request<B> {
        kept
    }
}

/// Copies a body of a known type. The comparisons are of constants for any one `B`.
pub(super) fn copy<B: 'static>(body: &B) -> Option<B> {
    macro_rules! first_of {
        ($($known:ty),* $(,)?) => {
            None$(.or_else(|| copy_as::<B, $known>(body)))*$(.or_else(|| copy_as::<B, Option<$known>>(body)))*
        };
    }
    first_of!(
        Full<Bytes>,
        Bytes,
        Empty<Bytes>,
        (),
        String,
        &'static str,
        &'static [u8],
        Vec<u8>,
        Cow<'static, str>,
        Cow<'static, [u8]>,
    )
}

/// Copies `body` if its type is `K`.
fn copy_as<B: 'static, K: Clone + 'static>(body: &B) -> Option<B> {
    let known = (body as &dyn Any).downcast_ref::<K>()?;
    let mut copy = Some(known.clone());
    // `B` is `K`, which only `Any` knows.
    (&mut copy as &mut dyn Any)
        .downcast_mut::<Option<B>>()?
        .take()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[test]
    fn known_bodies_are_copied() {
        assert_eq!(copy(&Bytes::from_static(b"abc")).unwrap(), "abc");
        assert_eq!(copy(&String::from("abc")).unwrap(), "abc");
        assert_eq!(copy(&"abc"), Some("abc"));
        assert_eq!(copy(&b"abc".as_slice()), Some(b"abc".as_slice()));
        assert_eq!(copy(&vec![1_u8]), Some(vec![1]));
        assert_eq!(copy(&Cow::Borrowed("abc")).unwrap(), "abc");
        assert_eq!(copy(&()), Some(()));
        assert!(copy(&Empty::<Bytes>::new()).is_some());
        assert_eq!(copy(&Some(Bytes::new())), Some(Some(Bytes::new())));
        assert_eq!(copy(&None::<String>), Some(None));
    }

    #[tokio::test]
    async fn the_copy_has_the_same_bytes() {
        let copy = copy(&Full::new(Bytes::from_static(b"abc"))).unwrap();
        assert_eq!(copy.collect().await.unwrap().to_bytes(), "abc");
    }

    #[test]
    fn other_bodies_are_not() {
        struct NeitherCloneNorSync(#[allow(dead_code)] std::cell::Cell<u8>);

        let body = NeitherCloneNorSync(std::cell::Cell::new(1));
        let (head, body) = Request::new(body).into_parts();
        assert!(InMemory.keep(&head, body).1.is_none());
        assert!(copy(&1_u8).is_none());
    }
}
