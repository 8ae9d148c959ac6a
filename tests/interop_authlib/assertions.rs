//! Clients that sign who they are (RFC 7523 §2.2), and the JWT bearer grant (§2.1).
//!
//! Authlib verifies `RS256`, `ES256` and `HS256` unless it is told otherwise, which its grants leave no place
//! for. It takes no assertion of a client twice.

use serde_json::{Value, json};
use tower_bearer::FetchErrorKind;
use tower_bearer::oauth2::jwt::{JwsAlgorithm, JwtAssertion};
use tower_bearer::oauth2::{Assertion, ClientCredentials, JwtBearer};

use super::interop_support::calls::Caller;
use super::interop_support::keys::Key;
use super::interop_support::{Server, http_client};
use super::{ID, SECRET, client, config, plain, server};

fn client_with_key(key: &Key) -> Value {
    let mut client = client("private_key_jwt");
    client["jwks"] = key.jwks();
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn private_key_jwt_gets_one_token_for_all_and_one_more_when_it_is_revoked() {
    for algorithm in [JwsAlgorithm::Rs256, JwsAlgorithm::Es256] {
        let key = Key::new(algorithm);
        let server = or_skip!(server(client_with_key(&key)));
        let assertion = Assertion::signed_by(key.signing());
        let provider = ClientCredentials::builder(server.token_endpoint(), ID, assertion);
        let caller = Caller::new(&server, provider.build(http_client()).unwrap());

        assert_eq!(caller.shares_and_heals(&server).await, plain());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn client_secret_jwt_gets_one_token_for_all_and_one_more_when_it_is_revoked() {
    let server = or_skip!(server(client("client_secret_jwt")));
    let assertion = Assertion::client_secret_jwt(SECRET, JwsAlgorithm::Hs256).unwrap();
    let provider = ClientCredentials::builder(server.token_endpoint(), ID, assertion);
    let caller = Caller::new(&server, provider.build(http_client()).unwrap());

    assert_eq!(caller.shares_and_heals(&server).await, plain());
}

#[tokio::test]
async fn an_assertion_for_the_issuer_is_for_another_where_only_the_token_endpoint_will_do() {
    let key = Key::new(JwsAlgorithm::Es256);
    for (wanted, refused) in [("token_endpoint", "issuer"), ("issuer", "token_endpoint")] {
        let mut config = config(client_with_key(&key));
        config["audience"] = json!(wanted);
        let server = or_skip!(Server::authlib(config));
        let audience = |name| match name {
            "issuer" => server.issuer(),
            _ => server.token_endpoint(),
        };
        let caller = |name| {
            let assertion = Assertion::signed_by(key.signing()).with_audience(audience(name));
            let provider = ClientCredentials::builder(server.token_endpoint(), ID, assertion);
            Caller::new(&server, provider.build(http_client()).unwrap())
        };

        assert_eq!(caller(wanted).succeeds().await, plain());
        caller(refused)
            .is_refused(FetchErrorKind::Denied, 400, "invalid_client", &[])
            .await;
    }
}

#[tokio::test]
async fn an_assertion_by_another_key_is_denied() {
    let (key, other) = (Key::new(JwsAlgorithm::Rs256), Key::new(JwsAlgorithm::Rs256));
    let server = or_skip!(server(client_with_key(&key)));
    let assertion = Assertion::signed_by(other.signing());
    let provider = ClientCredentials::builder(server.token_endpoint(), ID, assertion);
    Caller::new(&server, provider.build(http_client()).unwrap())
        .is_refused(FetchErrorKind::Denied, 400, "invalid_client", &[])
        .await;
}

fn client_that_may_speak_for_others(key: &Key) -> Value {
    let mut client = client_with_key(key);
    client["grant_types"] = json!(["urn:ietf:params:oauth:grant-type:jwt-bearer"]);
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jwt_gets_one_token_for_all_and_one_more_when_it_is_revoked() {
    let key = Key::new(JwsAlgorithm::Rs256);
    let server = or_skip!(server(client_that_may_speak_for_others(&key)));
    let assertion = JwtAssertion::new().with_issuer(ID).with_subject("älice");
    let assertion = assertion.signed_by(key.signing());
    let provider = JwtBearer::builder(server.token_endpoint(), assertion)
        .with_scope("orders:read")
        .build(http_client());
    let caller = Caller::new(&server, provider.unwrap());

    let seen = caller.shares_and_heals(&server).await;
    let expected = json!({ "client_id": ID, "sub": "älice", "scope": "orders:read" });
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_jwt_by_another_key_or_for_somebody_else_is_denied() {
    let (key, other) = (Key::new(JwsAlgorithm::Es256), Key::new(JwsAlgorithm::Es256));
    let server = or_skip!(server(client_that_may_speak_for_others(&key)));
    let assertion = || JwtAssertion::new().with_issuer(ID).with_subject("alice");
    let for_another = assertion().signed_by(key.signing());
    for assertion in [
        assertion().signed_by(other.signing()),
        for_another.with_audience("https://id.example.com/token"),
    ] {
        let provider = JwtBearer::builder(server.token_endpoint(), assertion);
        Caller::new(&server, provider.build(http_client()).unwrap())
            .is_refused(FetchErrorKind::Denied, 400, "invalid_grant", &[])
            .await;
    }
}
