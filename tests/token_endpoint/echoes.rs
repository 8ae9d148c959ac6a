//! A server that echoes what it was sent.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use tower_bearer::oauth2::{Assertion, ClientAuth, ClientCredentials, Credential};
use tower_bearer::{FetchContext, TokenProvider};

use super::server::{Server, response};
use super::support::*;

#[tokio::test]
async fn a_secret_that_the_server_echoes_is_shown_in_no_spelling() {
    let decoded = "hunter2:+%/ \\\"<&'*~é";
    let json = serde_json::to_string(decoded).unwrap();
    let json = &json[1..json.len() - 1];
    let echoes = [
        decoded.to_owned(),
        json.to_owned(),
        json.replace('/', "\\/")
            .replace('<', "\\u003c")
            .replace('é', "\\u00E9"),
        "hunter2%3A%2B%25%2F+%5C%22%3C%26%27*%7E%C3%A9".to_owned(),
        "hunter2%3a%2b%25%2f%20%5c%22%3c%26%27%2a~%c3%a9".to_owned(),
        "hunter2:+%/ \\&quot;&lt;&amp;&#39;*~&#xE9;".to_owned(),
        STANDARD.encode(format!("my-service:{decoded}")),
    ];
    for auth in [ClientAuth::Basic, ClientAuth::BasicRaw, ClientAuth::Post] {
        for echo in &echoes {
            if auth != ClientAuth::BasicRaw && *echo == echoes[6] {
                continue;
            }
            let text = format!("received <{echo}> from you");
            let member = serde_json::to_string(&text).unwrap();
            let all = format!(
                r#"{{"error":{member},"error_description":{member},"error_uri":{member}}}"#
            );
            for body in [text, all.clone(), format!("({all}")] {
                let server = Server::answering(400, body).await;
                let error = failure(client(&server).with_client_auth(auth)).await;

                let shown = everything(&error);
                assert!(shown.contains("received <[redacted]> from you"), "{shown}");
                assert!(!shown.contains(echo), "{shown}");
            }
        }
    }
}

#[tokio::test]
async fn a_request_that_the_server_echoes_is_shown_without_its_secrets() {
    for auth in [ClientAuth::Basic, ClientAuth::BasicRaw, ClientAuth::Post] {
        let server = Server::start(|request| {
            let authorization = request.header("authorization").unwrap_or_default();
            let credential = authorization
                .trim_start_matches("Basic ")
                .trim_end_matches('=');
            let decoded = STANDARD
                .decode(authorization.trim_start_matches("Basic "))
                .unwrap();
            let for_urls = URL_SAFE_NO_PAD.encode(&decoded);
            let decoded = String::from_utf8(decoded).unwrap();
            let form = &request.form;
            response(
                400,
                format!("{authorization} {credential} {for_urls} {decoded} {form} end"),
            )
        })
        .await;
        // Its base64 differs from that for URLs.
        let builder = ClientCredentials::builder(server.url(), "me", "hunter2???>>>ÿÿÿ")
            .with_client_auth(auth)
            .with_parameter("password", "pass word/1")
            .with_parameter("client_assertion", "eyJhbGciOi.J9");
        let error = failure(builder).await;

        let shown = everything(&error);
        let request = server.only_request();
        let authorization = request.header("authorization").unwrap_or("Basic none");
        let credential = authorization
            .trim_start_matches("Basic ")
            .trim_end_matches('=');
        let for_urls = credential.replace('+', "-").replace('/', "_");
        assert!(auth != ClientAuth::BasicRaw || credential != for_urls);
        for secret in [
            credential,
            &for_urls,
            "grant_type",
            "pass+word",
            "eyJhbGciOi",
        ] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
        assert!(shown.contains("[redacted] end"), "{shown}");
    }
}

#[tokio::test]
async fn a_parameter_and_the_key_in_a_url_are_cut_out_like_the_secret() {
    let server = Server::start(|request| {
        let (uri, form) = (&request.uri, &request.form);
        response(
            404,
            format!("cannot POST {uri} ({form}) for a key hunter2%2Fkey v1"),
        )
    })
    .await;
    for credential in [Credential::from("s3cret"), Credential::none()] {
        let url = format!("{}?key=hunter2%2Fquery&v=1", server.url());
        let builder = ClientCredentials::builder(url, "me", credential)
            .with_parameter("api_key", "hunter2/key")
            .with_parameter("v", "v1");
        let shown = everything(&failure(builder).await);

        let path = "/token?key=[redacted]&v=1";
        let expected = format!("refused: cannot POST {path} ([redacted]) for a key [redacted] v1");
        assert!(shown.contains(&expected), "{shown}");
    }
}

#[test]
fn what_an_assertion_is_made_for_is_shown_without_the_key_in_a_url() {
    let seen = Arc::new(Mutex::new(String::new()));
    let log = Arc::clone(&seen);
    let assertion = Assertion::from_fn(move |cx| {
        *log.lock().unwrap() = format!("{cx:?}");
        async { Err("not today".into()) }
    });
    let url = "https://id.example.com/token?key=hunter2";
    let provider = ClientCredentials::builder(url, "me", assertion);
    let provider = provider.build(hyper()).unwrap();
    let fetched = futures_executor::block_on(provider.fetch_token(FetchContext::default()));

    assert!(fetched.is_err());
    let shown = seen.lock().unwrap();
    assert!(
        shown.contains("\"me\"") && !shown.contains("hunter2"),
        "{shown}"
    );
}
