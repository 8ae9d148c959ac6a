//! The client credentials grant, with a secret or as nobody in particular.

use serde_json::json;
use tower_bearer::FetchErrorKind;
use tower_bearer::oauth2::{ClientAuth, ClientCredentials, Credential};

use super::interop_support::calls::Caller;
use super::interop_support::{Server, http_client};
use super::{ID, RESOURCE, SECRET, client, config, server};

#[tokio::test(flavor = "multi_thread")]
async fn client_secret_basic_gets_one_token_for_all_and_one_more_when_it_is_revoked() {
    let server = or_skip!(server(client("client_secret_basic")));
    let provider = ClientCredentials::builder(server.token_endpoint(), ID, SECRET);
    let provider = provider.build(http_client()).unwrap();

    let seen = Caller::new(&server, provider)
        .shares_and_heals(&server)
        .await;
    assert_eq!(seen, json!({ "client_id": ID }));
}

#[tokio::test(flavor = "multi_thread")]
async fn client_secret_post_gets_one_token_for_all_and_one_more_when_it_is_revoked() {
    let server = or_skip!(server(client("client_secret_post")));
    let provider = ClientCredentials::builder(server.token_endpoint(), ID, SECRET)
        .with_client_auth(ClientAuth::Post)
        .build(http_client())
        .unwrap();

    let seen = Caller::new(&server, provider)
        .shares_and_heals(&server)
        .await;
    assert_eq!(seen, json!({ "client_id": ID }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_client_gets_one_token_for_all_and_one_more_when_it_is_revoked() {
    let mut client = client("none");
    client.as_object_mut().unwrap().remove("client_secret");
    let server = or_skip!(server(client));
    let provider = ClientCredentials::builder(server.token_endpoint(), ID, Credential::none());
    let caller = Caller::new(&server, provider.build(http_client()).unwrap());

    let seen = caller.shares_and_heals(&server).await;
    assert_eq!(seen, json!({ "client_id": ID }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_without_a_token_makes_one_token_request() {
    let server = or_skip!(server(client("client_secret_basic")));
    let provider = ClientCredentials::builder(server.token_endpoint(), ID, SECRET);
    let caller = Caller::new(&server, provider.build(http_client()).unwrap());

    caller.crowd_makes_one_token_request(&server).await;
}

#[tokio::test]
async fn scopes_and_a_resource_are_those_of_the_token() {
    let server = or_skip!(server(client("client_secret_basic")));
    let provider = ClientCredentials::builder(server.token_endpoint(), ID, SECRET)
        .with_scope("orders:write orders:read")
        .with_resource(RESOURCE)
        .with_fewer_scopes_accepted()
        .build(http_client())
        .unwrap();

    let seen = Caller::new(&server, provider).succeeds().await;
    // Of the scopes, those that the resource has.
    assert_eq!(
        seen,
        json!({ "client_id": ID, "aud": RESOURCE, "scope": "orders:read" })
    );
}

#[tokio::test]
async fn a_short_lived_token_is_replaced_before_the_server_refuses_it() {
    let mut config = config(client("client_secret_basic"));
    // Of which the server, which counts in whole seconds, may take off nearly one; so may a busy machine.
    config["access_token_ttl"] = json!(8);
    let server = or_skip!(Server::oidc_provider(config));
    let provider = ClientCredentials::builder(server.token_endpoint(), ID, SECRET);
    let caller = Caller::new(&server, provider.build(http_client()).unwrap());

    let mut calls = 0;
    let mut moments = tokio::time::interval(std::time::Duration::from_millis(50));
    let counters = loop {
        caller.succeeds().await;
        calls += 1;
        let counters = server.counters().await;
        if counters.issued > 1 || calls == 1000 {
            break counters;
        }
        moments.tick().await;
    };
    assert_eq!((counters.issued, counters.rejected), (2, 0));
    assert_eq!(counters.accepted, calls);
}

#[tokio::test]
async fn a_token_that_lacks_a_scope_is_not_replaced() {
    let server = or_skip!(server(client("client_secret_basic")));
    let provider = ClientCredentials::builder(server.token_endpoint(), ID, SECRET)
        .with_scope("orders:read")
        .build(http_client())
        .unwrap();
    let caller = Caller::new(&server, provider);

    let response = caller.send("?scope=orders:write").await.unwrap();
    assert_eq!(response.status(), 403);
    let response = caller.send("?scope=orders:read").await.unwrap();
    assert_eq!(response.status(), 200);
    let counters = server.counters().await;
    assert_eq!((counters.token_requests, counters.forbidden), (1, 1));
}

#[tokio::test]
async fn a_wrong_secret_is_denied_and_not_told() {
    for auth in [ClientAuth::Basic, ClientAuth::Post] {
        let server = or_skip!(server(client("client_secret_basic")));
        let wrong = "wr:ong secret+1";
        let provider = ClientCredentials::builder(server.token_endpoint(), ID, wrong)
            .with_client_auth(auth)
            .build(http_client())
            .unwrap();
        let caller = Caller::new(&server, provider);

        let spellings = [wrong, "wr%3Aong%20secret%2B1", "wr%3Aong+secret%2B1"];
        for _ in 0..2 {
            caller
                .is_refused(FetchErrorKind::Denied, 401, "invalid_client", &spellings)
                .await;
        }
        // The second call came within the pause.
        let counters = server.counters().await;
        assert_eq!((counters.token_requests, counters.issued), (1, 0));
    }
}

#[tokio::test]
async fn an_unknown_resource_or_a_forbidden_scope_concerns_only_what_was_asked_for() {
    let mut client = client("client_secret_basic");
    client["scope"] = json!("orders:read");
    let server = or_skip!(server(client));
    let builder = || ClientCredentials::builder(server.token_endpoint(), ID, SECRET);

    for (builder, code) in [
        (builder().with_scope("orders:write"), "invalid_scope"),
        (
            builder().with_resource("https://x.example"),
            "invalid_target",
        ),
    ] {
        let caller = Caller::new(&server, builder.build(http_client()).unwrap());
        caller
            .is_refused(FetchErrorKind::InvalidRequest, 400, code, &[SECRET])
            .await;
    }
}
