//! Token endpoints that the server's metadata names (RFC 8414, OpenID Connect Discovery 1.0).

use serde_json::json;
use tower_bearer::FetchErrorKind;
use tower_bearer::oauth2::{ClientCredentials, Credential, Issuer};

use super::interop_support::calls::Caller;
use super::interop_support::tls::{Authority, Identity};
use super::interop_support::{Server, http_client};
use super::{ID, SECRET, client, config, server};

#[tokio::test]
async fn the_token_endpoint_is_found_by_either_kind_of_metadata() {
    let server = or_skip!(server(client("client_secret_basic")));
    for issuer in [
        Issuer::new(server.issuer()).with_oauth_metadata(),
        Issuer::new(server.issuer()).with_openid_configuration(),
    ] {
        let provider = ClientCredentials::builder(issuer, ID, SECRET);
        let caller = Caller::new(&server, provider.build(http_client()).unwrap());
        assert_eq!(caller.succeeds().await, json!({ "client_id": ID }));
    }
}

#[tokio::test]
async fn an_issuer_by_another_name_is_denied_and_gets_no_secret() {
    let server = or_skip!(server(client("client_secret_basic")));
    // The same server, but not what it calls itself.
    let slash = format!("{}/", server.issuer());
    let localhost = server.issuer().replace("127.0.0.1", "localhost");
    for issuer in [slash, localhost] {
        let provider = ClientCredentials::builder(Issuer::new(issuer), ID, SECRET);
        let caller = Caller::new(&server, provider.build(http_client()).unwrap());
        let error = caller.fails().await;
        assert_eq!(error.kind(), FetchErrorKind::Denied);
    }
    assert_eq!(server.counters().await.token_requests, 0);
}

// RFC 8705 §5: the token endpoint for clients with a certificate is another.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_a_certificate_asks_where_certificates_are_asked_for() {
    let authority = Authority::new();
    let identity = Identity::self_signed("me");
    let mut client = client("self_signed_tls_client_auth");
    client.as_object_mut().unwrap().remove("client_secret");
    client["jwks"] = identity.jwks();
    let mut config = config(client);
    config["tls"] = authority.server_config();
    let server = or_skip!(Server::oidc_provider(config));
    let caller = |issuer| {
        let provider = ClientCredentials::builder(issuer, ID, Credential::tls_certificate());
        let provider = provider.build(authority.client(Some(&identity)));
        Caller::new(&server, provider.unwrap())
    };

    // Another origin, which has to be named.
    let issuer = Issuer::new(server.issuer());
    let error = caller(issuer.clone()).fails().await;
    assert_eq!(error.kind(), FetchErrorKind::Denied);
    assert_eq!(server.counters().await.token_requests, 0);

    let seen = caller(issuer.with_token_endpoint_origin(server.tls_origin()))
        .shares_and_heals(&server)
        .await;
    assert_eq!(seen, json!({ "client_id": ID }));
}

#[cfg(feature = "jwt")]
#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_is_for_the_issuer() {
    use tower_bearer::oauth2::Assertion;
    use tower_bearer::oauth2::jwt::JwsAlgorithm;

    let server = or_skip!(server(client("client_secret_jwt")));
    let assertion = Assertion::client_secret_jwt(SECRET, JwsAlgorithm::Hs512).unwrap();
    let provider = ClientCredentials::builder(Issuer::new(server.issuer()), ID, assertion);
    let caller = Caller::new(&server, provider.build(http_client()).unwrap());

    let seen = caller.shares_and_heals(&server).await;
    assert_eq!(seen, json!({ "client_id": ID }));
}
