use bytes::{Buf, Bytes};
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

/// A copy of a request without its body and its `Authorization`.
///
/// Most copies are only dropped. So headers are written one after another into one allocation, to be parsed if need
/// be: to clone a value that was made at run time would allocate, and each would have to be dropped.
pub(super) struct Head {
    method: Method,
    uri: Uri,
    version: Version,
    headers: Headers,
    extensions: Extensions,
}

struct Headers {
    /// For each header how long its name and its value are, in one number, and both.
    text: Vec<u8>,
    /// In place of values that are marked sensitive, lest there be a copy that nobody erases.
    sensitive: Vec<HeaderValue>,
}

/// What a header takes that is neither long nor short. Longer ones make the list grow.
const USUAL_SIZE: usize = 64;

impl Head {
    #[inline]
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let mut headers = Headers::for_so_many(request.headers().len());
        for (name, value) in request.headers() {
            if *name != AUTHORIZATION {
                headers.push(name, value);
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
        self.headers.append_to(request.headers_mut());
        *request.extensions_mut() = self.extensions;
        request
    }
}

impl Headers {
    #[inline]
    fn for_so_many(headers: usize) -> Self {
        Self {
            text: Vec::with_capacity(USUAL_SIZE * headers),
            sensitive: Vec::new(),
        }
    }

    #[inline]
    fn push(&mut self, name: &HeaderName, value: &HeaderValue) {
        if value.is_sensitive() {
            self.push_sensitive(name, value.clone());
        } else {
            self.write(name, value.as_bytes(), false);
        }
    }

    #[cold]
    fn push_sensitive(&mut self, name: &HeaderName, value: HeaderValue) {
        self.write(name, &[], true);
        self.sensitive.push(value);
    }

    #[inline]
    fn write(&mut self, name: &HeaderName, value: &[u8], is_sensitive: bool) {
        let name = name.as_str();
        // `http` has no name of more than 2^16 - 1 bytes, and no value has 2^47.
        let lengths =
            (value.len() as u64) << 17 | (name.len() as u64) << 1 | u64::from(is_sensitive);
        self.text.extend_from_slice(&lengths.to_ne_bytes());
        self.text.extend_from_slice(name.as_bytes());
        self.text.extend_from_slice(value);
    }

    fn append_to(self, headers: &mut HeaderMap) {
        let mut text = Bytes::from(self.text);
        let mut sensitive = self.sensitive.into_iter();
        while !text.is_empty() {
            let lengths = text.get_u64_ne();
            let name = text.split_to(usize::from((lengths >> 1) as u16));
            let value = text.split_to((lengths >> 17) as usize);
            // HTTP/2 takes more bytes than `from_bytes` does, such as `"`.
            let name = HeaderName::from_lowercase(&name).expect("it was one");
            let value = match lengths & 1 {
                0 => HeaderValue::from_maybe_shared(value).expect("it was one"),
                _ => sensitive.next().expect("one for each"),
            };
            headers.append(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header;
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
    fn headers_of_all_lengths_and_all_bytes_are_copied() {
        let every_byte: Vec<u8> = (0..=255)
            .filter(|b| *b == b'\t' || *b >= b' ' && *b != 127)
            .collect();
        let mut request = Request::new(());
        for length in [1, 7, 8, 63, 64, 65, 255, 256, 65_535] {
            let name = HeaderName::from_bytes(&b"n".repeat(length)).unwrap();
            for value in [
                &b""[..],
                &b"v".repeat(length),
                &every_byte,
                &b"v".repeat(1 << 17),
            ] {
                let value = HeaderValue::from_bytes(value).unwrap();
                request.headers_mut().append(&name, value);
            }
        }
        // Names too, also those that come over HTTP/2.
        for byte in 0..=255 {
            let name = [b"x", &[byte][..]].concat();
            let names = [
                HeaderName::from_bytes(&name),
                HeaderName::from_lowercase(&name),
            ];
            for name in names.into_iter().flatten() {
                request
                    .headers_mut()
                    .append(name, HeaderValue::from_static("v"));
            }
        }
        assert_eq!(copy_of(&request).headers(), request.headers());
    }

    #[test]
    fn of_a_value_that_is_marked_sensitive_no_copy_is_made() {
        let mut request = Request::new(());
        for (name, is_sensitive) in [("x-a", false), ("x-b", true), ("x-c", false), ("x-d", true)] {
            let mut value = HeaderValue::from_str(&format!("value of {name}")).unwrap();
            value.set_sensitive(is_sensitive);
            request.headers_mut().append(name, value);
        }
        let address = |value: &HeaderValue| value.as_bytes().as_ptr();

        let head = Head::of(&request);
        let text = String::from_utf8_lossy(&head.headers.text).into_owned();
        let copy = head.with_body(());

        assert!(text.contains("value of x-a") && text.contains("value of x-c"));
        assert!(!text.contains("value of x-b") && !text.contains("value of x-d"));
        for (name, value) in request.headers() {
            let copied = &copy.headers()[name];
            assert_eq!(copied, value);
            assert_eq!(copied.is_sensitive(), value.is_sensitive());
            assert_eq!(address(copied) == address(value), value.is_sensitive());
        }
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
