//! What we send to a token endpoint is what oauth4webapi sends for the same.

// Helpers of tests are not tests to clippy.
#![allow(clippy::unwrap_used)]

#[macro_use]
#[path = "../interop_support/mod.rs"]
mod interop_support;

#[cfg(feature = "jwt")]
mod assertions;
mod grants;
mod sent;

use std::iter;

use serde_json::{Value, json};
use tower_bearer::oauth2::{ClientAuth, ClientCredentials, ClientCredentialsBuilder, Credential};

use self::sent::{ISSUER, TOKEN_ENDPOINT, ours, theirs};

/// Whatever a form, a URL or HTTP Basic gives a meaning, and what is encoded by some and not by others.
const ODD: [&str; 9] = [
    "plain",
    "a:b",
    "a+b c",
    "100%25 %41",
    "a/b?c=d&e#f;g",
    "*~'!()-._",
    "\"<>\\^`{|}@[],$",
    "é ß € 🔑 \u{a0}\u{200b}",
    " both ends ",
];

/// The odd ones, and many that nobody thought of; the same in every run.
fn texts() -> Vec<String> {
    let mut random = fastrand::Rng::with_seed(0x6749);
    let mut text = move || -> String {
        let length = random.usize(1..12);
        let character = || match random.bool() {
            true => random.char(' '..='~'),
            false => random.char('\u{a0}'..=char::MAX),
        };
        iter::repeat_with(character).take(length).collect()
    };
    let random = iter::repeat_with(&mut text).filter(|text| !text.trim().is_empty());
    ODD.map(str::to_owned)
        .into_iter()
        .chain(random.take(300))
        .collect()
}

/// Each odd id with each odd secret, and the others with another.
fn ids_and_secrets() -> Vec<(String, String)> {
    let odd = ODD
        .iter()
        .flat_map(|id| ODD.map(|secret| (id.to_string(), secret.to_owned())));
    let (ids, secrets) = (texts(), texts());
    odd.chain(ids.into_iter().zip(secrets.into_iter().rev()))
        .collect()
}

fn wish(auth_method: &str, id: &str, secret: &str) -> Value {
    json!({
        "issuer": ISSUER,
        "token_endpoint": TOKEN_ENDPOINT,
        "auth_method": auth_method,
        "client_id": id,
        "client_secret": secret,
        "grant_type": "client_credentials",
        "parameters": [],
    })
}

fn client(id: &str, credential: impl Into<Credential>) -> ClientCredentialsBuilder {
    ClientCredentials::builder(TOKEN_ENDPOINT, id, credential)
}

#[tokio::test]
async fn client_secret_basic_is_the_same() {
    let pairs = ids_and_secrets();
    let wishes = pairs.iter();
    let wishes = wishes.map(|(id, secret)| wish("client_secret_basic", id, secret));
    let theirs = or_skip!(theirs(wishes.collect()));

    for ((id, secret), theirs) in pairs.iter().zip(theirs) {
        let ours = ours(client(id, secret.as_str())).await;
        // Its bytes differ: they encode `-._~` too, and write a space as `+` where we write `%20`. To RFC
        // 6749 §2.3.1, which has both form-decoded, that is the same.
        ours.assert_same_as(&theirs);
        let pair = (id.clone(), secret.clone());
        assert_eq!(ours.basic().form(), pair);
        // And ours is, unlike theirs, the same to servers that decode URLs, such as Authlib.
        assert_eq!(ours.basic().url(), pair);
    }
}

#[tokio::test]
async fn client_secret_post_is_the_same() {
    let pairs = ids_and_secrets();
    let wishes = pairs.iter();
    let wishes = wishes.map(|(id, secret)| wish("client_secret_post", id, secret));
    let theirs = or_skip!(theirs(wishes.collect()));

    for ((id, secret), theirs) in pairs.iter().zip(theirs) {
        let builder = client(id, secret.as_str()).with_client_auth(ClientAuth::Post);
        let ours = ours(builder).await;
        ours.assert_same_as(&theirs);
        assert_eq!(ours.parameter("client_id"), *id);
        assert_eq!(ours.parameter("client_secret"), *secret);
    }
}

#[tokio::test]
async fn a_public_client_and_one_with_a_certificate_are_the_same() {
    for (method, credential) in [
        ("none", Credential::none()),
        ("tls_client_auth", Credential::tls_certificate()),
    ] {
        let wishes = texts();
        let wishes = wishes.iter().map(|id| wish(method, id, "unused"));
        let theirs = or_skip!(theirs(wishes.collect()));

        for (id, theirs) in texts().iter().zip(theirs) {
            let ours = ours(client(id, credential.clone())).await;
            ours.assert_same_as(&theirs);
            assert_eq!(ours.parameter("client_id"), *id);
        }
    }
}

#[tokio::test]
async fn scopes_resources_the_audience_and_further_parameters_are_the_same() {
    let texts = texts();
    // We send them in the order of their characters.
    let resources = |text: &str| {
        let mut resources = [String::new(), text.to_owned()];
        for resource in &mut resources {
            *resource = format!("https://api.example.com/{resource}?a=b&c=%2B");
        }
        resources.sort();
        resources
    };
    let wishes = texts.iter().map(|text| {
        let mut wish = wish("client_secret_basic", "me", "secret");
        let [first, second] = resources(text);
        wish["parameters"] = json!([
            // In that order too, which means nothing (RFC 6749 §3.3).
            ["scope", "!*'()~ a:b+c%d/e f&g=h"],
            ["resource", first],
            ["resource", second],
            ["audience", text],
            [format!("x-{text}"), text],
        ]);
        wish
    });
    let theirs = or_skip!(theirs(wishes.collect()));

    for (text, theirs) in texts.iter().zip(theirs) {
        let [first, second] = resources(text);
        let builder = client("me", "secret")
            .with_scope("f&g=h a:b+c%d/e")
            .with_scope("!*'()~")
            .with_resource(first)
            .with_resource(second)
            .with_audience(text)
            .with_parameter(format!("x-{text}"), text);
        let ours = ours(builder).await;
        ours.assert_same_as(&theirs);
        assert_eq!(ours.parameter("audience"), *text);
    }
}
