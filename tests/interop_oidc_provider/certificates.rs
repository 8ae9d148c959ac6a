//! Clients that are known by their TLS certificate (RFC 8705).

use serde_json::json;
use tower_bearer::FetchErrorKind;
use tower_bearer::oauth2::{ClientCredentials, Credential};

use super::interop_support::Server;
use super::interop_support::calls::Caller;
use super::interop_support::tls::{Authority, Identity};
use super::{ID, client, config};

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_gets_one_token_for_all_and_one_more_when_it_is_revoked() {
    let authority = Authority::new();
    let (signed, self_signed) = (
        authority.sign("signed.example"),
        Identity::self_signed("me"),
    );
    for (method, key, value, identity) in [
        (
            "tls_client_auth",
            "tls_client_auth_san_dns",
            json!("signed.example"),
            &signed,
        ),
        (
            "self_signed_tls_client_auth",
            "jwks",
            self_signed.jwks(),
            &self_signed,
        ),
    ] {
        let mut client = client(method);
        client.as_object_mut().unwrap().remove("client_secret");
        client[key] = value;
        // So that the API takes it over connections with the same certificate only.
        client["tls_client_certificate_bound_access_tokens"] = json!(true);
        let mut config = config(client);
        config["tls"] = authority.server_config();
        let server = or_skip!(Server::oidc_provider(config));
        let token_endpoint = format!("{}/token", server.tls_origin());
        let provider = |identity| {
            let credential = Credential::tls_certificate();
            let builder = ClientCredentials::builder(&*token_endpoint, ID, credential);
            builder.build(authority.client(identity)).unwrap()
        };

        let mine = provider(Some(identity));
        let caller = Caller::over(authority.client(Some(identity)), server.tls_origin(), mine);
        let seen = caller.shares_and_heals(&server).await;
        assert_eq!(seen["client_id"], ID);
        assert!(seen["cnf"]["x5t#S256"].is_string(), "not bound: {seen}");

        // Without, or with somebody else's.
        for identity in [None, Some(&authority.sign("other.example"))] {
            let http = authority.client(identity);
            Caller::over(http, server.tls_origin(), provider(identity))
                .is_refused(FetchErrorKind::Denied, 401, "invalid_client", &[])
                .await;
        }
    }
}
