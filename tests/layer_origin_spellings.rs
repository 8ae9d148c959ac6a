//! How the authority of a URI is compared with those that a layer was made for: as one would by hand, whatever
//! it has in common with them.

// A panic in a helper is a failed test.
#![allow(clippy::unwrap_used)]

use futures_util::FutureExt;
use http::header::AUTHORIZATION;
use http::{Request, Uri};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use tower::{Layer, ServiceExt, service_fn};
use tower_bearer::provider::StaticToken;
use tower_bearer::{AccessToken, BearerAuthLayer, Origin};

/// Whether a request for `uri` carries the token of a layer for these origins.
fn carries(origins: &[String], uri: &str) -> bool {
    let mut origins = origins
        .iter()
        .map(|origin| Origin::new_insecure_http(origin).unwrap());
    let token = AccessToken::new("abc").unwrap().with_unlimited_lifetime();
    let layer =
        BearerAuthLayer::for_origin(StaticToken::new(token), origins.next().unwrap()).unwrap();
    let layer = { origins }.fold(layer, |layer, origin| layer.allow_origin(origin).unwrap());
    let inner = service_fn(async |request: Request<()>| {
        let carries = request.headers().contains_key(AUTHORIZATION);
        Ok::<_, std::convert::Infallible>(http::Response::new(carries))
    });
    let client = layer.layer(inner);
    let request = || Request::get(uri).body(()).unwrap();
    // By what the thread has seen as well.
    let [first, second] = [(); 2].map(|()| {
        let response = client.clone().oneshot(request()).now_or_never();
        response.expect("had to wait").unwrap().into_body()
    });
    assert_eq!(first, second);
    first
}

/// An origin, in parts.
#[derive(Clone, Debug)]
struct Place {
    scheme: &'static str,
    host: String,
    port: Option<&'static str>,
}

impl Place {
    fn authority(&self) -> String {
        let port = self.port.map(|port| format!(":{port}"));
        format!("{}{}", self.host, port.unwrap_or_default())
    }

    fn text(&self) -> String {
        format!("{}://{}", self.scheme, self.authority())
    }

    /// By hand.
    fn is(&self, other: &Self) -> bool {
        self.compared() == other.compared()
    }

    fn compared(&self) -> (&str, String, &str) {
        let port = match (self.port, self.scheme) {
            (None | Some(""), "https") => "443",
            (None | Some(""), _) => "80",
            (Some(port), _) => port,
        };
        (self.scheme, self.host.to_lowercase(), port)
    }
}

/// Of up to some forty characters, with beginnings and ends that others have too, and few letters between.
fn host() -> impl Strategy<Value = String> {
    let ends = [
        "",
        "a",
        "api.",
        "api.bank",
        "api.bank.",
        "API.bank",
        "long.name.of.an.",
    ];
    let begin = select(ends.to_vec());
    let end = select(vec![
        "",
        "a",
        ".example",
        ".exampla",
        ".EXAMPLE",
        "bank.com",
        ".of.a.bank.example",
    ]);
    (begin, "[ab.AB]{0,8}", end)
        .prop_map(|(begin, middle, end)| format!("{begin}{middle}{end}"))
        .prop_filter("a host", |host| {
            !host.is_empty() && format!("https://{host}").parse::<Uri>().is_ok()
        })
}

fn place() -> impl Strategy<Value = Place> {
    let scheme = select(vec!["https", "https", "https", "http"]);
    let port = option::of(select(vec!["", "1", "80", "443", "8443", "8444", "18443"]));
    (scheme, host(), port).prop_map(|(scheme, host, port)| Place { scheme, host, port })
}

/// What differs from `place` by little or by nothing.
fn like(place: Place) -> impl Strategy<Value = Place> {
    let len = place.host.len();
    let ports = select(vec![
        place.port,
        None,
        Some(""),
        Some("443"),
        Some("8443"),
        Some("8444"),
    ]);
    (any::<u8>(), 0..len, ports).prop_map(move |(how, at, port)| {
        let mut other = place.clone();
        let letter = |other: &Place| other.host.as_bytes()[at];
        match how % 6 {
            0 => {}
            1 => other.port = port,
            2 => {
                other.scheme = if other.scheme == "https" {
                    "http"
                } else {
                    "https"
                }
            }
            3 => other.host = other.host.to_uppercase(),
            4 => {
                let swapped = if letter(&other) == b'a' { "b" } else { "a" };
                other.host.replace_range(at..=at, swapped);
            }
            _ => other.host.insert(at, 'a'),
        }
        other
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_request_carries_a_token_if_scheme_host_and_port_are_those_of_one_of_the_origins(
        (named, asked) in vec(place(), 1..=4).prop_flat_map(|named| {
            let near = select(named.clone()).prop_flat_map(like);
            (Just(named), prop_oneof![4 => near, 1 => place()])
        }),
        user in option::of(select(vec!["", "user", "user:pass", "api.bank", "api.bank.com:443"])),
    ) {
        let user = user.map(|user| format!("{user}@")).unwrap_or_default();
        let uri = format!("{}://{user}{}/items", asked.scheme, asked.authority());
        prop_assume!(uri.parse::<Uri>().is_ok());
        let origins: Vec<_> = named.iter().map(Place::text).collect();
        let expected = named.iter().any(|place| place.is(&asked));

        prop_assert_eq!(carries(&origins, &uri), expected, "{:?} {}", origins, uri);
    }
}

/// Of as many characters as there are, each in its place.
#[test]
fn one_other_character_is_another_host_wherever_it_stands() {
    const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnop";

    for len in 1..=40 {
        let host = &LETTERS[..len];
        let named = [format!("https://{host}")];
        assert!(carries(&named, &format!("https://{host}/")));
        assert!(carries(
            &named,
            &format!("https://{}:443/", host.to_uppercase())
        ));
        for at in 0..len {
            let other = format!("{}0{}", &host[..at], &host[at + 1..]);
            assert!(!carries(&named, &format!("https://{other}/")), "{other}");
            let shorter = format!("{}{}", &host[..at], &host[at + 1..]);
            if !shorter.is_empty() {
                assert!(
                    !carries(&named, &format!("https://{shorter}/")),
                    "{shorter}"
                );
            }
            let longer = format!("{}0{}", &host[..at], &host[at..]);
            assert!(!carries(&named, &format!("https://{longer}/")), "{longer}");
        }
        assert!(!carries(&named, &format!("http://{host}/")));
        assert!(!carries(&named, &format!("https://{host}0/")));
        assert!(!carries(&named, &format!("https://{host}:8443/")));
        assert!(!carries(&named, &format!("https://{host}@evil.example/")));
        assert!(carries(&named, &format!("https://evil.example@{host}/")));
    }
}

/// As if it were a part that repeats: the ends are the same, the length is not.
#[test]
fn what_begins_and_ends_alike_is_another_host_if_it_is_longer() {
    for (named, asked) in [
        ("aaaaaaaa", "aaaaaaaaa"),
        ("aaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaa"),
        ("aaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaa"),
        ("aaaaaaaabbbbbbbb", "aaaaaaaaabbbbbbbb"),
        ("api.bank.example", "api.bank.bank.example"),
        ("a.example", "b.a.example"),
        ("short", "other"),
        ("short", "s"),
    ] {
        for (named, asked) in [(named, asked), (asked, named)] {
            let origin = [format!("https://{named}")];
            assert!(!carries(&origin, &format!("https://{asked}/")), "{asked}");
            assert!(carries(&origin, &format!("https://{named}/")), "{named}");
        }
    }
}
