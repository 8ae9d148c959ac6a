use std::any::Any;
use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use http::Request;
use http_body_util::{Empty, Full};

use super::Replay;
use super::head::Head;

/// Replays the common bodies that are in memory anyway, whatever the type of the request's body.
///
/// These are `()`, [`Bytes`], `String`, `&'static str`, `&'static [u8]`, `Vec<u8>`, [`Cow`]s of them,
/// and [`Full`] and [`Empty`] over `Bytes`, and an [`Option`] of any; with the feature `reqwest` also a
/// `reqwest::Body` that is no stream. Other bodies are sent once. The body type need only be `'static`.
///
/// Keeping `Bytes`, a `Full<Bytes>` or a `reqwest::Body` copies no data; keeping a `String` or a `Vec<u8>`
/// does. Headers are copied, other than values that are marked sensitive, which are shared.
#[derive(Clone, Copy, Debug, Default)]
pub struct InMemory;

impl<B: 'static> Replay<B> for InMemory {
    type Body = B;
    type Kept = Copied<B>;

    fn keep(&self, request: &mut Request<B>) -> Option<Copied<B>> {
        let body = copy(request.body_mut())?;
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

/// A copy of a request, as it is kept by [`InMemory`] and by [`try_clone`](super::try_clone()).
pub struct Copied<B> {
    head: Head,
    body: B,
}

impl<B> Copied<B> {
    #[inline]
    pub(super) fn new<B2>(request: &Request<B2>, body: B) -> Self {
        let head = Head::of(request);
        Self { head, body }
    }

    pub(super) fn into_request(self) -> Request<B> {
        self.head.with_body(self.body)
    }
}

impl<B> fmt::Debug for Copied<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copied").finish_non_exhaustive()
    }
}

/// Copies a body of a known type, and leaves it as it is. The comparisons are of constants for any one `B`.
pub(super) fn copy<B: 'static>(body: &mut B) -> Option<B> {
    #[cfg(feature = "reqwest")]
    if let Some(body) = (body as &mut dyn Any).downcast_mut() {
        return copy_of_reqwest(body).and_then(same);
    }
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
    same(known.clone())
}

/// `B` is `K`, which only [`Any`] knows.
fn same<K: 'static, B: 'static>(body: K) -> Option<B> {
    let mut body = Some(body);
    (&mut body as &mut dyn Any)
        .downcast_mut::<Option<B>>()?
        .take()
}

/// What reqwest can copy of itself. Only its requests have a method for that.
#[cfg(feature = "reqwest")]
fn copy_of_reqwest(body: &mut reqwest::Body) -> Option<reqwest::Body> {
    use std::{mem, sync::LazyLock};

    static NOWHERE: LazyLock<reqwest::Url> =
        LazyLock::new(|| "http://localhost".parse().expect("a URL"));

    let mut request = reqwest::Request::new(http::Method::GET, NOWHERE.clone());
    *request.body_mut() = Some(mem::take(body));
    let copy = request.try_clone();
    *body = request.body_mut().take().expect("put there above");
    copy?.body_mut().take()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[test]
    fn known_bodies_are_copied() {
        assert_eq!(copy(&mut Bytes::from_static(b"abc")).unwrap(), "abc");
        assert_eq!(copy(&mut String::from("abc")).unwrap(), "abc");
        assert_eq!(copy(&mut "abc"), Some("abc"));
        assert_eq!(copy(&mut b"abc".as_slice()), Some(b"abc".as_slice()));
        assert_eq!(copy(&mut vec![1_u8]), Some(vec![1]));
        assert_eq!(copy(&mut Cow::Borrowed("abc")).unwrap(), "abc");
        assert_eq!(copy(&mut ()), Some(()));
        assert!(copy(&mut Empty::<Bytes>::new()).is_some());
        assert_eq!(copy(&mut Some(Bytes::new())), Some(Some(Bytes::new())));
        assert_eq!(copy(&mut None::<String>), Some(None));
    }

    #[tokio::test]
    async fn the_copy_has_the_same_bytes() {
        let copy = copy(&mut Full::new(Bytes::from_static(b"abc"))).unwrap();
        assert_eq!(copy.collect().await.unwrap().to_bytes(), "abc");
    }

    #[cfg(feature = "reqwest")]
    #[test]
    fn a_body_of_reqwest_shares_its_data_with_the_copy() {
        for text in ["", "abc"] {
            let mut body = reqwest::Body::from(text.to_owned());
            let data = body.as_bytes().unwrap().as_ptr();

            let copy = copy(&mut body).unwrap();

            for body in [&body, &copy] {
                assert_eq!(body.as_bytes(), Some(text.as_bytes()));
                assert_eq!(body.as_bytes().unwrap().as_ptr(), data);
            }
        }
    }

    #[cfg(feature = "reqwest")]
    #[tokio::test]
    async fn a_stream_of_reqwest_is_not_copied_and_left_as_it_is() {
        let mut body = reqwest::Body::wrap("abc".to_owned());
        assert!(copy(&mut body).is_none());
        assert_eq!(body.collect().await.unwrap().to_bytes(), "abc");
    }

    #[test]
    fn other_bodies_are_not() {
        struct NeitherCloneNorSync(#[allow(dead_code)] std::cell::Cell<u8>);

        let body = NeitherCloneNorSync(std::cell::Cell::new(1));
        assert!(InMemory.keep(&mut Request::new(body)).is_none());
        assert!(copy(&mut 1_u8).is_none());
    }
}
