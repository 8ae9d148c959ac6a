use http::header::AUTHORIZATION;
use http::{Extensions, HeaderName, HeaderValue, Method, Request, Uri, Version};

/// A copy of a request without its body and its `Authorization`.
///
/// A list of headers is made of one allocation, where a map is made of two; and most copies are only dropped.
pub(super) struct Head {
    method: Method,
    uri: Uri,
    version: Version,
    headers: Vec<(HeaderName, HeaderValue)>,
    extensions: Extensions,
}

impl Head {
    #[inline]
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let mut headers = Vec::with_capacity(request.headers().len());
        for (name, value) in request.headers() {
            if *name != AUTHORIZATION {
                headers.push((name.clone(), value.clone()));
            }
        }
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            headers,
            extensions: request.extensions().clone(),
        }
    }

    pub(super) fn with_body<B>(self, body: B) -> Request<B> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.version_mut() = self.version;
        let headers = request.headers_mut();
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        *request.extensions_mut() = self.extensions;
        request
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, header};
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::config::tests::{CASES, headers, listed};

    #[derive(Clone, Debug, PartialEq)]
    struct Marker(u8);

    fn copy_of(request: &Request<()>) -> Request<()> {
        Head::of(request).with_body(())
    }

    /// All of a request but its `Authorization` and what else there is in its extensions.
    fn parts(request: &Request<()>) -> impl PartialEq + std::fmt::Debug + use<> {
        let headers: Vec<_> = listed(request.headers())
            .into_iter()
            .filter(|(name, ..)| *name != "authorization")
            .map(|(name, value, is_sensitive)| (name.to_owned(), value.to_owned(), is_sensitive))
            .collect();
        (
            request.method().clone(),
            request.uri().clone(),
            request.version(),
            headers,
            request.extensions().get::<Marker>().cloned(),
            request.extensions().len(),
        )
    }

    #[test]
    fn a_copy_is_the_same_request_but_for_authorization() {
        let mut secret = HeaderValue::from_static("hunter2");
        secret.set_sensitive(true);
        let request = Request::builder()
            .method("PURGE-AND-MORE-THAN-FIFTEEN-BYTES")
            .uri("https://user@api.example.com:8443/items?page=2")
            .version(Version::HTTP_2)
            .header("accept", "text/html")
            .header("authorization", "Bearer one")
            .header("cookie", &secret)
            .header("accept", "text/plain")
            .header("authorization", "Bearer two")
            .header("x-opaque", HeaderValue::from_bytes(b"\xffopaque").unwrap())
            .header("cookie", "b=2")
            .extension(Marker(7))
            .extension("another")
            .body(())
            .unwrap();

        let copy = copy_of(&request);

        assert_eq!(parts(&copy), parts(&request));
        assert_eq!(*Head::of(&request).with_body("another").body(), "another");
        assert!(!copy.headers().contains_key(header::AUTHORIZATION));
        let cookies = copy.headers().get_all(header::COOKIE);
        let cookies: Vec<_> = cookies.iter().map(HeaderValue::is_sensitive).collect();
        assert_eq!(cookies, [true, false]);
        assert_eq!(listed(copy.headers()).len(), 5);
    }

    #[test]
    fn the_request_is_left_as_it_is() {
        let mut request = Request::new(());
        request
            .headers_mut()
            .append(AUTHORIZATION, HeaderValue::from_static("Bearer own"));
        request
            .headers_mut()
            .append("x-a", HeaderValue::from_static("1"));
        let before = request.headers().clone();

        let _copy = Head::of(&request);

        assert_eq!(*request.headers(), before);
    }

    fn with_headers(headers: HeaderMap) -> Request<()> {
        let mut request = Request::new(());
        *request.headers_mut() = headers;
        request
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(CASES))]

        #[test]
        fn all_headers_but_authorization_are_copied_in_their_order(headers in headers()) {
            let request = with_headers(headers);
            let copy = copy_of(&request);

            prop_assert!(!copy.headers().contains_key(AUTHORIZATION));
            prop_assert_eq!(parts(&copy), parts(&request));
            let mut others = request.headers().clone();
            others.remove(AUTHORIZATION);
            prop_assert_eq!(copy.headers(), &others);
        }

        #[test]
        fn method_uri_version_and_extensions_are_copied_whatever_they_are(
            method in "[A-Z]{1,24}",
            uri in select(vec![
                "/", "*", "/items?page=2", "api.example.com:443", "https://api.example.com",
                "http://user:pass@[::1]:8080/a/b?c=d&e", "ftp://x/%20",
            ]),
            version in select(vec![
                Version::HTTP_09, Version::HTTP_10, Version::HTTP_11, Version::HTTP_2, Version::HTTP_3,
            ]),
            marker in proptest::option::of(any::<u8>()),
        ) {
            let mut request = Request::new(());
            *request.method_mut() = method.parse().unwrap();
            *request.uri_mut() = uri.parse().unwrap();
            *request.version_mut() = version;
            if let Some(marker) = marker {
                request.extensions_mut().insert(Marker(marker));
            }
            prop_assert_eq!(parts(&copy_of(&request)), parts(&request));
        }
    }
}
