//! A token endpoint that the server's metadata names (RFC 8414). It has no configuration of OpenID Connect.

use tower_bearer::oauth2::{ClientCredentials, Issuer};

use super::interop_support::calls::Caller;
use super::interop_support::http_client;
use super::{ID, SECRET, client, plain, server};

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_gets_one_token_for_all_and_one_more_when_it_is_revoked() {
    let server = or_skip!(server(client("client_secret_basic")));
    let provider = ClientCredentials::builder(Issuer::new(server.issuer()), ID, SECRET);
    let caller = Caller::new(&server, provider.build(http_client()).unwrap());

    assert_eq!(caller.shares_and_heals(&server).await, plain());
}

#[cfg(feature = "jwt")]
#[tokio::test]
async fn an_assertion_is_for_the_issuer_unless_the_server_wants_it_for_the_token_endpoint() {
    use serde_json::json;
    use tower_bearer::FetchErrorKind;
    use tower_bearer::oauth2::Assertion;
    use tower_bearer::oauth2::jwt::JwsAlgorithm;

    use super::config;
    use super::interop_support::Server;

    for wanted in ["issuer", "token_endpoint"] {
        let mut config = config(client("client_secret_jwt"));
        config["audience"] = json!(wanted);
        let server = or_skip!(Server::authlib(config));
        let assertion = || Assertion::client_secret_jwt(SECRET, JwsAlgorithm::Hs256).unwrap();
        let caller = |assertion| {
            let issuer = Issuer::new(server.issuer());
            let provider = ClientCredentials::builder(issuer, ID, assertion);
            Caller::new(&server, provider.build(http_client()).unwrap())
        };

        if wanted == "issuer" {
            assert_eq!(caller(assertion()).succeeds().await, plain());
        } else {
            caller(assertion())
                .is_refused(FetchErrorKind::Denied, 400, "invalid_client", &[SECRET])
                .await;
            let assertion = assertion().with_audience(server.token_endpoint());
            assert_eq!(caller(assertion).succeeds().await, plain());
        }
    }
}
