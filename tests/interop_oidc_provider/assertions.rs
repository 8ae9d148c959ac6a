//! Clients that sign who they are (RFC 7523 §2.2).
//!
//! The server takes no assertion twice, so that whatever fetches two tokens has made two.

use serde_json::{Value, json};
use tower_bearer::FetchErrorKind;
use tower_bearer::oauth2::jwt::JwsAlgorithm;
use tower_bearer::oauth2::{Assertion, ClientCredentials};

use super::interop_support::calls::Caller;
use super::interop_support::keys::{Key, PRIVATE_KEY_ALGORITHMS, SECRET_ALGORITHMS};
use super::interop_support::{Server, http_client};
use super::{ID, SECRET, client, config, server};

fn client_with_key(key: &Key) -> Value {
    let mut client = client("private_key_jwt");
    client.as_object_mut().unwrap().remove("client_secret");
    client["jwks"] = key.jwks();
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn private_key_jwt_gets_one_token_for_all_and_one_more_when_it_is_revoked() {
    let key = Key::new(JwsAlgorithm::Es256);
    let server = or_skip!(server(client_with_key(&key)));
    let assertion = Assertion::signed_by(key.signing());
    let provider = ClientCredentials::builder(server.token_endpoint(), ID, assertion);
    let caller = Caller::new(&server, provider.build(http_client()).unwrap());

    let seen = caller.shares_and_heals(&server).await;
    assert_eq!(seen, json!({ "client_id": ID }));
}

#[tokio::test(flavor = "multi_thread")]
async fn client_secret_jwt_gets_one_token_for_all_and_one_more_when_it_is_revoked() {
    let server = or_skip!(server(client("client_secret_jwt")));
    let assertion = Assertion::client_secret_jwt(SECRET, JwsAlgorithm::Hs256).unwrap();
    let provider = ClientCredentials::builder(server.token_endpoint(), ID, assertion);
    let caller = Caller::new(&server, provider.build(http_client()).unwrap());

    let seen = caller.shares_and_heals(&server).await;
    assert_eq!(seen, json!({ "client_id": ID }));
}

#[tokio::test]
async fn it_verifies_the_signatures_of_every_algorithm() {
    let mut clients = Vec::new();
    let mut assertions = Vec::new();
    for algorithm in PRIVATE_KEY_ALGORITHMS {
        let key = Key::new(algorithm);
        let mut client = client_with_key(&key);
        // It takes no other from this client.
        client["token_endpoint_auth_signing_alg"] = json!(algorithm.as_str());
        clients.push(client);
        assertions.push(Assertion::signed_by(key.signing()));
    }
    for algorithm in SECRET_ALGORITHMS {
        let mut client = client("client_secret_jwt");
        client["token_endpoint_auth_signing_alg"] = json!(algorithm.as_str());
        clients.push(client);
        assertions.push(Assertion::client_secret_jwt(SECRET, algorithm).unwrap());
    }
    for client in &mut clients {
        client["client_id"] = client["token_endpoint_auth_signing_alg"].clone();
    }
    let mut config = config(Value::Null);
    config["clients"] = json!(clients);
    let server = or_skip!(Server::oidc_provider(config));

    for (client, assertion) in clients.iter().zip(assertions) {
        let id = client["client_id"].as_str().unwrap();
        let provider = ClientCredentials::builder(server.token_endpoint(), id, assertion);
        let caller = Caller::new(&server, provider.build(http_client()).unwrap());
        assert_eq!(caller.succeeds().await, json!({ "client_id": id }));
    }
}

#[tokio::test]
async fn an_assertion_by_another_key_or_for_somebody_else_is_denied() {
    let (key, other) = (Key::new(JwsAlgorithm::Ps256), Key::new(JwsAlgorithm::Ps256));
    let server = or_skip!(server(client_with_key(&key)));
    let for_another = Assertion::signed_by(key.signing()).with_audience("https://id.example.com");
    for assertion in [Assertion::signed_by(other.signing()), for_another] {
        let provider = ClientCredentials::builder(server.token_endpoint(), ID, assertion);
        Caller::new(&server, provider.build(http_client()).unwrap())
            .is_refused(FetchErrorKind::Denied, 401, "invalid_client", &[])
            .await;
    }
}
